"""What stands instead of personal data: invented, and the same for the same wherever the same patient's texts say it.

All is drawn by HMAC-SHA-256 (RFC 2104) of the patient and the text, so that nothing needs to be kept: with the secret the
same input gives the same surrogate in every process and at any time; without it nobody can compute which stands for which.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from textome.text.deidentification.dates import shifted
from textome.text.deidentification.people import load_names
from textome.text.deidentification.rules import Rules

MAX_SHIFT = 365
_LISTED = 400
_WORD = re.compile(r"[^\W\d_]+")
_TOWNS = (
    "Ashbrook", "Birchford", "Calderham", "Dunmere", "Eastwick", "Fernhill", "Glenbury", "Harrowgate", "Ivybridge",
    "Kingsmoor", "Larkfield", "Marlowe", "Northby", "Oakhurst", "Penwood", "Quarrydale", "Redmarsh", "Silverton",
    "Thornley", "Underhill", "Valewood", "Westmarch", "Yarrowby", "Brackendale", "Coldwater", "Elmsworth", "Foxholm",
    "Greyfield", "Hollowell", "Linden Bay", "Mossgate", "Netherby", "Otterbourne", "Pinecrest", "Rosedale",
    "Stonebridge",
)  # fmt: skip
_STREETS = (
    "Alder", "Beech", "Cedar", "Chestnut", "Elm", "Fir", "Hawthorn", "Hazel", "Juniper", "Larch", "Laurel", "Linden",
    "Maple", "Oak", "Pine", "Poplar", "Rowan", "Spruce", "Sycamore", "Willow", "Mill", "Bridge", "Church", "Garden",
    "Harbour", "Market",
)  # fmt: skip


@dataclass(frozen=True)
class Surrogates:
    """The surrogates of one patient.

    secret      what nobody else may know
    patient     who it is; the same text of two patients has two surrogates
    day_first   in dates of numbers the day stands before the month
    """

    secret: bytes
    patient: str
    rules: Rules
    day_first: bool = False

    @property
    def days(self) -> int:
        """By how much all dates of the patient are moved: 1 to 365 days, to the past or the future."""
        number = self._number("days", "") % (2 * MAX_SHIFT)
        return number - MAX_SHIFT if number < MAX_SHIFT else number - MAX_SHIFT + 1

    def of(self, kind: str, text: str) -> str:
        """What stands instead of `text`; never `text` itself."""
        for attempt in range(20):
            new = self._of(kind, text, str(attempt) if attempt else "")
            if new.casefold() != text.casefold():
                return new
        return f"[{kind}]"

    def _of(self, kind: str, text: str, salt: str) -> str:
        if kind == "DATE":
            months = self.rules.words["date"]["months"]
            return shifted(text, self.days, months, self.day_first) or f"[{kind}]"
        if kind == "NAME":
            return self._name(text, salt)
        if kind == "AGE":
            return "90"
        if kind in ("PHONE", "ID"):
            return self._characters(kind, text, salt)
        key = self._number(kind, text, salt)
        if kind == "EMAIL":
            return f"{self._letters(key)}@example.org"
        if kind == "URL":
            return f"https://example.org/{self._letters(key)}"
        if kind == "IP":
            return f"192.0.2.{key % 254 + 1}"  # RFC 5737: for documentation
        if kind == "ADDRESS":
            if text.isdigit() or not _WORD.search(text):
                return self._characters(kind, text, salt)
            return f"{key % 190 + 1} {_STREETS[key // 190 % len(_STREETS)]} Street"
        town = _TOWNS[key % len(_TOWNS)]
        return f"{town} Hospital" if kind == "ORGANISATION" else town

    def _name(self, text: str, salt: str) -> str:
        """Each word by another name, given names by given names; initials by letters, particles as they are."""
        names = load_names()
        particles = {word for item in self.rules.words["name"]["particles"] for word in item.split()}

        def replace(match: re.Match[str]) -> str:
            word = match[0]
            if word.lower() in particles and word.islower():
                return word
            if word == "s" and text[: match.start()].endswith(("'", "’")):
                return word
            key = self._number("NAME", word, salt)
            if len(word) == 1:
                letter = "ABCDEFGHJKLMNPRSTVW"[key % 19]
                return letter if word.isupper() else letter.lower()
            new = _listed("given" if word.lower() in names["given"] else "surname")[key % _LISTED]
            return new.upper() if word.isupper() else new.capitalize() if word[0].isupper() else new

        return _WORD.sub(replace, text)

    def _characters(self, kind: str, text: str, salt: str) -> str:
        """Digits by digits and letters by letters."""
        stream = self._bytes(kind, text, salt)
        result = []
        for number, character in enumerate(text):
            draw = stream[number % len(stream)] + number // len(stream)
            if character.isdigit():
                result.append(str(draw % 9 + 1))
            elif character.isalpha():
                letter = "ABCDEFGHJKLMNPRSTUVWXYZ"[draw % 23]
                result.append(letter if character.isupper() else letter.lower())
            else:
                result.append(character)
        return "".join(result)

    def _bytes(self, kind: str, text: str, salt: str = "") -> bytes:
        message = "\0".join((self.patient, kind, " ".join(text.casefold().split()), salt))
        return hmac.new(self.secret, message.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()

    def _number(self, kind: str, text: str, salt: str = "") -> int:
        return int.from_bytes(self._bytes(kind, text, salt)[:8], "big")

    @staticmethod
    def _letters(key: int) -> str:
        return "".join("abcdefghijklmnop"[key >> 4 * index & 15] for index in range(8))


@lru_cache(maxsize=2)
def _listed(kind: str) -> Sequence[str]:
    """400 names of a list, of ASCII letters, spread over the alphabet; none is an ordinary word."""
    names = load_names()
    other = names["given"] if kind == "surname" else frozenset()
    fit = sorted(
        name
        for name in names[kind] - names["word"] - other
        if name.isascii() and name.isalpha() and 4 <= len(name) <= 9
    )
    return fit[:: len(fit) // _LISTED][:_LISTED]
