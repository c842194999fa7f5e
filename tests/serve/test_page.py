"""The page in a real browser: Debian's Chromium through Playwright. Skipped where either is missing."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from serve.conftest import Running
from textome.formats import Source, read_documents

pytest.importorskip("playwright.sync_api", reason="the page's tests need pip install playwright")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install axe-playwright-python")

from serve.browsing import TEXT, annotate, browser, check, needs_chromium, page, saved, server, tags

__all__ = ["browser", "page", "server"]  # fixtures
pytestmark = needs_chromium


def test_a_text_is_annotated_and_its_words_stay(page: Any) -> None:
    annotate(page)
    assert {"Chemical: Metformin", "Disease: type 2 diabetes", "Disease: breast cancer"} <= set(tags(page))
    shown = page.eval_on_selector_all("#document [data-start]", "all => all.map(item => item.textContent).join('')")
    assert shown == TEXT
    assert "1 document" in page.inner_text("#status")


def test_types_and_confidence_filter_at_once(page: Any) -> None:
    annotate(page)
    everything = tags(page)
    page.uncheck('[data-type="Disease"]')
    assert tags(page) == [tag for tag in everything if not tag.startswith("Disease")]
    page.check('[data-type="Disease"]')
    page.fill("#confidence", "0.80")
    sure = tags(page)
    assert 0 < len(sure) <= len(everything)
    assert page.inner_text("#confidence-value") == "0.80"
    assert str(len(sure)) in page.inner_text("#export-hint")


def test_the_keyboard_is_enough(page: Any) -> None:
    page.focus("#text")
    page.keyboard.type(TEXT)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".tag")
    before = tags(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused.startswith(before[1])
    assert page.inner_text("#details-text") == before[1].split(": ")[1]
    page.keyboard.press("Delete")
    assert tags(page) == before[:1] + before[2:]
    page.keyboard.press("Control+z")
    assert tags(page) == before
    page.keyboard.press("Escape")
    assert page.is_hidden("#details")


def test_a_mention_is_corrected_and_exported(page: Any) -> None:
    annotate(page)
    page.click(".tag >> nth=0")
    page.select_option("#details-type", "Gene")
    page.click('[aria-label="End a word later"]')
    page.click('[aria-label="End a word later"]')
    assert page.inner_text("#details-text") == "Metformin is given"
    assert page.inner_text("#details-confidence") == "set by a person"
    (document,) = read_documents(Source("a", data=saved(page, "bioc-json")), "bioc-json")
    first = document.entities[0]
    assert (first.type, first.text, first.start, first.confidence) == ("Gene", "Metformin is given", 2, None)
    assert document.text == TEXT
    rows = list(csv.DictReader(io.StringIO(saved(page, "csv").decode())))
    assert rows[0]["text"] == "Metformin is given"
    with zipfile.ZipFile(io.BytesIO(saved(page, "brat"))) as archive:
        assert any(name.endswith(".ann") for name in archive.namelist())
    assert b"\tMetformin is given\tGene" in saved(page, "pubtator")
    assert b"<collection>" in saved(page, "bioc-xml")


def test_selected_words_become_a_mention(page: Any) -> None:
    annotate(page)
    number = len(tags(page))
    page.evaluate(
        """() => {
            const parts = [...document.querySelectorAll('#document [data-start]')];
            const part = parts.find(item => item.textContent.includes('given'));
            const at = part.textContent.indexOf('given');
            getSelection().setBaseAndExtent(part.firstChild, at, part.firstChild, at + 6);
        }"""
    )
    page.wait_for_selector("#selection:not([hidden])")
    assert page.inner_text("#selection-text") == "given"
    page.select_option("#selection-type", "Species")
    page.click("#mark")
    assert "Species: given" in tags(page)
    assert len(tags(page)) == number + 1


def test_overlapping_mentions_are_all_there(page: Any, tmp_path: Path) -> None:
    text = "breast cancer cells grew"
    spans = [("Disease", 0, 13), ("CellType", 0, 19), ("Gene", 7, 24)]
    entities = [{"type": kind, "spans": [[start, end]]} for kind, start, end in spans]
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "1", "text": text, "entities": entities}))
    page.set_input_files("#file", tmp_path / "a.jsonl")
    page.wait_for_selector(".tag")
    assert {"Disease: breast cancer", "CellType: breast cancer cells", "Gene: cancer cells grew"} <= set(tags(page))
    assert page.locator(".seg.depth3").count() >= 1
    shown = page.eval_on_selector_all("#document [data-start]", "all => all.map(item => item.textContent).join('')")
    assert shown == text


def test_a_file_of_several_documents_and_one_that_is_none(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#file", Path(__file__).parents[2] / "examples" / "abstracts.xml")
    page.wait_for_selector("#document-list button")
    assert page.locator("#document-list button").count() == 10
    page.click("#document-list button >> nth=3")
    assert page.locator('[aria-current="true"]').count() == 1
    page.click("#new")
    (tmp_path / "b.bin").write_bytes(b"\x00\x01\x02" * 50)
    page.set_input_files("#file", tmp_path / "b.bin")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem")


def test_markup_in_a_text_stays_text(page: Any) -> None:
    annotate(page, "<img src=x onerror=alert(1)> aspirin for <b>asthma</b> & gout")
    assert page.locator("#document img, #document b").count() == 0


@pytest.mark.parametrize("width", [320, 768, 1280, 2560])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_size_is_readable_and_accessible(browser: Any, server: Running, width: int, scheme: str) -> None:
    """Nothing is wider than the window, and axe finds nothing."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(server.url)
    check(page)
    page.click("#example")
    page.wait_for_selector(".tag")
    page.keyboard.press("ArrowRight")
    check(page)
    context.close()


