"""What a first use costs: cold start of `textome annotate` on one sentence, its peak memory, and the installed size.

    python benchmarks/start.py

The size is that of the files of textome and of every package that the base install needs, as pip recorded them.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

RUNS = 5


def main() -> None:
    program = str(Path(sys.executable).with_name("textome"))
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(
            [program, "annotate", "-", "--to", "jsonl"],
            input=b"Metformin lowered HbA1c in patients with type 2 diabetes.",
            capture_output=True,
            check=True,
        )
        times.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"cold start to the first annotation: {sorted(times[1:])[RUNS // 2]:.2f} s (median of {RUNS}), peak {peak:.0f} MB"
    )
    sizes = {name: size_of(name) for name in sorted(closure("textome"))}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        print(f"  {name:20}{size / 1e6:7.1f} MB")
    print(f"base install: {sum(sizes.values()) / 1e6:.0f} MB in {len(sizes)} packages")


def closure(name: str) -> set[str]:
    """A package and all that it needs without extras, as far as they are installed here."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        try:
            needs = distribution(current).requires or []
        except PackageNotFoundError:
            continue
        found.add(current)
        waiting += [re.split(r"[^\w.-]", need)[0].lower() for need in needs if "extra ==" not in need]
    return found


def size_of(name: str) -> int:
    package = distribution(name)
    paths = [Path(str(package.locate_file(item))) for item in package.files or []]
    total = sum(path.stat().st_size for path in paths if path.is_file())
    if name == "textome" and total < 1e6:  # an editable install records only a link
        import textome

        total = sum(path.stat().st_size for path in Path(textome.__file__).parent.rglob("*") if path.is_file())
    return total


if __name__ == "__main__":
    main()
