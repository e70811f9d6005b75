"""The tests of a rules file tell their story by the production engine, and are judged by its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.stories import NODE_DOWN, failing, run

LOST = "{at: 0s, event: node.connection_lost, data: {name: fra-1}}"
CALL = """
- id: call
  on: user.created
  do:
    - id: ask
      http: {get: "/users/{{ user.username }}", connection: hooks}
    - when: steps.ask.json.limit > `3`
      log: {text: "limit {{ steps.ask.json.limit }}"}
  on_failure:
    - log: {text: "failed: {{ error.message }}"}
"""


def test_the_stories_of_the_language_come_out_as_it_says(tmp_path: Path) -> None:
    tests = f"""
    - name: node back in time, nobody is woken
      rule: node-down
      given:
        - {LOST}
        - {{at: 4m, event: node.connection_restored, data: {{name: fra-1}}}}
      until: 10m
      expect: {{actions: [], cancelled: [{{rule: node-down, by: node.connection_restored}}]}}
    - name: stays down, told once although the daemon was away
      rule: node-down
      given:
        - {LOST}
        - {{at: 2m, restart: {{down_for: 20m}}}}
      until: 30m
      expect:
        actions: [{{at: 22m, log: {{text: "*fra-1*"}}}}]
    - name: told that it is back
      given:
        - {LOST}
        - {{at: 2h, event: node.connection_restored, data: {{name: fra-1}}}}
      expect:
        actions:
          - {{at: 5m, log: {{text: "fra-1 has been down for 5 minutes"}}}}
          - {{at: 2h, log: {{text: "fra-1 is back after 2 hours*"}}}}
    """
    assert failing(tmp_path, NODE_DOWN, tests) == {}


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("actions: []", "expected nothing; happened: 5m log of node-down"),
        ("actions: [{at: 6m, log: {text: '*'}}]", "expected 6m log"),
        ("actions: [{log: {text: fra-2*}}]", 'happened: 5m log of node-down {text: "fra-1 has'),
        ("actions: [{log: {text: fra-1}}]", "happened: 5m log"),
        ("actions: [{log: {level: warning}}]", "happened: 5m log of node-down {level: null}"),
        ("actions: [{}, {}]", "expected an action; happened: nothing"),
        ("cancelled: node-down", "expected node-down cancelled; happened: nothing"),
        ("dead: [node-down]", "expected node-down dead; happened: nothing"),
    ],
)
def test_what_differs_fails_and_is_told(tmp_path: Path, expect: str, said: str) -> None:
    tests = f"- {{name: t, given: [{LOST}], expect: {{{expect}}}}}"
    assert said in failing(tmp_path, NODE_DOWN, tests)["t"]


def test_without_until_all_that_is_still_to_come_is_waited_for(tmp_path: Path) -> None:
    rule = "- {id: r, on: user.expired, do: [{after: 300d, log: {text: late}}]}"
    tests = """
    - name: nothing
      given: [{event: user.expired}]
      expect: {actions: []}
    - name: cut off
      given: [{event: user.expired}]
      until: 299d
      expect: {actions: []}
    """
    assert list(failing(tmp_path, rule, tests)) == ["nothing"]


def test_failures_are_tried_again_on_the_virtual_clock(tmp_path: Path) -> None:
    tests = """
    - name: at the third try
      given: [{event: user.created, data: {username: anna}}]
      mock: {ask: [{fail: HTTP 503}, {fail: no connection}, {json: {limit: 4}}]}
      expect:
        actions:
          - {at: 15s, step: ask, http: {get: "*/users/anna"}}
          - {at: 15s, log: {text: limit 4}}
    - name: for good at once
      given: [{event: user.created}]
      mock: {call/ask: {fail: HTTP 404 nobody}}
      expect:
        actions: [{at: 0s, log: {text: "failed: HTTP 404 nobody"}}]
        dead: [{rule: call, why: http_status}]
    - name: for six hours and no longer
      given: [{event: user.created}]
      mock: {do.0: {fail: HTTP 500}}
      expect:
        actions: [{log: {text: "failed: HTTP 500*the last*"}}]
        dead: [{rule: call, times: 1}]
    """
    assert failing(tmp_path, CALL, tests) == {}


def test_a_result_that_is_used_has_to_be_given(tmp_path: Path) -> None:
    tests = "- {name: t, given: [{event: user.created}], expect: {actions: [{step: ask}]}}"
    assert "the step ask of call has no result here" in failing(tmp_path, CALL, tests)["t"]


def test_a_dead_letter_that_nobody_expects_fails_a_test(tmp_path: Path) -> None:
    rule = "- {id: r, on: user.created, do: [{log: {text: '{{ user.description }}'}}]}"
    tests = """
    - {name: t, given: [{event: user.created, data: {description: null}}], expect: {actions: []}}
    - {name: dead, given: [{event: user.created, data: {description: null}}],
       expect: {actions: [], dead: r}}
    """
    (said,) = failing(tmp_path, rule, tests).values()
    assert said.startswith("expected nothing; happened: 0s r dead:")


def test_what_could_not_be_evaluated_fails_a_test_too(tmp_path: Path) -> None:
    rule = '- {id: r, on: user.created, when: "time(user.tag) > `3`", do: [{log: {text: x}}]}'
    tests = """
    - {name: t, given: [{event: user.created, data: {tag: VIP}}], expect: {actions: []}}
    - name: expected
      given: [{event: user.created, data: {tag: VIP}}]
      expect: {could_not_evaluate: [{rule: r, why: "*time*"}]}
    """
    assert list(failing(tmp_path, rule, tests)) == ["t"]


def test_values_are_asserted_by_jmespath_and_keep_their_types(tmp_path: Path) -> None:
    rule = """
    - id: r
      on: user.created
      do:
        - http:
            post: /x
            connection: hooks
            json: "{limit: user.trafficLimitBytes, name: user.username, tags: [user.tag]}"
    """
    given = "given: [{event: user.created, data: {trafficLimitBytes: 5, tag: VIP}}]"
    tests = f"""
    - {{name: same, {given}, expect: {{actions: [{{http: {{json: {{limit: 5, tags: [VIP]}}}}}}]}}}}
    - name: asserted
      {given}
      expect:
        actions:
          - http:
              json: {{where: "limit > `4` && tags[0] == 'VIP'", name: "*"}}
              where: starts_with(post, '/')
    - {{name: wrong, {given}, expect: {{actions: [{{http: {{json: {{where: "limit > `5`"}}}}}}]}}}}
    - {{name: number, {given}, expect: {{actions: [{{http: {{json: {{limit: 6}}}}}}]}}}}
    """
    assert list(failing(tmp_path, rule, tests)) == ["wrong", "number"]


def test_two_events_given_alike_are_two_events(tmp_path: Path) -> None:
    rule = """
    - id: r
      on: user.created
      threshold: {at_least: 3, within: 10m}
      do: [{log: {text: three}}]
    """
    tests = """
    - name: three at once
      given: [{event: user.created}, {event: user.created}, {event: user.created}]
      expect: {actions: [{at: 0s, log: {text: three}}], held: [{rule: r, by: threshold, times: 2}]}
    """
    assert failing(tmp_path, rule, tests) == {}


def test_rules_change_in_the_middle_of_a_story(tmp_path: Path) -> None:
    tests = f"""
    - name: gone
      given: [{LOST}, {{at: 1m, reload: {{remove: node-down}}}}]
      expect: {{actions: [], on_hold: node-down}}
    - name: off, and on again in time
      given:
        - {LOST}
        - {{at: 1m, reload: {{change: {{node-down: {{mode: "off"}}}}}}}}
        - {{at: 2m, reload: {{change: {{node-down: {{mode: live}}}}}}}}
      until: 10m
      expect: {{actions: [{{at: 5m}}]}}
    - name: another rule comes
      given:
        - {{at: 1m, reload: {{add: [{{id: new, on: user.created, do: [{{log: {{text: new}}}}]}}]}}}}
        - {{at: 2m, event: user.created}}
      expect: {{actions: [{{at: 2m, log: {{text: newer}}}}]}}
    - name: the rules of the file begin anew in each test
      given: [{LOST}]
      until: 10m
      expect: {{actions: [{{at: 5m}}]}}
    """
    found = failing(tmp_path, NODE_DOWN, tests)
    assert found == {
        "another rule comes": 'expected 2m log {text: "newer"}; '
        'happened: 2m log of new {text: "new"}'
    }


def test_clocks_tick_for_the_rules_under_test(tmp_path: Path) -> None:
    rules = """
    - {id: morning, on: {cron: "30 9 * * *", timezone: UTC}, do: [{log: {text: morning}}]}
    - {id: often, on: {every: 1m}, do: [{log: {text: often}}]}
    """
    tests = """
    - {name: two days, rule: morning, until: 26h,
       expect: {actions: [{at: 30m}, {at: 24h30m}]}}
    - name: missed while away
      rule: morning
      given: [{at: 10m, restart: {down_for: 3h}}]
      until: 4h
      expect: {actions: [{at: 3h10m, log: {text: morning}}]}
    """
    assert failing(tmp_path, rules, tests) == {}


def test_the_start_is_at_nine_where_the_file_says(tmp_path: Path) -> None:
    rule = "- {id: r, on: user.created, do: [{log: {text: \"{{ now | date('%d %H:%M') }}\"}}]}"
    tests = """
    - {name: default, given: [{event: user.created}], expect: {actions: [{log: {text: "05 09:00"}}]}}
    - name: another
      start: 2026-07-01 23:30
      given: [{at: 1h, event: user.created}]
      expect: {actions: [{at: 2026-07-02 00:30, log: {text: "02 00:30"}}]}
    """
    assert failing(tmp_path, rule, tests) == {}


@pytest.mark.parametrize("panel", ["1.5.6", "2.2", "3.3"])
def test_bodies_are_those_of_the_panel_that_is_wished(tmp_path: Path, panel: str) -> None:
    rule = "- {id: r, on: user.expires_in_24_hours, do: [{log: {text: '{{ user.trafficLimitBytes }}'}}]}"
    tests = f"""
    - name: t
      panel: {panel}
      given: [{{event: user.expires_in_24_hours, data: {{trafficLimitBytes: 7}}}}]
      expect: {{actions: [{{log: {{text: 7}}}}]}}
    """
    assert failing(tmp_path, rule, tests) == {}


def test_bursts_wait_for_the_rate_and_others_do_not(tmp_path: Path) -> None:
    rules = """
    - id: slow
      on: user.created
      do: [{http: {post: "https://slow.example.org/x"}}]
    - {id: quick, on: user.deleted, do: [{log: {text: quick}}]}
    """
    path = tmp_path / "more"
    path.mkdir()
    tests = """
    - name: t
      given:
        - {event: user.created}
        - {event: user.created}
        - {event: user.created}
        - {at: 30s, event: user.deleted}
      expect:
        actions:
          - {at: 0s, http: {}}
          - {at: 30s, log: {}}
          - {at: 1m, http: {}}
          - {at: 2m, http: {}}
    """
    limited = rules.replace('"https://slow.example.org/x"', "/x, connection: slow")
    whole = "connections:\n  slow: {kind: http, url: 'https://slow.example.org', rate: 1/min}\n"
    from rehearsal.stories import loaded as read

    assert read(path, limited, tests).errors  # no such connection yet
    text = (path / "rules.yaml").read_text().replace("connections:\n", whole, 1)
    (path / "rules.yaml").write_text(text)
    assert _run_file(path) == {}


def _run_file(folder: Path) -> dict[str, str]:
    from engine.daemon.registry import find_actions
    from engine.rehearsal.telling import summary
    from engine.reloading.rehearsed import rehearsal_of
    from engine.rules.loading import load
    from engine.rules.secrets import Secrets

    found = load(folder / "rules.yaml", actions=find_actions(), secrets=Secrets(None, None, {}))
    assert found.errors == ()
    told = rehearsal_of(found.ruleset, find_actions()).run(found.cases)
    return {one.case.name: summary(one) for one in told if not one.well}


def test_a_failure_says_whom_it_holds_back_and_why_nothing_was_done(tmp_path: Path) -> None:
    rules = """
    - {id: picky, on: user.created, when: user.tag == 'VIP', do: [{log: {text: x}}]}
    - {id: other, on: user.created, do: [{log: {text: y}}]}
    """
    given = "given: [{event: user.created, data: {tag: OLD}}]"
    tests = f"""
    - {{name: named, rule: picky, {given}, expect: {{actions: [{{log: {{text: x}}}}]}}}}
    - {{name: all, {given}, expect: {{actions: []}}}}
    """
    named, everybody = run(tmp_path, rules, tests)
    assert named.blamed == ("picky",)
    assert everybody.blamed == ("other",)
    ((rule, about, why),) = named.whynots
    assert (rule, about) == ("picky", "user.created")
    assert "user.tag would have to be 'VIP'" in why


def test_steps_in_loops_and_ways_are_mocked_and_expected_by_their_place(tmp_path: Path) -> None:
    rule = """
    - id: r
      on: user.created
      do:
        - for_each: {in: "split(user.tag, '_')", as: item, do: [{log: {text: "{{ item }}"}}]}
        - choose:
            - {when: user.email, do: [{id: ask, http: {get: /x, connection: hooks}}]}
            - {else: [{log: {text: none}}]}
    """
    tests = """
    - name: t
      given: [{event: user.created, data: {tag: A_B}}]
      mock: {"do.0[1].do.0": {fail: no}}
      expect:
        actions: [{step: "do.0.do.0", log: {text: A}}]
        dead: [{rule: r, why: "*no*"}]
    - name: way
      given: [{event: user.created, data: {tag: A, email: null}}]
      expect: {actions: [{log: {text: A}}, {log: {text: none}}]}
    """
    assert failing(tmp_path, rule, tests) == {}


@pytest.mark.parametrize("mode", ["off", "shadow"])
def test_a_rule_that_is_off_or_in_shadow_is_held_back_by_no_test(tmp_path: Path, mode: str) -> None:
    rules = f"""
    - {{id: quiet, on: user.created, mode: "{mode}", do: [{{log: {{text: x}}}}]}}
    - {{id: loud, on: user.created, do: [{{log: {{text: y}}}}]}}
    """
    given = "given: [{event: user.created}]"
    tests = f"""
    - {{name: named, rule: quiet, {given}, expect: {{actions: [{{}}]}}}}
    - {{name: nothing is done, rule: quiet, {given}, expect: {{actions: []}}}}
    - {{name: all, {given}, expect: {{actions: [{{}}, {{}}]}}}}
    """
    named, nothing, everybody = run(tmp_path, rules, tests)
    assert (named.well, named.excused, named.blamed) == (True, f"quiet is in mode {mode}", ())
    assert (nothing.well, nothing.excused) == (True, "")
    assert (everybody.well, everybody.blamed) == (False, ("loud",))


def test_what_a_rule_emits_reaches_the_others_in_a_test_too(tmp_path: Path) -> None:
    rules = """
    - {id: first, on: user.created, do: [{emit: {event: vip.seen, data: "{name: user.username}"}}]}
    - {id: second, on: vip.seen, do: [{log: {text: "{{ data.name }}"}}]}
    """
    tests = """
    - name: both
      given: [{event: user.created, data: {username: anna}}]
      expect: {actions: [{rule: first, emit: {event: vip.seen}}, {rule: second, log: {text: anna}}]}
    - name: the second alone
      rule: second
      given: [{event: vip.seen, data: {name: ben}}]
      expect: {actions: [{log: {text: ben}}]}
    """
    assert failing(tmp_path, rules, tests) == {}
