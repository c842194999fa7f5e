"""What requests and answers look like: checked on the way in, and shown in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from textome.serve.outputs import OutputFormat


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is the integer 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Offset = Annotated[int, Field(ge=0, le=100_000_000), BeforeValidator(_whole)]
Identifier = Annotated[str, Field(max_length=1000)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Metadata = dict[str, str]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class PassageModel(_Part):
    """A run of text; `offset` is in code points from the document's start."""

    text: str = ""
    offset: Offset = 0
    section: str = ""
    metadata: Metadata = {}


class EntityModel(_Part):
    """A mention. Each span is [start, end) in code points of the document."""

    id: str = ""
    type: str
    spans: list[Annotated[list[Offset], Field(min_length=2, max_length=2)]] = Field(min_length=1)
    text: str = ""
    confidence: Probability | None = None
    identifiers: list[Identifier] = []
    metadata: Metadata = {}


class RelationModel(_Part):
    """A relation; each argument is [role, id of an entity or relation]."""

    id: str = ""
    type: str
    arguments: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    confidence: Probability | None = None
    metadata: Metadata = {}


class DocumentModel(_Part):
    """A document: its passages, or in their place `text`, or `title` and `abstract`."""

    id: Identifier = ""
    passages: list[PassageModel] = []
    text: str = ""
    title: str = ""
    abstract: str = ""
    entities: list[EntityModel] = []
    relations: list[RelationModel] = []
    metadata: Metadata = {}


class BiocCollection(_Part):
    """A BioC JSON collection (Comeau et al. 2013)."""

    documents: list[dict[str, Any]]


EXAMPLES: dict[str, Any] = {
    "text": {
        "summary": "A text",
        "value": {"text": "Metformin lowered glucose in patients with type 2 diabetes."},
    },
    "documents": {
        "summary": "Documents, two types, as BioC JSON",
        "value": {
            "documents": [
                {"id": "note-1", "text": "Allopurinol was stopped because of a rash."},
                {"id": "note-2", "title": "Colchicine in gout", "abstract": "The attacks of gout became rare."},
            ],
            "types": ["Disease", "Chemical"],
            "min_confidence": 0.5,
            "format": "bioc-json",
        },
    },
    "bioc": {
        "summary": "A BioC collection",
        "value": {
            "bioc": {
                "source": "notes",
                "documents": [
                    {"id": "7", "passages": [{"offset": 0, "infons": {}, "text": "Quinine can cause tinnitus."}]}
                ],
            }
        },
    },
}
_ONE_INPUT: dict[str, Any] = {"oneOf": [{"required": [name]} for name in ("text", "documents", "bioc")]}


class AnnotateRequest(BaseModel):
    """One of `text`, `documents` and `bioc`, and what to look for in it."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra=_ONE_INPUT)

    text: str = Field("", description="A plain text.")
    documents: list[str | DocumentModel] = Field([], description="Texts, or documents.")
    bioc: BiocCollection = Field(BiocCollection(documents=[]), description="A BioC JSON collection.")
    model: str = Field("", description="A name that GET /v1/models gives; by default the first.")
    types: list[str] = Field([], description="Entity types to look for; by default the model's own.")
    min_confidence: Probability = Field(0.0, description="Entities below it are left out.")
    format: OutputFormat = Field("json", description="How the answer is written; brat comes as a zip archive.")
    replace: bool = Field(False, description="Drop the annotations that the documents have already.")

    @model_validator(mode="after")
    def _one_input(self) -> AnnotateRequest:
        if len(self.model_fields_set & {"text", "documents", "bioc"}) != 1:
            raise ValueError("give exactly one of text, documents and bioc")
        return self


class ConvertRequest(BaseModel):
    """Annotated documents, for instance corrected ones, and the format to write them in."""

    model_config = ConfigDict(strict=True, extra="forbid")

    documents: list[DocumentModel]
    format: OutputFormat


class Quarantined(BaseModel):
    """A record of the input that could not be read."""

    position: str
    reason: str


class AnnotateResponse(BaseModel):
    """The documents with their entities, in the order of the request."""

    model: str
    documents: list[DocumentModel]
    quarantined: list[Quarantined] = Field([], description="Records that could not be read; the others are here.")


class ModelInfo(BaseModel):
    """A loaded model."""

    name: str
    bundle: str
    default: bool
    tasks: list[str]
    types: list[str]
    default_types: list[str]
    window: int = Field(
        description="Tokens that the model reads at once; longer sentences are read in several windows."
    )


class Models(BaseModel):
    models: list[ModelInfo]
    formats: list[str] = Field(description="What `format` may be.")
    pubmed: bool = Field(False, description="Whether /v1/annotate/pmid/{pmid} fetches citations from PubMed.")


class ProblemModel(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
