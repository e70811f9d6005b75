CREATE TABLE attempts (
	run TEXT NOT NULL, 
	path TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	started BIGINT NOT NULL, 
	irrevocable INTEGER DEFAULT 0 NOT NULL, 
	ended BIGINT, 
	outcome TEXT, 
	reason TEXT, 
	message TEXT, 
	PRIMARY KEY (run, path, number)
)
 WITHOUT ROWID;
CREATE TABLE buckets (
	target TEXT NOT NULL, 
	free_at BIGINT NOT NULL, 
	PRIMARY KEY (target)
);
CREATE TABLE clocks (
	rule TEXT NOT NULL, 
	last BIGINT NOT NULL, 
	PRIMARY KEY (rule)
);
CREATE TABLE counts (
	rule TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	times TEXT NOT NULL, 
	until BIGINT NOT NULL, 
	PRIMARY KEY (rule, "key")
)
 WITHOUT ROWID;
CREATE TABLE decider (
	id INTEGER NOT NULL, 
	first BIGINT NOT NULL, 
	size INTEGER NOT NULL, 
	tries INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	type TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	raised BIGINT NOT NULL, 
	stored BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	names TEXT, 
	decided BIGINT, 
	decision TEXT, 
	CONSTRAINT events_digest UNIQUE (source, digest), 
	UNIQUE (id)
);
CREATE INDEX events_raised ON events (raised, seq);
CREATE INDEX events_subject ON events (subject, raised, seq);
CREATE INDEX events_type ON events (type, seq);
CREATE INDEX events_undecided ON events (seq) WHERE decided is null;
CREATE INDEX events_waiting ON events (stored) WHERE decided is null;
CREATE TABLE gathered (
	run TEXT NOT NULL, 
	event BIGINT NOT NULL, 
	left_out INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (run, event)
)
 WITHOUT ROWID;
CREATE INDEX gathered_event ON gathered (event);
CREATE TABLE in_force (
	id INTEGER NOT NULL, 
	ruleset TEXT NOT NULL, 
	stored BIGINT NOT NULL, 
	broken TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE places (
	run TEXT NOT NULL, 
	event BIGINT NOT NULL, 
	rule TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	until BIGINT NOT NULL, 
	attempted INTEGER NOT NULL, 
	PRIMARY KEY (run, event)
)
 WITHOUT ROWID;
CREATE INDEX places_key ON places (rule, "key", at);
CREATE TABLE rejected (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	source TEXT NOT NULL, 
	stored BIGINT NOT NULL, 
	code TEXT NOT NULL, 
	body TEXT NOT NULL
);
CREATE TABLE rulesets (
	hash TEXT NOT NULL, 
	stored BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (hash)
);
CREATE TABLE runs (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	origin_seq BIGINT NOT NULL, 
	origin_raised BIGINT NOT NULL, 
	rule TEXT NOT NULL, 
	version TEXT NOT NULL, 
	path TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	state TEXT NOT NULL, 
	due BIGINT NOT NULL, 
	created BIGINT NOT NULL, 
	lane TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	cursor INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	starts INTEGER NOT NULL, 
	first_try BIGINT, 
	delayed INTEGER NOT NULL, 
	watched INTEGER NOT NULL, 
	results TEXT NOT NULL, 
	reason TEXT, 
	message TEXT, 
	ended BIGINT, 
	parent TEXT, 
	cancelled_by TEXT, 
	forgiven INTEGER NOT NULL, 
	salt TEXT NOT NULL, 
	failure TEXT, 
	dropped BIGINT, 
	arrived BIGINT, 
	met INTEGER DEFAULT 0 NOT NULL, 
	late BIGINT DEFAULT 0 NOT NULL, 
	named TEXT DEFAULT '' NOT NULL, 
	released INTEGER DEFAULT 0 NOT NULL, 
	expires BIGINT, 
	taken TEXT DEFAULT '{}' NOT NULL, 
	bound TEXT DEFAULT '{}' NOT NULL, 
	CONSTRAINT runs_once UNIQUE (origin, rule, path, generation), 
	UNIQUE (id)
);
CREATE INDEX runs_arrived ON runs (arrived) WHERE arrived is not null;
CREATE INDEX runs_behind ON runs (rule, "key", seq) WHERE reason = 'concurrency';
CREATE INDEX runs_due ON runs (due) WHERE state = 'pending';
CREATE INDEX runs_ended ON runs (ended) WHERE ended is not null;
CREATE INDEX runs_key ON runs ("key", seq);
CREATE INDEX runs_later ON runs (rule, seq) WHERE state in ('pending', 'on hold');
CREATE INDEX runs_open ON runs (rule, "key", seq) WHERE state in ('pending', 'queued', 'running', 'on hold');
CREATE INDEX runs_origin ON runs (origin_seq);
CREATE INDEX runs_parked ON runs (lane, attempt, seq) WHERE reason = 'target_paused';
CREATE INDEX runs_rule ON runs (rule, seq);
CREATE INDEX runs_state ON runs (state, seq);
CREATE TABLE versions (
	hash TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	stored BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (hash)
);
CREATE TABLE watch_kinds (
	pattern TEXT NOT NULL, 
	per TEXT NOT NULL, 
	PRIMARY KEY (pattern, per)
)
 WITHOUT ROWID;
CREATE TABLE watches (
	pattern TEXT NOT NULL, 
	per TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	run TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	PRIMARY KEY (pattern, per, "key", run, position)
)
 WITHOUT ROWID;
CREATE INDEX watches_run ON watches (run);
CREATE TABLE windows (
	rule TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	run TEXT NOT NULL, 
	due BIGINT NOT NULL, 
	count INTEGER NOT NULL, 
	until BIGINT NOT NULL, 
	PRIMARY KEY (rule, "key")
)
 WITHOUT ROWID;
