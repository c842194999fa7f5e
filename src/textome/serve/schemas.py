"""What requests and answers look like: checked on the way in, and shown in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema, model_validator

from textome.errors import InputError
from textome.formats.reading.members import IDS, id_of
from textome.serve.outputs import OutputFormat
from textome.tasks.vectors import Pooling


def whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is the integer 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _texts(value: Any) -> Any:
    """One error for all members that are not texts: a list of millions of errors would fill the memory."""
    if isinstance(value, dict) and not all(isinstance(item, str) for item in value.values()):
        raise ValueError("every value should be a string")
    return value


def _probabilities(value: Any) -> Any:
    """One error for all, as `_texts` has it."""
    if isinstance(value, dict) and not all(type(item) in (int, float) and 0 <= item <= 1 for item in value.values()):
        raise ValueError("every value should be a number from 0 to 1")
    return value


T = TypeVar("T")
# A list whose first bad item is told, for the same reason.
Items = Annotated[list[T], FailFast()]
Offset = Annotated[int, Field(ge=0, le=100_000_000), BeforeValidator(whole)]
_SHORT = 1000  # characters
ShortText = Annotated[str, Field(max_length=_SHORT)]
_ID = {"anyOf": [{"type": "string", "maxLength": _SHORT}, {"type": "integer"}, {"type": "null"}]}
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Metadata = Annotated[dict[str, str], BeforeValidator(_texts)]
Scores = Annotated[dict[str, Probability], BeforeValidator(_probabilities)]
SpanModel = Annotated[list[Offset], Field(min_length=2, max_length=2)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class PassageModel(_Part):
    """A run of text; `offset` is in code points from the document's start."""

    text: str = ""
    offset: Offset = 0
    section: str = ""
    metadata: Metadata = {}


class IdentifierModel(_Part):
    """A concept that a mention names: its CURIE, its probability, and its preferred name."""

    curie: ShortText
    score: Probability | None = None
    label: str = ""


class EntityModel(_Part):
    """A mention. Each span is [start, end) in code points of the document."""

    id: str = ""
    type: str
    spans: Items[SpanModel] = Field(min_length=1)
    text: str = ""
    confidence: Probability | None = None
    identifiers: Items[ShortText | IdentifierModel] = []
    attributes: Metadata = {}
    metadata: Metadata = {}


