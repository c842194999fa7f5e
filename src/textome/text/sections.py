"""The sections of clinical notes and abstracts: where a heading stands, and what kind of section it begins.

A heading is one of the names in `NAMES`: alone on its line, before a colon at the beginning of a line or a sentence, or in
capitals before a colon anywhere, since notes lose their line breaks on the way. Any other line in capitals, and any other
words in capitals before a colon, end the section before them and begin one without a kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from textome.documents import Span
from textome.patterns import lazy_pattern

# What headings are called, in small letters and without colons.
NAMES: dict[str, str] = {
    "chief_complaint": "chief complaint|cc|reason for visit|reason for consultation|reason for admission"
    "|presenting complaint",
    "history_of_present_illness": "history of present illness|hpi|present illness|interval history|subjective"
    "|clinical history"
    "|history of presenting illness|history|indication|indications|case presentation|case report|case description",
    "past_medical_history": "past medical history|pmh|pmhx|past history|medical history|previous medical history"
    "|past medical and surgical history|past medical/surgical history|history of past illness",
    "past_surgical_history": "past surgical history|psh|surgical history|previous surgeries|past surgeries",
    "family_history": "family history|fh|fhx|family medical history|family hx",
    "social_history": "social history|sh|shx|habits|personal history",
    "medications": "medications|current medications|home medications|medications on admission"
    "|discharge medications|meds"
    "|medications prior to admission|medication|medication list|outpatient medications",
    "allergies": "allergies|allergy|drug allergies|allergies and adverse reactions|medication allergies",
    "review_of_systems": "review of systems|ros|systems review",
    "physical_examination": "physical examination|physical exam|exam|examination|pe|on examination|objective|vital signs"
    "|vitals"
    "|general examination|vitals reviewed",
    "results": "results|laboratory data|laboratory|labs|laboratory studies|laboratory results|findings"
    "|test results|data"
    "|diagnostic studies|diagnostic data|pertinent results|main results",
    "imaging": "imaging|radiology|radiographic studies|x-rays|imaging studies|radiologic studies|radiology results",
    "diagnosis": "diagnosis|diagnoses|final diagnosis|admitting diagnosis|admission diagnosis|admission diagnoses"
    "|discharge diagnosis|discharge diagnoses|preoperative diagnosis|postoperative diagnosis"
    "|pre-op diagnosis|post-op diagnosis"
    "|principal diagnosis|secondary diagnoses|final diagnoses|preoperative diagnoses"
    "|postoperative diagnoses|problem list"
    "|active problems|problems",
    "procedure": "procedure|procedures|procedure performed|operation|operation performed|operative procedure"
    "|technique|anesthesia"
    "|description of procedure|procedure in detail|details of procedure|procedures performed"
    "|surgical history of procedure",
    "hospital_course": "hospital course|course|emergency department course|clinical course|hospital course by problem",
    "assessment": "assessment|impression|assessment and plan|impression and plan|assessment/plan|impression/plan|a/p|a&p"
    "|assessment & plan|clinical impression",
    "conclusions": "conclusion|conclusions|interpretation|discussion|summary|conclusions and relevance",
    "plan": "plan|recommendations|recommendation|disposition|treatment plan|follow-up|followup|follow up"
    "|plan and recommendations",
    "instructions": "instructions|discharge instructions|patient instructions|return precautions",
    "background": "background|introduction|context|rationale",
    "objective": "aim|aims|purpose|objectives|aims of the study|background and objectives|background/aims"
    "|study objective",
    "methods": "methods|method|materials and methods|patients and methods|methodology|study design|design"
    "|setting|subjects"
    "|patients|participants|interventions|intervention|main outcome measures|measurements|data sources|study selection"
    "|subjects and methods|experimental approach",
    "body_system": "constitutional|cardiovascular|respiratory|gastrointestinal|genitourinary|musculoskeletal"
    "|neurological"
    "|neurologic|psychiatric|endocrine|integumentary|hematologic|hematologic/lymphatic"
    "|allergic/immunologic|eyes|ears|ent|heent"
    "|skin|neck|lungs|heart|abdomen|extremities|chest|general|neuro|psych|head|back|pulmonary"
    "|cardiac|gi|gu|breasts|rectal"
    "|vascular|lymphatic|genitalia|ears, nose, mouth and throat|head and face"
    "|eyes, ears, nose and throat|ear, nose and throat"
    "|auscultation of heart|auscultation of lungs|examination of abdomen|palpation|inspection"
    "|oral cavity|nose|mouth|throat"
    "|general appearance|musculoskeletal/extremities|constitutional symptoms",
}
# A body's system is a part of the section that it stands in.
SUBSECTIONS = frozenset(["body_system"])
_KIND = {name: kind for kind, names in NAMES.items() for name in names.split("|")}
_MAX_WORDS = 6
_MAX_LENGTH = 60
_BREAK = r"\n\r\v\f\x85\u2028\u2029"
_LINE_BREAK = lazy_pattern(f"[{_BREAK}]")
_HEADING = lazy_pattern(
    rf"""(?: (?: \A | (?<=[{_BREAK}]) ) [^\S{_BREAK}]* (?:[-*•#]+\s*|\d{{1,2}}[.)]\s*)? | (?<=[.;?!)\]]\s) | (?<=\s\s) )
         (?P<name> [A-Z][\w/&'’,()-]* (?:[ ]{{1,2}}(?:[\w/&'’,()-]+|&|/)){{0,{_MAX_WORDS - 1}}} )
         [ ]? (?: : | (?= [^\S{_BREAK}]* (?: [{_BREAK}] | \Z ) ) )""",
    re.VERBOSE,
)
# In capitals a heading may stand anywhere.
_CAPITALS = lazy_pattern(rf"(?<=\s)(?P<name>[A-Z][A-Z/&-]+(?:[ ][A-Z/&-]+){{0,{_MAX_WORDS - 1}}})[ ]?:")


@dataclass(frozen=True, slots=True)
class Section:
    """A run of text below a heading, to the next one.

    kind     a key of `NAMES`, or empty for a heading of another name
    heading  where its words stand, in code points of the text
    span     from the heading's beginning to the next section's
    """

    kind: str
    heading: Span
    span: Span


def kind_of(name: str) -> str:
    """The kind of a section by its name, as a heading or a format gives it; empty for a name that is not known."""
    return _KIND.get(" ".join(name.lower().split()).rstrip(":"), "")


def find_sections(text: str) -> list[Section]:
    """The sections of a text in order, those of body systems inside the ones that they stand in. Linear in time."""
    if ":" not in text and not _LINE_BREAK.search(text):
        return []
    headings: dict[int, tuple[str, Span]] = {}
    for pattern in (_HEADING, _CAPITALS):
        for match in pattern.finditer(text):
            name = match["name"]
            if len(name) > _MAX_LENGTH:
                continue
            kind = kind_of(name)
            in_line = match[0].endswith(":")
            alone_in_capitals = name.isupper() and len(name) > 3 and (in_line or len(name.split()) > 1)
            if kind or alone_in_capitals:
                headings.setdefault(match.start("name"), (kind, Span(*match.span("name"))))
    ordered: list[tuple[str, Span]] = []
    for start in sorted(headings):
        if not ordered or start >= ordered[-1][1].end:  # "FAMILY HISTORY" is not another "HISTORY"
            ordered.append(headings[start])
    ends = [span.start for kind, span in ordered if kind not in SUBSECTIONS] + [len(text)]
    sections = []
    number = 0
    for index, (kind, span) in enumerate(ordered):
        while ends[number] <= span.start and number < len(ends) - 1:
            number += 1
        end = ends[number]
        if kind in SUBSECTIONS and index + 1 < len(ordered):
            end = min(end, ordered[index + 1][1].start)
        sections.append(Section(kind, span, Span(span.start, end)))
    return sections
