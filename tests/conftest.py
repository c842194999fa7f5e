"""Fixtures shared by all tests, and hypothesis strategies for documents over arbitrary Unicode."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets (TEXTOME_DATA, or ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set TEXTOME_DATA to the folder that holds them")
    return folder
