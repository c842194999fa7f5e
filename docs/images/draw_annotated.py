"""Draws the picture of the README: the first abstracts of the examples as `textome annotate` shows them.

python docs/images/draw_annotated.py
"""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path

from rich.console import Console

from textome import load
from textome.cli.terminal import print_document
from textome.formats import read_documents

HERE = Path(__file__).resolve().parent


def main() -> None:
    console = Console(record=True, width=110, file=io.StringIO(), highlight=False)
    for document in load().annotate(islice(read_documents(HERE.parent.parent / "examples" / "abstracts.xml"), 2)):
        print_document(document, console)
    console.save_svg(str(HERE / "annotated.svg"), title="textome annotate examples/abstracts.xml")


if __name__ == "__main__":
    main()
