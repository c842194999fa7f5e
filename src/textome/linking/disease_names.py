"""Other ways to write the name of a disease: "gallbladder dysfunction" is Gallbladder Diseases in the terminologies.

Names are looked up in these forms only where they are not found as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.patterns import lazy_pattern

_HEAD = lazy_pattern(
    r"(.+?)[ -](?:dysfunctions?|damages?|injur(?:y|ies)|lesions?|toxicit(?:y|ies)|impairments?|abnormalit(?:y|ies)|"
    r"defects?|illness(?:es)?|deficits?|complications?|disturbances?|problems?|conditions?|symptoms?|signs?|involvement|"
    r"anomal(?:y|ies)|malformations?|disorders?|diseases?)",
    re.IGNORECASE,
)
# Names by the growth of a tumour, and adjectives, which the terminologies have as the cancer and the deficiency.
_FORMS = {
    "cancer": lazy_pattern(
        r"(.+?)[ -](?:(?:adeno)?carcinomas?|metasta(?:sis|ses)|carcinogenesis|tumou?rigenesis|malignan(?:cy|cies))",
        re.IGNORECASE,
    ),
    "deficiency": lazy_pattern(r"(.+?)[ -]deficient|deficient in (?:the )?(.+)", re.IGNORECASE),
}
_HEADS = ("disease", "disorder", "abnormality")
# Of organs, what the terminologies call them.
_ORGANS = {
    "cerebral": "brain", "myocardial": "heart", "cardiac": "heart", "hepatic": "liver", "renal": "kidney",
    "pulmonary": "lung", "neurological": "nervous system", "neurologic": "nervous system", "neural": "nervous system",
    "ocular": "eye", "dermal": "skin", "cutaneous": "skin", "skeletal": "bone", "hematological": "hematologic",
    "haematological": "hematologic", "psychiatric": "mental", "vascular": "vascular", "gastric": "stomach",
}  # fmt: skip


def other_heads(name: str) -> Iterator[str]:
    """The name with the heads that terminologies have in place of "damage" or "dysfunction", the likeliest first."""
    for head, form in _FORMS.items():
        if match := form.fullmatch(name):
            yield f"{match[match.lastindex or 0]} {head}"
    match = _HEAD.fullmatch(name)
    if match is None:
        return
    words = match[1].split()
    organ = " ".join([*words[:-1], _ORGANS.get(words[-1].lower(), words[-1])])
    for stem in dict.fromkeys([match[1], organ]):
        for head in _HEADS:
            yield f"{stem} {head}"
