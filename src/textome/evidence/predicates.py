"""What a relation between concepts of two types means: a verb for people, and a predicate of the Biolink model.

Source of predicates and categories: Unni et al., Clinical and Translational Science 2022, https://biolink.github.io/biolink-model.
"""

from __future__ import annotations

from typing import NamedTuple


class Predicate(NamedTuple):
    """verb     as in `--relation treats`
    biolink  the predicate's name in the Biolink model
    """

    verb: str
    biolink: str


_CHEMICAL_DISEASE = ("Chemical", "Disease")
# By relation type and the types of head and tail; BioRED's correlation of a drug with a disease is what it does to it.
_PREDICATES = {
    ("Negative_Correlation", *_CHEMICAL_DISEASE): Predicate("treats", "treats_or_applied_or_studied_to_treat"),
    ("Positive_Correlation", *_CHEMICAL_DISEASE): Predicate("causes", "contributes_to"),
    ("CID", *_CHEMICAL_DISEASE): Predicate("causes", "causes"),
    ("Negative_Correlation", "Chemical", "Gene"): Predicate("inhibits", "negatively_correlated_with"),
    ("Positive_Correlation", "Chemical", "Gene"): Predicate("activates", "positively_correlated_with"),
}
_BY_TYPE = {
    "Association": Predicate("associated", "associated_with"),
    "Positive_Correlation": Predicate("increases", "positively_correlated_with"),
    "Negative_Correlation": Predicate("decreases", "negatively_correlated_with"),
    "Bind": Predicate("binds", "directly_physically_interacts_with"),
    "Cotreatment": Predicate("cotreatment", "related_to"),
    "Comparison": Predicate("comparison", "related_to"),
    "Drug_Interaction": Predicate("interacts", "interacts_with"),
    "Conversion": Predicate("converts", "related_to"),
    "co_mention": Predicate("mentioned_with", "occurs_together_in_literature_with"),
}
# What a text that asserts the one says against the other.
OPPOSITES = {"treats": "causes", "causes": "treats", "inhibits": "activates", "activates": "inhibits"}
OPPOSITES |= {"increases": "decreases", "decreases": "increases"}
CATEGORIES = {
    "Chemical": "ChemicalEntity",
    "Disease": "DiseaseOrPhenotypicFeature",
    "Gene": "Gene",
    "Protein": "Protein",
    "Variant": "SequenceVariant",
    "Species": "OrganismTaxon",
    "CellLine": "CellLine",
    "CellType": "Cell",
}


# What corpora call the types whose names `_PREDICATES` and `CATEGORIES` have.
_TYPES = {
    "ChemicalEntity": "Chemical",
    "Drug": "Chemical",
    "DiseaseOrPhenotypicFeature": "Disease",
    "GeneOrGeneProduct": "Gene",
    "SequenceVariant": "Variant",
    "OrganismTaxon": "Species",
}


def type_named(name: str) -> str:
    """The type that a corpus calls by this name."""
    return _TYPES.get(name, name)


def is_reversed(head: str, tail: str) -> bool:
    """Whether a relation between these types is one from the tail to the head."""
    ends = {key[1:] for key in _PREDICATES}
    return (tail, head) in ends and (head, tail) not in ends


def predicate_of(relation: str, head: str, tail: str) -> Predicate:
    """The predicate of a relation type between a head and a tail of these types; an unknown one keeps its own name."""
    predicate = _PREDICATES.get((relation, head, tail)) or _BY_TYPE.get(relation)
    return predicate or Predicate(relation, "related_to")


def category_of(type: str) -> str:
    """The Biolink category of an entity type."""
    return CATEGORIES.get(type, "NamedThing")
