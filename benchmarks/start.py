"""What a first use costs: cold start of `textome annotate` on one sentence, its peak memory, and the installed size.

    python benchmarks/start.py            # of the environment of this Python
    python benchmarks/start.py --fresh    # of a new one with nothing but `pip install .` (needs a package index)
    python benchmarks/start.py --fresh --no-compile 'onnxruntime<1.29'    # further words go to pip

The size is that of the files of textome and of every package that the base install needs, as pip recorded them; MB are
10^6 bytes. Bytecode is what pip compiles at installation, so that the first start is as quick as the second; where this
Python is told to write none (PYTHONDONTWRITEBYTECODE), the starts that are measured write it all the same.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

RUNS = 7
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="measure a new environment with `pip install .`")
    options, words = parser.parse_known_args()
    if options.fresh:
        fresh(words)
    else:
        print_start()
        print_sizes()


def fresh(words: list[str]) -> None:
    """This script again, in a new environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder, "bin", "python"))
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, str(ROOT), *words], check=True)
        subprocess.run([python, __file__], check=True)


def print_start() -> None:
    program = str(Path(sys.executable).with_name("textome"))
    times, processor_times = [], []
    for _ in range(RUNS + 1):
        started, used = time.perf_counter(), processor_seconds()
        subprocess.run(
            [program, "annotate", "-", "--to", "jsonl"],
            input=b"Metformin lowered HbA1c in patients with type 2 diabetes.",
            capture_output=True,
            check=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        )
        times.append(time.perf_counter() - started)
        processor_times.append(processor_seconds() - used)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"cold start to the first annotation: {median(times[1:]):.2f} s, {median(processor_times[1:]):.2f} s of processor "
        f"time (medians of {RUNS}; the least {min(processor_times[1:]):.2f} s), peak {peak:.0f} MB"
    )


def processor_seconds() -> float:
    """User and system time of all processes that have ended below this one."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def print_sizes() -> None:
    needed = closure("textome")
    sizes = {name: size_of(name) for name in needed}
    print(f"\n{'package':26}{'MB':>8}{'bytecode':>10}   needed by")
    for name, (size, bytecode) in sorted(sizes.items(), key=lambda item: -item[1][0]):
        label = f"{name} {distribution(name).version}"
        print(f"{label:26}{size / 1e6:8.1f}{bytecode / 1e6:10.1f}   {', '.join(sorted(needed[name]))}".rstrip())
    total, compiled = (sum(size[part] for size in sizes.values()) / 1e6 for part in (0, 1))
    print(f"base install: {total:.0f} MB in {len(sizes)} packages, {compiled:.0f} MB of it bytecode")


def closure(name: str) -> dict[str, set[str]]:
    """A package and all that it needs without extras, as far as they are installed here, each with those that need it."""
    found: dict[str, set[str]] = {}
    waiting = [(name, "")]
    while waiting:
        current, parent = waiting.pop()
        if current not in found:
            try:
                needs = distribution(current).requires or []
            except PackageNotFoundError:
                continue
            found[current] = set()
            names = (re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need)
            waiting += [(re.sub(r"[-_.]+", "-", need).lower(), current) for need in names]
        found[current] |= {parent} - {""}
    return found


def size_of(name: str) -> tuple[int, int]:
    """The bytes of a package's files, and those of them that are bytecode."""
    package = distribution(name)
    paths = [Path(str(package.locate_file(item))) for item in package.files or []]
    if name == "textome" and not any(path.match("textome/__init__.py") for path in paths):  # an editable install
        import textome

        paths = list(Path(textome.__file__).parent.rglob("*"))
    sizes = [(path.suffix, path.stat().st_size) for path in paths if path.is_file()]
    return sum(size for _, size in sizes), sum(size for suffix, size in sizes if suffix == ".pyc")


if __name__ == "__main__":
    main()
