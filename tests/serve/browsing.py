"""A page of the service in Debian's Chromium through Playwright, for tests; they are skipped where either is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python import sync_playwright as axe
from playwright import sync_api

from serve.conftest import Running, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (apt-get install chromium)")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
TEXT = "\U0001f9ec Metformin is given for type 2 diabetes. Patients with breast cancer took aspirin daily."


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(None) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, "--disable-component-update"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, server: Running) -> Iterator[Any]:
    """A page that fails its test where it asks another host, or where the browser reports any error."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(server.url)
    yield opened
    context.close()
    # What the browser says of an answer that is a problem is not a mistake of the page.
    assert [text for text in wrong if not text.startswith("Failed to load resource: the server responded")] == []
    assert [url for url in asked if not url.startswith((server.url, "blob:"))] == []


def annotate(page: Any, text: str = TEXT) -> None:
    page.fill("#text", text)
    page.click("text=Find entities >> nth=-1")
    page.wait_for_selector(".tag")


def tags(page: Any) -> list[str]:
    return page.eval_on_selector_all(".tag", "all => all.map(item => item.getAttribute('aria-label').split(',')[0])")  # type: ignore[no-any-return]


def saved(page: Any, format: str) -> bytes:
    with page.expect_download() as download:
        page.click(f'[data-format="{format}"]')
    return Path(download.value.path()).read_bytes()


def check(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = axe.Axe().run(page).response["violations"]
    assert [(item["id"], item["nodes"][0]["html"][:200], item["nodes"][0]["any"][:1]) for item in found] == []