class RelationModel(_Part):
    """A relation; each argument is [role, id of an entity or relation]."""

    id: str = ""
    type: str
    arguments: Items[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    confidence: Probability | None = None
    metadata: Metadata = {}


class LabelModel(_Part):
    """What a task says of the document, or of the text at `span`; `scores` are the probabilities of all its labels."""

    name: str
    task: str = ""
    confidence: Probability | None = None
    span: SpanModel | None = None
    scores: Scores = {}
    metadata: Metadata = {}


class DocumentModel(_Part):
    """A document: its passages, or in their place `text`, or `title` and `abstract`. The id may be a whole number, and may
    stand under `pmid` or another key of JSON lines."""

    id: Annotated[ShortText, WithJsonSchema(_ID)] = ""
    passages: Items[PassageModel] = []
    text: str = ""
    title: str = ""
    abstract: str = ""
    entities: Items[EntityModel] = []
    relations: Items[RelationModel] = []
    labels: Items[LabelModel] = []
    metadata: Metadata = {}

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        members = {key: item for key, item in value.items() if key != "id"}
        for key in IDS:  # "id" is the first
            try:
                name = id_of(value, key)
            except InputError:
                if key == "id":
                    return value  # the schema tells what is wrong
                continue
            if name and (key == "id" or len(name) <= _SHORT):
                return members | {"id": name}
        return members


class BiocCollection(_Part):
    """A BioC JSON collection (Comeau et al. 2013)."""

    documents: Items[dict[str, Any]]


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
CLASSIFY_EXAMPLES: dict[str, Any] = {
    "texts": {"summary": "Texts", "value": {"texts": ["Colchicine relieved the attacks of gout."]}},
}
RELATIONS_EXAMPLES: dict[str, Any] = {
    "text": {"summary": "A text whose entities are found first", "value": {"text": "Quinine can cause tinnitus."}},
}
ANSWER_EXAMPLES: dict[str, Any] = {
    "text": {
        "summary": "A question to a text",
        "value": {"question": "What lowers glucose?", "text": "Metformin lowered glucose in patients with diabetes."},
    },
}
EMBED_EXAMPLES: dict[str, Any] = {
    "texts": {"summary": "Texts", "value": {"texts": ["Colchicine relieved the attacks of gout."]}},
}
_ONE_INPUT: dict[str, Any] = {"oneOf": [{"required": [name]} for name in ("text", "documents", "bioc")]}


class DocumentsRequest(BaseModel):
    """One of `text`, `documents` and `bioc`."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra=_ONE_INPUT)

    text: str = Field("", description="A plain text.")
    documents: Items[str | DocumentModel] = Field([], description="Texts, or documents.")
    bioc: BiocCollection = Field(BiocCollection(documents=[]), description="A BioC JSON collection.")
    model: str = Field("", description="A name that GET /v1/models gives; by default the first that has the task.")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if len(self.model_fields_set & {"text", "documents", "bioc"}) != 1:
            raise ValueError("give exactly one of text, documents and bioc")
        return self


class AnnotateRequest(DocumentsRequest):
    """One of `text`, `documents` and `bioc`, and what to look for in it."""

    types: Items[str] = Field([], description="Entity types to look for; by default the model's own.")
    min_confidence: Probability | None = Field(
        None, description="Entities below it are left out; by default what the model says for each type."
    )
    flat: bool = Field(False, description="Of entities that overlap, keep the most probable.")
    question: str = Field(
        "",
        max_length=2000,
        description="What tasks that read two texts ask of every document; else they are not asked.",
    )
    format: OutputFormat = Field("json", description="How the answer is written; brat comes as a zip archive.")
    replace: bool = Field(False, description="Drop the annotations that the documents have already.")


class RelationsRequest(DocumentsRequest):
    """Documents whose entities may be related."""

    task: str = Field("", description="The task's name, where the model finds relations of several kinds.")
    entities: str = Field(
        "",
        description="The model that finds entities first. By default those that the documents have are used, and where "
        "none of them has any, the first model that finds entities is asked.",
    )
    min_confidence: Probability = Field(0.0, description="Relations below it are left out.")
    format: OutputFormat = Field("json", description="How the answer is written; brat comes as a zip archive.")
    replace: bool = Field(False, description="Drop the relations that the documents have already.")


class AnswerRequest(DocumentsRequest):
    """A question, and the documents in which its answer may stand."""

    question: str = Field(min_length=1, max_length=2000)
    task: str = Field("", description="The task's name, where the model answers questions of several kinds.")
    number: Annotated[int, Field(ge=1, le=100), BeforeValidator(whole)] = Field(
        5, description="The largest number of answers."
    )


class ClassifyRequest(BaseModel):
    """One of `texts` and `pairs`."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"oneOf": [{"required": ["texts"]}, {"required": ["pairs"]}]},
    )

    texts: Items[str] = Field(
        [], description="Texts, each with labels of its own. A task over sentences cuts them itself."
    )
    pairs: Items[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field([], description="Pairs of texts.")
    model: str = Field("", description="A name that GET /v1/models gives; by default the first that has the task.")
    task: str = Field("", description="The task's name, where the model has several.")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if len(self.model_fields_set & {"texts", "pairs"}) != 1:
            raise ValueError("give exactly one of texts and pairs")
        return self


class EmbedRequest(BaseModel):
    """Texts to be given as vectors."""

    model_config = ConfigDict(strict=True, extra="forbid")

    texts: Items[str] = Field(description="Texts; one longer than the model's window is read in windows, and averaged.")
    pooling: Pooling | None = Field(
        None, description="The mean of all tokens' last hidden states, or that of [CLS]; by default the model's own."
    )
    normalise: bool = Field(True, description="To length 1, so that the product of two vectors is their cosine.")
    model: str = Field(
        "", description="A name that GET /v1/models gives; by default the first made for it, or the first."
    )


class ConvertRequest(BaseModel):
    """Annotated documents, for instance corrected ones, and the format to write them in."""

    model_config = ConfigDict(strict=True, extra="forbid")

    documents: Items[DocumentModel]
    format: OutputFormat


class Quarantined(BaseModel):
    """A record of the input that could not be read."""

    position: str
    reason: str


class AnnotateResponse(BaseModel):
    """The documents with their entities, in the order of the request."""

    model: str = Field("", description="Empty where no model ran.")
    documents: list[DocumentModel]
    quarantined: list[Quarantined] = Field([], description="Records that could not be read; the others are here.")
    passed_over: dict[str, int] = Field(
        {}, description="Records that the file says are not data, as rejected examples: how many, by reason."
    )


class ClassifiedSentence(BaseModel):
    """A sentence of a text, [start, end) in code points, with its labels and the probability of every label."""

    start: int
    end: int
    text: str
    labels: list[str]
    scores: dict[str, float]


class ClassifiedText(BaseModel):
    """The labels of a text or pair and the probability of every label; of a task over sentences, those of each."""

    labels: list[str] = []
    scores: dict[str, float] = {}
    sentences: list[ClassifiedSentence] = []


class ClassifyResponse(BaseModel):
    """One result for each text or pair, in the order of the request."""

    model: str
    task: str
    results: list[ClassifiedText]


class EmbedResponse(BaseModel):
    """One vector of `dimensions` numbers for each text, in the order of the request."""

    model: str
    pooling: str
    dimensions: int
    embeddings: list[list[float]]


class AnswerModel(BaseModel):
    """An answer where it stands: [start, end) in code points of the document, and the sentence around it."""

    text: str
    confidence: Probability
    document: str
    start: int
    end: int
    sentence: str
    sentence_start: int


class AnswerResponse(BaseModel):
    """The most probable answers, the best first."""

    model: str
    task: str
    answers: list[AnswerModel]


class TaskInfo(BaseModel):
    """A task other than entities that a model was trained for."""

    name: str
    kind: str
    labels: list[str]
    prefix: str = Field(
        "", description="What stands in front of a prompt by which a text-to-text model knows the task."
    )


class ModelInfo(BaseModel):
    """A loaded model."""

    name: str
    bundle: str
    default: bool
    tasks: list[str]
    types: list[str]
    default_types: list[str]
    heads: list[TaskInfo] = Field([], description="The tasks other than entities, by name.")
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
