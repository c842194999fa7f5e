"""Steps: rules and look-ups that read documents and give them back with more annotations; one file each.

A step is a subclass of `StepSettings` in a module of its own, and a line in `STEPS`. Its fields are its settings, in
Python, in a pipeline file and on the command line alike.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from textome.errors import InputError
from textome.steps.row import Row

if TYPE_CHECKING:
    from textome.steps.step import StepSettings

__all__ = ["STEPS", "Row", "load_step", "step_class"]

# In the order in which a pipeline runs them. Modules are imported when they are first used.
STEPS: dict[str, Row] = {
    "abbreviations": Row(
        "abbreviations",
        "Abbreviations",
        "what short forms stand for; mentions of one agree in a document",
        default=True,
    ),
    "repeated_mentions": Row(
        "repeated_mentions",
        "RepeatedMentions",
        "a name that is surely an entity somewhere in a document is one wherever it stands",
        default=True,
    ),
    "sections": Row(
        "sections", "Sections", "the section of a note or an abstract that an entity stands in", default=True
    ),
    "context": Row(
        "context",
        "Context",
        "negated, uncertain, hypothetical, historical, and what somebody else has",
        default=True,
        options={"cues": "cues"},
        flags={"asserted": "asserted"},
    ),
    "variants": Row(
        "variants",
        "Variants",
        "variants of sequences by their notation, normalised: rs1800562, V600E, c.35delG",
        default=True,
        adds_types=("Variant",),
    ),
    "linking": Row(
        "linking",
        "Linking",
        "identifiers of the concepts that entities name, from vocabularies",
        default=True,
        options={"vocabulary": "vocabularies", "xrefs": "xrefs"},
    ),
    "deidentification": Row(
        "deidentification", "Deidentification", "names, dates, numbers and places of people masked, replaced or marked"
    ),
}


def step_class(name: str) -> type[StepSettings]:
    """The class of the step of this name. Raises InputError for a name that is not in the table."""
    if name not in STEPS:
        raise InputError(f"there is no step {name!r}; the steps are {', '.join(STEPS)}")
    row = STEPS[name]
    step: type[StepSettings] = getattr(import_module(f"textome.steps.{row.module}"), row.name)
    return step


def load_step(name: str, **settings: object) -> StepSettings:
    """The step of this name with these settings.

    Raises InputError for a name that is not in the table, and for settings that the step does not take.
    """
    return step_class(name).of(settings)
