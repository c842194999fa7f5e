"""Memory and speed of `textome bulk` on real abstracts, repeated (benchmarks/repeat_pubmed.py).

    python benchmarks/bulk.py memory  --scratch DIR [--numbers 1000,10000,100000] [--workers 1]
    python benchmarks/bulk.py speed   --scratch DIR [--number 3000]     beside the same pipeline in Python, one thread
    python benchmarks/bulk.py scaling --scratch DIR [--number 3000]     1 worker and 2 workers
    python benchmarks/bulk.py corrupted --scratch DIR [--number 3000]   every hundredth record is cut in its middle
    python benchmarks/bulk.py peers   --scratch DIR [--number 300]      beside a transformers pipeline

Memory is the largest sum, over the main process and its workers, of their proportional set sizes, looked at five times a
second. Speed counts from the first chunk to the last, so that a start of two seconds does not blur a short run; the whole
time is printed too. Beside it stand documents per second of processor time, all processes together and the start included:
on a machine that does other work only these mean anything. `peers` needs the extra `train` and `transformers`, and a
bundle with model.safetensors; without --model it makes one with fresh heads, as benchmarks/annotate.py does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from repeat_pubmed import ROOT, texts, write_repeated

import textome
from textome.formats import read_documents
from textome.text.sentences import split_sentences

CHUNK = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "speed", "scaling", "corrupted", "peers"])
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--numbers", default="1000,10000,100000")
    parser.add_argument("--number", type=int, default=3000)
    parser.add_argument("--loop", type=int, default=100, help="documents of the pipeline loop, which is slow")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if options.what == "memory":
        memory(options)
        return
    paths = write_repeated(options.data, options.number, fresh(options.scratch / "input"))
    {"speed": speed, "scaling": scaling, "corrupted": corrupted, "peers": peers}[options.what](options, paths)


def memory(options: argparse.Namespace) -> None:
    print(f"{'abstracts':>10}{'peak MB':>10}{'seconds':>10}")
    for number in map(int, options.numbers.split(",")):
        write_repeated(options.data, number, fresh(options.scratch / "input"))
        _, seconds, peak = bulk(options, options.workers)
        print(f"{number:>10,}{peak / 1e6:>10.0f}{seconds:>10.0f}", flush=True)


def speed(options: argparse.Namespace, paths: list[Path]) -> None:
    """Alternating: both get one thread, the same files and the same default pipeline; reading is part of both."""
    for _ in range(options.rounds):
        before = processor_seconds()
        rate, seconds, _ = bulk(options, 1)
        bulk_seconds = processor_seconds() - before
        pipeline = textome.load(options.model, threads=1)
        started, before = time.perf_counter(), processor_seconds()
        number = sum(1 for path in paths for _ in pipeline.stream(read_documents(path)))
        alone = number / (time.perf_counter() - started)
        alone_seconds = processor_seconds() - before
        print(f"bulk {rate:.1f} documents/s ({seconds:.0f} s in all), offline {alone:.1f}: {100 * rate / alone:.0f} %")
        shares = number / bulk_seconds, number / alone_seconds, 100 * alone_seconds / bulk_seconds
        print("by processor time: bulk {:.1f}, offline {:.1f}: {:.0f} %".format(*shares), flush=True)


def scaling(options: argparse.Namespace, paths: list[Path]) -> None:
    for _ in range(options.rounds):
        one, two = (bulk(options, workers)[0] for workers in (1, 2))
        print(f"1 worker {one:.1f} documents/s, 2 workers {two:.1f}: {two / one:.2f} x")


def peers(options: argparse.Namespace, paths: list[Path]) -> None:
    """A loop over sentences through the token-classification pipeline, as its users write it, on the same weights."""
    import torch
    import transformers
    from annotate import prepared

    torch.set_num_threads(1)
    options.model = prepared(options.model, fresh(options.scratch / "model"))
    model = transformers.AutoModelForTokenClassification.from_pretrained(options.model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    pipeline = transformers.pipeline("token-classification", model=model, tokenizer=tokenizer, device=-1)
    documents = texts(paths)
    some = documents[: options.loop]
    before = processor_seconds()
    rate, _, _ = bulk(options, 1)
    bulk_seconds = processor_seconds() - before
    started, before = time.perf_counter(), processor_seconds()
    for document in some:
        for start, end in split_sentences(document):
            pipeline(document[start:end])
    loop = len(some) / (time.perf_counter() - started)
    loop_seconds = processor_seconds() - before
    print(f"bulk {rate:.1f} documents/s, pipeline loop {loop:.1f}: {rate / loop:.1f} x")
    shares = len(documents) / bulk_seconds, len(some) / loop_seconds
    print("by processor time: bulk {:.1f}, pipeline loop {:.1f}: {:.1f} x".format(*shares, shares[0] / shares[1]))


def bulk(options: argparse.Namespace, workers: int, chunk: int | None = CHUNK) -> tuple[float, float, int]:
    """Run `textome bulk` on scratch/input; returns documents/s between chunks, seconds in all, peak memory in bytes."""
    output = fresh(options.scratch / "output")
    line = [sys.executable, "-m", "textome.cli.main", "bulk", options.scratch / "input", "--output", output]
    line += ["--workers", str(workers), *(["--chunk", str(chunk)] if chunk else [])]
    line += ["--model", options.model] if options.model else []
    started = time.perf_counter()
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, proportional_set_size(process.pid))
        time.sleep(0.2)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"textome bulk failed: {process.stderr.read() if process.stderr else ''}")
    return rate_of(output), seconds, peak


def corrupted(options: argparse.Namespace, paths: list[Path]) -> None:
    """Good records in JSON lines with a bad one in every hundred: all good ones must come out, all bad ones be counted."""
    lines = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts(paths), 1)]
    damaged = [line[: len(line) // 2] if number % 100 == 0 else line for number, line in enumerate(lines, 1)]
    (fresh(options.scratch / "input") / "damaged.jsonl").write_text("\n".join(damaged) + "\n", encoding="utf-8")
    output = fresh(options.scratch / "output")
    line = [sys.executable, "-m", "textome.cli.main", "bulk", options.scratch / "input", "--output", output]
    done = subprocess.run(
        [*line, "--workers", str(options.workers)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
    )
    summary = json.loads((output / "summary.json").read_text())
    bad = sum(1 for _ in (output / "quarantine.jsonl").open())
    print(f"{len(lines):,} records, {len(lines) // 100} of them cut: {summary}")
    print(f"exit code {done.returncode}, {bad} in quarantine.jsonl")


def processor_seconds() -> float:
    """Of this process and of those it has started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def rate_of(output: Path) -> float:
    """Documents/s from the first finished chunk to the last, by the ledger."""
    with sqlite3.connect(output / "ledger.sqlite") as ledger:
        rows = ledger.execute("SELECT documents, finished FROM chunks ORDER BY finished").fetchall()
    if len(rows) < 2:
        return float("nan")
    return float(sum(row[0] for row in rows[1:]) / (rows[-1][1] - rows[0][1]))


def proportional_set_size(pid: int) -> int:
    """Of a process and all below it, in bytes; pages that they share count once."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += proportional_set_size(int(child))
    except OSError:  # it has just ended
        return total
    return total


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
