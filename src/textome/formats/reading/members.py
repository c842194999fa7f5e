"""Texts by the names of their columns or members: what tables, JSON lines and Parquet files have in common.

One reader for all of them, so that a file gives the same documents in each of its forms: `pmid` is an id everywhere, a
missing abstract is none, and what has no role stays as metadata.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from textome.documents import Document, titled
from textome.errors import InputError
from textome.patterns import lazy_pattern

# How columns may be named; of several that are there, the first in this order is taken.
TEXTS = ("text", "abstract", "note", "note_text", "sentence", "body", "content")
TITLES = ("title", "article_title")
IDS = ("id", "pmid", "pubmed_id", "document_id", "doc_id", "note_id", "row_id", "pmcid", "doi")

# A member of so many words is prose, unless its name says otherwise.
_WORDS_OF_PROSE = 40
_LONG_BUT_NO_PROSE = lazy_pattern(
    r"author|affil|keyword|mesh|subject|reference|fund|grant|cit|journal|url|link|licen|note|copy"
)


def plain_names(names: Iterable[str]) -> list[str]:
    """Names without capitals, blanks and hyphens, by which they are looked up."""
    return [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in names]


def roles_of(names: Sequence[str], text_column: str | None = None) -> dict[str, str]:
    """Which of the names is the `text`, the `title` and the `id`; roles that none has are missing.

    text_column   the name of the text, where it is none of `TEXTS`

    Raises InputError where no name holds a text.
    """
    plain = plain_names(names)
    texts = TEXTS if text_column is None else tuple(plain_names([text_column]))
    roles = {}
    for role, known in (("text", texts), ("title", TITLES), ("id", IDS)):
        if name := next((name for name in known if name in plain), ""):
            roles[role] = names[plain.index(name)]
    shown = ", ".join(plain)[:200]
    if text_column is not None and "text" not in roles:
        raise InputError(f"there is no column {text_column!r} (found: {shown})")
    if "text" not in roles and "title" not in roles:
        raise InputError(
            f"no column holds texts; call it one of {', '.join(TEXTS)}, or name it with --text-column (found: {shown})"
        )
    return roles


def _left_out(values: Mapping[str, Any], roles: Mapping[str, str]) -> str:
    """The name of a long text that has no role; empty where there is none."""
    for name, value in values.items():
        prose = isinstance(value, str) and len(value.split()) >= _WORDS_OF_PROSE and name not in roles.values()
        if prose and not _LONG_BUT_NO_PROSE.search(name.casefold()):
            return name
    return ""


def document_of(values: Mapping[str, Any], roles: Mapping[str, str], default_id: str) -> Document:
    """A document of its title and text; what has no role and is a text or a number becomes metadata.

    Null, NaN and empty values are missing. Raises InputError for a text that is none, and where there is no text.
    """
    title, text = (text_of(values, roles[role]) if role in roles else "" for role in ("title", "text"))
    if not (title + text).strip():
        raise InputError("the record has no text")
    if "text" not in roles and (name := _left_out(values, roles)):
        raise InputError(f"{name!r} looks like the text and would be left out; call it 'text' or 'abstract'")
    section = "abstract" if title or plain_names([roles.get("text", "")]) == ["abstract"] else ""
    used_keys = set(roles.values())
    metadata = {
        key: shown for key, value in values.items() if key not in used_keys and key and (shown := _as_metadata(value))
    }
    return Document(
        id_of(values, roles.get("id", "")).strip() or default_id, titled(title, text, section), metadata=metadata
    )


def text_of(values: Mapping[str, Any], key: str) -> str:
    """A text, empty where it is missing. Raises InputError where something else stands there."""
    value = values.get(key)
    if is_missing(value):
        return ""
    if not isinstance(value, str):
        raise InputError(f"{key}: expected a text, found {described(value)}")
    return value


def required_text(values: Mapping[str, Any], key: str) -> str:
    """A text that must be there and hold more than white space. Raises InputError otherwise."""
    if key not in values:
        raise InputError(f"the member {key!r} is missing")
    if values[key] is None:
        raise InputError(f"{key}: expected a text, found nothing (null)")
    if not (text := text_of(values, key)).strip():
        raise InputError(f"the {key} is empty")
    return text


def label_of(value: Any, key: str = "label") -> str:
    """A label: a text that is not empty. Raises InputError for null, numbers, true and false, and lists."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise InputError(f"{key}: expected a text, found {described(value)}; write it in quotation marks")
    if not isinstance(value, str):
        raise InputError(f"{key}: expected a text, found {described(value)}")
    if not value.strip():
        raise InputError(f"the {key} is empty")
    return value


def list_of(values: Mapping[str, Any], key: str) -> list[Any]:
    """A list, empty where it is missing. Raises InputError where something else stands there."""
    value = values.get(key, [])
    if not isinstance(value, list):
        raise InputError(f"{key}: expected a list, found {described(value)}")
    return value


def object_of(value: Any, name: str = "a record") -> dict[str, Any]:
    """An object. Raises InputError where a value is something else."""
    if not isinstance(value, dict):
        raise InputError(f"{name}: expected an object, found {described(value)}")
    return value


def id_of(values: Mapping[str, Any], key: str) -> str:
    """An id, empty where it is missing: a text or a whole number, also where a table stores it as 11.0."""
    value = values.get(key)
    if is_missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{key}: expected a text or a whole number, found {described(value)}")
    return str(value)


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: null, or NaN, as pandas writes it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def described(value: Any) -> str:
    """What a value is, in words for a message."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value!r:.30}"
    kinds: dict[Any, str] = {str: "a text", list: "a list", tuple: "a list", dict: "an object", bytes: "bytes"}
    return kinds.get(type(value), f"a value of the type {type(value).__name__}")


def _as_metadata(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)  # as authors and keywords
    if isinstance(value, bool):
        return str(value).lower()
    if is_missing(value) or isinstance(value, bytes | list | tuple | dict):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
