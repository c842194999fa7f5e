"""Word counts of documents, for topic models, keyword search and baselines: one JSON object a line.

Here, and only here, stop words may go. A language model learns from whole sentences: "not", "by" and "of" carry who does
what to whom, a masked "of" is a lesson in grammar, and a model that never saw them meets them in every text it annotates.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from textome.text.stop_words import remove_stop_words

# Words with the hyphens, primes and numbers inside them that biomedical names have: il-2, 5'-nucleotidase, p53, alpha.
_WORD = re.compile(r"\w+(?:[-'’]\w+)*")


def count_words(sentences: Sequence[str], drop_stop_words: bool = False) -> Counter[str]:
    """How often each word stands in the sentences, without case; a number alone is not a word."""
    words = [word for sentence in sentences for word in _WORD.findall(sentence.casefold()) if not word.isdigit()]
    return Counter(remove_stop_words(words) if drop_stop_words else words)


def line_of(id: str, sentences: Sequence[str], drop_stop_words: bool = False) -> str:
    """The line of one document: `{"id": ..., "words": {"gout": 2, ...}}`, words in the order of the alphabet."""
    counts = count_words(sentences, drop_stop_words)
    return json.dumps({"id": id, "words": dict(sorted(counts.items()))}, ensure_ascii=False) + "\n"
