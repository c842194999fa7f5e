"""The page's form for texts that a model writes, in a real browser; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.conftest import Running, running
from textome.runtime.generation.writer import Writer
from tiny_writers import exported, make_gpt

pytest.importorskip("playwright.sync_api", reason="the page's tests need pip install playwright")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install axe-playwright-python")

from serve.browsing import browser, check, needs_chromium, page

__all__ = ["browser", "page"]  # fixtures
pytestmark = needs_chromium
PROMPT = "patients with gout took"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(make_gpt(tmp_path_factory.mktemp("gpt") / "gpt"), "fp32")


@pytest.fixture(scope="module", params=["alone", "beside entities"])
def server(bundle: Path, tiny_bundle: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(bundle if request.param == "alone" else {"entities": tiny_bundle, "gpt": bundle}) as started:
        yield started


def test_the_page_writes_what_the_model_writes(page: Any, bundle: Path) -> None:
    check(page)
    page.fill("#prompt", PROMPT)
    page.fill("#most-tokens", "6")
    page.click("#writing-form >> text=Write")
    page.wait_for_selector("#written-text:visible")
    ((expected,),) = Writer.load(bundle, threads=1).generate([PROMPT], max_new_tokens=6)
    assert page.text_content("#written") == PROMPT + expected.text
    assert page.inner_text("#status") == f"{expected.num_tokens} tokens, as many as were allowed"
    check(page)


def test_a_refusal_is_shown(page: Any) -> None:
    page.fill("#prompt", "malaria " * 60)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#problem:visible")
    assert "the model reads at most 48" in page.inner_text("#problem")
    assert page.is_hidden("#written")


def test_each_form_is_there_where_a_model_does_it(page: Any, server: Running) -> None:
    has_entities = len(server.service.models) > 1
    assert page.is_visible("#input") == has_entities
    assert page.is_hidden("#problem")
    if has_entities:
        page.fill("#text", "aspirin")
        page.click("#form >> text=Find entities")
        page.wait_for_selector("#result:visible")
        assert page.is_hidden("#writing")
        page.click("#new")
    assert page.is_visible("#writing")
