"""Keys: what is left of a name when its spelling no longer matters; two names with one key are one name.

A key is made in the same way when an index is built and when a mention is looked up. Case, accents, hyphens and spaces go;
Greek letters become words. In the profile `words`, as for diseases, a plural and a British spelling go too; in the
profile `symbols`, as for genes and cell lines, they stay, since `KRAS` is not a plural.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b

# Entities whose names are symbols; all others have names of words.
SYMBOL_TYPES = frozenset({"Gene", "CellLine", "Variant"})
MAX_NAME = 1000  # code points; what is longer is not a name

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ο": "omicron", "π": "pi", "ρ": "rho",
    "σ": "sigma", "ς": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_FOLDED = str.maketrans({**_GREEK, "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})
_MARKS = re.compile("[\u0300-\u036f]")
_WORD = re.compile(r"[^\W_]+")
_STOP_WORDS = frozenset(
    {"of", "the", "and", "or", "a", "an", "in", "on", "to", "with", "by", "for", "from", "due", "nos", "not", "otherwise",
     "specified", "unspecified", "type"}
)  # fmt: skip
# Heads that the field uses for one another: what each becomes where the order of words does not count.
_HEADS = {"tumor": "neoplasm", "cancer": "neoplasm", "malignancy": "neoplasm", "disorder": "disease", "kidney": "renal",
          "liver": "hepatic", "cardiac": "heart", "lung": "pulmonary"}  # fmt: skip


def words_of(name: str, profile: str = "words") -> list[str]:
    """The words of a name, folded: letters and digits only. In the profile `words` plurals and spellings are folded too."""
    if name.isascii():
        folded = name.lower()
    else:
        folded = _MARKS.sub("", unicodedata.normalize("NFKD", name).casefold()).translate(_FOLDED)
    words = _WORD.findall(folded)
    return [_singular(word) for word in words] if profile == "words" else words


def key_of(name: str, profile: str = "words") -> str:
    """The key of a name; empty where the name has neither letter nor digit.

    A space stands only between two digits, so that `1,2` is not `12`.
    """
    words = words_of(name, profile)
    if len(words) < 2:
        return words[0] if words else ""
    key = words[0]
    for word in words[1:]:
        key += f" {word}" if key[-1].isdigit() and word[0].isdigit() else word
    return key


def bag_of(name: str, profile: str = "words") -> str:
    """The key of a name whose words may stand in any order: sorted, each once, without those that carry no meaning."""
    words = {_HEADS.get(word, word) for word in words_of(name, profile)}
    return " ".join(sorted(words - _STOP_WORDS or words))


def hash_of(key: str) -> int:
    """The 64-bit hash of a key: the first 8 bytes of BLAKE2b (RFC 7693) of its UTF-8, as a big-endian number."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def profile_of(entity_type: str) -> str:
    """The profile for names of entities of this type."""
    return "symbols" if entity_type in SYMBOL_TYPES else "words"


@lru_cache(maxsize=1 << 14)
def _singular(word: str) -> str:
    """A word in American spelling without its plural ending. Rules, and so wrong at times, but wrong for both sides."""
    if len(word) > 4:
        word = word.replace("aemi", "emi").replace("haem", "hem").replace("oede", "ede").replace("oeso", "eso")
        word = word.replace("paed", "ped").replace("sulph", "sulf").replace("rrhoea", "rrhea").replace("caec", "cec")
        if word.endswith(("tumour", "tumours")):
            word = word.replace("tumour", "tumor")
    if len(word) < 4 or word[-1] != "s" or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]
