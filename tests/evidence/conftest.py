from __future__ import annotations

from pathlib import Path

import pytest

from stated_documents import DOCUMENTS, results_of
from textome.evidence.concepts import Concepts
from textome.vocabularies import open_vocabulary


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results_of(tmp_path_factory.mktemp("results") / "annotated", *DOCUMENTS)


@pytest.fixture(scope="session")
def concepts() -> Concepts:
    return Concepts(open_vocabulary("default"))
