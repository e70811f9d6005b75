"""The files of a rule set, read from a file or a folder into YAML documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Problem
from engine.rules import codes, names
from engine.rules.report import Path as Where
from engine.rules.report import Place, Report
from engine.rules.wording import shown
from engine.rules.yaml import MAX_BYTES, Document, read

_ENDINGS = {".yaml", ".yml"}


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One file: its name as shown in problems, and what it says."""

    name: str
    document: Document

    def locate(self, path: Where, key: bool) -> Place:
        """File, line and column of a part."""
        return self.name, *self.document.position(path, key=key)

    @property
    def data(self) -> Any:
        """The document as plain data."""
        return self.document.data


def find_files(path: Path) -> tuple[list[Path], list[Problem]]:
    """The file itself, or the YAML files of a folder in name order (hidden ones left out)."""
    try:
        if not path.is_dir():
            return [path], []
        found = [
            entry
            for entry in sorted(path.iterdir(), key=lambda entry: entry.name)
            if entry.suffix in _ENDINGS and not entry.name.startswith(".") and _holds_rules(entry)
        ]
    except OSError as error:
        return [], [_unreadable(path, error)]
    if not found:
        message = "there is no *.yaml or *.yml in this folder"
        return [], [Problem(str(path), 0, 0, codes.NO_RULES, message)]
    return found, []


def _holds_rules(entry: Path) -> bool:
    """Whether it is a file; of a link that leads nowhere its rules are missed, and not gone."""
    return entry.is_file() or (entry.is_symlink() and not entry.exists())


def read_file(path: Path) -> tuple[RuleFile | None, list[Problem]]:
    """One file, or None and the reasons; problems that spoil only a part are left to `faults`."""
    name = str(path)
    try:
        # One byte more than allowed is enough to see that a file is too large.
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig") if len(raw) <= MAX_BYTES else ""
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8: byte {error.start} makes no sense"
        return None, [Problem(name, 0, 0, codes.UNREADABLE, message, "save it as UTF-8")]
    except (OSError, ValueError) as error:
        return None, [_unreadable(path, error)]
    if len(raw) > MAX_BYTES:
        return None, [Problem(name, 0, 0, codes.UNREADABLE, "the file is larger than 5 MiB")]
    return _understand(RuleFile(name, read(text, name)))


def _understand(file: RuleFile) -> tuple[RuleFile | None, list[Problem]]:
    """The file, unless it says nothing that could be rules."""
    if file.data is None and file.document.problems:
        return None, list(file.document.problems)
    report = Report(file.locate)
    if file.data is None:
        report.error(codes.NO_RULES, "the file is empty", "it needs version: 1 and rules:")
    elif not isinstance(file.data, Mapping):
        message = f"a rules file is a mapping, not {shown(file.data)}"
        report.error(codes.NO_RULES, message, "it begins with version: 1")
    else:
        names.check_keys(file.data, names.FILE_KEYS, report)
        _check_version(file.data, report)
        return file, report.problems
    return None, report.problems


def _check_version(data: Mapping[str, Any], report: Report) -> None:
    version = data.get("version")
    if "version" not in data:
        report.error(codes.BAD_VERSION, "the file does not say its version", "write version: 1")
    elif isinstance(version, bool) or version != 1:
        message = f"there is no version {shown(version)} of the rule language"
        report.at("version").error(codes.BAD_VERSION, message, "write version: 1")


def _unreadable(path: Path, error: Exception) -> Problem:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    hint = "the path behind the command, or RULEWAVE_RULES, says where your rules are"
    absent = isinstance(error, FileNotFoundError)
    message = f"this cannot be read: {reason}"
    return Problem(str(path), 0, 0, codes.UNREADABLE, message, hint if absent else "")
