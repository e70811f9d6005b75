"""Rules load from files and folders; a mistake breaks no more than it must."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ruletools import ACTIONS, GOOD, SAY, load_text, rule, secrets, told

from engine.clock import DAY, HOUR, MINUTE, SECOND
from engine.model import Verdict
from engine.rules import codes
from engine.rules.loading import load
from engine.rules.model import ActionStep, AfterStep, CancelOn, ClockOn, Per, Retry, RuleSet
from engine.rules.ruling import Shared, compile_rule


def one_rule(tmp_path: Path, body: str) -> Any:
    loaded = load_text(tmp_path, rule(body))
    assert not loaded.problems, told(loaded.problems)
    (found,) = loaded.ruleset.rules
    return found


WHOLE = """
version: 1
connections:
  post: {kind: box, host: x, rate: 10/s}
vars: {brand: B}
defaults: {timezone: Europe/Berlin, keep_fields: [vlessUuid]}
rules:
  - id: win-back
    on: [user.expired, "user.exp*", user.expired, {cron: "0  9 * * *"}, {every: 15m, timezone: UTC}]
    when: [user.email, "user.status == 'EXPIRED'"]
    per: user.email
    mode: "off"
    description: Come back
    tags: [a, b]
    empty_ok: true
    do:
      - say: {text: hi}
        id: first
        when: user.email
        retry: {tries: 3, backoff: 1s, max: 1m}
        timeout: 90s
        on_error: continue
        if_unknown: dead
      - letter: {to: "{{ user.email }}"}
        retry: {for: 24h}
      - fetch: {get: "https://a.example.org:8443/x"}
tests: [{name: t, given: [{event: user.expired}], expect: {actions: []}}]
"""


def whole(tmp_path: Path) -> RuleSet:
    loaded = load_text(tmp_path, WHOLE)
    assert loaded.problems == ()
    assert [case.name for case in loaded.cases] == ["t"]
    return loaded.ruleset


def test_a_rule_has_everything_that_was_written(tmp_path: Path) -> None:
    (rule,) = whole(tmp_path).rules
    assert (rule.id, rule.mode, rule.tags) == ("win-back", "off", ("a", "b"))
    assert rule.on == ("user.expired", "user.exp*")
    assert rule.clocks == (
        ClockOn("0 9 * * *", None, "Europe/Berlin"),
        ClockOn(None, 15 * MINUTE, "UTC"),
    )
    assert rule.per.text == "user.email"
    assert rule.when is not None
    assert rule.when.judge({"user": {}}).verdict is Verdict.NOT_MATCHED
    assert (rule.description, rule.empty_ok, rule.timezone) == ("Come back", True, "Europe/Berlin")
    assert rule.place == (str(tmp_path / "rules.yaml"), 8)


def test_a_step_has_everything_that_was_written(tmp_path: Path) -> None:
    (rule,) = whole(tmp_path).rules
    first, second, third = rule.do
    assert isinstance(first, ActionStep)
    assert isinstance(second, ActionStep)
    assert isinstance(third, ActionStep)
    assert (first.path, first.id, first.action, first.target) == ("do.0", "first", "say", "say")
    assert first.retry == Retry(3, SECOND, MINUTE, None)
    assert (first.timeout, first.stop_on_error, first.if_unknown) == (90 * SECOND, False, "dead")
    assert (second.connection, second.target) == ("post", "post")
    assert second.retry == Retry(None, 5 * SECOND, HOUR, DAY)
    rendered = second.template.render({"user": {"email": "a"}}, secrets())
    assert rendered.model_dump()["connection"] == "post"
    assert (third.connection, third.target) == (None, "a.example.org:8443")
    assert (third.retry, third.timeout, third.stop_on_error) == (Retry(), None, True)


def test_a_file_has_everything_that_was_written_beside_its_rules(tmp_path: Path) -> None:
    found = whole(tmp_path)
    assert found.connections["post"].kind == "box"
    assert (found.vars, found.keep_fields) == ({"brand": "B"}, {"vlessUuid"})
    assert found.tests == (
        {"name": "t", "given": [{"event": "user.expired"}], "expect": {"actions": []}},
    )


def test_follow_ups_nest_and_their_paths_tell_where(tmp_path: Path) -> None:
    found = one_rule(
        tmp_path,
        """
