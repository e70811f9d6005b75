"""The results of tests as JUnit XML, as CI servers read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from engine.cli.results import difference
from engine.errors import Problem
from engine.rehearsal.telling import summary
from engine.rehearsal.testing import Result

_WIDTH = 120
# XML knows no way to write these.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(problems: Sequence[Problem], results: Sequence[Result]) -> bytes:
    """One suite; mistakes in the rules are a test of their own that fails."""
    failed = sum(not result.well for result in results) + bool(problems)
    seconds = sum(result.seconds for result in results)
    numbers = {
        "tests": str(len(results) + bool(problems)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(sum(bool(result.excused) for result in results)),
        "time": f"{seconds:.3f}",
    }
    root = Element("testsuites", {"name": "rulewave", **numbers})
    suite = SubElement(root, "testsuite", {"name": "rulewave", **numbers})
    if problems:
        case = _case(suite, "the rules can be read", "rules", 0.0)
        lines = [str(problem) for problem in problems]
        _fail(case, lines[0], "\n".join(lines))
    for result in results:
        _result(suite, result)
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _result(suite: Element, result: Result) -> None:
    file, line, _ = result.case.place
    about = ".".join(result.case.rules) or "all"
    case = _case(suite, result.case.name, about, result.seconds)
    case.set("file", _fit(file))
    case.set("line", str(line))
    if result.excused:
        SubElement(case, "skipped", {"message": _fit(result.excused)})
    elif not result.well:
        _fail(case, summary(result), "\n".join(difference(result, _WIDTH)))


def _case(suite: Element, name: str, about: str, seconds: float) -> Element:
    values = {"classname": _fit(about), "name": _fit(name), "time": f"{seconds:.3f}"}
    return SubElement(suite, "testcase", values)


def _fail(case: Element, message: str, text: str) -> None:
    failure = SubElement(case, "failure", {"message": _fit(message), "type": "failed"})
    failure.text = _fit(text)


def _fit(text: str) -> str:
    return _NO_XML.sub("?", text)
