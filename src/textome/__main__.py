"""`python -m textome`: the command line, where `textome` is not on the path."""

from __future__ import annotations

from textome.cli.main import main

if __name__ == "__main__":
    main()
