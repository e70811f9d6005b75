"""Parameters are checked at load and rendered before each try, each by its mark."""

from __future__ import annotations

from typing import Any

import pytest
from parameters import CONTEXT, SECRETS, compile_raw, compiled, render, told
from ruletools import ACTIONS, Attachment, LetterParams

from actions.http import Http
from actions.shell import Shell
from engine.action import Field
from engine.errors import ActionFailed
from engine.rules import codes
from engine.rules.marks import models_at, slots
from engine.rules.parameters import NoRecipient, Terms, compile_parameters
from engine.rules.report import Report


def test_texts_are_rendered_and_literals_taken_as_they_are() -> None:
    found = render("say", {"text": "Hi {{ user.name }}", "html": "<b>{{ user.html }}", "times": 2})
    assert found.model_dump() == {
        "text": "Hi anna",
        "html": "<b>&lt;",
        "title": None,
        "level": "info",
        "times": 2,
    }


def test_a_rendered_text_becomes_the_type_that_the_field_has() -> None:
    assert render("say", {"text": "", "times": "{{ user.n }}"}).model_dump()["times"] == 3


def test_a_rendered_value_that_does_not_fit_is_a_bad_parameter() -> None:
    with pytest.raises(ActionFailed) as caught:
        render("say", {"text": "", "times": "{{ user.name }}"})
    assert caught.value.reason == "bad_parameters"
    assert "say: times: should be a whole number" in caught.value.message


def test_a_rendered_model_that_refuses_itself_is_a_bad_parameter() -> None:
    with pytest.raises(ActionFailed, match="ftp is not spoken"):
        compiled("fetch", {"get": "{{ vars.base }}/x"}).render(
            CONTEXT | {"vars": {"base": "ftp://x.example.org"}}, SECRETS
        )


def test_a_text_that_fails_is_a_template_failure_naming_the_parameter() -> None:
    with pytest.raises(ActionFailed, match=r"say: text: there is no .nope.") as caught:
        render("say", {"text": "{{ user.nope }}"})
    assert caught.value.reason == "template"
    assert not caught.value.retry


def test_a_line_never_holds_a_line_break() -> None:
    with pytest.raises(ActionFailed, match="line break"):
        render("say", {"text": "", "title": "{{ user.break }}"})
    assert told("say", {"text": "", "title": "a\nb"})[0][0] == codes.BAD_PARAMETER
    with pytest.raises(ActionFailed, match="line break"):
        render("fetch", {"get": "https://a.example.org/", "headers": {"X": "secret('bad')"}})


def test_the_line_break_that_ends_a_block_text_is_meant_by_nobody() -> None:
    assert render("say", {"text": "", "title": "one line\n"}).model_dump()["title"] == "one line"


@pytest.mark.parametrize(
    "to", ["{{ user.email }}", "{{ user.empty }}", "", [], ["{{ user.email }}", ""]]
)
def test_an_empty_recipient_is_no_recipient(to: Any) -> None:
    with pytest.raises(NoRecipient):
        render("letter", {"to": to})


def test_the_recipients_that_are_there_are_kept() -> None:
    found = render("letter", {"to": ["{{ user.email }}", "{{ user.name }}@x", "b@x"]})
    assert found.model_dump()["to"] == ["anna@x", "b@x"]


def test_a_misspelt_recipient_is_an_error_all_the_same() -> None:
    with pytest.raises(ActionFailed, match="nope"):
        render("letter", {"to": "{{ user.nope }}"})


def test_a_nested_model_has_marks_of_its_own() -> None:
    found = render(
        "letter", {"to": "a", "attach": [{"name": "{{ user.name }}.txt", "content": "x"}]}
    )
    assert found.model_dump()["attach"] == [{"name": "anna.txt", "content": "x"}]
    assert told("letter", {"to": "a", "attach": [{"name": "n", "content": "{{ user.name }}"}]}) == [
        (
            codes.BAD_TEMPLATE,
            "this value is taken as it stands: {{ user.name }}",
            "{{ }} cannot be used here",
        )
    ]


