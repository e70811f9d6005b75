"""Every code that a problem in a rules file can carry, and what it means."""

from __future__ import annotations

from collections.abc import Mapping

UNREADABLE = "R001"
NOT_YAML = "R002"
DOUBLED_KEY = "R003"
REFUSED_YAML = "R004"
NO_RULES = "R005"
BAD_VERSION = "R006"
UNKNOWN_KEY = "R007"
MISSING_KEY = "R008"
WRONG_VALUE = "R009"
TWICE = "R011"
UNKNOWN_PARAMETER = "R012"
MISSING_PARAMETER = "R013"
BAD_PARAMETER = "R014"
UNKNOWN_ACTION = "R015"
BAD_EXPRESSION = "R016"
COMPARES_FIELD = "R017"
BARE_NUMBER = "R018"
NOT_OF_PATH = "R019"
UNKNOWN_NAME = "R020"
BAD_FUNCTION = "R021"
BAD_TEMPLATE = "R022"
SECRET_REFUSED = "R023"  # noqa: S105  # a code
SECRET_MISSING = "R024"  # noqa: S105  # a code
OPEN_ORIGIN = "R025"
NO_CONNECTION = "R026"
BAD_CONNECTION = "R027"
BAD_TIME = "R028"
ORDERS_TEXT = "R029"
OPEN_PROGRAM = "R030"
WRITTEN_SECRET = "R031"  # noqa: S105  # a code
UNKNOWN_EVENT = "R032"
TEXT_AND_NUMBER = "R033"
NULL_ORDERED = "R034"
UNKNOWN_PATH = "R035"
SOME_VERSIONS = "R036"
NULL_IN_TEXT = "R037"
NEVER_STORED = "R038"
NAME_AS_SENT = "R039"
UNKNOWN_STEP = "R040"
NOT_INSTALLED = "R041"
NO_BRACES = "R042"
NEVER_REACHED = "R043"
TEST_FAILED = "R044"
BAD_TEST = "R045"
NEVER_TRUE = "R046"
UNDOES = "R047"
NOT_SEEN = "R048"
ALWAYS_TRUE = "R049"
SECRET_SHORT = "R050"  # noqa: S105  # a code

CODES: Mapping[str, str] = {
    UNREADABLE: "the file or folder cannot be read, is not UTF-8, or is larger than 5 MiB",
    NOT_YAML: "the text is not YAML",
    DOUBLED_KEY: "the same key stands twice in one mapping",
    REFUSED_YAML: "a part of YAML that rules do not use: tags, recursion, several documents, …",
    NO_RULES: "the file is empty, is no mapping, or has no list of rules",
    BAD_VERSION: "`version: 1` is missing or says another version",
    UNKNOWN_KEY: "a key that does not exist here",
    MISSING_KEY: "a key that must be there is missing",
    WRONG_VALUE: "a value of the wrong kind",
    TWICE: "the same rule id, connection, variable or step id is written twice",
    UNKNOWN_PARAMETER: "the action has no such parameter",
    MISSING_PARAMETER: "the action needs a parameter that is not given",
    BAD_PARAMETER: "the action cannot take this value",
    UNKNOWN_ACTION: "there is no such action",
    BAD_EXPRESSION: "the text is not a JMESPath expression",
    COMPARES_FIELD: "a comparison with a field where a text, true, false or null is meant",
    BARE_NUMBER: "a number in an expression needs backticks",
    NOT_OF_PATH: "`!a.b` means `(!a).b`, which is never true",
    UNKNOWN_NAME: "a name that neither conditions nor templates know",
    BAD_FUNCTION: "an unknown function, or one called wrongly",
    BAD_TEMPLATE: "the text is not a correct template",
    SECRET_REFUSED: "a secret where none may be used, or not written as secret('name')",
    SECRET_MISSING: "a secret that is nowhere to be found (a warning)",
    OPEN_ORIGIN: "scheme, host and port of a URL must be fixed",
    NO_CONNECTION: "a step needs a connection, or names one that does not fit",
    BAD_CONNECTION: "a connection is described wrongly",
    BAD_TIME: "a duration, rate, cron line or time zone is written wrongly",
    ORDERS_TEXT: "`<` and `>` compare texts by alphabet; dates need time()",
    OPEN_PROGRAM: "a value of an event would choose the program, or become part of a script",
    WRITTEN_SECRET: "a password or token is written out instead of named (a warning)",
    UNKNOWN_EVENT: "an event type that neither a panel nor Rulewave itself sends (a warning)",
    TEXT_AND_NUMBER: "a text is compared with a number, which are never equal",
    NULL_ORDERED: "`<` or `>` on what may be null, under `not` or `!`: null makes it true",
    UNKNOWN_PATH: "a path at which no version of the panel sends anything (a warning)",
    SOME_VERSIONS: "only some versions of the panel send this, or send it so (a warning)",
    NULL_IN_TEXT: "a text or a function needs what may be null, or not be there (a warning)",
    NEVER_STORED: "a field that carries a credential, and is never stored (a warning)",
    NAME_AS_SENT: "`event` keeps the name that was sent, and this event has others (a warning)",
    UNKNOWN_STEP: "no earlier step of the rule has this id (a warning)",
    NOT_INSTALLED: "an action needs a package that is not installed",
    NO_BRACES: "a text that looks like the name of a value, without {{ }} (a warning)",
    NEVER_REACHED: "steps below a stop that always stops (a warning)",
    TEST_FAILED: "a test under `tests:` fails, and holds back the rules that it is about",
    BAD_TEST: "a test names what is not there, or asks for what can't be",
    NEVER_TRUE: "a condition, or a part of one, that no event can make true (a warning)",
    UNDOES: "rules that undo or start each other, or a follow-up that never comes (a warning)",
    NOT_SEEN: "recorded traffic has nothing of what is asked for: `check --traffic` (a warning)",
    ALWAYS_TRUE: "a text by itself in a condition, which is always true",
    SECRET_SHORT: "a secret that is too short to be masked (a warning)",
}
