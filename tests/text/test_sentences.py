"""Where sentences of biomedical text end, and that no text is lost or slow."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textome.formats import read_documents
from textome.text.sentences import split_sentences

# "|" marks a boundary; everything else is the text. One invented text a line.
EXAMPLES = """
We grew E. coli and S. cerevisiae in broth. | Cells were lysed.
Candida spp. were found. | S. enterica subsp. enterica was not.
Resistance rose in P. falciparum. | P. vivax was spared.
Infected with S. Typhimurium the mice fell ill.
It is shown in Fig. 2 and Figs. 3 and 4. | Next came others.
FIG. 2 shows more.
Novak et al. (2010) found it. | Others disagree.
It was found by Novak et al. | The next group saw more.
A dose of 0.5 mg. | The rats died.
After 5 min. | The cells were washed.
The tumour was 5 mm. in length. | It grew.
Add 2 ml. | 10 mice were left.
The drug was given i.v. and p.o. daily. | Rats ate well.
Saline i.v. (n = 3) or water. | None died.
The difference (mean +/- s.d.) Is large.
Old vs. New drugs, viz. Statins, cf. Table 2.
Dr. Novak saw approx. 5 g of it, i.e. Too much.
The level was p < .05 here. | Nothing else was.
It rose (P = 0.03). | The rest fell.
Cytokines, e.g., IL-2. | These cells were kept at pH 7.4. | Cells grew.
Sample No. 5 was best. | We said no. | It was good.
It affects U.S. patients. | It is rare in the U.S. | The cost is high.
By Novak, M. A., Adams, J.-P., Brown, C. I. and others. | The mutation in the MR. | We lack it.
The U.S. Army and A.B. Novak agreed. | J. Novak and R. Adams wrote it.
They lack vitamin C. | Rats make it.
All had hepatitis B. | Ribavirin helped.
Those in groups A and B. | Values rose in Group C. | Values fell.
The subunit COX-I. | It was 10 mumol/L. | Levels fell at 37 degrees C. | All died.
Patients with MS. | No cases of CF. | A pulse of 200 ms. | Some HLA-DR. | Mice lived.
It is known [1]. | It is known.[2,3] | It is known.4,5 | The next.
He said "no." | Then he left. | (It works.) | Then it did not.
Wait... | The end. | Really? | Yes! | But what? the rest.
One; two; three. | p53 was lost. | mRNA rose. | α-Synuclein fell. | pH too.
Nothing in vitro. in vivo it is so.
1. Introduction. | 2. Methods follow. | (b) Second item.
a. First item. | (2) Next item.
It was bought (Acme Chemical Co. (St. Louis, MO), Beta Corp., Inc.). | Then used.
Gamma Pharm. Co. of Ansan made it. | Co-administration failed.
Reviewed here [Ann. Invent. Sci. 9 (2006), 917] recently. | The ratio (1. 5 to 2) fell.
From May 1 to Nov. 30 and Dec. 2, 2002. | Feb. 3 too.
The Ph.D. students left at 10 a.m. | The rats stayed.
CONTEXT: None. | RESULTS: Good. | It fell by 3%. | 20 rats lived.
The genus Novakia gen. nov. is new. | Novakia sp. nov. is its type.
A stop alone stands here. . | The next sentence.
""".strip().splitlines()


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize("marked", EXAMPLES)
def test_boundaries(marked):
    assert pieces(marked.replace(" | ", " ")) == marked.split(" | ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("No stop", ["No stop"]),
        ("A title\n\nthe text. More", ["A title", "the text.", "More"]),
        ("A title\r\n \t\r\nthe text.", ["A title", "the text."]),
        ("cells of E.\n\ncoli", ["cells of E.", "coli"]),
        ("one\ntwo. Three\nfour", ["one\ntwo.", "Three\nfour"]),
        ("It ended.\nNext line.", ["It ended.", "Next line."]),
        ("  It ended.   Next.  ", ["It ended.", "Next."]),
        ("It ended.\u00a0Next.", ["It ended.", "Next."]),
        ("It ended.Next", ["It ended.Next"]),
        ("He asked: “Why?” Nobody knew. «So.» They", ["He asked: “Why?”", "Nobody knew.", "«So.»", "They"]),
        ("A (b. C", ["A (b.", "C"]),
        (
            "Plan:\n1. Give 5 mg i.v.\n2. Echo in a.m.\n 3. Stop it",
            ["Plan:", "1. Give 5 mg i.v.", "2. Echo in a.m.", "3. Stop it"],
        ),
        ("Temp. 38.4 in Sept. 2020. Sept. The", ["Temp. 38.4 in Sept. 2020.", "Sept.", "The"]),
        ("It ended\n\n. . .", ["It ended", ". . ."]),
    ],
)
def test_edges(text, expected):
    assert pieces(text) == expected


_FRAGMENTS = st.sampled_from(
    [
        ".",
        "!",
        "?",
        "…",
        "\n",
        "\t",
        " ",
        "\n\n",
        "\r\n",
        "(",
        ")",
        "[",
        "]",
        "1",
        "A",
        "a",
        "é",
        "中",
        "\u0301",
        "\u200b",
    ]
) | st.sampled_from(["🧬", "שלום", '"', "’", ";", "e.g.", "E.", "al.", "mg.", "U.S.", "[1]", ".4,5"])


@settings(deadline=None, max_examples=300)
@given(st.lists(_FRAGMENTS | st.characters(), max_size=40).map("".join))
@example(". . .")
@example("\n\n.\n\n.")
def test_every_character_but_white_space_lies_in_one_sentence(text):
    spans = split_sentences(text)
    covered = [index for start, end in spans for index in range(start, end)]
    assert len(covered) == len(set(covered))
    assert {index for index, character in enumerate(text) if not character.isspace()} <= set(covered)
    assert all(0 <= start < end <= len(text) and text[start:end] == text[start:end].strip() for start, end in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))


@settings(deadline=None, max_examples=100)
@given(st.text("aB.! ()\n"), st.text("aB.! ()\n"))
def test_a_blank_line_keeps_its_sides_apart(one, other):
    apart = pieces(f"{one}x\n\nx{other}")
    assert apart == pieces(f"{one}x") + pieces(f"x{other}")


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "a ", ".", ". ", ".\"'", "\n", "\n x", " ", "\r\n", "E. Xoli ", "e.g. x ", "I. ", "5. ", "A.B. Xo "),
        *("(a. B ", "[1 ", ".[1 ", "a.1,2 ", "al. x ", "We fed rats 5 mg. Cells of E. coli (Fig. 2) grew. "),
    ],
)
def test_a_megabyte_is_not_slow(unit):
    """Whatever it repeats, with stops or without; a rule that looked at the whole sentence would take minutes."""
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    spans = split_sentences(text)
    assert time.process_time() - started < 10
    assert sum(end - start for start, end in spans) <= len(text)


def test_agrees_with_the_sentences_of_a_corpus(shared_data):
    """The number of sentences that others found in the same abstracts; benchmarks/sentences.py compares their places."""
    documents = read_documents(shared_data / "re" / "BC5CDR-relations" / "CDR_TestSet.PubTator.txt.gz")
    found = sum(len(split_sentences(passage.text)) for document in documents for passage in document.passages)
    blocks = (shared_data / "ner" / "BC5CDR" / "test.tsv").read_text(encoding="utf-8").strip().split("\n\n")
    assert found == pytest.approx(len(blocks), rel=0.01)