def test_an_expression_keeps_its_type_and_mappings_hold_templates() -> None:
    url = "https://a.example.org/"
    assert render("fetch", {"get": url, "json": "user.{n: n}"}).model_dump()["data"] == {"n": 3}
    found = render("fetch", {"get": url, "json": {"a": ["{{ user.name }}", 1], "b": None}})
    assert found.model_dump()["data"] == {"a": ["anna", 1], "b": None}
    assert told("fetch", {"get": url, "json": "user.a == B"})[0][0] == codes.COMPARES_FIELD


def test_an_expression_that_fails_is_a_template_failure() -> None:
    with pytest.raises(ActionFailed) as caught:
        render("fetch", {"get": "https://a.example.org/", "json": "length(user.email)"})
    assert caught.value.reason == "template"


def test_secrets_are_filled_in_only_where_they_may_stand() -> None:
    headers = {"A": "secret('token')", "B": "Bearer {{ secret('token') }}"}
    found = render(
        "fetch", {"get": "https://a.example.org/{{ secret('token') }}", "headers": headers}
    )
    assert found.model_dump()["headers"] == {"A": "s3cret-token", "B": "Bearer s3cret-token"}
    assert found.model_dump()["get"] == "https://a.example.org/s3cret-token"
    for text in ("secret('token')", "x {{ secret('token') }}"):
        ((code, _, hint),) = told("say", {"text": text})
        assert code == codes.SECRET_REFUSED
        assert "headers" in hint


def test_a_secret_in_the_middle_of_a_text_needs_its_brackets() -> None:
    raw = {"get": "https://a.example.org/", "headers": {"A": "Bearer secret('token')"}}
    ((code, _, hint),) = told("fetch", raw)
    assert code == codes.SECRET_REFUSED
    assert hint == "inside a text, write {{ secret('name') }}"


def test_a_missing_secret_is_a_warning_at_load_and_a_failure_at_run_time() -> None:
    raw = {"get": "https://a.example.org/", "headers": {"A": "secret('lost')"}}
    found, report = compile_raw("fetch", raw)
    assert [problem.severity for problem in report.problems] == ["warning"]
    assert found is not None
    with pytest.raises(ActionFailed, match="lost") as caught:
        found.render(CONTEXT, SECRETS)
    assert caught.value.reason == "bad_parameters"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"text": "a", "titel": "b"},
            (codes.UNKNOWN_PARAMETER, 'say has no parameter "titel"', 'did you mean "title"?'),
        ),
        ({}, (codes.MISSING_PARAMETER, 'say needs the parameter "text"', "")),
        (
            {"text": 5},
            (codes.BAD_PARAMETER, "say: text: should be a text, not 5", "put it in quotes"),
        ),
        (
            {"text": "a", "level": "lout"},
            (codes.BAD_PARAMETER, "say: level: should be 'info' or 'loud', not \"lout\"", ""),
        ),
        (
            {"text": "{{ usr.x }}"},
            (codes.UNKNOWN_NAME, 'there is no "usr"', 'did you mean "user"?'),
        ),
        (
            {"text": "a\n{{ user.x | lowr }}"},
            (
                codes.BAD_TEMPLATE,
                'there is no filter "lowr" (line 2 of the text)',
                'did you mean "lower"?',
            ),
        ),
        (
            "hello",
            (
                codes.WRONG_VALUE,
                'say needs its parameters below it, not "hello"',
                "write them as a mapping: key: value",
            ),
        ),
    ],
)
def test_a_wrong_parameter_is_told_in_plain_words(raw: Any, expected: tuple[str, str, str]) -> None:
    assert told("say", raw) == [expected]


def test_all_that_is_wrong_with_a_value_of_several_types_is_one_problem() -> None:
    ((code, message, _),) = told("letter", {"to": 5})
    assert code == codes.BAD_PARAMETER
    assert message == "letter: to: should be a text or a list, not 5"


