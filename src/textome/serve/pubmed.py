"""Citations by PMID from PubMed's E-utilities, only where the service was told that it may ask them.

https://www.ncbi.nlm.nih.gov/books/NBK25499/ (EFetch). The address is the operator's, never a request's.
"""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request

from textome.serve.problems import Problem

E_UTILITIES = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/efetch.fcgi"
SECONDS = 15.0


def fetch(pmid: str, address: str, most_bytes: int) -> bytes:
    """The PubMed XML of a citation. Raises Problem (502, 504, 413) where PubMed does not give it."""
    query = urllib.parse.urlencode({"db": "pubmed", "id": pmid, "retmode": "xml", "tool": "textome"})
    try:
        with urllib.request.urlopen(f"{address}?{query}", timeout=SECONDS) as answer:
            data: bytes = answer.read(most_bytes + 1)
    except TimeoutError as error:
        raise Problem(
            504, "pubmed-slow", "PubMed did not answer", f"not within {SECONDS:g} s; try again later"
        ) from error
    except urllib.error.HTTPError as error:
        raise _refused(f"it answered {error.code}") from error
    except OSError as error:  # URLError too: no network, an unknown host, a broken connection
        raise _refused("it cannot be reached from this service") from error
    if len(data) > most_bytes:
        raise Problem(413, "too-large", "The citation is too large", f"more than {most_bytes:,} bytes came from PubMed")
    return data


def _refused(reason: str) -> Problem:
    return Problem(
        502, "pubmed-unreachable", "PubMed did not give the citation", f"{reason}; paste the text, or try again later"
    )
