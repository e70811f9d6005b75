"""Every example in the documents is one that the real loader takes."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
import typer
from docs.fenced import PAGES, ROOT, Block, all_blocks

from engine.cli.app import app
from engine.daemon.registry import find_actions
from engine.rehearsal.telling import summary
from engine.reloading.rehearsed import rehearsal_of
from engine.rules.loading import load
from engine.rules.secrets import Secrets

_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
_COMMAND = re.compile(r"\brulewave ([a-z]+)(?: ([a-z]+))?")
_SECRET = re.compile(r"secret\('(\w+)'\)")
_HEAD = """\
version: 1
connections:
  mail: {kind: smtp, host: smtp.example.org, from: bot@example.org}
  ops: {kind: telegram, token: "secret('telegram_token')", chat: -1001234567890}
rules:
"""


def _whole(block: Block) -> str:
    """The example as a whole file: some show a rule or a step alone."""
    if "step" in block.info:
        step = textwrap.indent(block.text, "        ")
        return f"{_HEAD}  - id: r\n    on: user.created\n    do:\n      -\n{step}"
    if {"rule", "append"} & set(block.info):
        return _HEAD + textwrap.indent(textwrap.dedent(block.text), "  ")
    return block.text


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_an_example_in_the_documents_loads_without_a_problem(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(_whole(block), encoding="utf-8")
    given = {f"RULEWAVE_SECRET_{name.upper()}": "given" for name in _SECRET.findall(_whole(block))}
    loaded = load(file, actions=find_actions(), secrets=Secrets(None, None, given))
    if "broken" in block.info:
        assert loaded.errors
        return
    if "doubted" in block.info:
        assert loaded.problems
        assert loaded.errors == ()
        return
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.ruleset.rules


def test_the_example_rules_load_without_a_problem() -> None:
    file = ROOT / "rules.example.yaml"
    given = {"RULEWAVE_SECRET_TELEGRAM_TOKEN": "given"}
    loaded = load(file, actions=find_actions(), secrets=Secrets(None, None, given))
    assert [str(problem) for problem in loaded.problems] == []
    first, *others = loaded.ruleset.rules
    assert first.on == ("user.expires_in_24_hours",)
    assert [step.action for step in first.do] == ["email"]
    assert len(others) >= 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    led = {
        (index.parent / target).resolve() for target, _ in _LINK.findall(index.read_text("utf-8"))
    }
    pages = {page for page in PAGES if page != index and page.parent != ROOT}
    assert pages <= led


def test_a_link_to_a_part_of_a_page_leads_to_a_heading() -> None:
    for page in PAGES:
        for target, part in _LINK.findall(page.read_text("utf-8")):
            if part and "://" not in target:
                assert part in _anchors(page.parent / target), f"{page.name}: {target}{part}"


def _anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {f"#{heading.replace(' ', '-')}" for heading in plain}


def test_the_readme_opens_with_the_two_commands() -> None:
    assert [line.split("#")[0].strip() for line in all_blocks("sh")[0].text.splitlines()] == [
        "make demo",
        "make test",
    ]


def test_every_command_that_the_documents_name_exists() -> None:
    known = typer.main.get_command(app)
    named = {
        found
        for block in (*all_blocks("sh"), *all_blocks("console"))
        for found in _COMMAND.findall(block.text)
    }
    assert len(named) > 5
    for command, verb in named:
        found = known.commands[command]
        assert verb in getattr(found, "commands", {verb: None}), f"rulewave {command} {verb}"


@pytest.mark.parametrize(
    "block", [block for block in all_blocks("yaml") if "\ntests:\n" in block.text], ids=str
)
def test_the_tests_in_the_documents_end_as_the_documents_say(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(block.text, encoding="utf-8")
    actions = find_actions()
    loaded = load(file, actions=actions, secrets=Secrets(None, None, {}))
    results = rehearsal_of(loaded.ruleset, actions).run(loaded.cases)
    assert results
    draft = "draft.yaml" in block.info
    assert [result.well for result in results] == [not draft] * len(results)


def test_the_tests_of_the_example_rules_pass() -> None:
    actions = find_actions()
    file = ROOT / "rules.example.yaml"
    loaded = load(file, actions=actions, secrets=Secrets(None, None, {}))
    results = rehearsal_of(loaded.ruleset, actions).run(loaded.cases)
    assert [summary(result) for result in results if not result.well] == []
    assert {rule.id for rule in loaded.ruleset.rules} == {
        rule for result in results for rule in result.case.rules
    }
