"""The errors Textome raises for things that a user can put right.

Each is one sentence that says what is wrong, where, and what to do. The command line prints that sentence and
exits with `exit_code`; a traceback is shown only with `--debug`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# How pydantic begins what it says of a value of the wrong kind, and the words of the house.
_WORDS = (
    (r"Input should be a valid string", "expected a text"),
    (r"Input should be a valid (?:integer|int)\b", "expected a whole number"),
    (r"Input should be a valid (?:number|float)\b", "expected a number"),
    (r"Input should be a valid boolean", "expected true or false"),
    (r"Input should be a valid (?:list|tuple)\b", "expected a list"),
    (r"Input should be a valid dictionary(?: or instance of \w+| or object.*)?", "expected an object"),
    (r"Input should be an object", "expected an object"),
    (r"Input should be ", "expected "),
    (r"Field required", "is missing"),
    (r"Value error, ", ""),
)
# Characters of a message: a damaged file may have anything where a message quotes it.
_MAX_CHARACTERS = 2000


class TextomeError(Exception):
    """Something that the user can put right; `exit_code` is what the command line returns.

    The middle of a message of more than 2,000 characters is left out.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        half = _MAX_CHARACTERS // 2
        super().__init__(message if len(message) <= _MAX_CHARACTERS else f"{message[:half]} … {message[-half:]}")


class InputError(TextomeError):
    """A file, a record or an argument is not what it should be."""


class UnfinishedError(InputError):
    """The work cannot go on here, but what is done is kept, and the same command goes on from it."""


class ModelError(TextomeError):
    """A model directory is incomplete, damaged, or of another architecture."""


class DeviceError(TextomeError):
    """This machine has not the device that was asked for."""

    exit_code = 3


class MissingExtraError(TextomeError):
    """An optional part of Textome is not installed."""

    exit_code = 3

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed; run: pip install 'textome[{extra}]'")


def plain_message(error: Mapping[str, Any]) -> str:
    """What pydantic says of one value (an item of `ValidationError.errors()`), in the words of the house."""
    message = str(error["msg"])
    for pattern, words in _WORDS:
        message = re.sub(f"^{pattern}", words, message)
    return message


class Invalid(Protocol):
    """A `pydantic.ValidationError`, whose package errors need not load."""

    def errors(self) -> Sequence[Mapping[str, Any]]: ...


def explain(error: Invalid, prefix: str = "") -> str:
    """The first thing that is wrong: the key, with `prefix` before it, and what is wrong with it."""
    item = error.errors()[0]
    key = ".".join(map(str, item["loc"]))
    return ": ".join(part for part in (prefix, key, plain_message(item)) if part)