def test_what_is_wrong_deep_inside_is_told_there() -> None:
    raw = {"to": "a", "attach": [{"name": "x", "contnt": "y"}, {"content": "y"}]}
    assert told("letter", raw) == [
        (codes.UNKNOWN_PARAMETER, 'letter has no parameter "contnt"', 'did you mean "content"?'),
        (codes.MISSING_PARAMETER, 'letter needs the parameter "name" in "1"', ""),
    ]


def test_what_a_model_says_of_itself_as_a_whole_is_told() -> None:
    ((code, message, _),) = told("fetch", {"get": "ftp://a.example.org/"})
    assert (code, message) == (codes.BAD_PARAMETER, "fetch: ftp is not spoken here")


def test_fields_are_known_by_the_name_that_a_rule_writes() -> None:
    found = slots(ACTIONS["fetch"].params)
    assert set(found) == {"get", "headers", "json", "connection"}
    assert found["connection"].mark is None
    assert slots(LetterParams)["attach"].models == (Attachment,)
    assert models_at(LetterParams, ("attach", 0)) == (Attachment,)
    assert models_at(LetterParams, ("nope",)) == ()
    assert isinstance(slots(Attachment)["name"].mark, Field)


@pytest.mark.parametrize(
    ("action", "raw", "said"),
    [
        ("letter", {"to": "a@b.org", "attach": {"name": "x"}}, "attach: should be a list"),
        ("shell", {"run": []}, "run: should not be empty"),
        ("shell", {"run": ["ls"], "stdin": "all"}, "or a mapping, as {text: …}, not"),
        ("http", {"get": "https://a.org/", "auth": "me"}, "a mapping, as {bearer: …}, not"),
    ],
)
def test_what_is_wrong_is_said_without_words_of_the_library(
    action: str, raw: Any, said: str
) -> None:
    report = Report()
    known = {**ACTIONS, "shell": Shell(), "http": Http()}
    compile_parameters(known[action], raw, Terms(SECRETS), report)
    (message,) = [problem.message for problem in report.problems]
    assert said in message


def test_a_program_that_a_value_would_choose_is_an_error_at_its_place() -> None:
    report = Report()
    raw = {"run": ["sh", "-c", "echo {{ user.username }}"]}
    compile_parameters(Shell(), raw, Terms(SECRETS), report)
    assert [(one.code, one.hint.split(":")[0]) for one in report.problems] == [
        (codes.OPEN_PROGRAM, "hand the value over beside it")
    ]


@pytest.mark.parametrize(
    ("auth", "codes_found"),
    [
        ({"bearer": "written"}, [codes.WRITTEN_SECRET]),
        ({"basic": ["anna", "written"]}, [codes.WRITTEN_SECRET]),
        ({"basic": ["anna", "secret('token')"]}, []),
        ({"bearer": "{{ secret('token') }}"}, []),
    ],
)
def test_a_credential_that_is_written_out_gets_a_warning(auth: Any, codes_found: list[str]) -> None:
    report = Report()
    compile_parameters(Http(), {"get": "https://a.org/", "auth": auth}, Terms(SECRETS), report)
    assert [one.code for one in report.problems] == codes_found


def test_values_of_a_query_may_have_several_lines() -> None:
    raw = {"get": "https://a.org/", "query": {"text": "one\n{{ user.name }}"}}
    report = Report()
    found = compile_parameters(Http(), raw, Terms(SECRETS), report)
    assert found is not None
    assert not report.problems
    context = {"user": {"name": "two\nthree"}}
    assert found.render(context, SECRETS).query == {"text": "one\ntwo\nthree"}  # type: ignore[attr-defined]


def test_a_key_of_the_step_below_its_action_is_sent_up() -> None:
    report = Report()
    compile_parameters(ACTIONS["say"], {"text": "hi", "timeout": "5s"}, Terms(SECRETS), report)
    assert [problem.hint for problem in report.problems] == [
        "it belongs to the step: write it beside say, not below"
    ]
