-- name: add_event (id, source, type, subject, digest, raised, stored, body)
INSERT INTO events (id, source, type, subject, digest, raised, stored, body) VALUES (:id, :source, :type, :subject, :digest, :raised, :stored, :body) ON CONFLICT (source, digest) DO NOTHING RETURNING seq

-- name: event_by_digest (source, digest)
SELECT events.id 
FROM events 
WHERE events.source = :source AND events.digest = :digest

-- name: add_rejected (source, stored, code, body)
INSERT INTO rejected (source, stored, code, body) VALUES (:source, :stored, :code, :body)

-- name: prune_rejected (keep)
DELETE FROM rejected WHERE rejected.seq <= (SELECT max(rejected.seq) - :keep AS anon_1 
FROM rejected)

-- name: backlog ()
SELECT count(*) AS number 
FROM events 
WHERE events.decided IS NULL

-- name: undecided (most)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.decided IS NULL ORDER BY events.seq
 LIMIT :most

-- name: previous (subject, raised, seq)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = :subject AND events.raised < :raised AND events.seq < :seq AND events.source != 'emit' ORDER BY events.raised DESC, events.seq DESC
 LIMIT 1

-- name: latest (subject)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = :subject AND events.source != 'emit' ORDER BY events.raised DESC, events.seq DESC
 LIMIT 1

