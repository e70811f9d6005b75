-- name: add_event (id, source, type, subject, digest, raised, stored, body)
INSERT INTO events (id, source, type, subject, digest, raised, stored, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (source, digest) DO NOTHING RETURNING events.seq

-- name: event_by_digest (source, digest)
SELECT events.id 
FROM events 
WHERE events.source = $1 AND events.digest = $2

-- name: add_rejected (source, stored, code, body)
INSERT INTO rejected (source, stored, code, body) VALUES ($1, $2, $3, $4) RETURNING rejected.seq

-- name: prune_rejected (keep)
DELETE FROM rejected WHERE rejected.seq <= (SELECT max(rejected.seq) - $1 AS anon_1 
FROM rejected)

-- name: backlog ()
SELECT count(*) AS number 
FROM events 
WHERE events.decided IS NULL

-- name: undecided (most)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.decided IS NULL ORDER BY events.seq 
 LIMIT $1

-- name: previous (subject, raised, seq)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = $1 AND events.raised < $2 AND events.seq < $3 AND events.source != 'emit' ORDER BY events.raised DESC, events.seq DESC 
 LIMIT 1

-- name: latest (subject)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = $1 AND events.source != 'emit' ORDER BY events.raised DESC, events.seq DESC 
 LIMIT 1

-- name: later_of_subject (subject, raised, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = $1 AND events.raised > $2 AND events.seq < $3 ORDER BY events.raised, events.seq

-- name: later_of_all (raised, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.raised > $1 AND events.seq < $2 ORDER BY events.raised, events.seq

-- name: same_time_of_subject (subject, raised, after, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = $1 AND events.raised = $2 AND events.seq > $3 AND events.seq < $4 ORDER BY events.seq

-- name: same_time_of_all (raised, after, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.raised = $1 AND events.seq > $2 AND events.seq < $3 ORDER BY events.seq

-- name: first_undecided ()
SELECT min(events.seq) AS seq 
FROM events 
WHERE events.decided IS NULL

-- name: event_by_seq (seq)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.seq = $1

-- name: event_by_id (id)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided, events.decision 
FROM events 
WHERE events.id = $1

-- name: mark_decided (names, now, decision, event)
UPDATE events SET names=$1, decided=$2, decision=$3 WHERE events.seq = $4 AND events.decided IS NULL

-- name: decider ()
SELECT decider.first, decider.size, decider.tries 
FROM decider 
WHERE decider.id = 1

-- name: set_decider (first, size, tries)
INSERT INTO decider (id, first, size, tries) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO UPDATE SET first = $1, size = $2, tries = $3 RETURNING decider.id

-- name: add_run (id, origin, origin_seq, origin_raised, rule, version, path, generation, key, state, due, created, lane, priority, cursor, attempt, starts, first_try, delayed, watched, results, reason, message, ended, parent, cancelled_by, forgiven, salt, failure, dropped, arrived, met, late, named, released, expires, taken, bound)
INSERT INTO runs (id, origin, origin_seq, origin_raised, rule, version, path, generation, key, state, due, created, lane, priority, cursor, attempt, starts, first_try, delayed, watched, results, reason, message, ended, parent, cancelled_by, forgiven, salt, failure, dropped, arrived, met, late, named, released, expires, taken, bound) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38) ON CONFLICT DO NOTHING RETURNING runs.seq

-- name: run_by_id (id)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs.key, runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE runs.id = $1

-- name: next_due ()
SELECT min(runs.due) AS due 
FROM runs 
WHERE runs.state = 'pending'

-- name: due_runs (now, most)
SELECT runs.id, runs.lane, runs.priority, runs.attempt, runs.cursor 
FROM runs 
WHERE runs.state = 'pending' AND runs.due <= $1 AND (runs.watched = 0 OR runs.due < coalesce((SELECT min(events.stored) AS min_1 
FROM events 
WHERE events.decided IS NULL), $1 + 1)) ORDER BY runs.due 
 LIMIT $2

-- name: queue_run (now, run)
UPDATE runs SET state='queued', late=($1 - runs.due) WHERE runs.id = $2 AND runs.state = 'pending' RETURNING runs.id

-- name: begin_try (now, run, at, expected)
UPDATE runs SET state='running', attempt=(runs.attempt + 1), starts=(runs.starts + 1), first_try=coalesce(runs.first_try, $1) WHERE runs.id = $2 AND runs.state = 'queued' AND runs.cursor = $3 AND runs.attempt = $4 RETURNING runs.id

-- name: save_run (state, due, lane, cursor, attempt, starts, first_try, delayed, watched, results, reason, message, ended, forgiven, run, from_state, from_cursor, from_attempt)
UPDATE runs SET state=$1, due=$2, lane=$3, cursor=$4, attempt=$5, starts=$6, first_try=$7, delayed=$8, watched=$9, results=$10, reason=$11, message=$12, ended=$13, forgiven=$14 WHERE runs.id = $15 AND runs.state = $16 AND runs.cursor = $17 AND runs.attempt = $18 RETURNING runs.cancelled_by

-- name: set_taken (ways, run)
UPDATE runs SET taken=$1 WHERE runs.id = $2

-- name: cancel_run (reason, message, now, by, run)
UPDATE runs SET state='cancelled', reason=$1, message=$2, ended=$3, cancelled_by=$4 WHERE runs.id = $5 AND runs.state IN ('pending', 'queued', 'on hold') RETURNING runs.id

-- name: mark_cancelled (reason, by, run)
UPDATE runs SET reason=$1, cancelled_by=$2 WHERE runs.id = $3 AND runs.state = 'running' RETURNING runs.id

-- name: add_attempt (run, path, number, started)
INSERT INTO attempts (run, path, number, started) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: add_skipped (run, path, number, started, ended, outcome, reason, message)
INSERT INTO attempts (run, path, number, started, ended, outcome, reason, message) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (run, path, number) DO UPDATE SET started = $4, ended = $5, outcome = $6, reason = $7, message = $8

-- name: mark_irrevocable (of_run, at, tried)
UPDATE attempts SET irrevocable=1 WHERE attempts.run = $1 AND attempts.path = $2 AND attempts.number = $3

-- name: end_attempt (ended, outcome, reason, message, of_run, at, tried)
UPDATE attempts SET ended=$1, outcome=$2, reason=$3, message=$4 WHERE attempts.run = $5 AND attempts.path = $6 AND attempts.number = $7

-- name: open_attempts (of_run)
SELECT attempts.path, attempts.number, attempts.irrevocable 
FROM attempts 
WHERE attempts.run = $1 AND attempts.ended IS NULL

-- name: attempts_of (of_run)
SELECT attempts.run, attempts.path, attempts.number, attempts.started, attempts.irrevocable, attempts.ended, attempts.outcome, attempts.reason, attempts.message 
FROM attempts 
WHERE attempts.run = $1 ORDER BY attempts.started, attempts.number

-- name: count_tries (of_run)
SELECT count(*) AS number 
FROM attempts 
WHERE attempts.run = $1 AND attempts.number > 0

-- name: under_way (after)
SELECT runs.id, runs.state 
FROM runs 
WHERE runs.state IN ('queued', 'running') AND runs.seq > $1 ORDER BY runs.seq

-- name: run_states ()
SELECT runs.state, count(*) AS number 
FROM runs 
WHERE runs.dropped IS NULL GROUP BY runs.state

-- name: take_slot (target, now, step)
INSERT INTO buckets (target, free_at) VALUES ($1, ($2 + $3)) ON CONFLICT (target) DO UPDATE SET free_at = (CASE WHEN (buckets.free_at > $2) THEN buckets.free_at ELSE $2 END + $3) RETURNING buckets.free_at - $3 AS start

-- name: add_watch (pattern, per, key, run, position)
INSERT INTO watches (pattern, per, key, run, position) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING

-- name: add_watch_kind (pattern, per)
INSERT INTO watch_kinds (pattern, per) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: drop_watches (run)
DELETE FROM watches WHERE watches.run = $1

-- name: watch_kinds ()
SELECT watch_kinds.pattern, watch_kinds.per 
FROM watch_kinds

-- name: watchers (pattern, per, key)
SELECT watches.run, watches.position, watches.pattern, runs.rule, runs.version, runs.path, runs.origin_seq, runs.origin_raised, runs.due 
FROM watches JOIN runs ON runs.id = watches.run 
WHERE watches.pattern = $1 AND watches.per = $2 AND watches.key = $3

-- name: meet_run (moment, lane, message, by, run)
UPDATE runs SET state=CASE WHEN (runs.state = 'pending') THEN 'queued' ELSE runs.state END, due=$1, lane=$2, watched=0, message=CASE WHEN (runs.state = 'pending') THEN $3 ELSE runs.message END, arrived=$4, met=1, late=0 WHERE runs.id = $5 AND runs.state IN ('pending', 'on hold') AND runs.met = 0 AND runs.cursor = 0 AND runs.attempt = 0 AND (runs.reason IS NULL OR runs.reason != 'target_paused') RETURNING runs.id

-- name: add_version (hash, rule, stored, body)
INSERT INTO versions (hash, rule, stored, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: version (hash)
SELECT versions.body 
FROM versions 
WHERE versions.hash = $1

-- name: add_ruleset (hash, stored, body)
INSERT INTO rulesets (hash, stored, body) VALUES ($1, $2, $3) ON CONFLICT (hash) DO UPDATE SET body = $3

-- name: ruleset (hash)
SELECT rulesets.body 
FROM rulesets 
WHERE rulesets.hash = $1

-- name: in_force ()
SELECT in_force.ruleset, in_force.stored, in_force.broken 
FROM in_force 
WHERE in_force.id = 1

-- name: set_in_force (ruleset, stored, broken)
INSERT INTO in_force (id, ruleset, stored, broken) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO UPDATE SET ruleset = $1, stored = $2, broken = $3 RETURNING in_force.id

-- name: clocks ()
SELECT clocks.rule, clocks.last 
FROM clocks

-- name: set_clock (rule, last)
INSERT INTO clocks (rule, last) VALUES ($1, $2) ON CONFLICT (rule) DO UPDATE SET last = $2

-- name: rename_clock (heir, of)
UPDATE clocks SET rule=$1 WHERE clocks.rule = $2 AND ($1 NOT IN (SELECT clocks.rule 
FROM clocks))

-- name: drop_clock (of)
DELETE FROM clocks WHERE clocks.rule = $1

-- name: next_rule_with_later (after)
SELECT min(runs.rule) AS rule 
FROM runs 
WHERE state in ('pending', 'on hold') AND runs.rule > $1

-- name: count_later (now, of)
SELECT runs.version, runs.path, runs.state, runs.reason, count(*) AS number, sum(CASE WHEN (runs.due <= $1) THEN 1 ELSE 0 END) AS overdue 
FROM runs 
WHERE state in ('pending', 'on hold') AND runs.rule = $2 AND (runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') OR runs.path = '' AND runs.reason IN ('digest', 'quiet', 'concurrency') OR runs.state = 'on hold') GROUP BY runs.version, runs.path, runs.state, runs.reason

-- name: rules_on_hold ()
SELECT DISTINCT runs.rule 
FROM runs 
WHERE runs.state = 'on hold'

-- name: hold_later (reason, message, of, after, most)
UPDATE runs SET state='on hold', reason=$1, message=$2 WHERE runs.seq IN (SELECT runs.seq 
FROM runs 
WHERE state in ('pending', 'on hold') AND runs.rule = $3 AND runs.seq > $4 AND runs.state = 'pending' AND runs.released = 0 AND (runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') OR runs.path = '' AND runs.reason IN ('digest', 'quiet', 'concurrency')) ORDER BY runs.seq 
 LIMIT $5) RETURNING runs.seq

-- name: resume_later (of, after, now, most)
UPDATE runs SET state='pending', reason=CASE WHEN (runs.due = 216000000000000000) THEN 'concurrency' WHEN (runs.path = '' AND (EXISTS (SELECT * 
FROM gathered 
WHERE gathered.run = runs.id))) THEN 'digest' ELSE NULL END, message=NULL WHERE runs.seq IN (SELECT runs.seq 
FROM runs 
WHERE state in ('pending', 'on hold') AND runs.rule = $1 AND runs.seq > $2 AND runs.state = 'on hold' AND runs.reason IN ('rule_gone', 'rule_off', 'rule_shadow') AND runs.due > $3 ORDER BY runs.seq 
 LIMIT $4) RETURNING runs.seq

-- name: mark_overdue (message, of, after, now, most)
UPDATE runs SET reason='overdue', message=$1 WHERE runs.seq IN (SELECT runs.seq 
FROM runs 
WHERE state in ('pending', 'on hold') AND runs.rule = $2 AND runs.seq > $3 AND runs.state = 'on hold' AND runs.reason IN ('rule_gone', 'rule_off', 'rule_shadow') AND runs.due <= $4 ORDER BY runs.seq 
 LIMIT $5) RETURNING runs.seq

-- name: later_of_version (of, version, after, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs.key, runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE state in ('pending', 'on hold') AND runs.rule = $1 AND runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') AND runs.version = $2 AND runs.seq > $3 ORDER BY runs.seq 
 LIMIT $4

-- name: rename_runs (heir, of, most)
UPDATE runs SET rule=$1, named=CASE WHEN (runs.named = '') THEN runs.rule ELSE runs.named END WHERE runs.seq IN (SELECT runs.seq 
FROM runs 
WHERE runs.rule = $2 AND NOT (EXISTS (SELECT * 
FROM runs AS theirs 
WHERE theirs.origin = runs.origin AND theirs.rule = $1 AND theirs.path = runs.path AND theirs.generation = runs.generation)) ORDER BY runs.seq 
 LIMIT $3) RETURNING runs.id

-- name: rebind_run (version, due, lane, watched, message, arrived, met, expires, run)
UPDATE runs SET version=$1, due=$2, lane=$3, watched=$4, message=$5, arrived=$6, met=$7, expires=$8 WHERE runs.id = $9 AND state in ('pending', 'on hold') AND runs.attempt = 0 AND runs.cursor = 0 AND (runs.reason IS NULL OR runs.reason != 'target_paused') RETURNING runs.id

-- name: hold_run (reason, message, run)
UPDATE runs SET state='on hold', reason=$1, message=$2 WHERE runs.id = $3 AND runs.state = 'pending' AND runs.released = 0 RETURNING runs.id

-- name: release_run (now, run)
UPDATE runs SET state='pending', due=CASE WHEN (runs.due < $1 OR runs.due = 216000000000000000) THEN $1 ELSE runs.due END, delayed=1, reason=NULL, message=NULL, released=1 WHERE runs.id = $2 AND runs.state = 'on hold' RETURNING runs.id

-- name: run_now (now, run)
UPDATE runs SET state='pending', due=$1, delayed=1, reason=NULL, message=NULL, released=1 WHERE runs.id = $2 AND state in ('pending', 'on hold') RETURNING runs.id

-- name: old_runs (before, most)
SELECT runs.id 
FROM runs 
WHERE runs.ended < $1 
 LIMIT $2

-- name: drop_attempts (run)
DELETE FROM attempts WHERE attempts.run = $1

-- name: drop_run (run)
DELETE FROM runs WHERE runs.id = $1

-- name: next_seq (after, before, most)
SELECT events.seq 
FROM events 
WHERE events.seq > $1 AND events.stored < $2 AND events.body != '{}' ORDER BY events.seq 
 LIMIT $3

-- name: may_go (seq)
SELECT events.raised, events.stored, events.source 
FROM events 
WHERE events.seq = $1 AND events.decided IS NOT NULL AND NOT (EXISTS (SELECT * 
FROM runs 
WHERE runs.origin_seq = events.seq)) AND NOT (EXISTS (SELECT * 
FROM runs 
WHERE runs.arrived = events.seq)) AND NOT (EXISTS (SELECT * 
FROM gathered 
WHERE gathered.event = events.seq)) AND (events.subject = '' OR events.source = 'emit' OR events.type LIKE '%.deleted' OR (EXISTS (SELECT * 
FROM events AS newer 
WHERE newer.subject = events.subject AND newer.source != 'emit' AND (newer.raised > events.raised OR newer.raised = events.raised AND newer.seq > events.seq))))

-- name: drop_event (seq)
DELETE FROM events WHERE events.seq = $1

-- name: blank_event (blank)
UPDATE events SET subject='', body='{}', decision=NULL WHERE events.seq = $1

-- name: list_events (type, subject, before, since, most)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE ($1 IS NULL OR events.type = $1) AND ($2 IS NULL OR events.subject = $2) AND events.seq < $3 AND events.stored >= $4 ORDER BY events.seq DESC 
 LIMIT $5

-- name: list_rejected (most)
SELECT rejected.seq, rejected.source, rejected.stored, rejected.code, rejected.body 
FROM rejected ORDER BY rejected.seq DESC 
 LIMIT $1

-- name: list_runs (rule, key, state, since, before, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs.key, runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE ($1 IS NULL OR runs.rule = $1) AND ($2 IS NULL OR runs.key = $2) AND ($3 IS NULL OR runs.state = $3) AND runs.created >= $4 AND runs.seq < $5 ORDER BY runs.seq DESC 
 LIMIT $6

-- name: list_followups (rule, key, state, since, before, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs.key, runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE (runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') OR runs.path = '' AND runs.reason IN ('digest', 'quiet', 'concurrency') OR runs.state = 'on hold') AND ($1 IS NULL OR runs.rule = $1) AND ($2 IS NULL OR runs.key = $2) AND ($3 IS NULL AND runs.state IN ('pending', 'queued', 'running', 'on hold') OR runs.state = $3) AND runs.created >= $4 AND runs.seq < $5 ORDER BY runs.seq DESC 
 LIMIT $6

-- name: runs_of_event (seq)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs.key, runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE runs.origin_seq = $1 ORDER BY runs.seq

-- name: list_dead (rule, key, reason, since, until, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs.key, runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE runs.state = 'dead' AND runs.dropped IS NULL AND ($1 IS NULL OR runs.rule = $1) AND ($2 IS NULL OR runs.key = $2) AND ($3 IS NULL OR runs.reason = $3) AND runs.ended >= $4 AND runs.ended <= $5 ORDER BY runs.seq DESC 
 LIMIT $6

-- name: drop_dead (now, run)
UPDATE runs SET dropped=$1 WHERE runs.id = $2 AND runs.state = 'dead' AND runs.dropped IS NULL RETURNING runs.id

-- name: replay_dead (now, salt, run)
UPDATE runs SET state='pending', due=$1, starts=0, first_try=NULL, delayed=1, reason=NULL, message=NULL, ended=NULL, cancelled_by=NULL, forgiven=runs.attempt, salt=coalesce($2, runs.salt), dropped=NULL, expires=NULL WHERE runs.id = $3 AND runs.state = 'dead' RETURNING runs.id

-- name: undecide (event)
UPDATE events SET names=NULL, decided=NULL, decision=NULL WHERE events.seq = $1

-- name: drop_undecidable (run)
DELETE FROM runs WHERE runs.id = $1 AND runs.state = 'dead' RETURNING runs.id

-- name: pick_parked (moment, of)
UPDATE runs SET due=$1 WHERE runs.state = 'pending' AND runs.reason = 'target_paused' AND runs.id = (SELECT of_lane.id 
FROM runs AS of_lane 
WHERE of_lane.state = 'pending' AND of_lane.reason = 'target_paused' AND of_lane.lane = $2 ORDER BY of_lane.attempt, of_lane.seq 
 LIMIT 1) RETURNING runs.id

-- name: release_parked (now, of)
UPDATE runs SET due=$1 WHERE runs.state = 'pending' AND runs.reason = 'target_paused' AND runs.lane = $2 RETURNING runs.id

-- name: release_all_parked (now)
UPDATE runs SET due=$1 WHERE runs.state = 'pending' AND runs.reason = 'target_paused'

-- name: copy_holds ()
SELECT (SELECT count(events.seq) AS count_1 
FROM events) AS events, (SELECT max(events.stored) AS max_1 
FROM events) AS newest, (SELECT count(runs.seq) AS count_2 
FROM runs) AS runs, (SELECT count(runs.seq) AS count_3 
FROM runs 
WHERE runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') AND runs.state IN ('pending', 'queued', 'running', 'on hold')) AS followups

-- name: counted (rule, key)
SELECT counts.times 
FROM counts 
WHERE counts.rule = $1 AND counts.key = $2

-- name: set_counted (rule, key, times, until)
INSERT INTO counts (rule, key, times, until) VALUES ($1, $2, $3, $4) ON CONFLICT (rule, key) DO UPDATE SET times = $3, until = $4

-- name: drop_counted (of, about)
DELETE FROM counts WHERE counts.rule = $1 AND counts.key = $2

-- name: places (rule, key, after)
SELECT places.run, places.at, places.attempted 
FROM places 
WHERE places.rule = $1 AND places.key = $2 AND places.at > $3 ORDER BY places.at, places.event

-- name: take_place (run, event, rule, key, at, until, attempted)
INSERT INTO places (run, event, rule, key, at, until, attempted) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING

-- name: drop_given_back (of, about)
DELETE FROM places WHERE places.rule = $1 AND places.key = $2 AND places.attempted = 0 AND NOT (EXISTS (SELECT * 
FROM runs AS story, runs 
WHERE story.id = places.run AND runs.origin_seq = story.origin_seq AND runs.rule = story.rule AND runs.generation = story.generation AND (runs.state in ('pending', 'queued', 'running', 'on hold') OR runs.state = 'dead') AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%')))

-- name: attempted (story)
UPDATE places SET attempted=1 WHERE places.run = $1

-- name: open_of_story (story)
SELECT runs.id 
FROM runs JOIN runs AS story ON story.origin_seq = runs.origin_seq AND story.rule = runs.rule AND story.generation = runs.generation 
WHERE story.id = $1 AND runs.state in ('pending', 'queued', 'running', 'on hold') AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') ORDER BY runs.seq

-- name: open_of_key (of, about)
SELECT runs.id, runs.path, runs.state, runs.reason 
FROM runs 
WHERE runs.state in ('pending', 'queued', 'running', 'on hold') AND runs.rule = $1 AND runs.key = $2 AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') ORDER BY runs.seq

-- name: window (rule, key)
SELECT windows.run, windows.due, windows.count, runs.state, runs.reason, runs.due AS went 
FROM windows LEFT OUTER JOIN runs ON runs.id = windows.run 
WHERE windows.rule = $1 AND windows.key = $2

-- name: set_window (rule, key, run, due, count, until)
INSERT INTO windows (rule, key, run, due, count, until) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (rule, key) DO UPDATE SET run = $3, due = $4, count = $5, until = $6

-- name: gather (run, event)
INSERT INTO gathered (run, event) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: gathered (of_run)
SELECT gathered.event 
FROM gathered 
WHERE gathered.run = $1 AND gathered.left_out = 0 ORDER BY gathered.event

-- name: leave_out (of_run, seq)
UPDATE gathered SET left_out=1 WHERE gathered.run = $1 AND gathered.event = $2

-- name: close_window (moment, expires, of_run)
UPDATE runs SET due=$1, expires=$2 WHERE runs.id = $3 AND runs.state = 'pending' RETURNING runs.id

-- name: due_windows (now)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs.key, runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE runs.state = 'pending' AND runs.due <= $1 AND runs.due < coalesce((SELECT min(events.stored) AS min_1 
FROM events 
WHERE events.decided IS NULL), $1 + 1) AND runs.reason = 'digest' ORDER BY runs.due

-- name: put_behind (moment, message, of_run)
UPDATE runs SET due=$1, reason='concurrency', message=$2 WHERE runs.id = $3 AND runs.state = 'pending' RETURNING runs.id

-- name: forward (of_run)
UPDATE runs SET reason=NULL, message=NULL WHERE runs.id = $1 AND runs.state = 'pending' RETURNING runs.id

-- name: next_behind (most)
SELECT runs.id 
FROM runs 
WHERE runs.reason = 'concurrency' AND runs.state = 'pending' AND NOT (EXISTS (SELECT * 
FROM runs AS other 
WHERE other.rule = runs.rule AND other.key = runs.key AND other.state in ('pending', 'queued', 'running', 'on hold') AND other.path = '' AND other.state != 'on hold' AND other.id != runs.id AND (other.reason IS NULL OR (other.reason NOT IN ('concurrency', 'digest')) OR other.reason = 'concurrency' AND other.seq < runs.seq))) ORDER BY runs.seq 
 LIMIT $1

-- name: any_behind ()
SELECT runs.id 
FROM runs 
WHERE runs.reason = 'concurrency' AND runs.state = 'pending' 
 LIMIT 1

-- name: let_go (moment, of_run)
UPDATE runs SET due=$1, reason=NULL, message=NULL WHERE runs.id = $2 AND runs.state = 'pending' RETURNING runs.id

-- name: rename_counts (heir, of)
UPDATE counts SET rule=$1 WHERE counts.rule = $2 AND NOT (EXISTS (SELECT * 
FROM counts AS theirs 
WHERE theirs.rule = $1 AND theirs.key = counts.key))

-- name: rename_places (heir, of)
UPDATE places SET rule=$1 WHERE places.rule = $2

-- name: rename_windows (heir, of)
UPDATE windows SET rule=$1 WHERE windows.rule = $2 AND NOT (EXISTS (SELECT * 
FROM windows AS theirs 
WHERE theirs.rule = $1 AND theirs.key = windows.key))

-- name: forget_gathered ()
DELETE FROM gathered WHERE NOT (EXISTS (SELECT * 
FROM runs 
WHERE runs.origin_seq = (SELECT min(same.event) AS min_1 
FROM gathered AS same 
WHERE same.run = gathered.run)))

-- name: forget_counts (before)
DELETE FROM counts WHERE counts.until < $1

-- name: forget_places (before)
DELETE FROM places WHERE places.until < $1

-- name: forget_windows (before)
DELETE FROM windows WHERE windows.until < $1

-- name: replay_first (since)
SELECT min(events.seq) AS seq 
FROM events 
WHERE events.stored >= $1

-- name: replay_count (first)
SELECT count(events.seq) AS number 
FROM events 
WHERE events.seq >= $1

-- name: replay_states (first)
SELECT events.seq, events.id, events.source, events.type, events.subject, events.digest, events.raised, events.stored, events.body, events.names 
FROM events JOIN (SELECT events.subject AS subject, max(events.raised) AS raised 
FROM events 
WHERE events.seq < $1 AND events.subject != '' AND events.source != 'emit' GROUP BY events.subject) AS newest ON events.subject = newest.subject AND events.raised = newest.raised 
WHERE events.seq < $1 AND events.source != 'emit' ORDER BY events.seq

-- name: replay_events (first, most)
SELECT events.seq, events.id, events.source, events.type, events.subject, events.digest, events.raised, events.stored, events.body, events.names 
FROM events 
WHERE events.seq >= $1 ORDER BY events.seq 
 LIMIT $2

-- name: replay_steps (first)
SELECT runs.seq, runs.id, runs.origin, runs.rule, runs.version, runs.key, attempts.path, max(attempts.number) AS number, min(attempts.started) AS started, max(CASE WHEN (attempts.outcome = 'succeeded') THEN 1 ELSE 0 END) AS well 
FROM runs JOIN attempts ON attempts.run = runs.id 
WHERE runs.origin_seq >= $1 AND attempts.number > 0 GROUP BY runs.seq, runs.id, runs.origin, runs.rule, runs.version, runs.key, attempts.path ORDER BY runs.seq, attempts.path

-- name: replay_results (first)
SELECT runs.id, runs.results 
FROM runs 
WHERE runs.origin_seq >= $1 AND runs.results != '{}'

-- name: keep_event (id, source, type, subject, digest, raised, stored, body, names, decided)
INSERT INTO events (id, source, type, subject, digest, raised, stored, body, names, decided) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING events.seq

-- name: next_type (after)
SELECT min(events.type) AS type 
FROM events 
WHERE events.type > $1

-- name: newest_of_type (type, most)
SELECT events.body 
FROM events 
WHERE events.type = $1 ORDER BY events.seq DESC 
 LIMIT $2

-- name: first_stored ()
SELECT events.stored 
FROM events ORDER BY events.seq 
 LIMIT 1

-- name: last_run_of_rule (rule)
SELECT runs.created 
FROM runs 
WHERE runs.rule = $1 ORDER BY runs.seq DESC 
 LIMIT 1

-- name: first_version_of_rule (rule)
SELECT min(versions.stored) AS stored 
FROM versions 
WHERE versions.rule = $1
