"""Stop words, for bag-of-words uses only: word counts, topic models, keyword search.

Do not remove them from text for a language model. BERT-like models were trained on whole sentences and read relations
off function words: without "not", "by" and "of" the sentence says something else, and offsets are lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

# English function words. Negations (no, not, nor, without, neither, never, none, cannot) are not among them: even in a
# bag of words "no fever" and "fever" are different findings.
STOP_WORDS = frozenset(
    """
    a about above after again all also although am among an and another any are as at be because been before being below
    between both but by can could did do does doing done due during each either else ever every few for from further had
    has have having he hence her here hers herself him himself his how however i if in into is it its itself just may me
    might more most much must my myself of off on once only or other our ours ourselves out over own per perhaps quite
    rather s same shall she should since so some still such than that the their theirs them themselves then there thereby
    therefore these they this those through thus to too toward towards under until up upon us very via was we were what
    when where whereas whether which while who whom whose why will with within would yet you your yours yourself
    yourselves
    """.split()  # noqa: SIM905 - as a list it would take ten times the room
)


def remove_stop_words(words: Iterable[str], stop_words: Collection[str] = STOP_WORDS) -> list[str]:
    """The words that are not stop words, compared without case, in their order and as they are written."""
    return [word for word in words if word.casefold() not in stop_words]