-- name: later_of_subject (subject, raised, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = :subject AND events.raised > :raised AND events.seq < :before ORDER BY events.raised, events.seq

-- name: later_of_all (raised, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.raised > :raised AND events.seq < :before ORDER BY events.raised, events.seq

-- name: same_time_of_subject (subject, raised, after, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.subject = :subject AND events.raised = :raised AND events.seq > :after AND events.seq < :before ORDER BY events.seq

-- name: same_time_of_all (raised, after, before)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.raised = :raised AND events.seq > :after AND events.seq < :before ORDER BY events.seq

-- name: first_undecided ()
SELECT min(events.seq) AS seq 
FROM events 
WHERE events.decided IS NULL

-- name: event_by_seq (seq)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE events.seq = :seq

-- name: event_by_id (id)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided, events.decision 
FROM events 
WHERE events.id = :id

-- name: mark_decided (names, now, decision, event)
UPDATE events SET names=:names, decided=:now, decision=:decision WHERE events.seq = :event AND events.decided IS NULL

-- name: decider ()
SELECT decider.first, decider.size, decider.tries 
FROM decider 
WHERE decider.id = 1

-- name: set_decider (first, size, tries)
INSERT INTO decider (id, first, size, tries) VALUES (1, :first, :size, :tries) ON CONFLICT (id) DO UPDATE SET first = :first, size = :size, tries = :tries RETURNING id

-- name: add_run (id, origin, origin_seq, origin_raised, rule, version, path, generation, key, state, due, created, lane, priority, cursor, attempt, starts, first_try, delayed, watched, results, reason, message, ended, parent, cancelled_by, forgiven, salt, failure, dropped, arrived, met, late, named, released, expires, taken, bound)
INSERT INTO runs (id, origin, origin_seq, origin_raised, rule, version, path, generation, "key", state, due, created, lane, priority, cursor, attempt, starts, first_try, delayed, watched, results, reason, message, ended, parent, cancelled_by, forgiven, salt, failure, dropped, arrived, met, late, named, released, expires, taken, bound) VALUES (:id, :origin, :origin_seq, :origin_raised, :rule, :version, :path, :generation, :key, :state, :due, :created, :lane, :priority, :cursor, :attempt, :starts, :first_try, :delayed, :watched, :results, :reason, :message, :ended, :parent, :cancelled_by, :forgiven, :salt, :failure, :dropped, :arrived, :met, :late, :named, :released, :expires, :taken, :bound) ON CONFLICT DO NOTHING RETURNING seq

-- name: run_by_id (id)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs."key", runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE runs.id = :id

-- name: next_due ()
SELECT min(runs.due) AS due 
FROM runs INDEXED BY runs_due 
WHERE runs.state = 'pending'

-- name: due_runs (now, most)
SELECT runs.id, runs.lane, runs.priority, runs.attempt, runs.cursor 
FROM runs INDEXED BY runs_due 
WHERE runs.state = 'pending' AND runs.due <= :now AND (runs.watched = 0 OR runs.due < coalesce((SELECT min(events.stored) AS min_1 
FROM events 
WHERE events.decided IS NULL), :now + 1)) ORDER BY runs.due
 LIMIT :most

-- name: queue_run (now, run)
UPDATE runs SET state='queued', late=(:now - runs.due) WHERE runs.id = :run AND runs.state = 'pending' RETURNING id

-- name: begin_try (now, run, at, expected)
UPDATE runs SET state='running', attempt=(runs.attempt + 1), starts=(runs.starts + 1), first_try=coalesce(runs.first_try, :now) WHERE runs.id = :run AND runs.state = 'queued' AND runs.cursor = :at AND runs.attempt = :expected RETURNING id

-- name: save_run (state, due, lane, cursor, attempt, starts, first_try, delayed, watched, results, reason, message, ended, forgiven, run, from_state, from_cursor, from_attempt)
UPDATE runs SET state=:state, due=:due, lane=:lane, cursor=:cursor, attempt=:attempt, starts=:starts, first_try=:first_try, delayed=:delayed, watched=:watched, results=:results, reason=:reason, message=:message, ended=:ended, forgiven=:forgiven WHERE runs.id = :run AND runs.state = :from_state AND runs.cursor = :from_cursor AND runs.attempt = :from_attempt RETURNING cancelled_by

-- name: set_taken (ways, run)
UPDATE runs SET taken=:ways WHERE runs.id = :run

-- name: cancel_run (reason, message, now, by, run)
UPDATE runs SET state='cancelled', reason=:reason, message=:message, ended=:now, cancelled_by=:by WHERE runs.id = :run AND runs.state IN ('pending', 'queued', 'on hold') RETURNING id

-- name: mark_cancelled (reason, by, run)
UPDATE runs SET reason=:reason, cancelled_by=:by WHERE runs.id = :run AND runs.state = 'running' RETURNING id

-- name: add_attempt (run, path, number, started)
INSERT INTO attempts (run, path, number, started) VALUES (:run, :path, :number, :started) ON CONFLICT DO NOTHING

-- name: add_skipped (run, path, number, started, ended, outcome, reason, message)
INSERT INTO attempts (run, path, number, started, ended, outcome, reason, message) VALUES (:run, :path, :number, :started, :ended, :outcome, :reason, :message) ON CONFLICT (run, path, number) DO UPDATE SET started = :started, ended = :ended, outcome = :outcome, reason = :reason, message = :message

-- name: mark_irrevocable (of_run, at, tried)
UPDATE attempts SET irrevocable=1 WHERE attempts.run = :of_run AND attempts.path = :at AND attempts.number = :tried

-- name: end_attempt (ended, outcome, reason, message, of_run, at, tried)
UPDATE attempts SET ended=:ended, outcome=:outcome, reason=:reason, message=:message WHERE attempts.run = :of_run AND attempts.path = :at AND attempts.number = :tried

-- name: open_attempts (of_run)
SELECT attempts.path, attempts.number, attempts.irrevocable 
FROM attempts 
WHERE attempts.run = :of_run AND attempts.ended IS NULL

-- name: attempts_of (of_run)
SELECT attempts.run, attempts.path, attempts.number, attempts.started, attempts.irrevocable, attempts.ended, attempts.outcome, attempts.reason, attempts.message 
FROM attempts 
WHERE attempts.run = :of_run ORDER BY attempts.started, attempts.number

-- name: count_tries (of_run)
SELECT count(*) AS number 
FROM attempts 
WHERE attempts.run = :of_run AND attempts.number > 0

-- name: under_way (after)
SELECT runs.id, runs.state 
FROM runs 
WHERE runs.state IN ('queued', 'running') AND runs.seq > :after ORDER BY runs.seq

-- name: run_states ()
SELECT runs.state, count(*) AS number 
FROM runs 
WHERE runs.dropped IS NULL GROUP BY runs.state

-- name: take_slot (target, now, step)
INSERT INTO buckets (target, free_at) VALUES (:target, (:now + :step)) ON CONFLICT (target) DO UPDATE SET free_at = (CASE WHEN (buckets.free_at > :now) THEN buckets.free_at ELSE :now END + :step) RETURNING free_at - :step AS start

-- name: add_watch (pattern, per, key, run, position)
INSERT INTO watches (pattern, per, "key", run, position) VALUES (:pattern, :per, :key, :run, :position) ON CONFLICT DO NOTHING

-- name: add_watch_kind (pattern, per)
INSERT INTO watch_kinds (pattern, per) VALUES (:pattern, :per) ON CONFLICT DO NOTHING

-- name: drop_watches (run)
DELETE FROM watches WHERE watches.run = :run

-- name: watch_kinds ()
SELECT watch_kinds.pattern, watch_kinds.per 
FROM watch_kinds

-- name: watchers (pattern, per, key)
SELECT watches.run, watches.position, watches.pattern, runs.rule, runs.version, runs.path, runs.origin_seq, runs.origin_raised, runs.due 
FROM watches JOIN runs ON runs.id = watches.run 
WHERE watches.pattern = :pattern AND watches.per = :per AND watches."key" = :key

-- name: meet_run (moment, lane, message, by, run)
UPDATE runs SET state=CASE WHEN (runs.state = 'pending') THEN 'queued' ELSE runs.state END, due=:moment, lane=:lane, watched=0, message=CASE WHEN (runs.state = 'pending') THEN :message ELSE runs.message END, arrived=:by, met=1, late=0 WHERE runs.id = :run AND runs.state IN ('pending', 'on hold') AND runs.met = 0 AND runs.cursor = 0 AND runs.attempt = 0 AND (runs.reason IS NULL OR runs.reason != 'target_paused') RETURNING id

-- name: add_version (hash, rule, stored, body)
INSERT INTO versions (hash, rule, stored, body) VALUES (:hash, :rule, :stored, :body) ON CONFLICT DO NOTHING

-- name: version (hash)
SELECT versions.body 
FROM versions 
WHERE versions.hash = :hash

-- name: add_ruleset (hash, stored, body)
INSERT INTO rulesets (hash, stored, body) VALUES (:hash, :stored, :body) ON CONFLICT (hash) DO UPDATE SET body = :body

-- name: ruleset (hash)
SELECT rulesets.body 
FROM rulesets 
WHERE rulesets.hash = :hash

-- name: in_force ()
SELECT in_force.ruleset, in_force.stored, in_force.broken 
FROM in_force 
WHERE in_force.id = 1

-- name: set_in_force (ruleset, stored, broken)
INSERT INTO in_force (id, ruleset, stored, broken) VALUES (1, :ruleset, :stored, :broken) ON CONFLICT (id) DO UPDATE SET ruleset = :ruleset, stored = :stored, broken = :broken RETURNING id

-- name: clocks ()
SELECT clocks.rule, clocks.last 
FROM clocks

-- name: set_clock (rule, last)
INSERT INTO clocks (rule, last) VALUES (:rule, :last) ON CONFLICT (rule) DO UPDATE SET last = :last

-- name: rename_clock (heir, of)
UPDATE clocks SET rule=:heir WHERE clocks.rule = :of AND (:heir NOT IN (SELECT clocks.rule 
FROM clocks))

-- name: drop_clock (of)
DELETE FROM clocks WHERE clocks.rule = :of

-- name: next_rule_with_later (after)
SELECT min(runs.rule) AS rule 
FROM runs INDEXED BY runs_later 
WHERE state in ('pending', 'on hold') AND runs.rule > :after

-- name: count_later (now, of)
SELECT runs.version, runs.path, runs.state, runs.reason, count(*) AS number, sum(CASE WHEN (runs.due <= :now) THEN 1 ELSE 0 END) AS overdue 
FROM runs INDEXED BY runs_later 
WHERE state in ('pending', 'on hold') AND runs.rule = :of AND (runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') OR runs.path = '' AND runs.reason IN ('digest', 'quiet', 'concurrency') OR runs.state = 'on hold') GROUP BY runs.version, runs.path, runs.state, runs.reason

-- name: rules_on_hold ()
SELECT DISTINCT runs.rule 
FROM runs 
WHERE runs.state = 'on hold'

-- name: hold_later (reason, message, of, after, most)
UPDATE runs SET state='on hold', reason=:reason, message=:message WHERE runs.seq IN (SELECT runs.seq 
FROM runs INDEXED BY runs_later 
WHERE state in ('pending', 'on hold') AND runs.rule = :of AND runs.seq > :after AND runs.state = 'pending' AND runs.released = 0 AND (runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') OR runs.path = '' AND runs.reason IN ('digest', 'quiet', 'concurrency')) ORDER BY runs.seq
 LIMIT :most) RETURNING seq

-- name: resume_later (of, after, now, most)
UPDATE runs SET state='pending', reason=CASE WHEN (runs.due = 216000000000000000) THEN 'concurrency' WHEN (runs.path = '' AND (EXISTS (SELECT * 
FROM gathered 
WHERE gathered.run = runs.id))) THEN 'digest' ELSE NULL END, message=NULL WHERE runs.seq IN (SELECT runs.seq 
FROM runs INDEXED BY runs_state 
WHERE state in ('pending', 'on hold') AND runs.rule = :of AND runs.seq > :after AND runs.state = 'on hold' AND runs.reason IN ('rule_gone', 'rule_off', 'rule_shadow') AND runs.due > :now ORDER BY runs.seq
 LIMIT :most) RETURNING seq

-- name: mark_overdue (message, of, after, now, most)
UPDATE runs SET reason='overdue', message=:message WHERE runs.seq IN (SELECT runs.seq 
FROM runs INDEXED BY runs_state 
WHERE state in ('pending', 'on hold') AND runs.rule = :of AND runs.seq > :after AND runs.state = 'on hold' AND runs.reason IN ('rule_gone', 'rule_off', 'rule_shadow') AND runs.due <= :now ORDER BY runs.seq
 LIMIT :most) RETURNING seq

-- name: later_of_version (of, version, after, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs."key", runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs INDEXED BY runs_later 
WHERE state in ('pending', 'on hold') AND runs.rule = :of AND runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') AND runs.version = :version AND runs.seq > :after ORDER BY runs.seq
 LIMIT :most

-- name: rename_runs (heir, of, most)
UPDATE runs SET rule=:heir, named=CASE WHEN (runs.named = '') THEN runs.rule ELSE runs.named END WHERE runs.seq IN (SELECT runs.seq 
FROM runs 
WHERE runs.rule = :of AND NOT (EXISTS (SELECT * 
FROM runs AS theirs 
WHERE theirs.origin = runs.origin AND theirs.rule = :heir AND theirs.path = runs.path AND theirs.generation = runs.generation)) ORDER BY runs.seq
 LIMIT :most) RETURNING id

-- name: rebind_run (version, due, lane, watched, message, arrived, met, expires, run)
UPDATE runs SET version=:version, due=:due, lane=:lane, watched=:watched, message=:message, arrived=:arrived, met=:met, expires=:expires WHERE runs.id = :run AND state in ('pending', 'on hold') AND runs.attempt = 0 AND runs.cursor = 0 AND (runs.reason IS NULL OR runs.reason != 'target_paused') RETURNING id

-- name: hold_run (reason, message, run)
UPDATE runs SET state='on hold', reason=:reason, message=:message WHERE runs.id = :run AND runs.state = 'pending' AND runs.released = 0 RETURNING id

-- name: release_run (now, run)
UPDATE runs SET state='pending', due=CASE WHEN (runs.due < :now OR runs.due = 216000000000000000) THEN :now ELSE runs.due END, delayed=1, reason=NULL, message=NULL, released=1 WHERE runs.id = :run AND runs.state = 'on hold' RETURNING id

-- name: run_now (now, run)
UPDATE runs SET state='pending', due=:now, delayed=1, reason=NULL, message=NULL, released=1 WHERE runs.id = :run AND state in ('pending', 'on hold') RETURNING id

-- name: old_runs (before, most)
SELECT runs.id 
FROM runs 
WHERE runs.ended < :before
 LIMIT :most

-- name: drop_attempts (run)
DELETE FROM attempts WHERE attempts.run = :run

-- name: drop_run (run)
DELETE FROM runs WHERE runs.id = :run

-- name: next_seq (after, before, most)
SELECT events.seq 
FROM events 
WHERE events.seq > :after AND events.stored < :before AND events.body != '{}' ORDER BY events.seq
 LIMIT :most

-- name: may_go (seq)
SELECT events.raised, events.stored, events.source 
FROM events 
WHERE events.seq = :seq AND events.decided IS NOT NULL AND NOT (EXISTS (SELECT * 
FROM runs 
WHERE runs.origin_seq = events.seq)) AND NOT (EXISTS (SELECT * 
FROM runs 
WHERE runs.arrived = events.seq)) AND NOT (EXISTS (SELECT * 
FROM gathered 
WHERE gathered.event = events.seq)) AND (events.subject = '' OR events.source = 'emit' OR events.type LIKE '%.deleted' OR (EXISTS (SELECT * 
FROM events AS newer 
WHERE newer.subject = events.subject AND newer.source != 'emit' AND (newer.raised > events.raised OR newer.raised = events.raised AND newer.seq > events.seq))))

-- name: drop_event (seq)
DELETE FROM events WHERE events.seq = :seq

-- name: blank_event (blank)
UPDATE events SET subject='', body='{}', decision=NULL WHERE events.seq = :blank

-- name: list_events (type, subject, before, since, most)
SELECT events.id, events.seq, events.source, events.type, events.subject, events.raised, events.stored, events.body, events.names, events.decided 
FROM events 
WHERE (:type IS NULL OR events.type = :type) AND (:subject IS NULL OR events.subject = :subject) AND events.seq < :before AND events.stored >= :since ORDER BY events.seq DESC
 LIMIT :most

-- name: list_rejected (most)
SELECT rejected.seq, rejected.source, rejected.stored, rejected.code, rejected.body 
FROM rejected ORDER BY rejected.seq DESC
 LIMIT :most

-- name: list_runs (rule, key, state, since, before, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs."key", runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE (:rule IS NULL OR runs.rule = :rule) AND (:key IS NULL OR runs."key" = :key) AND (:state IS NULL OR runs.state = :state) AND runs.created >= :since AND runs.seq < :before ORDER BY runs.seq DESC
 LIMIT :most

-- name: list_followups (rule, key, state, since, before, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs."key", runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE (runs.path != '' AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') OR runs.path = '' AND runs.reason IN ('digest', 'quiet', 'concurrency') OR runs.state = 'on hold') AND (:rule IS NULL OR runs.rule = :rule) AND (:key IS NULL OR runs."key" = :key) AND (:state IS NULL AND runs.state IN ('pending', 'queued', 'running', 'on hold') OR runs.state = :state) AND runs.created >= :since AND runs.seq < :before ORDER BY runs.seq DESC
 LIMIT :most

-- name: runs_of_event (seq)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs."key", runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE runs.origin_seq = :seq ORDER BY runs.seq

-- name: list_dead (rule, key, reason, since, until, most)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs."key", runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs 
WHERE runs.state = 'dead' AND runs.dropped IS NULL AND (:rule IS NULL OR runs.rule = :rule) AND (:key IS NULL OR runs."key" = :key) AND (:reason IS NULL OR runs.reason = :reason) AND runs.ended >= :since AND runs.ended <= :until ORDER BY runs.seq DESC
 LIMIT :most

-- name: drop_dead (now, run)
UPDATE runs SET dropped=:now WHERE runs.id = :run AND runs.state = 'dead' AND runs.dropped IS NULL RETURNING id

-- name: replay_dead (now, salt, run)
UPDATE runs SET state='pending', due=:now, starts=0, first_try=NULL, delayed=1, reason=NULL, message=NULL, ended=NULL, cancelled_by=NULL, forgiven=runs.attempt, salt=coalesce(:salt, runs.salt), dropped=NULL, expires=NULL WHERE runs.id = :run AND runs.state = 'dead' RETURNING id

-- name: undecide (event)
UPDATE events SET names=NULL, decided=NULL, decision=NULL WHERE events.seq = :event

-- name: drop_undecidable (run)
DELETE FROM runs WHERE runs.id = :run AND runs.state = 'dead' RETURNING id

-- name: pick_parked (moment, of)
UPDATE runs SET due=:moment WHERE runs.state = 'pending' AND runs.reason = 'target_paused' AND runs.id = (SELECT of_lane.id 
FROM runs AS of_lane 
WHERE of_lane.state = 'pending' AND of_lane.reason = 'target_paused' AND of_lane.lane = :of ORDER BY of_lane.attempt, of_lane.seq
 LIMIT 1) RETURNING id

-- name: release_parked (now, of)
UPDATE runs SET due=:now WHERE runs.state = 'pending' AND runs.reason = 'target_paused' AND runs.lane = :of RETURNING id

-- name: release_all_parked (now)
UPDATE runs SET due=:now WHERE runs.state = 'pending' AND runs.reason = 'target_paused'

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
WHERE counts.rule = :rule AND counts."key" = :key

-- name: set_counted (rule, key, times, until)
INSERT INTO counts (rule, "key", times, until) VALUES (:rule, :key, :times, :until) ON CONFLICT (rule, "key") DO UPDATE SET times = :times, until = :until

-- name: drop_counted (of, about)
DELETE FROM counts WHERE counts.rule = :of AND counts."key" = :about

-- name: places (rule, key, after)
SELECT places.run, places.at, places.attempted 
FROM places 
WHERE places.rule = :rule AND places."key" = :key AND places.at > :after ORDER BY places.at, places.event

-- name: take_place (run, event, rule, key, at, until, attempted)
INSERT INTO places (run, event, rule, "key", at, until, attempted) VALUES (:run, :event, :rule, :key, :at, :until, :attempted) ON CONFLICT DO NOTHING

-- name: drop_given_back (of, about)
DELETE FROM places WHERE places.rule = :of AND places."key" = :about AND places.attempted = 0 AND NOT (EXISTS (SELECT * 
FROM runs AS story, runs 
WHERE story.id = places.run AND runs.origin_seq = story.origin_seq AND runs.rule = story.rule AND runs.generation = story.generation AND (runs.state in ('pending', 'queued', 'running', 'on hold') OR runs.state = 'dead') AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%')))

-- name: attempted (story)
UPDATE places SET attempted=1 WHERE places.run = :story

-- name: open_of_story (story)
SELECT runs.id 
FROM runs INDEXED BY runs_origin JOIN runs AS story ON story.origin_seq = runs.origin_seq AND story.rule = runs.rule AND story.generation = runs.generation 
WHERE story.id = :story AND runs.state in ('pending', 'queued', 'running', 'on hold') AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') ORDER BY runs.seq

-- name: open_of_key (of, about)
SELECT runs.id, runs.path, runs.state, runs.reason 
FROM runs INDEXED BY runs_open 
WHERE runs.state in ('pending', 'queued', 'running', 'on hold') AND runs.rule = :of AND runs."key" = :about AND NOT (runs.path = 'on_failure' OR runs.path LIKE 'on_failure:%') ORDER BY runs.seq

-- name: window (rule, key)
SELECT windows.run, windows.due, windows.count, runs.state, runs.reason, runs.due AS went 
FROM windows LEFT OUTER JOIN runs ON runs.id = windows.run 
WHERE windows.rule = :rule AND windows."key" = :key

-- name: set_window (rule, key, run, due, count, until)
INSERT INTO windows (rule, "key", run, due, count, until) VALUES (:rule, :key, :run, :due, :count, :until) ON CONFLICT (rule, "key") DO UPDATE SET run = :run, due = :due, count = :count, until = :until

-- name: gather (run, event)
INSERT INTO gathered (run, event) VALUES (:run, :event) ON CONFLICT DO NOTHING

-- name: gathered (of_run)
SELECT gathered.event 
FROM gathered 
WHERE gathered.run = :of_run AND gathered.left_out = 0 ORDER BY gathered.event

-- name: leave_out (of_run, seq)
UPDATE gathered SET left_out=1 WHERE gathered.run = :of_run AND gathered.event = :seq

-- name: close_window (moment, expires, of_run)
UPDATE runs SET due=:moment, expires=:expires WHERE runs.id = :of_run AND runs.state = 'pending' RETURNING id

-- name: due_windows (now)
SELECT runs.seq, runs.id, runs.origin, runs.origin_seq, runs.origin_raised, runs.rule, runs.version, runs.path, runs.generation, runs."key", runs.state, runs.due, runs.created, runs.lane, runs.priority, runs.cursor, runs.attempt, runs.starts, runs.first_try, runs.delayed, runs.watched, runs.results, runs.reason, runs.message, runs.ended, runs.parent, runs.cancelled_by, runs.forgiven, runs.salt, runs.failure, runs.dropped, runs.arrived, runs.met, runs.late, runs.named, runs.released, runs.expires, runs.taken, runs.bound 
FROM runs INDEXED BY runs_due 
WHERE runs.state = 'pending' AND runs.due <= :now AND runs.due < coalesce((SELECT min(events.stored) AS min_1 
FROM events 
WHERE events.decided IS NULL), :now + 1) AND runs.reason = 'digest' ORDER BY runs.due

-- name: put_behind (moment, message, of_run)
UPDATE runs SET due=:moment, reason='concurrency', message=:message WHERE runs.id = :of_run AND runs.state = 'pending' RETURNING id

-- name: forward (of_run)
UPDATE runs SET reason=NULL, message=NULL WHERE runs.id = :of_run AND runs.state = 'pending' RETURNING id

-- name: next_behind (most)
SELECT runs.id 
FROM runs INDEXED BY runs_behind 
WHERE runs.reason = 'concurrency' AND runs.state = 'pending' AND NOT (EXISTS (SELECT * 
FROM runs AS other 
WHERE other.rule = runs.rule AND other."key" = runs."key" AND other.state in ('pending', 'queued', 'running', 'on hold') AND other.path = '' AND other.state != 'on hold' AND other.id != runs.id AND (other.reason IS NULL OR (other.reason NOT IN ('concurrency', 'digest')) OR other.reason = 'concurrency' AND other.seq < runs.seq))) ORDER BY runs.seq
 LIMIT :most

-- name: any_behind ()
SELECT runs.id 
FROM runs INDEXED BY runs_behind 
WHERE runs.reason = 'concurrency' AND runs.state = 'pending'
 LIMIT 1

-- name: let_go (moment, of_run)
UPDATE runs SET due=:moment, reason=NULL, message=NULL WHERE runs.id = :of_run AND runs.state = 'pending' RETURNING id

-- name: rename_counts (heir, of)
UPDATE counts SET rule=:heir WHERE counts.rule = :of AND NOT (EXISTS (SELECT * 
FROM counts AS theirs 
WHERE theirs.rule = :heir AND theirs."key" = counts."key"))

-- name: rename_places (heir, of)
UPDATE places SET rule=:heir WHERE places.rule = :of

-- name: rename_windows (heir, of)
UPDATE windows SET rule=:heir WHERE windows.rule = :of AND NOT (EXISTS (SELECT * 
FROM windows AS theirs 
WHERE theirs.rule = :heir AND theirs."key" = windows."key"))

-- name: forget_gathered ()
DELETE FROM gathered WHERE NOT (EXISTS (SELECT * 
FROM runs 
WHERE runs.origin_seq = (SELECT min(same.event) AS min_1 
FROM gathered AS same 
WHERE same.run = gathered.run)))

-- name: forget_counts (before)
DELETE FROM counts WHERE counts.until < :before

-- name: forget_places (before)
DELETE FROM places WHERE places.until < :before

-- name: forget_windows (before)
DELETE FROM windows WHERE windows.until < :before

-- name: replay_first (since)
SELECT min(events.seq) AS seq 
FROM events 
WHERE events.stored >= :since

-- name: replay_count (first)
SELECT count(events.seq) AS number 
FROM events 
WHERE events.seq >= :first

-- name: replay_states (first)
SELECT events.seq, events.id, events.source, events.type, events.subject, events.digest, events.raised, events.stored, events.body, events.names 
FROM events JOIN (SELECT events.subject AS subject, max(events.raised) AS raised 
FROM events 
WHERE events.seq < :first AND events.subject != '' AND events.source != 'emit' GROUP BY events.subject) AS newest ON events.subject = newest.subject AND events.raised = newest.raised 
WHERE events.seq < :first AND events.source != 'emit' ORDER BY events.seq

-- name: replay_events (first, most)
SELECT events.seq, events.id, events.source, events.type, events.subject, events.digest, events.raised, events.stored, events.body, events.names 
FROM events 
WHERE events.seq >= :first ORDER BY events.seq
 LIMIT :most

-- name: replay_steps (first)
SELECT runs.seq, runs.id, runs.origin, runs.rule, runs.version, runs."key", attempts.path, max(attempts.number) AS number, min(attempts.started) AS started, max(CASE WHEN (attempts.outcome = 'succeeded') THEN 1 ELSE 0 END) AS well 
FROM runs JOIN attempts ON attempts.run = runs.id 
WHERE runs.origin_seq >= :first AND attempts.number > 0 GROUP BY runs.seq, runs.id, runs.origin, runs.rule, runs.version, runs."key", attempts.path ORDER BY runs.seq, attempts.path

-- name: replay_results (first)
SELECT runs.id, runs.results 
FROM runs 
WHERE runs.origin_seq >= :first AND runs.results != '{}'

-- name: keep_event (id, source, type, subject, digest, raised, stored, body, names, decided)
INSERT INTO events (id, source, type, subject, digest, raised, stored, body, names, decided) VALUES (:id, :source, :type, :subject, :digest, :raised, :stored, :body, :names, :decided)

-- name: next_type (after)
SELECT min(events.type) AS type 
FROM events 
WHERE events.type > :after

-- name: newest_of_type (type, most)
SELECT events.body 
FROM events 
WHERE events.type = :type ORDER BY events.seq DESC
 LIMIT :most

-- name: first_stored ()
SELECT events.stored 
FROM events ORDER BY events.seq
 LIMIT 1

-- name: last_run_of_rule (rule)
SELECT runs.created 
FROM runs 
WHERE runs.rule = :rule ORDER BY runs.seq DESC
 LIMIT 1

-- name: first_version_of_rule (rule)
SELECT min(versions.stored) AS stored 
FROM versions 
WHERE versions.rule = :rule
