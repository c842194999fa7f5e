"""Documents that are small to send and large to read, against a service: time and memory are bounded, and there is no 5xx.

python benchmarks/fuzz_documents.py [--number 2000] [--seed 1] [--memory 500] [--seconds 5]

A service is started. Each request has documents with spans (whole, crossing, in pieces, unordered, outside), relations
(chains, rings, hubs), passages (many, empty, far apart), nested and repeated values, or a file of one of the formats with
too much of something, plain or packed. For each, the processor time and the peak of resident memory that the service's
process had meanwhile are taken from /proc (Linux). One beyond the bounds, or answered with 5xx, is shown on standard error;
the exit code is 1.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import lzma
import math
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzz_service import ask, started

FORMATS = ["json", "jsonl", "bioc-json", "bioc-xml", "pubtator", "brat", "conll", "csv", "html"]
WORDS = ["gout", "in", "aspirin", "é", "\U0001f9ec", "\n", "BRCA1", "a", ".", "\x00", "β-blocker"]
# Characters that the model reads in one request are kept about here: reading is what it is for, and takes its time.
READ = 10_000
Request = tuple[str, str, bytes, dict[str, str]]


def size(generator: random.Random, most: int) -> int:
    """From 1 to `most`, each order of magnitude as likely as another."""
    return max(1, int(math.exp(generator.uniform(0, math.log(most)))))


def text_of(generator: random.Random, characters: int) -> str:
    if generator.random() < 0.3:
        return generator.choice(WORDS) * (characters // 2)
    return (" ".join(generator.choice(WORDS) for _ in range(min(characters, 3000))) * (characters // 3000 + 1))[
        :characters
    ]


def spans_of(generator: random.Random, length: int, pattern: str, number: int) -> list[list[int]]:
    match pattern:
        case "word":
            start = generator.randrange(max(1, length))
            return [[start, min(length, start + 8)]]
        case "whole":
            return [[0, length]]
        case "crossing":
            return [[number % max(1, length), min(length, number % max(1, length) + length // 2 + 1)]]
        case "ends":
            return [[0, 1], [length - 1, length]]
        case "pieces":
            return [[place, place + 1] for place in range(0, min(length, 2 * size(generator, 2000)), 2)]
        case "same":
            return [[0, length]] * size(generator, 1000)
        case "unordered":
            return [[length // 2, length], [0, length // 2 + 1]]
        case _:
            return [[generator.choice([-1, 0, length, 10**8, 5]), generator.choice([0, length, 10**8, 10**30, 2])]]


def document_of(generator: random.Random, characters: int, most: int) -> dict[str, Any]:
    """A document of about so many characters with at most so many annotations."""
    text = text_of(generator, characters)
    document: dict[str, Any] = {"id": generator.choice(["1", "", "x" * size(generator, 2000), "../a"])}
    if generator.random() < 0.5:
        document["text"] = text
    else:
        step = size(generator, len(text) + 1)
        gap = generator.choice([0, 0, 1, 1000])
        document["passages"] = [
            {"text": text[start : start + step], "offset": start + gap * (start // step), "section": "s"}
            for start in range(0, len(text), max(step, len(text) // 20_000 + 1))
        ]
    pattern = generator.choice(
        ["word", "word", "word", "whole", "crossing", "ends", "pieces", "same", "unordered", "odd"]
    )
    if pattern in ("same", "pieces"):
        most = max(1, most // 500)
    named = generator.random() < 0.7
    document["entities"] = [
        {
            "type": "X" if generator.random() < 0.9 else "Y" * 50,
            "spans": spans_of(generator, len(text), pattern, number),
        }
        | ({"id": f"T{number}"} if named else {})
        | ({"identifiers": ["mesh:D" + "1" * 500] * 3} if generator.random() < 0.05 else {})
        for number in range(size(generator, most))
    ]
    entities = len(document["entities"])
    relations = size(generator, most)
    match generator.choice(["none", "chain", "ring", "hub", "wide", "pairs"]) if named else "none":
        case "chain":
            pairs = [[["a", f"R{number + 1}"]] for number in range(relations)] + [[["a", "T0"]]]
        case "ring":
            pairs = [[["a", f"R{(number + 1) % relations}"]] for number in range(relations)]
        case "hub":
            pairs = [[["a", "T0"], ["b", "T0"]] for _ in range(relations)]
        case "wide":
            pairs = [[["a", f"T{number % entities}"] for number in range(relations)]]
        case "pairs":
            pairs = [[["a", f"T{number % entities}"], ["b", "T0"]] for number in range(relations)]
        case _:
            pairs = []
    document["relations"] = [{"id": f"R{number}", "type": "R", "arguments": item} for number, item in enumerate(pairs)]
    if generator.random() < 0.2:
        document["metadata"] = {f"k{number}": "v" for number in range(size(generator, most))}
    return document


def documents(generator: random.Random) -> Request:
    """Documents as JSON, to be written in another format or annotated."""
    annotating = generator.random() < 0.3
    characters = size(generator, READ if annotating else 1_000_000)
    number = size(generator, 5) if generator.random() < 0.9 else size(generator, 6000)
    items = [document_of(generator, max(1, characters // number), 60_000 // number + 1) for _ in range(number)]
    body = {"documents": items, "format": generator.choice(FORMATS)}
    return f"documents {body['format']}", "/v1/annotate" if annotating else "/v1/convert", json.dumps(body).encode(), {}


def nested(generator: random.Random) -> Request:
    """Values that nobody needs, deep or many."""
    number = size(generator, 4_000_000)
    value = generator.choice(
        [
            "[" * number,
            "[]," * number + "1",
            "{}," * number + "1",
            '{"":0},' * number + "1",
            "1.5," * number + "1",
            '"",' * number + "1",
            '"é",' * number + "1",
            '"ab",' * number + "1",
            "[1]," * number + "1",
            ",".join(f'{{"{place}":{place}}}' for place in range(min(number, 500_000))),
            '"' + "\\u0001" * number + '"',
            '"' + '\\"[' * number + '"',
            '"' + "[{" * number + '"',
            "9" * number,
        ]
    )[:16_000_000]
    place = generator.choice(
        [
            '{"documents": [%s]}',
            '{"text": "a", "types": [%s]}',
            '{"documents": [{"text": "a", "entities": [%s]}]}',
            '{"documents": [{"text": "a", "x": [%s]}]}',
            '{"documents": [{"text": "a", "entities": [{"type": "X", "spans": [%s]}]}]}',
            '{"documents": [{"text": "a", "metadata": {"a": [%s]}}]}',
            '{"bioc": {"documents": [%s]}}',
            '{"bioc": {"documents": [{"passages": [%s]}]}}',
            '{"bioc": {"documents": [{"passages": [{"text": "gout", "offset": 0, "annotations": [%s]}]}]}}',
            '{"text": %s}',
            "[%s]",
            "%s",
        ]
    )
    return (
        "nested",
        generator.choice(["/v1/annotate", "/v1/convert", "/v1/annotate/file"]),
        (place % value).encode(),
        {},
    )


def members(generator: random.Random) -> Request:
    """Objects of very many members, known or not, of a wrong type or twice."""
    number = size(generator, 500_000)
    many = ",".join(f'"k{place}":{generator.choice(["1", "[]"])}' for place in range(number))
    place = generator.choice(
        [
            "{%s}",
            '{"documents": [{"text": "a", "metadata": {%s}}]}',
            '{"documents": [{"text": "a", %s}]}',
            '{"bioc": {"documents": [{"infons": {%s}, "passages": []}]}}',
            '{"text": "a", "text": "b", %s}',
        ]
    )
    return "members", "/v1/annotate", (place % many).encode(), {}


def bioc(generator: random.Random) -> Request:
    """BioC JSON with offsets in other units, sentences, and annotations without end."""
    text = text_of(generator, size(generator, 200_000))
    number = size(generator, 40_000)
    pattern = generator.choice(["word", "whole", "crossing", "ends", "same", "odd"])
    annotations = [
        {
            "id": str(place),
            "infons": {"type": "X"},
            "text": generator.choice(["gout", text[:20], ""]),
            "locations": [
                {"offset": start, "length": end - start}
                for start, end in spans_of(generator, len(text), pattern, place)[: size(generator, 50)]
            ],
        }
        for place in range(number)
    ]
    step = size(generator, len(text) + 1)
    sentences = [{"offset": start, "text": text[start : start + step]} for start in range(0, len(text), step)][:20_000]
    passage = {"offset": 0, "text": text if generator.random() < 0.7 else "", "annotations": annotations}
    passage["sentences"] = sentences
    document: dict[str, object] = {"id": "1", "passages": [passage]}
    body = {"documents": [document]}
    if generator.random() < 0.5:
        document["relations"] = [{"id": "R", "nodes": [{"refid": "0", "role": "a"}] * number}] * 3
    if len(text) > READ:
        annotations.append({"id": "odd", "text": "nowhere", "locations": [{"offset": 0, "length": 3}]})
    if generator.random() < 0.5:
        return "bioc", "/v1/annotate", json.dumps({"bioc": body}).encode(), {}
    return "bioc", "/v1/annotate/file?from=bioc-json", json.dumps(body).encode(), {}


def file(generator: random.Random) -> Request:
    """A file with too much of one thing."""
    number = size(generator, 2_000_000)
    kind, begin, middle, end = generator.choice(
        [
            ("bioc-xml", "<collection><document>", "<a/>", "</document></collection>"),
            ("bioc-xml", "<collection><document>", '<infon key="a">b</infon>', "</document></collection>"),
            ("bioc-xml", "<collection><document><id>1</id><passage><text>gout</text>", "<annotation/>", "</passage>"),
            ("bioc-xml", "<collection>", "<document><passage><text>a</text></passage></document>", "</collection>"),
            ("bioc-xml", "<collection><document>", "<passage>" * 200, ""),
            ("bioc-xml", "<collection><document>", "&#x41;" * 20, "</document></collection>"),
            ("pubmed-xml", "<PubmedArticleSet><PubmedArticle>", "<a b='c'/>", "</PubmedArticle></PubmedArticleSet>"),
            ("jats", "<article><body>", "<p><sup/></p>", "</body></article>"),
            ("jats", "<article><body>", "<sec>", ""),
            ("conll", "", "a\tB-X\n", ""),
            ("conll", "", "a\tO\n\n", ""),
            ("pubtator", "1|t|gout\n1|a|\n", "1\t0\t4\tgout\tX\n", ""),
            ("pubtator", "", "1|t|gout\n\n", ""),
            ("pubtator", "1|t|gout\n1|a|\n", "1\tCID\tD1\tD2\n", ""),
            ("medline", "PMID- 1\nTI  - a\n", "AB  - b\n", ""),
            ("medline", "", "PMID- 1\nTI  - a\n\n", ""),
            ("ris", "", "TY  - JOUR\nTI  - a\nER  - \n", ""),
            ("csv", "text", ",a", "\ngout\n"),
            ("csv", "text\n", '"a', '"\n'),
            ("csv", "text\n", "gout\n", ""),
            ("jsonl", "", '{"text": "a"}\n', ""),
            ("jsonl", "", '"a"\n', ""),
            ("jsonl", "", "{\n", ""),
            ("plain", "", "\n", ""),
            ("plain", "", "\r", ""),
            ("plain", "", "a.", ""),
            ("", "", "\r\n", ""),
            ("", "a,b\r", "\r", ""),
            ("", "{", '"text":', ""),
            ("", "<", "!ENTITY a '&a;&a;'>", ""),
            ("", "", "'\"", ""),
        ]
    )
    most = 16_000_000
    if generator.random() < 0.5 or (not kind and middle.strip()) or (kind, middle) in (("plain", "a."), ("csv", '"a')):
        most = READ
    data = (begin + middle * min(number, most // len(middle)) + end).encode()
    headers: dict[str, str] = {}
    match generator.randrange(8):
        case 0:
            data = bz2.compress(data)
        case 1:
            data = lzma.compress(data, preset=1)
        case 2:
            data, headers = gzip.compress(data, 1), {"Content-Encoding": "gzip"}
    if kind == "pubmed-xml" and generator.random() < 0.5:
        return "stream", "/v1/annotate/pubmed-xml", data, headers
    return f"file {kind}", "/v1/annotate/file" + (f"?from={kind}" if kind else ""), data, headers


MAKERS: list[tuple[Callable[[random.Random], Request], int]] = [
    (documents, 8),
    (nested, 3),
    (members, 1),
    (bioc, 3),
    (file, 5),
]


def requests(seed: int, number: int) -> Iterator[Request]:
    generator = random.Random(seed)
    makers, weights = zip(*MAKERS, strict=True)
    for _ in range(number):
        yield generator.choices(makers, weights)[0](generator)


class Watch:
    """Processor seconds of a process, and its peak of resident memory since `begin`, in bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def begin(self) -> None:
        (self._folder / "clear_refs").write_text("5")
        self._before = self._processor()

    def end(self) -> tuple[float, int]:
        status = (self._folder / "status").read_text().split("VmHWM:")[1]
        return self._processor() - self._before, 1024 * int(status.split()[0])

    def _processor(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", type=float, default=500, help="MB of the whole process")
    parser.add_argument("--seconds", type=float, default=5, help="of processor time")
    arguments = parser.parse_args()
    statuses: Counter[int] = Counter()
    worst: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    wrong = 0
    large = False
    with started() as (process, host, port):
        assert process is not None
        watch = Watch(process.pid)
        for number, (kind, path, body, headers) in enumerate(requests(arguments.seed, arguments.number), 1):
            if large:  # what it took is given back half a second later
                time.sleep(1)
            large = len(body) > 200_000
            watch.begin()
            begun = time.perf_counter()
            status, answer = ask(host, port, path, body, headers, 120)
            elapsed = time.perf_counter() - begun
            seconds, memory = watch.end()
            statuses[status] += 1
            row = worst[kind]
            row[:] = row[0] + 1, max(row[1], seconds), max(row[2], memory / 1e6)
            if not 200 <= status < 500 or seconds > arguments.seconds or memory > 1e6 * arguments.memory:
                wrong += 1
                print(
                    f"{number}: {kind} {path} {status}, {seconds:.1f} s of processor time, {elapsed:.1f} s, "
                    f"{memory / 1e6:.0f} MB: "
                    f"{len(body):,} bytes {body[:160]!r} -> {len(answer):,} bytes {answer[:300]!r}",
                    file=sys.stderr,
                )
            if number % 100 == 0:
                print(
                    f"{number} requests: {dict(sorted(statuses.items()))}; {wrong} beyond the bounds", file=sys.stderr
                )
            if process.poll() is not None:
                print(f"the service ended at request {number}", file=sys.stderr)
                return 1
    for kind, (num_requests, max_seconds, max_memory) in sorted(worst.items()):
        print(
            f"{kind:22}{num_requests:6.0f} requests, at most {max_seconds:5.2f} s of processor time, {max_memory:4.0f} MB"
        )
    print(
        f"{arguments.number} requests, seed {arguments.seed}: {dict(sorted(statuses.items()))}; {wrong} beyond the bounds"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