def test_a_citation_is_fetched_where_the_service_may_ask(browser: Any, pubmed: Running) -> None:
    page = browser.new_page()
    page.goto(pubmed.url)
    page.fill("#pmid", "7")
    page.click("#pmid-form button")
    page.wait_for_selector(".tag")
    assert "Chemical: Metformin" in tags(page)
    page.close()


def test_no_pmid_is_asked_for_where_the_service_may_not(page: Any) -> None:
    assert page.is_hidden("#pmid-form")


def test_places_count_code_points(page: Any) -> None:
    text = f"\U0001f9ec\U0001f9ec {TEXT}"
    annotate(page, text)
    page.click('.tag[aria-label^="Chemical: Metformin"]')
    start = text.index("Metformin")
    assert page.text_content("#details-place") == f"{start}–{start + 9}"


def mentions(page: Any) -> list[str]:
    return [item.inner_text() for item in page.query_selector_all("#document .tag")]


def test_files_of_all_kinds_are_read_together_and_the_bad_ones_told(page: Any, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"{name} is about gout.")
    (tmp_path / "c.docx").write_bytes(b"PK\x03\x04")
    page.set_input_files("#file", [tmp_path / "a.txt", tmp_path / "c.docx", tmp_path / "b.txt"])
    page.wait_for_selector("#document-list button")
    assert page.locator("#document-list button").count() == 2
    assert page.inner_text("#document-title") == "a.txt"
    assert "docx: this is a Word file; save it as plain text" in page.inner_text("#problem")


def test_a_folder_is_read(page: Any, tmp_path: Path) -> None:
    (tmp_path / "notes" / "old").mkdir(parents=True)
    (tmp_path / "notes" / "old" / "a.txt").write_text("No gout.")
    (tmp_path / "notes" / ".hidden").write_text("No gout.")
    page.set_input_files("#folder", tmp_path / "notes")
    page.wait_for_selector("#document .tag")
    assert page.inner_text("#document-title") == "notes/old/a.txt"


def test_a_large_file_is_sent_in_several_requests_with_progress(page: Any, tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"d{number}", "text": "Gout. " + "x" * 1000}) for number in range(200)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/annotate/file" in request.url else None)
    page.set_input_files("#file", tmp_path / "a.jsonl")
    page.wait_for_selector("#document-list button", timeout=120_000)
    assert page.locator("#document-list button").count() == 200
    assert len(sent) == 10
    assert page.locator("#progress").is_hidden()
    page.click("#document-list button >> nth=199")
    assert page.inner_text("#document-title") == "d199"


def test_a_mention_is_added_and_typed_by_keyboard_and_redone(page: Any) -> None:
    annotate(page)
    before = page.locator("#document .tag").count()
    page.keyboard.press("a")
    assert page.inner_text("#selection-text") == "\U0001f9ec"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#selection-text") == "is"
    page.keyboard.press("Shift+ArrowRight")
    assert page.inner_text("#selection-text") == "is given"
    page.keyboard.press("Enter")
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    assert page.locator("#document .tag").count() == before + 1
    assert page.inner_text("#details-text") == "is given"
    page.keyboard.press("Control+z")
    assert page.locator("#document .tag").count() == before
    page.keyboard.press("Control+y")
    assert page.locator("#document .tag").count() == before + 1


def test_corrections_survive_a_reload_and_are_asked_about(page: Any) -> None:
    annotate(page)
    before = page.locator("#document .tag").count()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    questions: list[str] = []
    page.on("dialog", lambda dialog: (questions.append(dialog.message), dialog.dismiss()))
    page.click("#new")
    assert len(questions) == 1
    assert page.locator("#document .tag").count() == before - 1
    page.reload()
    page.click("#go-on")
    assert page.locator("#document .tag").count() == before - 1
    for format, expected in (("jsonl", b'"spans"'), ("conll", b"\tB-")):
        with page.expect_download() as waited:
            page.click(f'#export [data-format="{format}"]')
        assert expected in Path(waited.value.path()).read_bytes()
    page.click("#new")
    assert page.locator("#input").is_visible()
    assert len(questions) == 1
    page.reload()
    page.click("#discard")
    page.reload()
    assert page.locator("#kept").is_hidden()


def test_attributes_identifiers_and_long_types_are_shown(page: Any) -> None:
    long = "A_type_whose_name_goes_on_and_on_" * 20
    entities = [
        {
            "id": "T1",
            "type": "Disease",
            "spans": [[3, 7]],
            "text": "gout",
            "attributes": {"negated": "true"},
            "identifiers": [{"curie": "mesh:D006073", "label": "Gout", "score": 0.9}, {"curie": "javascript:alert(1)"}],
        },
        {"id": "T2", "type": long, "spans": [[9, 15]], "text": "asthma", "attributes": {"uncertain": "true"}},
    ]
    body = {
        "model": "default",
        "documents": [{"id": "1", "passages": [{"text": "No gout, asthma."}], "entities": entities}],
    }
    page.route("**/v1/annotate", lambda route: route.fulfill(json=body))
    annotate(page)
    assert page.locator(".seg.negated").inner_text() == "gout"
    assert page.locator(".seg.doubtful").inner_text() == "asthma"
    page.click(".seg.negated")
    assert page.inner_text("#details-attributes") == "negated"
    links = [
        (item.inner_text(), item.get_attribute("href")) for item in page.query_selector_all("#details-identifiers a")
    ]
    assert links[0] == ("Gout (mesh:D006073)", "https://bioregistry.io/mesh:D006073")
    assert all(address.startswith("https://bioregistry.io/") for _, address in links)
    page.click(".seg.doubtful")
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