do:
  - after: 3d
    cancel_on: [user.renewed, {on: [user.deleted, "user.exp*"], when: user.email == origin.user.email}]
    when: user.email
    say: {text: hi}
    id: inner
  - after: {until: user.expireAt, offset: -6h}
    cancel_on: user.renewed
    do:
      - say: {text: hi}
      - after: 0s
        do: [{say: {text: hi}}]
""",
    )
    first, second = found.do
    assert isinstance(first, AfterStep)
    assert (first.path, first.delay, first.until, first.offset) == ("do.0", 3 * DAY, None, 0)
    assert [cancel.pattern for cancel in first.cancel_on] == [
        "user.renewed",
        "user.deleted",
        "user.exp*",
    ]
    assert first.cancel_on[0].when is None
    assert first.cancel_on[1].when is first.cancel_on[2].when is not None
    assert first.when is not None
    assert (first.do[0].path, first.do[0].id, first.do[0].when) == ("do.0.do.0", "inner", None)
    assert (second.delay, second.offset, second.until.text) == (None, -6 * HOUR, "user.expireAt")
    assert second.cancel_on == (CancelOn("user.renewed"),)
    nested = second.do[1]
    assert (nested.path, nested.delay, nested.do[0].path) == ("do.1.do.1", 0, "do.1.do.1.do.0")


@pytest.mark.parametrize(("written", "text"), [("", ""), ("per: none", "none"), ("per: ~", "")])
def test_per_is_the_default_or_one_key_for_all(tmp_path: Path, written: str, text: str) -> None:
    assert one_rule(tmp_path, f"{written}\n{SAY}").per == Per(text)


def test_a_rule_compiles_again_from_its_own_source(tmp_path: Path) -> None:
    text = f"{GOOD}    when: user.email\n"
    loaded = load_text(tmp_path, text)
    (found,) = loaded.ruleset.rules
    again, problems = compile_rule(found.source, Shared(ACTIONS, secrets()))
    assert not problems
    assert again is not None
    assert (again.version, again.on, again.when) == (found.version, found.on, found.when)
    elsewhere, _ = compile_rule(found.source, Shared(ACTIONS, secrets(), timezone="Europe/Berlin"))
    assert elsewhere is not None
    assert elsewhere.version != found.version


def test_the_hash_changes_with_anything_and_with_nothing_else(tmp_path: Path) -> None:
    same = load_text(tmp_path, GOOD).ruleset.hash
    assert load_text(tmp_path, "# a remark\n" + GOOD).ruleset.hash == same
    assert load_text(tmp_path, GOOD + "vars: {a: 1}\n").ruleset.hash != same
    assert load_text(tmp_path, GOOD.replace("hi", "ho")).ruleset.hash != same


def test_a_broken_rule_stops_no_other(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, GOOD + "  - id: bad\n    on: user.*\n    do: [{}]\n  - 5\n")
    assert [rule.id for rule in loaded.ruleset.rules] == ["good"]
    assert loaded.broken == {"bad"}
    assert loaded.usable
    assert [problem.rule for problem in loaded.problems] == ["bad", None]
    assert loaded.errors == loaded.problems


def test_a_doubled_key_breaks_only_its_own_rule(tmp_path: Path) -> None:
    bad = f"  - id: bad\n    on: user.*\n    on: node.*\n    {SAY}\n"
    loaded = load_text(tmp_path, GOOD + bad)
    assert [rule.id for rule in loaded.ruleset.rules] == ["good"]
    assert loaded.broken == {"bad"}
    (problem,) = loaded.problems
    assert (problem.code, problem.line, problem.rule) == (codes.DOUBLED_KEY, 8, "bad")


def test_a_doubled_key_of_the_file_leaves_nothing_to_use(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, GOOD + "rules: []\n")
    assert not loaded.usable
    assert not loaded.ruleset.rules


def test_a_warning_breaks_nothing(tmp_path: Path) -> None:
    body = "do: [{fetch: {get: \"https://a.example.org/{{ secret('lost') }}\"}}]"
    loaded = load_text(tmp_path, rule(body))
    assert [problem.severity for problem in loaded.problems] == ["warning"]
    assert not loaded.errors
    assert len(loaded.ruleset.rules) == 1
    assert not load_text(tmp_path, rule(body), lost="here").problems


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", codes.NO_RULES),
        ("# nothing\n", codes.NO_RULES),
        ("- a\n", codes.NO_RULES),
        ("version: 1\n", codes.NO_RULES),
        ("version: 1\nrules:\n", codes.NO_RULES),
        ("version: 1\nrules: {a: b}\n", codes.NO_RULES),
        ("rules: []\n", codes.BAD_VERSION),
        ("version: 2\nrules: []\n", codes.BAD_VERSION),
        ("version: true\nrules: []\n", codes.BAD_VERSION),
        ("version: 1\nrules: [\n", codes.NOT_YAML),
        ("version: 1\nrules: []\nx: !!python/name:y z\n", codes.REFUSED_YAML),
    ],
)
def test_a_file_that_says_no_rules_leaves_nothing_to_use(
    tmp_path: Path, text: str, code: str
) -> None:
    loaded = load_text(tmp_path, text)
    assert not loaded.usable
    assert not loaded.ruleset.rules
    assert code in {problem.code for problem in loaded.problems}


def test_a_file_that_cannot_be_read_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"version: 1 # \xe9")
    (tmp_path / "large.yaml").write_bytes(b"#" * (5 * 1024 * 1024 + 1))
    (tmp_path / "empty").mkdir()
    for name in ("missing.yaml", "latin.yaml", "large.yaml", "empty", "nul\0name"):
        loaded = load(tmp_path / name, actions=ACTIONS, secrets=secrets())
        assert not loaded.usable
        assert loaded.problems[0].code in {codes.UNREADABLE, codes.NO_RULES}


def test_a_folder_is_read_in_name_order_and_merged(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(GOOD.replace("good", "second"))
    (tmp_path / "a.yaml").write_text(GOOD.replace("good", "first"))
    (tmp_path / "c.yaml").write_text(
        "version: 1\nvars: {a: 1}\ndefaults: {timezone: Europe/Berlin}\n"
    )
    (tmp_path / "d.yaml").write_text("version: 1\ndefaults: {timezone: Europe/Berlin}\n")
    (tmp_path / ".hidden.yaml").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    loaded = load(tmp_path, actions=ACTIONS, secrets=secrets())
    assert not loaded.problems
    assert [rule.id for rule in loaded.ruleset.rules] == ["first", "second"]
    assert loaded.ruleset.vars == {"a": 1}
    assert loaded.ruleset.timezone == "Europe/Berlin"


def test_the_same_name_twice_names_both_places(tmp_path: Path) -> None:
    more = "vars: {v: 1}\nconnections: {c: {kind: box, host: x}}\ndefaults: {timezone: UTC}\n"
    (tmp_path / "a.yaml").write_text(GOOD + more)
    (tmp_path / "b.yaml").write_text(GOOD + more.replace("UTC", "Europe/Berlin"))
    loaded = load(tmp_path, actions=ACTIONS, secrets=secrets())
    assert [problem.code for problem in loaded.problems] == [codes.TWICE] * 4
    assert f'R011 another rule has the id "good" already; it is at {tmp_path}/a.yaml:3:9' in str(
        loaded.problems[0]
    )
    assert all("a.yaml:" in problem.hint for problem in loaded.problems)
    assert loaded.broken == {"good"}
    assert not loaded.ruleset.rules
    assert not loaded.ruleset.connections


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ("vars: [a]", codes.WRONG_VALUE),
        ("vars: {a-b: 1}", codes.WRONG_VALUE),
        ("vars: {a: secret('x')}", codes.SECRET_REFUSED),
        ("connections: [a]", codes.WRONG_VALUE),
        ("defaults: [a]", codes.WRONG_VALUE),
        ("defaults: {timezone: Mars}", codes.BAD_TIME),
        ("defaults: {quiet: x}", codes.UNKNOWN_KEY),
        ("tests: [a]", codes.WRONG_VALUE),
        ("tests: 5", codes.WRONG_VALUE),
        ("rulez: []", codes.UNKNOWN_KEY),
    ],
)
def test_a_wrong_section_is_told_and_the_rules_load(
    tmp_path: Path, section: str, code: str
) -> None:
    loaded = load_text(tmp_path, f"{GOOD}{section}\n")
    assert [problem.code for problem in loaded.problems] == [code]
    assert [rule.id for rule in loaded.ruleset.rules] == ["good"]


def test_empty_sections_say_nothing(tmp_path: Path) -> None:
    text = f"{GOOD}vars:\nconnections:\ndefaults:\ntests:\n"
    assert not load_text(tmp_path, text).problems


CONNECTED = f"""
version: 1
connections:
  post: {{kind: box, host: good}}
