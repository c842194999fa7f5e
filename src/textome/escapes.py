"""Signs that do something in a terminal or a spreadsheet, made into signs that only show.

Texts, ids and names come from anybody. A terminal obeys control characters in them (ECMA-48), and a spreadsheet computes
what begins as a formula (OWASP, "CSV Injection").
"""

from __future__ import annotations

import re
from typing import Any

_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\xc2[\x80-\x9f]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(text: str) -> str:
    """`text` with each control character but line breaks and tabs as the picture of it (U+2400 and on), one for one."""
    return text.translate(_PICTURES)


def shown_bytes(data: bytes) -> bytes:
    """The same of UTF-8, in which line ends stay as they are."""
    return _CONTROL.sub(lambda match: shown(match[0].decode("utf-8")).encode("utf-8"), data)


def no_formula(cell: Any) -> Any:
    """A cell that a spreadsheet takes for text: one that begins as a formula gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
