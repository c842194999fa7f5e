"""`textome fetch`: citations and full texts by their numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from textome.cli.streams import report, say
from textome.errors import InputError

KEY = "NCBI_API_KEY"


def fetch(
    numbers: Annotated[
        list[str], typer.Argument(metavar="PMIDS...", help="PMIDs, PMCIDs, or files of them; commas or lines between.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder, or for PMIDs one file as citations.xml or .xml.gz.")
    ],
    e_utilities: Annotated[str | None, typer.Option(metavar="URL", help="Another address of EFetch.")] = None,
    europe_pmc: Annotated[str | None, typer.Option(metavar="URL", help="Another address of Europe PMC.")] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a request that failed is sent again.")] = 5,
) -> None:
    """Fetch citations from PubMed (PMIDs) and open full texts from Europe PMC (PMCIDs).

    At most 3 requests a second, or 10 with a key of NCBI in the variable NCBI_API_KEY. The same command goes on where a
    stopped one was.

    Example: textome fetch pmids.txt --output citations.xml
    """
    from textome.citations import E_UTILITIES, EUROPE_PMC, Fetcher, join_citations, read_ledger, read_numbers
    from textome.citations import fetch as fetched
    from textome.formats import Quarantine

    quarantine = Quarantine()
    asked = read_numbers(numbers, quarantine)
    one_file = output.name.removesuffix(".gz").endswith(".xml")
    if one_file and any(number.startswith("PMC") for number in asked):
        raise InputError(f"--output {output}: full texts are a file each; give a folder")
    folder = output.with_name(output.name + ".fetched") if one_file else output
    fetcher = Fetcher(os.environ.get(KEY, ""), e_utilities or E_UTILITIES, europe_pmc or EUROPE_PMC, retries)
    number = len({*asked} & {item for held in read_ledger(folder).values() for item in held})
    if number:
        say(f"{folder}: {number:,} are there already")
    try:
        for new in fetched(asked, folder, fetcher, quarantine):
            number += new
            say(f"fetched: {number:,} of {len(asked):,}")
    finally:
        report(quarantine)
    if not number:
        raise InputError("nothing was fetched")
    if one_file:
        say(f"{output}: {join_citations(folder, asked, output):,} citations")
        for path in (*(folder / name for name in read_ledger(folder)), folder / "fetched.json"):
            path.unlink()
        folder.rmdir()
    else:
        say(f"{output}: written")
    if quarantine.count:
        raise typer.Exit(1)
