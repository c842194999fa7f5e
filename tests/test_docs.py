"""The documentation: links lead somewhere, every page stands on a shelf and is in the index."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

import textome

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SHELVES = {"tutorials", "guides", "reference", "results"}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def pages() -> list[Path]:
    """All Markdown files of the repository."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def anchors(text: str) -> set[str]:
    """The names that a page's headings get where Markdown is shown: lower case, hyphens for spaces, no punctuation."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)}


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_every_page_stands_on_a_shelf_and_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in _LINK.findall(index) if "://" not in link}
    for page in DOCS.rglob("*.md"):
        if page.parent != DOCS:
            assert page.parent.name in SHELVES, f"{page}: put it on a shelf: {', '.join(sorted(SHELVES))}"
            assert page.resolve() in linked, f"{page} is missing in docs/README.md"


def test_a_broken_link_is_seen() -> None:
    assert anchors("# Beyond text\n## What, when: `now`") == {"beyond-text", "what-when-now"}
    assert _LINK.findall("see [a](b.md#c) and ![d](e.svg)") == ["b.md#c", "e.svg"]


def test_generated_pages_say_what_the_code_says() -> None:
    """In a process of its own, as the command that writes them."""
    command = [sys.executable, str(DOCS / "reference" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "python.html").read_text(encoding="utf-8")
    missing = [name for name in textome.__all__ if f"textome.{name}" not in page]
    assert missing == [], "docs/reference/python.md shows all that is public"


def test_python_of_the_first_pages_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (ROOT / "examples" / "abstracts.xml").read_bytes()
    (tmp_path / "abstracts.xml.gz").write_bytes(gzip.compress(source))
    monkeypatch.chdir(tmp_path)
    programs = [
        program
        for page in (ROOT / "README.md", DOCS / "index.md")
        for program in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ]
    assert len(programs) == 2
    for program in programs:
        exec(program, {})
    assert len((tmp_path / "entities.jsonl").read_text(encoding="utf-8").splitlines()) > 1


def test_every_key_of_a_recipe_is_explained() -> None:
    rows = [
        line for line in (DOCS / "reference" / "recipes.md").read_text(encoding="utf-8").splitlines() if "`" in line
    ]
    assert len(rows) > 150
    assert [row for row in rows if row.endswith("|  |")] == []
