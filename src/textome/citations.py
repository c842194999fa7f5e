"""Citations and full texts by number: PMIDs from PubMed's E-utilities, PMCIDs from Europe PMC.

    https://www.ncbi.nlm.nih.gov/books/NBK25499/ (EFetch)
    https://www.ncbi.nlm.nih.gov/books/NBK25497/ (3 requests a second, 10 with a key)
    https://europepmc.org/RestfulWebService (fullTextXML)

A folder is filled file by file, and `fetched.json` says which numbers each file holds: a run that was stopped goes on.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from lxml import etree

from textome.errors import InputError
from textome.formats import Quarantine, Target
from textome.version import __version__

E_UTILITIES = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/efetch.fcgi"
EUROPE_PMC = "https://www.ebi.ac.uk/europepmc/webservices/rest"
LEDGER = "fetched.json"
BATCH = 200  # PMIDs of one request; more do not make it quicker
_SECONDS = 60.0
_MOST_BYTES = 200_000_000
_NUMBER = re.compile(r"(?:PMID:?\s*)?(\d{1,8})|(?:PMCID:?\s*)?(PMC\d{1,9})", re.IGNORECASE)
# What a server says when it is busy, or restarts.
_AGAIN = (429, 500, 502, 503, 504)


@dataclass
class Fetcher:
    """How the two services are asked.

    key        an API key of NCBI, or empty
    retries    how often a request is sent again that failed for a while, each time after twice as long a wait
    wait       seconds before the first of them; a server's `Retry-After` counts if it is longer
    """

    key: str = ""
    e_utilities: str = E_UTILITIES
    europe_pmc: str = EUROPE_PMC
    retries: int = 5
    wait: float = 1.0
    _next: float = field(default=0.0, init=False)

    @property
    def requests_per_second(self) -> float:
        return 10.0 if self.key else 3.0

    def citations(self, pmids: Sequence[str]) -> etree._Element:
        """The PubmedArticleSet of these PMIDs. Raises InputError where PubMed refuses, or does not answer."""
        form = {"db": "pubmed", "retmode": "xml", "tool": "textome", "id": ",".join(pmids)}
        if self.key:
            form["api_key"] = self.key
        root = self._xml(self.e_utilities, urllib.parse.urlencode(form).encode())
        if root is None or root.tag != "PubmedArticleSet":
            raise InputError(
                f"{self.e_utilities}: the answer is not a PubmedArticleSet; is this the address of EFetch?"
            )
        return root

    def full_text(self, pmcid: str) -> etree._Element | None:
        """The JATS article of a PMCID, or None if Europe PMC may not give it."""
        return self._xml(f"{self.europe_pmc}/{pmcid}/fullTextXML", None)

    def _xml(self, address: str, form: bytes | None) -> etree._Element | None:
        reason = ""
        for attempt in range(self.retries + 1):
            self._keep_to_the_rate()
            wait = self.wait * 2**attempt
            try:
                request = urllib.request.Request(address, form, {"User-Agent": f"textome/{__version__}"})
                with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                    data = answer.read(_MOST_BYTES + 1)
                if len(data) > _MOST_BYTES:
                    raise InputError(f"{address}: the answer has more than {_MOST_BYTES:,} bytes")
                return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
            except urllib.error.HTTPError as error:
                if error.code == 404 and form is None:
                    return None
                reason = f"it answered {error.code}"
                if error.code not in _AGAIN:
                    raise InputError(f"{address}: {reason}; check the address, the key and the numbers") from error
                after = error.headers.get("Retry-After", "")
                wait = max(wait, float(after) if after.isdigit() else 0.0)
            except etree.XMLSyntaxError:
                reason = "its answer is cut off, or no XML"
            except OSError as error:  # URLError and time-outs too
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if attempt < self.retries:
                time.sleep(wait)
        raise InputError(
            f"{address}: {reason}, {self.retries + 1} times; start the same command again later, it goes on"
        )

    def _keep_to_the_rate(self) -> None:
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self.requests_per_second


def read_numbers(items: Iterable[str], quarantine: Quarantine) -> list[str]:
    """PMIDs ("12345", "PMID: 12345") and PMCIDs ("PMC12345") of numbers and of files of them, each once and in order.

    In a file a line, a comma or a semicolon stands between two. What is not a number is quarantined with its line.
    """
    numbers: dict[str, None] = {}
    for item in items:
        if match := _NUMBER.fullmatch(item.strip()):
            numbers[_plain(match)] = None
            continue
        path = Path(item)
        if not path.is_file():
            raise InputError(f"{item}: no PMID, no PMCID, and no file of them")
        for line, text in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
            for piece in filter(None, (piece.strip() for piece in re.split(r"[,;\t]", text))):
                if match := _NUMBER.fullmatch(piece):
                    numbers[_plain(match)] = None
                else:
                    quarantine.add(item, f"line {line}", InputError(f"{piece[:40]!r} is neither a PMID nor a PMCID"))
    return list(numbers)


def _plain(match: re.Match[str]) -> str:
    return (match[1].lstrip("0") or "0") if match[1] else match[2].upper()


def fetch(numbers: Sequence[str], folder: Path, fetcher: Fetcher, quarantine: Quarantine) -> Iterator[int]:
    """Fill a folder with the files of these numbers; yields how many each request brought.

    PMIDs come `BATCH` a file, PMCIDs one. Numbers that the folder's ledger has are not asked for again; those that the
    services do not have are quarantined.
    """
    ledger = read_ledger(folder)
    have = {number for held in ledger.values() for number in held}
    missing = [number for number in numbers if number not in have]
    pmids = [number for number in missing if not number.startswith("PMC")]
    for start in range(0, len(pmids), BATCH):
        asked = pmids[start : start + BATCH]
        root = fetcher.citations(asked)
        held = [number for number in citations_in(root) if number in asked]
        for number in asked:
            if number not in held:
                quarantine.add(
                    fetcher.e_utilities, f"PMID {number}", InputError("PubMed has no citation of this number")
                )
        if held:
            names = (f"pubmed-{number:06d}.xml" for number in count(1))
            free = next(name for name in names if not (folder / name).exists())
            yield _keep(folder, free, root, held, ledger)
    for number in missing:
        if not number.startswith("PMC"):
            continue
        article = fetcher.full_text(number)
        if article is None:
            reason = InputError("Europe PMC gives no full text of this number; not every article is open")
            quarantine.add(fetcher.europe_pmc, number, reason)
        else:
            yield _keep(folder, f"{number}.nxml", article, [number], ledger)


def citations_in(root: etree._Element) -> list[str]:
    """The PMIDs of the articles and books of a PubmedArticleSet."""
    return [number for article in root if (number := _number(article))]


def _number(article: etree._Element) -> str:
    """The PMID of an article or a book, or empty."""
    return article.findtext("MedlineCitation/PMID") or article.findtext("BookDocument/PMID") or ""


def read_ledger(folder: Path) -> dict[str, list[str]]:
    """Which numbers each file of a folder holds; only of files that are there."""
    path = folder / LEDGER
    try:
        kept: dict[str, list[str]] = json.loads(path.read_bytes()) if path.exists() else {}
        return {name: [str(number) for number in held] for name, held in kept.items() if (folder / name).is_file()}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: no ledger of textome fetch; give another folder, or remove this file") from error


def join_citations(folder: Path, numbers: Sequence[str], output: Path) -> int:
    """One PubmedArticleSet of the citations of a folder with these PMIDs, in their order; returns their number."""
    file_of = {number: name for name, held in read_ledger(folder).items() for number in held}
    known = [number for number in numbers if number in file_of]
    loaded: tuple[str, dict[str, bytes]] = ("", {})
    with Target(output).open() as stream:
        stream.write(b'<?xml version="1.0" encoding="utf-8"?>\n<PubmedArticleSet>\n')
        for number in known:
            if loaded[0] != file_of[number]:
                loaded = (file_of[number], _articles(folder / file_of[number]))
            stream.write(loaded[1][number] + b"\n")
        stream.write(b"</PubmedArticleSet>\n")
    return len(known)


def _articles(path: Path) -> dict[str, bytes]:
    root = etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)).getroot()
    return {_number(article): etree.tostring(article, encoding="utf-8", with_tail=False) for article in root}


def _keep(folder: Path, name: str, root: etree._Element, held: list[str], ledger: dict[str, list[str]]) -> int:
    with Target(folder / name).open() as stream:
        stream.write(etree.tostring(root, encoding="utf-8", xml_declaration=True))
    ledger[name] = held
    with Target(folder / LEDGER).open() as stream:
        stream.write(json.dumps(ledger).encode())
    return len(held)
