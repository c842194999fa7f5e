"""Other ways to write the name of a disease: "gallbladder dysfunction" is Gallbladder Diseases in the terminologies.

Names are looked up in these forms only where they are not found as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.patterns import lazy_pattern

_HEAD = lazy_pattern(
    r"(\S.*?)[ -](?:dysfunctions?|damages?|injur(?:y|ies)|lesions?|toxicit(?:y|ies)|impairments?|abnormalit(?:y|ies)|"
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
# Inflammations by their organ, and adjectives: "bladder inflammation" is cystitis, "thrombocytopenic" thrombocytopenia.
_INFLAMMATION = lazy_pattern(
    r"(?:\w+ )??(?P<first>\S+)[ -]inflammation|inflammation of the (?P<last>\S+)", re.IGNORECASE
)
_INFLAMED = {
    "cystitis": "bladder", "nephritis": "kidney renal", "interstitial nephritis": "tubulointerstitial",
    "glomerulonephritis": "glomerular", "hepatitis": "liver hepatic", "pancreatitis": "pancreatic pancreas",
    "synovitis": "synovial synovium", "arthritis": "joint", "myositis": "muscle muscular", "tendinitis": "tendon",
    "mucositis": "mucosal mucosa", "dermatitis": "skin cutaneous dermal", "gingivitis": "gingival gum",
    "encephalitis": "brain cerebral", "meningitis": "meningeal", "neuritis": "nerve",
    "gastritis": "gastric stomach", "enteritis": "intestinal", "colitis": "colonic colon", "peritonitis": "peritoneal",
    "esophagitis": "esophageal", "vasculitis": "vascular", "arteritis": "arterial", "myocarditis": "myocardial",
    "pericarditis": "pericardial", "bronchitis": "bronchial", "rhinitis": "nasal", "sinusitis": "sinus",
    "keratitis": "corneal", "conjunctivitis": "conjunctival", "prostatitis": "prostate prostatic", "vaginitis": "vaginal",
}  # fmt: skip
_INFLAMED_ORGANS = {organ: name for name, organs in _INFLAMED.items() for organ in organs.split()}
_ADJECTIVE = lazy_pattern(r"(.*[a-z]{4})(?:ic|ous|al)")
_NOUNS = ("ia", "is", "y", "ism", "us")


_GENERAL = lazy_pattern(
    r"(?:\w+ )?(?:diseases?|disorders?|syndromes?|infections?|tumou?rs?|neoplasms?|cancers?|injur(?:y|ies)|lesions?|"
    r"conditions?|symptoms?|dysfunctions?|deficienc(?:y|ies)|damages?|complications?)",
    re.IGNORECASE,
)


def is_general(name: str) -> bool:
    """Whether a name says no more than that there is a disease, a tumour or an infection, of an organ at most."""
    return _GENERAL.fullmatch(name) is not None


def other_heads(name: str) -> Iterator[str]:
    """The name with the heads that terminologies have in place of "damage" or "dysfunction", the likeliest first."""
    for head, form in _FORMS.items():
        if match := form.fullmatch(name):
            yield f"{match[match.lastindex or 0]} {head}"
    match = _INFLAMMATION.fullmatch(name)
    if match and (inflamed := _INFLAMED_ORGANS.get((match["first"] or match["last"]).lower())):
        yield inflamed
    if match := _HEAD.fullmatch(name):
        *words, last = match[1].split()
        for stem in dict.fromkeys([match[1], " ".join([*words, _ORGANS.get(last.lower(), last)])]):
            for head in _HEADS:
                yield f"{stem} {head}"
    words = name.split()
    for index, word in enumerate(words):
        if organ := _ORGANS.get(word.lower()):
            yield " ".join([*words[:index], organ, *words[index + 1 :]])
    if match := _ADJECTIVE.fullmatch(name):
        yield from (match[1] + ending for ending in _NOUNS)