vars: {{v: 1}}
rules:
  - {{id: r, on: user.*, do: [{{letter: {{to: a, connection: post}}}}]}}
  - {{id: s, on: user.*, {SAY}}}
"""


def test_a_broken_connection_breaks_the_rules_that_use_it(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, CONNECTED.replace("host: good", "hots: good"))
    assert loaded.broken == {"r"}
    assert [rule.id for rule in loaded.ruleset.rules] == ["s"]
    assert "the connection post is broken; mend it first" in told(loaded.problems)[-1]


@pytest.mark.parametrize("broken", ["{kind: box, hots: x}", "{kind: box, host: x, host: y}", "5"])
def test_a_broken_connection_or_var_keeps_its_last_good_one(tmp_path: Path, broken: str) -> None:
    last = load_text(tmp_path, CONNECTED).ruleset
    text = CONNECTED.replace("{kind: box, host: good}", broken).replace("v: 1", "v: 2, v: 3")
    (tmp_path / "rules.yaml").write_text(text)
    loaded = load(tmp_path / "rules.yaml", actions=ACTIONS, secrets=secrets(), last=last)
    assert loaded.errors
    assert [rule.id for rule in loaded.ruleset.rules] == ["r", "s"]
    assert loaded.ruleset.connections == last.connections
    assert loaded.ruleset.vars == {"v": 1}


def test_a_broken_var_that_never_had_a_value_is_left_out(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, CONNECTED.replace("v: 1", "v: 2, v: 3"))
    assert loaded.ruleset.vars == {}


def test_a_fault_in_the_tests_spoils_no_rule(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, GOOD + "tests: [{name: a, name: b}]\n")
    assert [problem.code for problem in loaded.errors] == [codes.DOUBLED_KEY]
    assert len(loaded.ruleset.rules) == 1


def test_a_connection_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    text = rule("do: [{fetch: {get: /path, connection: wbe}}]")
    loaded = load_text(tmp_path, text)
    assert [problem.code for problem in loaded.problems] == [codes.NO_CONNECTION]


def test_with_several_connections_a_step_must_say_which(tmp_path: Path) -> None:
    two = CONNECTED.replace(
        "vars:", "  other: {kind: box, host: y}\n  web: {kind: host, url: z}\nvars:"
    )
    loaded = load_text(tmp_path, two.replace(", connection: post", ""))
    assert (
        "R026 letter needs to know which connection to use; write connection: and one of other, post"
        in (told(loaded.problems)[0])
    )
    loaded = load_text(tmp_path, two.replace("connection: post", "connection: web"))
    assert (
        "R026 letter cannot use web, which is of kind host; there is other, post"
        in (told(loaded.problems)[0])
    )


def test_a_thousand_rules_load_in_a_few_seconds(tmp_path: Path) -> None:
    text = "version: 1\nrules:\n" + "".join(
        f"  - id: r{n}\n    on: user.*\n    when: user.email && user.n == `{n}`\n"
        f'    do: [{{say: {{text: "Hi {{{{ user.name }}}} {n}"}}}}]\n'
        for n in range(1000)
    )
    began = time.process_time()
    loaded = load_text(tmp_path, text)
    assert len(loaded.ruleset.rules) == 1000
    assert time.process_time() - began < 20
