"""How long a look-up in a vocabulary takes, and how much memory an index costs.

    python benchmarks/vocabulary.py INDEX NAMES

NAMES is a terminology that the index was built from. Printed are the processor's time for each look-up of a name (its key,
its hash, the search), of names that the index does not hold, and of a concept's label.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from textome.vocabularies import Vocabulary, read_concepts


def main() -> None:
    parser = argparse.ArgumentParser(description="Look-ups in a vocabulary")
    parser.add_argument("index", type=Path)
    parser.add_argument("names", help="a terminology that the index was built from")
    parser.add_argument("--count", type=int, default=100_000, help="how many names")
    arguments = parser.parse_args()

    wanted = [
        (item.type, name)
        for item in islice(read_concepts(arguments.names), arguments.count)
        for _, name in item.names()
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    vocabulary = Vocabulary.open(arguments.index)
    print(f"opened in {1e3 * (time.perf_counter() - started):.1f} ms, {arguments.index.stat().st_size / 1e6:.1f} MB")
    sections = {type: vocabulary.section(type) for type in vocabulary.types}
    known = [(section, name) for type, name in wanted[: arguments.count] if (section := sections.get(type))]
    numbers = [(section, hits[0].number) for section, name in known if (hits := section.look_up(name))]
    if not numbers:
        raise SystemExit("the index holds none of these names")
    print(f"{len(numbers):,} of {len(known):,} names are in the index")
    print(f"known names    {microseconds(lambda pair: pair[0].look_up(pair[1]), known):6.2f} us each")
    unknown = [(section, f"{name} qqq") for section, name in known]
    print(f"unknown names  {microseconds(lambda pair: pair[0].look_up(pair[1]), unknown):6.2f} us each")
    print(f"labels         {microseconds(lambda pair: pair[0].label(pair[1]), numbers):6.2f} us each")
    print(f"memory grew by {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.1f} MB")


def microseconds(call: Callable[..., object], items: Sequence[object]) -> float:
    """Processor time for each call, in microseconds."""
    started = time.process_time()
    for item in items:
        call(item)
    return 1e6 * (time.process_time() - started) / len(items)


if __name__ == "__main__":
    main()
