"""The page as a curator's desk: identifiers, relations, the same words everywhere, several documents, two annotators."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the page's tests need pip install playwright")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install axe-playwright-python")

from serve.browsing import browser, check, needs_chromium, page, saved, server, tags
from textome.formats import FORMATS, Source, read_documents
from textome.serve.outputs import MEDIA_TYPES

__all__ = ["browser", "page", "server"]  # fixtures
pytestmark = needs_chromium
TEXT = "\U0001f9ec Metformin is given for gout. No gout was seen, but gout may come."
ENTITIES: list[tuple[str, str, str, int]] = [("T1", "Chemical", "Metformin", 2), ("T2", "Disease", "gout", 25)]


def document(id: str = "1", **members: Any) -> dict[str, Any]:
    entities = [
        {"id": key, "type": type, "spans": [[start, start + len(words)]]} for key, type, words, start in ENTITIES
    ]
    return {"id": id, "text": TEXT, "entities": entities} | members


def opened(page: Any, tmp_path: Path, *documents: dict[str, Any]) -> None:
    """Show these documents as they are."""
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, documents)))
    page.check("#as-is")
    page.set_input_files("#file", tmp_path / "mine.jsonl")
    page.wait_for_selector("#result:not([hidden])")


def exported(page: Any) -> list[Any]:
    return list(read_documents(Source("a", data=saved(page, "jsonl")), "jsonl"))


def test_an_identifier_is_looked_up_chosen_and_taken_away(page: Any, tmp_path: Path) -> None:
    proposed = [{"curie": "mesh:D000001", "label": "Wrong", "score": 0.4}]
    with_wrong = document()
    with_wrong["entities"][1]["identifiers"] = proposed
    opened(page, tmp_path, with_wrong)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("i")
    page.wait_for_selector("#lookup-list li")
    assert page.input_value("#lookup") == "gout"
    page.keyboard.type("gout, juv")
    page.wait_for_selector("#lookup-hint:not(:empty)")
    page.fill("#lookup", "gout")
    page.wait_for_selector("#lookup-list li")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#lookup", "aria-activedescendant") == "concept-0"
    page.keyboard.press("Enter")
    (link,) = page.query_selector_all("#details-identifiers a")
    assert link.inner_text() == "Gout (mesh:D006073)"
    page.fill("#lookup", "omim:138900")
    page.keyboard.press("Enter")
    (result,) = exported(page)
    assert result.entities[1].curies == ("omim:138900", "mesh:D006073")
    page.click('[aria-label="Take omim:138900 away"]')
    (result,) = exported(page)
    assert result.entities[1].curies == ("mesh:D006073",)
    assert result.entities[1].identifiers[0].score is None


def test_relations_are_shown_made_changed_and_removed_by_keyboard(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, document(relations=[{"type": "treats", "arguments": [["head", "T1"], ["tail", "T2"]]}]))
    assert page.locator("#relation-list button").count() == 1
    assert page.locator("#curves path").count() == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    assert "gout" in page.inner_text("#relation-hint")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "relation-type"
    page.keyboard.type("is treated by")
    page.keyboard.press("Enter")
    (result,) = exported(page)
    assert [(item.type, item.arguments) for item in result.relations][1] == (
        "is treated by",
        (("head", "T2"), ("tail", "T1")),
    )
    page.click("#relation-list button >> nth=0")
    page.click("#relation-swap")
    page.click("#relation-remove")
    page.keyboard.press("Control+z")
    assert page.locator("#relation-list button").count() == 2
    page.click('.tag[aria-label^="Chemical: Metformin"]')
    page.keyboard.press("Delete")
    assert page.locator("#relation-list button").count() == 0
    page.keyboard.press("Control+z")
    assert page.locator("#relation-list button").count() == 2
    (result,) = exported(page)
    assert len(result.relations) == 2


def test_digits_give_types_also_added_ones(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, document())
    page.fill("#new-type", "Symptom")
    page.keyboard.press("Enter")
    key = page.locator("#types li", has_text="Symptom").locator("kbd").inner_text()
    page.focus("#reading")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(key)
    assert tags(page)[0] == "Symptom: Metformin"
    page.keyboard.press("a")
    page.keyboard.press("1")
    assert tags(page)[1].endswith(": is")
    page.click("#keys-help summary")
    page.uncheck("#letters")
    page.keyboard.press("Tab")
    page.focus("#reading")
    page.keyboard.press("2")
    assert tags(page)[1].endswith(": is")


def test_one_correction_holds_for_all_the_same_words(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, document("1"), document("2"))
    page.click('.tag[aria-label^="Disease: gout"]')
    page.keyboard.press("m")
    assert [tag for tag in tags(page) if tag.endswith("gout")] == ["Disease: gout"] * 3
    page.click('.tag[aria-label^="Disease: gout"]')
    page.select_option("#details-type", "Gene")
    assert page.inner_text("#same-apply") == "Apply to 5 more"
    page.click("#same-apply")
    first, second = exported(page)
    for result in (first, second):
        assert [item.type for item in result.entities if item.text == "gout"] == ["Gene"] * 3
        assert len({item.id for item in result.entities}) == 4
    page.click("#same-remove")
    assert [len(result.entities) for result in exported(page)] == [1, 1]
    for _ in range(4):
        page.click("#undo")
    assert [len(result.entities) for result in exported(page)] == [2, 2]


def test_documents_are_stepped_through_ticked_and_kept(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, *(document(str(number)) for number in range(3)))
    page.keyboard.press("n")
    assert page.inner_text("#document-title") == "1"
    page.keyboard.press("d")
    assert page.inner_text("#documents-done") == "1 of 3 done"
    page.keyboard.press("p")
    assert page.inner_text("#document-title") == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.check("#attribute-negated")
    assert page.locator(".seg.negated").inner_text() == "gout"
    page.reload()
    page.click("#go-on")
    assert page.inner_text("#documents-done") == "1 of 3 done"
    assert page.locator(".seg.negated").inner_text() == "gout"


def test_two_annotators_are_compared(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, document("1"), document("2"))
    other = document("1")
    other["entities"][1]["type"] = "Symptom"
    other["entities"].append({"id": "T3", "type": "Disease", "spans": [[34, 38]]})
    (tmp_path / "other.jsonl").write_text("\n".join(map(json.dumps, [other, document("2")])))
    page.set_input_files("#other", tmp_path / "other.jsonl")
    page.wait_for_selector("#agreement:not([hidden])")
    assert page.inner_text("#agreement-f1") == f"{6 / 9:.3f}"
    assert 0 < float(page.inner_text("#agreement-kappa")) < 1
    assert page.locator("#disagreements button").count() == 2
    page.click("#disagreements button >> nth=0")
    assert page.inner_text("#details-text") == "gout"
    page.click("#disagreements button >> nth=1")
    assert page.inner_text("#selection-text") == "gout"
    page.keyboard.press("Enter")
    page.click("#compare-again")
    page.wait_for_selector("#disagreements li:only-child")


@pytest.mark.parametrize("formats", [[*MEDIA_TYPES][:6], [*MEDIA_TYPES][6:]])  # Chromium lets a page save ten files
def test_every_format_is_exported(page: Any, tmp_path: Path, formats: list[str]) -> None:
    opened(page, tmp_path, document(relations=[{"type": "treats", "arguments": [["head", "T1"], ["tail", "T2"]]}]))
    assert page.locator("#export button").count() == len(MEDIA_TYPES)
    for format in formats:
        data = saved(page, format)
        assert b"gout" in data or zipfile.is_zipfile(io.BytesIO(data))
        if format in FORMATS and FORMATS[format].readable and format not in ("csv", "brat"):
            (result,) = read_documents(Source("a", data=data), format)
            assert "gout" in [item.text for item in result.entities]


@pytest.mark.parametrize("width", [320, 2560])
def test_the_full_desk_is_readable_and_accessible(browser: Any, server: Any, tmp_path: Path, width: int) -> None:
    """With relations, the look-up open, a comparison, and a type whose name is very long."""
    context = browser.new_context(viewport={"width": width, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.goto(server.url)
    full = document(relations=[{"type": "treats" * 60, "arguments": [["head", "T1"], ["tail", "T2"]]}])
    full["entities"][0]["type"] = "Long_type_" * 40
    opened(page, tmp_path, full)
    (tmp_path / "other.jsonl").write_text(json.dumps(document()))
    page.set_input_files("#other", tmp_path / "other.jsonl")
    page.wait_for_selector("#agreement:not([hidden])")
    if width > 900:
        page.click("#keys-help summary")
    page.click("#relation-list button")
    check(page)
    page.click('.tag[aria-label^="Disease: gout"]')
    page.focus("#lookup")
    page.wait_for_selector("#lookup-list li")
    check(page)
    context.close()
