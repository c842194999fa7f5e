"""A client of `textome serve`, with the standard library only.

>>> from textome.client import Client
>>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
...     for document in client.annotate(["Quinine can cause tinnitus."], types=["Disease"]):
...         print([(entity.text, entity.type) for entity in document.entities])

A request that the service could not take (busy, restarting, a connection that broke before the answer) is sent again, later
and later; what annotates changes nothing at the service, so that is safe.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from textome.documents import Document, Identifier
from textome.errors import InputError, TextomeError
from textome.formats.jsonl import document_from, document_to
from textome.uploads import Upload

_AGAIN = (429, 502, 503, 504)
_PIECE = 1 << 16
# Characters of documents in one request, unless one alone has more.
_REQUEST_CHARACTERS = 60_000
_REQUEST_NAMES = 1000


class ServiceError(TextomeError):
    """The service refused a request, or does not answer.

    status     the HTTP status; 0 where there was no answer
    kind       the last part of the problem's type, for instance "queue-full"
    """

    def __init__(self, message: str, status: int = 0, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model of the service, as `GET /v1/models` gives it.

    heads   for each task other than entities its kind and its labels
    """

    name: str
    types: tuple[str, ...]
    default_types: tuple[str, ...]
    tasks: tuple[str, ...]
    heads: Mapping[str, tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a text, or of a sentence at [start, end) of it, and the probability of every label."""

    labels: tuple[str, ...]
    scores: Mapping[str, float]
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer where it stands: [start, end) in code points of the document with this id, and the sentence around it."""

    text: str
    confidence: float
    document: str
    start: int
    end: int
    sentence: str
    sentence_start: int


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text behind a prompt, the natural logarithm of its probability, and what ended it: "end", "stop" or "length"."""

    text: str
    num_tokens: int
    log_probability: float
    ended_by: str


class Client:
    """One connection to a service, kept open. Not for several threads at once: make one client for each.

    url       where the service is, for instance http://127.0.0.1:8000
    key       an API key, where the service asks for one
    timeout   seconds without any sign of the service after which a request is given up
    retries   how often a request is sent again
    backoff   seconds before the first repetition; each next waits twice as long, with some chance in it, but at least
              what the service asks for
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str = "",
        *,
        timeout: float = 90.0,
        retries: int = 5,
        backoff: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url}: this is not an address of a service; give one like http://127.0.0.1:8000")
        self._peer = (parts.hostname, parts.port)
        self._secure = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._sleep = sleep
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def models(self) -> list[ModelDescription]:
        """The models that the service has; the first is what it uses by default."""
        answer = json.loads(self._ask("GET", "/v1/models"))
        return [
            ModelDescription(
                item["name"],
                tuple(item["types"]),
                tuple(item["default_types"]),
                tuple(item["tasks"]),
                {head["name"]: (head["kind"], tuple(head["labels"])) for head in item["heads"]},
            )
            for item in answer["models"]
        ]

    def annotate(
        self,
        documents: str | Document | Sequence[str | Document],
        *,
        model: str = "",
        types: Sequence[str] = (),
        min_confidence: float | None = None,
        flat: bool = False,
        replace: bool = False,
    ) -> list[Document]:
        """The documents with their entities, in order; with `flat`, of those that overlap only the most probable.

        Many documents are sent in several requests, since what one may have is bounded. Raises ServiceError with what the
        service says.
        """
        choices = {
            "model": model,
            "types": list(types),
            "min_confidence": min_confidence,
            "flat": flat,
            "replace": replace,
        }
        answers = (
            self._post("/v1/annotate", {"documents": group} | choices) for group in _groups(_sent(documents)) or [[]]
        )
        return [document for answer in answers for document in _received(answer)]

    def link(
        self, documents: Document | Sequence[Document], *, candidates: int = 1, replace: bool = False
    ) -> list[Document]:
        """The documents, in order, their entities with the identifiers of the concepts that they name.

        candidates   how many concepts an ambiguous name gets
        replace      also link entities that have identifiers, and drop those
        """
        answers = (
            self._post("/v1/link", {"documents": group, "candidates": candidates, "replace": replace})
            for group in _groups(_sent(documents))
        )
        return [document for answer in answers for document in _received(answer)]

    def link_names(self, names: Sequence[str], type: str, *, candidates: int = 1) -> list[tuple[Identifier, ...]]:
        """The concepts of each name of an entity of this type, the likeliest first; none where no vocabulary has it."""
        results: list[tuple[Identifier, ...]] = []
        for start in range(0, len(names), _REQUEST_NAMES):
            body = {"names": list(names[start : start + _REQUEST_NAMES]), "type": type, "candidates": candidates}
            results += [
                tuple(Identifier(item["curie"], item["score"], item["label"]) for item in result["identifiers"])
                for result in self._post("/v1/link", body)["results"]
            ]
        return results

    def classify(
        self, texts: Sequence[str] | Sequence[tuple[str, str]], *, model: str = "", task: str = ""
    ) -> list[Labels]:
        """The labels of each text, or of each pair of texts."""
        return [_labels(item) for item in self._classified(texts, model, task)]

    def classify_sentences(self, texts: Sequence[str], *, model: str = "", task: str = "") -> list[list[Labels]]:
        """The labels of the sentences of each text, with their places; for tasks that read sentences together."""
        return [[_labels(each) for each in item["sentences"]] for item in self._classified(texts, model, task)]

    def relations(
        self,
        documents: str | Document | Sequence[str | Document],
        *,
        model: str = "",
        task: str = "",
        entities: str = "",
        min_confidence: float = 0.0,
    ) -> list[Document]:
        """The documents with relations between their entities, in order.

        entities   the model that finds entities first; by default those that the documents have are used, and where none
                   of them has any, the service's first model for entities is asked
        """
        body = {
            "documents": _sent(documents),
            "model": model,
            "task": task,
            "entities": entities,
            "min_confidence": min_confidence,
        }
        return _received(self._post("/v1/relations", body))

    def answer(
        self,
        question: str,
        documents: str | Document | Sequence[str | Document],
        *,
        number: int = 5,
        model: str = "",
        task: str = "",
    ) -> list[Answer]:
        """The `number` most probable answers that the documents hold, the best first."""
        body = {
            "question": question,
            "documents": _sent(documents),
            "number": number,
            "model": model,
            "task": task,
        }
        return [Answer(**item) for item in self._post("/v1/answer", body)["answers"]]

    def embed(
        self, texts: Sequence[str], *, pooling: str = "", normalise: bool = True, model: str = ""
    ) -> list[list[float]]:
        """Each text as a vector.

        pooling     "mean" of all tokens' last hidden states, or the state of "cls"; by default the model's own
        normalise   to length 1, so that the product of two vectors is their cosine
        """
        body = {"texts": list(texts), "pooling": pooling or None, "normalise": normalise, "model": model}
        vectors: list[list[float]] = self._post("/v1/embed", body)["embeddings"]
        return vectors

    def generate(self, prompts: str | Sequence[str], *, model: str = "", **options: object) -> list[list[WrittenText]]:
        """The texts that a model writes on from each prompt.

        options   what the body of `/v1/generate` may have: max_new_tokens, temperature, top_k, top_p, beam, length_penalty,
                  no_repeat, stop, seed, samples
        """
        body = {"prompts": [prompts] if isinstance(prompts, str) else list(prompts), "model": model, **options}
        results = self._post("/v1/generate", body)["results"]
        return [[WrittenText(**text) for text in texts] for texts in results]

    def _classified(self, texts: Sequence[str] | Sequence[tuple[str, str]], model: str, task: str) -> list[Any]:
        body = {"texts": list(texts)} if all(isinstance(item, str) for item in texts) else {"pairs": list(texts)}
        results: list[Any] = self._post("/v1/classify", body | {"model": model, "task": task})["results"]
        return results

    def annotate_file(
        self,
        path: str | Path,
        *,
        model: str = "",
        types: Sequence[str] = (),
        min_confidence: float | None = None,
        flat: bool = False,
        on_bad_record: Callable[[str, str], None] | None = None,
    ) -> list[Document]:
        """The documents of a file in any format that the service reads.

        on_bad_record   called with place and reason of a record that the service could not read
        """
        query = f"{_query(model, types, min_confidence, flat)}&{urlencode({'name': Path(path).name[-200:]})}"
        answer = json.loads(self._ask("POST", f"/v1/annotate/file?{query}", Path(path).read_bytes()))
        if on_bad_record is not None:
            for item in answer.get("quarantined", ()):
                on_bad_record(item["position"], item["reason"])
        return _received(answer)

    def stream_pubmed_xml(
        self,
        source: str | Path | Iterable[bytes],
        *,
        model: str = "",
        types: Sequence[str] = (),
        min_confidence: float | None = None,
        flat: bool = False,
        on_bad_record: Callable[[str, str], None] | None = None,
    ) -> Iterator[Document]:
        """The citations of PubMed XML of any size, plain or gzip, as they are done; memory does not grow with it.

        source          a file, or its bytes in pieces
        on_bad_record   called with place and reason of a record that the service could not read

        A stream is not sent again. Raises ServiceError where it breaks on the way.
        """
        path = f"/v1/annotate/pubmed-xml?{_query(model, types, min_confidence, flat)}"
        connection = self._new_connection()
        try:
            connection.connect()
        except OSError as error:
            raise ServiceError(f"the service at {self._peer[0]} does not answer ({error}); is it running?") from error
        upload = Upload(connection, self._prefix + path, self._headers, _pieces(source))
        try:
            response = upload.response()
            if response.status != 200:
                raise _problem(response.status, response.read())
            while line := response.readline():
                value = json.loads(line)
                if "quarantined" in value:
                    if on_bad_record is not None:
                        on_bad_record(value["quarantined"]["position"], value["quarantined"]["reason"])
                elif "problem" in value:
                    raise _problem(value["problem"]["status"], json.dumps(value["problem"]).encode())
                else:
                    yield document_from(value, "")
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"the upload broke on the way ({error}); send the rest again") from error
        finally:
            upload.stop()
            connection.close()

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return json.loads(self._ask("POST", path, json.dumps(body).encode()))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        for attempt in range(self._retries + 1):
            wait = 0.0
            try:
                status, headers, data = self._once(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                problem = ServiceError(f"the service at {self._peer[0]} does not answer ({error}); is it running?")
                if isinstance(error, ssl.SSLError):
                    raise problem from error
            else:
                if status == 200:
                    return data
                problem = _problem(status, data)
                if status not in _AGAIN:
                    raise problem
                wait = float(headers.get("Retry-After", "0")) if headers.get("Retry-After", "0").isdecimal() else 0.0
            if attempt == self._retries:
                raise problem
            self._sleep(max(wait, self._backoff * 2**attempt * random.uniform(0.5, 1.0)))
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        fresh = self._connection is None
        if self._connection is None:
            self._connection = self._new_connection()
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        try:
            self._connection.request(method, self._prefix + path, body, headers)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The service closes connections that were idle for long; that is not a failure.
            self.close()
            if fresh:
                raise
            return self._once(method, path, body)
        data = response.read()
        if response.will_close:
            self.close()
        return response.status, dict(response.getheaders()), data

    def _new_connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(*self._peer, timeout=self._timeout)


def _pieces(source: str | Path | Iterable[bytes]) -> Iterator[bytes]:
    if not isinstance(source, str | Path):
        yield from source
        return
    with Path(source).open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _labels(item: Mapping[str, Any]) -> Labels:
    return Labels(tuple(item["labels"]), item["scores"], item.get("start", 0), item.get("end", 0))


def _sent(documents: str | Document | Sequence[str | Document]) -> list[dict[str, Any]]:
    items = [documents] if isinstance(documents, str | Document) else documents
    return [
        {"id": str(number), "text": item} if isinstance(item, str) else document_to(item)
        for number, item in enumerate(items, 1)
    ]


def _groups(documents: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Documents in groups for one request each."""
    groups: list[list[dict[str, Any]]] = []
    size = 0
    for document in documents:
        length = sum(len(item.get("text", "")) for item in document.get("passages", [document]))
        if not groups or size + length > _REQUEST_CHARACTERS:
            groups.append([])
            size = 0
        groups[-1].append(document)
        size += length
    return groups


def _received(answer: Mapping[str, Any]) -> list[Document]:
    return [document_from(item, str(number)) for number, item in enumerate(answer["documents"], 1)]


def _query(model: str, types: Sequence[str], min_confidence: float | None, flat: bool) -> str:
    options = {} if min_confidence is None else {"min_confidence": min_confidence}
    return urlencode({"model": model, "types": ",".join(types), **options} | ({"flat": "true"} if flat else {}))


def _problem(status: int, body: bytes) -> ServiceError:
    try:
        problem: dict[str, Any] = json.loads(body)
        return ServiceError(str(problem["detail"]), status, str(problem["type"]).rpartition(":")[2])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the service answered {status} without a reason", status)
