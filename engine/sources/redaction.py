"""What is never stored and what is never shown: credentials go, private values are masked."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

from engine.sources import catalogue
from engine.sources.masking import MASK, forms_of, mask

__all__ = [
    "MASK",
    "fit_traceback",
    "mask_private",
    "mask_texts",
    "private_values",
    "rebuilt",
    "redact",
    "redact_text",
    "sounds_secret",
    "strip_secrets",
]

_PLAIN = (str, int, float, type(None))
# `"\u0070assword"` is the same name.
_ESCAPED_LETTER = re.compile(r"\\u00(4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])", re.IGNORECASE)
# A name of a field in a text of JSON, and the same with its value, which may be cut short.
_QUOTED_NAME = re.compile(r'"(?P<name>(?:[^"\\]|\\.){1,64})"(?P<colon>\s{0,8}:\s{0,8})')
_QUOTED_FIELD = re.compile(
    _QUOTED_NAME.pattern + r'(?:"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{\[].*|[^\s,}\]]*)', re.DOTALL
)
# Named like secret ones, in results of actions: lower case, without `_` and `-`.
_COMMON = (
    "bearer password passwd passphrase pwd token secret clientsecret apikey xapikey apitoken xapitoken"
    " authorization proxyauthorization accesstoken refreshtoken idtoken bearertoken authtoken"
    " sessiontoken csrftoken privatekey secretkey credentials cookie setcookie"
)


def redact(body: Mapping[str, Any], keep: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A new body without the fields that carry credentials, at any depth, save those to `keep`."""
    names = _removed(keep)

    def without(each: Mapping[str, Any]) -> dict[str, Any]:
        if names.isdisjoint(each):
            return dict(each)
        return {name: item for name, item in each.items() if name not in names}

    redacted: dict[str, Any] = rebuilt(body, without)
    return redacted


def redact_text(text: str, limit: int = 2000) -> str:
    """The first `limit` characters of what is no JSON, for people's eyes alone.

    Credentials and private fields are masked as far as they show.
    """
    plain = _ESCAPED_LETTER.sub(lambda escape: chr(int(escape[1], 16)), text[:limit])
    return _named_values().sub(rf'\g<name>\g<colon>"{MASK}"', plain)[:limit]


def mask_private(value: Any, values: Iterable[str] = ()) -> Any:
    """A copy for people's eyes: private fields (the subscription link …) masked, at any depth.

    `values` are masked inside of texts as well.
    """
    names = catalogue.private_names()
    hidden = forms_of(values)

    def masked(each: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: MASK if name in names and item is not None else item
            for name, item in each.items()
        }

    return rebuilt(value, masked, lambda text: mask(text, hidden))


def private_values(value: Any) -> tuple[str, ...]:
    """The texts of all private fields, longest first: what to mask in a text made from them."""
    names = catalogue.private_names()
    found: set[str] = set()

    def gather(each: Mapping[str, Any]) -> dict[str, Any]:
        found.update(
            item for name, item in each.items() if name in names and isinstance(item, str) and item
        )
        return dict(each)

    rebuilt(value, gather)
    return tuple(sorted(found, key=len, reverse=True))


def mask_texts(text: str, values: Iterable[str]) -> str:
    """The text with each of these values masked, however it was encoded."""
    return mask(text, forms_of(values))


def fit_traceback(error: BaseException, bodies: Any) -> str:
    """The traceback of a bug for the log: texts from the private fields of `bodies` masked."""
    return mask_texts("".join(traceback.format_exception(error)), private_values(bodies))


def strip_secrets(value: Any) -> Any:
    """A copy of a step's result without the fields that are named like secret ones.

    A text that is JSON loses them too: an answer is kept as text beside what was read from it.
    """
    return rebuilt(
        value,
        lambda each: {name: each[name] for name in each if not sounds_secret(str(name))},
        _strip_text,
    )


def _strip_text(text: str) -> str:
    """JSON without such fields, as it stands where it has none; of JSON cut short, they are masked."""
    if not text.lstrip().startswith(("{", "[")) or not any(map(sounds_secret, _names_in(text))):
        return text
    try:
        kept = json.dumps(strip_secrets(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return _QUOTED_FIELD.sub(_masked_field, text)
    return kept.encode("utf-8", "replace").decode()


def _names_in(text: str) -> Iterable[str]:
    return (_unescaped(found["name"]) for found in _QUOTED_NAME.finditer(text))


def _masked_field(found: re.Match[str]) -> str:
    if not sounds_secret(_unescaped(found["name"])):
        return found[0]
    return f'"{found["name"]}"{found["colon"]}"{MASK}"'


def _unescaped(name: str) -> str:
    return _ESCAPED_LETTER.sub(lambda escape: chr(int(escape[1], 16)), name)


def rebuilt(
    value: Any,
    shape: Callable[[Mapping[str, Any]], dict[str, Any]],
    leaf: Callable[[str], str] | None = None,
    items: Callable[[Iterable[Any]], list[Any]] = list,
) -> Any:
    """A deep copy: mappings have been through `shape`, lists through `items`, texts through `leaf`.

    No recursion, so no depth is too much.
    """
    root = [value]
    todo: list[Any] = [root]
    while todo:
        holder = todo.pop()
        for place, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if leaf is not None and isinstance(item, str):
                holder[place] = leaf(item)
                continue
            if isinstance(item, _PLAIN):
                continue  # asked first: most values are plain, and asking for a Mapping is slow
            if isinstance(item, Mapping):
                copy: Any = shape(item)
            elif isinstance(item, list | tuple):
                copy = items(item)
            else:
                continue
            holder[place] = copy
            todo.append(copy)
    return root[0]


@lru_cache(maxsize=16)
def _removed(keep: frozenset[str]) -> frozenset[str]:
    return catalogue.secret_names() - keep


@lru_cache(maxsize=4096)
def sounds_secret(name: str) -> bool:
    """Whether a field of that name carries a credential, most likely."""
    return _plain(name) in _secret_sounds()


@cache
def _secret_sounds() -> frozenset[str]:
    return frozenset(_COMMON.split()) | {_plain(name) for name in catalogue.secret_names()}


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


@cache
def _named_values() -> re.Pattern[str]:
    """A secret or private name with its value: quoted, quoted within a quoted text, cut short, or bare.

    An object or a list that begins there goes with all that follows: where it ends is anybody's
    guess in a text that is no JSON.
    """
    hidden = catalogue.secret_names() | catalogue.private_names()
    names = "|".join(map(re.escape, sorted(hidden, key=len, reverse=True)))
    value = (
        r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
        r"|'(?:[^'\\]|\\.)*(?:'|\\?\Z)"
        r'|(?P<slashes>\\+)".*?(?:(?<!\\)(?P=slashes)"|\Z)'
        r"|[{\[].*"
        r"|[^\s,;&}\]]*"
    )
    return re.compile(
        rf"(?<!\w)(?P<name>{names})(?P<colon>\\*[\"']?\s*[:=]\s*)(?:{value})", re.DOTALL
    )
