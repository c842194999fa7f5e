"""Regular expressions that are compiled when they are first used: a start needs few of them, and each takes time."""

from __future__ import annotations

import re
from typing import Any, cast


class _LazyPattern:
    """A compiled pattern's attributes, each looked up once; an attribute of the instance then costs what it costs there."""

    def __init__(self, source: str, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, value)
        return value


def lazy_pattern(source: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`, but compiled at the first search; call its methods, since functions of `re` do not take it."""
    return cast("re.Pattern[str]", _LazyPattern(source, flags))
