"""Load on the service, beside the offline pipeline and a plain transformers pipeline behind FastAPI.

python benchmarks/serve.py                              30 seconds at 64 connections, texts of the examples
python benchmarks/serve.py --seconds 300 --data FILE    documents of your own, for instance real abstracts
python benchmarks/serve.py --workers 4                  several processes that share the model's memory
python benchmarks/serve.py --peer                       also the pipeline (needs transformers and torch)

Everything runs on loopback: the service is a process of its own, and so is the load. Each connection asks for one document
at a time, without a pause. Printed: documents/s, latencies, errors, 503s, and the service's memory at the end against its
memory after a fifth of the run (proportional set size: what processes share is counted once). `--json` prints a machine's
version.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import textome
from textome.processors import available_threads

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "abstracts.xml"
HEAD = "POST /v1/annotate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
PEER = """
import sys, uvicorn
from fastapi import FastAPI
from transformers import AutoTokenizer, pipeline
import torch
torch.set_num_threads({threads})
tokenizer = AutoTokenizer.from_pretrained({model!r}, model_max_length=512)
run = pipeline("token-classification", model={model!r}, tokenizer=tokenizer, device="cpu", stride=128,
               aggregation_strategy="simple")
app = FastAPI()
@app.post("/v1/annotate")
def annotate(body: dict):
    return [{{"word": item["word"], "score": float(item["score"])}} for item in run(body["text"])]
uvicorn.run(app, host="127.0.0.1", port={port}, log_level="warning")
"""


@dataclass
class Load:
    """What a run of load saw."""

    documents: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    processor_seconds: float = 0.0

    def summary(self) -> dict[str, object]:
        ordered = sorted(self.latencies) or [0.0]
        early = self.memory[len(self.memory) // 5] if self.memory else 0.0
        return {
            "documents_per_second": round(self.documents / self.seconds, 1),
            "processor_ms_per_document": round(1000 * self.processor_seconds / max(1, self.documents), 1),
            "statuses": dict(self.statuses),
            **{f"p{share}_ms": round(1000 * ordered[(len(ordered) - 1) * share // 100], 1) for share in (50, 95, 99)},
            "memory_mb_after_warm_up": round(early, 1),
            "memory_mb_at_the_end": round(self.memory[-1], 1) if self.memory else 0.0,
            "memory_growth_percent": round(100 * (self.memory[-1] / early - 1), 1) if early else 0.0,
        }


async def put_under_load(port: int, texts: list[str], connections: int, seconds: float, pid: int) -> Load:
    """Keep `connections` busy for `seconds`, each with one request at a time on one connection."""
    load = Load()
    turns = cycle(texts)
    end = time.perf_counter() + seconds

    async def client() -> None:
        reader = writer = None
        while time.perf_counter() < end:
            body = json.dumps({"text": next(turns)}).encode()
            head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n"
            started = time.perf_counter()
            try:
                if writer is None or reader is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                status = answer.split(b" ", 2)[1].decode()
                length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
            except (OSError, asyncio.IncompleteReadError) as error:
                load.statuses[type(error).__name__] += 1
                reader = writer = None
                continue
            load.statuses[status] += 1
            if status == "200":
                load.documents += 1
                load.latencies.append(time.perf_counter() - started)
            elif status == "503":
                await asyncio.sleep(0.1)
        if writer is not None:
            writer.close()

    async def watch() -> None:
        while True:
            load.memory.append(megabytes(pid))
            await asyncio.sleep(0.5)

    started, busy = time.perf_counter(), processor_seconds(pid)
    watching = asyncio.create_task(watch())
    await asyncio.gather(*(client() for _ in range(connections)))
    watching.cancel()
    load.seconds = time.perf_counter() - started
    load.processor_seconds = processor_seconds(pid) - busy
    return load


def processor_seconds(pid: int) -> float:
    """What the processes have computed so far: a figure that other work on the machine disturbs less than the clock's."""
    fields = (Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in family(pid))
    return sum((int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK") for times in fields)


def megabytes(pid: int) -> float:
    texts = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in family(pid))
    return sum(int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0]) / 1024 for text in texts)


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def serve(arguments: argparse.Namespace, texts: list[str]) -> dict[str, object]:
    command = [sys.executable, "-m", "textome.cli.main", "serve", "--port", "0", "--quiet"]
    command += ["--threads", str(arguments.threads)] if arguments.threads else []
    command += ["--workers", str(arguments.workers)] if arguments.workers > 1 else []
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = re.search(r":(\d+) ", line)
        assert port, line
        run_load(int(port[1]), texts, arguments.connections, arguments.warm_up, process.pid)
        return run_load(int(port[1]), texts, arguments.connections, arguments.seconds, process.pid).summary()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def offline(arguments: argparse.Namespace, texts: list[str]) -> dict[str, object]:
    """The pipeline on the same texts, all together, again and again for the same time."""
    annotator = textome.load(threads=arguments.threads)
    annotator.annotate(texts[:50])
    number = 0
    started, busy = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < arguments.seconds:
        number += len(annotator.annotate(texts))
    return {
        "documents_per_second": round(number / (time.perf_counter() - started), 1),
        "processor_ms_per_document": round(1000 * (time.process_time() - busy) / number, 1),
    }


def peer(arguments: argparse.Namespace, texts: list[str]) -> dict[str, object]:
    """A transformers pipeline behind FastAPI, as tutorials show it, on weights of the same shape (with fresh heads)."""
    from annotate import prepared

    with tempfile.TemporaryDirectory() as folder:
        model = prepared(None, Path(folder))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        threads = arguments.threads or available_threads()
        process = subprocess.Popen([sys.executable, "-c", PEER.format(model=str(model), port=port, threads=threads)])
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.2)
            run_load(port, texts, arguments.connections, arguments.warm_up, process.pid)
            return run_load(port, texts, arguments.connections, arguments.seconds, process.pid).summary()
        finally:
            process.kill()
            process.wait()


def run_load(port: int, texts: list[str], connections: int, seconds: float, pid: int) -> Load:
    return asyncio.run(put_under_load(port, texts, connections, seconds, pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(EXAMPLES), help="a file of documents")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--limit", type=int, default=500, help="documents taken from the file")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    texts = [item.text for item in islice(textome.read_documents(arguments.data), arguments.limit)]
    ways = {"service": serve, "annotator": offline} | ({"pipeline": peer} if arguments.peer else {})
    if not arguments.json:
        mean = sum(map(len, texts)) / len(texts)
        print(f"{len(texts)} documents, mean {mean:.0f} characters, {arguments.connections} connections", flush=True)
    results: dict[str, dict[str, object]] = {}
    for name, way in ways.items():
        results[name] = way(arguments, texts)
        if not arguments.json:
            print("\n".join([f"\n{name}", *(f"  {key:26}{value}" for key, value in results[name].items())]), flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
