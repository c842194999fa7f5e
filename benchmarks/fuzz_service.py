"""Damaged and hostile requests against a service: no 5xx, no hang, no text of a request in an error.

python benchmarks/fuzz_service.py [--number 10000] [--seed 1] [--url http://127.0.0.1:8000]

Without --url a service is started. Bodies are good requests with bytes changed, cut, doubled and spliced, members replaced
by odd values, JSON nested and repeated, and the formats of the examples, damaged and packed. A body that is answered with
5xx, after more than --slowest seconds, or with its own text in a problem is shown on standard error; the exit code is 1.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SECRET = "zebrafinch"
ODD: list[object] = [
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    10**30,
    "",
    "\x00",
    "\ud800",
    "\U0001f9ec",
    "é" * 300,
    [],
    {},
    [[]],
    {"a": {}},
    "NaN",
    SECRET,
]
HOSTILE = [b"[" * 2000, b'{"a":' * 500, b"9" * 5000, b"1e999", b"NaN", b"\\ud800", b"\xff\xfe"]
CONFIG = '<View><Labels name="label" toName="t"><Label value="Disease"/></Labels><Text name="t" value="$text"/></View>'
QUERIES = ["", "?types=Disease", "?types=%00", "?min_confidence=nan", "?from=jsonl", "?from=conll", "?format=brat"]
TEXT = f"Quinine can cause tinnitus in a {SECRET}."
GOOD: list[dict[str, object]] = [
    {"text": TEXT, "types": ["Disease"], "min_confidence": 0.5, "format": "bioc-json", "replace": True},
    {
        "documents": [
            {
                "id": "1",
                "passages": [{"text": TEXT, "offset": 0, "section": "title"}, {"text": TEXT, "offset": 60}],
                "entities": [{"id": "T1", "type": "Chemical", "spans": [[0, 7]], "text": "Quinine", "confidence": 0.5}],
                "relations": [{"id": "R1", "type": "CID", "arguments": [["drug", "T1"], ["drug", "T1"]]}],
                "metadata": {"a": "b"},
            },
            TEXT,
        ],
        "format": "pubtator",
    },
    {
        "bioc": {
            "documents": [
                {
                    "id": "1",
                    "infons": {"a": "b"},
                    "passages": [
                        {
                            "offset": 0,
                            "text": TEXT,
                            "infons": {},
                            "annotations": [{"id": "1", "text": "Quinine", "locations": [{"offset": 0, "length": 7}]}],
                            "sentences": [{"offset": 0, "text": TEXT}],
                        }
                    ],
                    "relations": [],
                }
            ]
        },
        "format": "bioc-xml",
    },
]
ENTITY = {
    "id": "T1",
    "type": "Disease",
    "spans": [[18, 26]],
    "text": "tinnitus",
    "identifiers": [{"curie": "mesh:D014012"}],
}
DOCUMENT = {"id": "1", "text": TEXT, "entities": [ENTITY]}
TASK = {"id": 1, "data": {"text": TEXT}}
RESULT = {
    "from_name": "label",
    "to_name": "t",
    "type": "labels",
    "value": {"start": 18, "end": 26, "text": "tinnitus", "labels": ["Disease"]},
}
# Good requests of the routes that read others than GOOD. Nothing here starts a training.
OTHERS: list[tuple[str, dict[str, object]]] = [
    ("/v1/compare", {"first": [DOCUMENT], "second": [DOCUMENT | {"entities": [ENTITY | {"type": "Chemical"}]}]}),
    ("/v1/link", {"names": ["tinnitus", SECRET], "type": "Disease", "candidates": 3}),
    ("/v1/link", {"documents": [DOCUMENT], "replace": True, "candidates": 2}),
    ("/v1/label-studio/setup", {"project": "7.165", "schema": CONFIG}),
    ("/v1/label-studio/predict", {"tasks": [TASK], "project": "7.165", "label_config": CONFIG}),
    (
        "/v1/label-studio/webhook",
        {
            "action": "ANNOTATION_CREATED",
            "project": {"id": 7, "label_config": CONFIG},
            "task": TASK,
            "annotation": {"result": [RESULT], "was_cancelled": False},
        },
    ),
]


def damaged_json(good: dict[str, object], generator: random.Random) -> bytes:
    """A good request with up to three members replaced by odd values, or its bytes damaged."""
    value = json.loads(json.dumps(good))
    for _ in range(generator.randint(0, 3)):
        places: list[tuple[object, object]] = []
        collect(value, places)
        owner, key = generator.choice(places)
        if generator.random() < 0.2 and isinstance(owner, dict):
            del owner[key]
        elif generator.random() < 0.1:
            owner[key] = copy.deepcopy([owner[key]] * generator.randint(2, 300))  # type: ignore[index]
        else:
            owner[key] = copy.deepcopy(generator.choice(ODD))  # type: ignore[index]
        if not value:
            break
    data = json.dumps(value).encode("utf-8", "surrogatepass")
    return damaged_bytes(data, generator) if generator.random() < 0.3 else data


def collect(value: dict[str, object] | list[object], places: list[tuple[object, object]]) -> None:
    items: list[tuple[object, object]] = [*(value.items() if isinstance(value, dict) else enumerate(value))]
    for key, item in items:
        places.append((value, key))
        if isinstance(item, dict | list):
            collect(item, places)


def damaged_bytes(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.randint(1, 6)):
        if not changed:
            break
        at = generator.randrange(len(changed))
        match generator.randrange(5):
            case 0:
                changed[at] = generator.randrange(256)
            case 1:
                del changed[at : at + generator.randint(1, 50)]
            case 2:
                piece = changed[at : at + generator.randint(1, 50)]
                changed[at:at] = piece * generator.randint(1, 200)
            case 3:
                changed[at:at] = generator.choice(
                    [b"[" * 2000, b'{"a":' * 500, b"9" * 5000, b"1e999", b"NaN", b"\\ud800", b"\xff\xfe"]
                )
            case _:
                del changed[at:]
    return bytes(changed)


def request(generator: random.Random, files: list[bytes]) -> tuple[str, bytes, dict[str, str]]:
    """A path, a body and headers."""
    if generator.random() < 0.7:
        path, good = generator.choice(OTHERS)
        if generator.random() < 0.5:
            path = generator.choice(["/v1/annotate", "/v1/annotate", "/v1/annotate", "/v1/convert"])
            good = generator.choice(GOOD)
        body = damaged_json(good, generator)
        headers = {}
        if generator.random() < 0.05:
            body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
        return path, body, headers
    body = generator.choice(files)
    if generator.random() < 0.9:
        body = damaged_bytes(body, generator)
    if generator.random() < 0.2:
        body = gzip.compress(body)
        body = damaged_bytes(body, generator) if generator.random() < 0.5 else body
    path = generator.choice(["/v1/annotate/file", "/v1/convert/file", "/v1/annotate/pubmed-xml"])
    query = generator.choice(QUERIES)
    return path, body, {"X-Query": query}


def sources() -> list[bytes]:
    """The examples in every format that is read from one file."""
    import textome

    documents = list(textome.read_documents(EXAMPLES / "abstracts.xml"))[:2]
    made = [(EXAMPLES / "note.txt").read_bytes()]
    with tempfile.TemporaryDirectory() as folder:
        for format in ("pubmed-xml", "bioc-xml", "bioc-json", "jsonl", "pubtator", "conll"):
            path = Path(folder) / format
            textome.write_documents(documents, path, format)
            made.append(path.read_bytes()[:12_000])
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slowest", type=float, default=20.0)
    parser.add_argument("--url", default="")
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    files = sources()
    statuses: Counter[int] = Counter()
    wrong = 0
    slowest = 0.0
    with started(arguments.url) as (process, host, port):
        for number in range(1, arguments.number + 1):
            path, body, headers = request(generator, files)
            path += headers.pop("X-Query", "")
            begun = time.perf_counter()
            status, answer = ask(host, port, path, body, headers, 3 * arguments.slowest)
            seconds = time.perf_counter() - begun
            slowest = max(slowest, seconds)
            statuses[status] += 1
            leaked = status >= 400 and SECRET.encode() in answer
            if status >= 500 or status == 0 or seconds > arguments.slowest or leaked:
                wrong += 1
                print(
                    f"{number}: {path} {status} in {seconds:.1f} s: {body[:300]!r} -> {answer[:300]!r}", file=sys.stderr
                )
            if process is not None and process.poll() is not None:
                print(f"the service ended at request {number}", file=sys.stderr)
                return 1
    print(f"{arguments.number} requests: {dict(sorted(statuses.items()))}; slowest {slowest:.2f} s; {wrong} wrong")
    return int(wrong > 0)


@contextmanager
def started(url: str = "") -> Iterator[tuple[subprocess.Popen[str] | None, str, int]]:
    """A service's process, host and port: one that is started here, or none and those of `url`."""
    if url:
        place = urlsplit(url)
        yield None, place.hostname or "", place.port or 80
        return
    with tempfile.TemporaryDirectory() as corrections:
        yield from serving(corrections)


def serving(corrections: str) -> Iterator[tuple[subprocess.Popen[str] | None, str, int]]:
    command = [sys.executable, "-m", "textome.cli.main", "serve", "--port", "0", "--quiet"]
    command += ["--label-studio", corrections]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    errors = process.stderr
    assert errors is not None
    match = re.search(r"http://([\d.]+):(\d+)", errors.readline())
    assert match is not None
    threading.Thread(target=lambda: [print(line, end="", file=sys.stderr) for line in errors], daemon=True).start()
    try:
        yield process, match[1], int(match[2])
    finally:
        process.terminate()
        process.wait(60)


def ask(host: str, port: int, path: str, body: bytes, headers: dict[str, str], timeout: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error).encode()
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
