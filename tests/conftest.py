"""Fixtures shared by all tests, and hypothesis strategies for documents over arbitrary Unicode."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that does other work beside must not fail a property, and the same code must give the same answer twice.
# `pytest --hypothesis-profile=search` draws new examples each time.
settings.register_profile("textome", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("textome")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets (TEXTOME_DATA, or ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set TEXTOME_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def cases(shared_data: Path) -> Path:
    """The folder of files as they come in the wild, good and bad."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of a tiny model that knows five diseases and five drugs, exported both ways."""
    from textome.runtime.bundle import Bundle
    from textome.runtime.export import export_bundle
    from textome.training.finetune import finetune
    from textome.training.recipe import load_recipe
    from tiny import make_recipe

    folder = tmp_path_factory.mktemp("tiny")
    bundle = finetune(load_recipe(make_recipe(folder)), folder / "run")
    for precision in ("fp32", "int8"):
        export_bundle(Bundle.load(bundle), bundle, precision)
    return folder / "run"


@pytest.fixture(scope="session")
def tiny_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of data, recipe and a finished run over all six tasks of `tiny_tasks.py`, exported both ways."""
    from textome.runtime.bundle import Bundle
    from textome.runtime.export import export_bundle
    from textome.training.kinds import plan_run
    from tiny_tasks import PARTS, make_task_recipe

    folder = tmp_path_factory.mktemp("tasks")
    recipe = make_task_recipe(folder, *PARTS, more='[mixing]\ntemperature = 2\nloss = "uncertainty"')
    bundle = plan_run(recipe).start(folder / "run", False, lambda record: None)
    for precision in ("fp32", "int8"):
        export_bundle(Bundle.load(bundle), bundle, precision)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Path) -> Path:
    """The bundle of `tiny_run`. Do not change it: copy it first."""
    return tiny_run / "bundle"


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Packed bytes hold the time they were packed at: as names of tests, they would differ between processes."""
    return argname if isinstance(val, bytes) and not val.isascii() else None
