"""The cost of annotate, bulk, serve, training and a cold start beside an earlier commit, in one alternating run.

    python benchmarks/against_commit.py 4ac3bcd [--rounds 5] [--abstracts 300] [--only annotate,bulk]

Needs git and the extras `serve`, `bulk` and `train`. The earlier commit is checked out into a scratch folder; both versions
run in this environment, on the model that the earlier one bundles, without the steps that only one of them has, one process
each. Counted is the processor time of the process (user and system, seconds), which other programs disturb less than the
clock, and the peak memory (MB of 10^6 bytes). The ratio is the median of the rounds' ratios, now to before.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from textome.client import Client, ServiceError
from textome.documents import Document
from textome.formats import read_documents, write_documents
from textome.steps import STEPS

ROOT = Path(__file__).resolve().parent.parent
PORT = 18765
RECIPE = """
name = "short"
[model]
base = "{base}"
[data]
root = "{folder}"
[entities]
types = ["Disease"]
[[corpora]]
name = "invented"
train = ["train.tsv"]
validation = ["train.tsv"]
types = {{ Disease = "Disease" }}
[training]
epochs = 2
learning_rate = 1e-4
head_learning_rate = 1e-3
token_budget = 1024
precision = "fp32"
"""


@dataclass(frozen=True)
class Version:
    """A checkout of Textome, and the words that switch off its default steps."""

    name: str
    root: Path
    without: tuple[str, ...]

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-c", "from textome.cli.main import main; main()", *map(str, words)]

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, "PYTHONPATH": str(self.root / "src")}


@dataclass(frozen=True)
class Cost:
    """Processor seconds and peak bytes of one process."""

    seconds: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--abstracts", type=int, default=300)
    parser.add_argument("--only", default=",".join(JOBS), help="of " + ", ".join(JOBS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            ["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", folder / "before", options.commit], check=True
        )
        try:
            compare(folder, options.rounds, options.abstracts, options.only.split(","))
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", folder / "before"], check=True)


def compare(folder: Path, rounds: int, abstracts: int, jobs: list[str]) -> None:
    before = Version("before", folder / "before", ())
    steps = [name for name, row in STEPS.items() if row.default]
    now = Version("now", ROOT, tuple(word for name in steps for word in ("--without", name)))
    model = before.root / "src" / "textome" / "bundled" / "default"
    documents = list(read_documents(ROOT / "examples" / "abstracts.xml"))
    repeated = [
        replace(document, id=str(number)) for number, document in enumerate(islice(cycle(documents), abstracts))
    ]
    write_documents(repeated, folder / "texts.jsonl", "jsonl")
    (folder / "train.tsv").write_text(tagged(documents), encoding="utf-8")
    print(
        f"{abstracts} abstracts, {rounds} rounds; Python {platform.python_version()}, {processor()}, {os.cpu_count()} cores"
    )
    print(f"{'':<10}{'seconds before':>15}{'now':>8}{'ratio':>8}{'MB before':>12}{'now':>8}{'ratio':>8}")
    for job in jobs:
        costs = [[JOBS[job](version, folder, model) for version in (before, now)] for _ in range(rounds + 1)][1:]
        cells = []
        for quantity in ("seconds", "memory"):
            pairs = [tuple(getattr(cost, quantity) for cost in pair) for pair in costs]
            cells += [statistics.median(column) for column in zip(*pairs, strict=True)]
            cells.append(statistics.median(new / old for old, new in pairs))
        a, b, c, d, e, f = cells
        print(f"{job:<10}{a:>15.3f}{b:>8.3f}{c:>8.3f}{d / 1e6:>12.1f}{e / 1e6:>8.1f}{f:>8.3f}", flush=True)


def run(
    version: Version, words: Sequence[str | Path], during: Callable[[], None] | None = None, text: bytes = b""
) -> Cost:
    """Run a command of this version to its end, or until `during` returns; its cost, with that of its own children."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write(text)
        given.seek(0)
        process = subprocess.Popen(
            version.command(*words), env=version.environment, stdin=given, stdout=subprocess.DEVNULL, stderr=errors
        )
        if during is not None:
            try:
                during()
            finally:
                process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 and during is None:
            errors.seek(0)
            raise SystemExit(f"{version.name}: {' '.join(map(str, words))} failed: {errors.read().decode()[-2000:]}")
        return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def help_text(version: Version, folder: Path, model: Path) -> Cost:
    return run(version, ["--help"])


def cold(version: Version, folder: Path, model: Path) -> Cost:
    words: list[str | Path] = ["annotate", "-", "--to", "jsonl", "--model", model, "--threads", "1", *version.without]
    return run(version, words, text=b"Metformin lowered HbA1c in patients with type 2 diabetes.")


def annotate(version: Version, folder: Path, model: Path) -> Cost:
    words: list[str | Path] = [
        "annotate",
        folder / "texts.jsonl",
        "--model",
        model,
        "--threads",
        "1",
        "--output",
        folder / "annotated.jsonl",
    ]
    return run(version, [*words, *version.without])


def bulk(version: Version, folder: Path, model: Path) -> Cost:
    output = folder / "bulk"
    cost = run(
        version,
        ["bulk", folder / "texts.jsonl", "--model", model, "--workers", "1", "--output", output, *version.without],
    )
    shutil.rmtree(output)
    return cost


def serve(version: Version, folder: Path, model: Path) -> Cost:
    def ask() -> None:
        documents = list(read_documents(folder / "texts.jsonl"))
        with Client(f"http://127.0.0.1:{PORT}") as client:
            for _ in range(200):
                try:
                    client.annotate(["Gout."])
                    break
                except (ServiceError, OSError):
                    time.sleep(0.1)
            for document in documents:
                list(client.annotate([document]))

    words: list[str | Path] = [
        "serve",
        "--model",
        model,
        "--port",
        str(PORT),
        "--threads",
        "1",
        "--cache",
        "0",
        "--quiet",
        *version.without,
    ]
    return run(version, words, during=ask)


def train(version: Version, folder: Path, model: Path) -> Cost:
    recipe = folder / f"{version.name}.toml"
    recipe.write_text(RECIPE.format(base=model, folder=folder), encoding="utf-8")
    output = folder / "run"
    cost = run(version, ["finetune", recipe, "--output", output])
    shutil.rmtree(output)
    return cost


JOBS: dict[str, Callable[[Version, Path, Path], Cost]] = {
    "help": help_text,
    "cold": cold,
    "annotate": annotate,
    "bulk": bulk,
    "serve": serve,
    "train": train,
}


def tagged(documents: Sequence[Document]) -> str:
    """The texts as CoNLL lines, in which each word that ends in "itis", "oma" or "betes" is a disease."""
    lines = []
    for document in documents:
        for word in document.text.split():
            lines.append(f"{word}\t{'B-Disease' if word.strip('.,;()').endswith(('itis', 'oma', 'betes')) else 'O'}")
            if word.endswith("."):
                lines.append("")
    return "\n".join(lines) + "\n"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
