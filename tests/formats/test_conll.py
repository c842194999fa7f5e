"""CoNLL: tag schemes, columns, documents, and files that are not as they should be."""

from __future__ import annotations

import gzip
import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document, Passage
from textome.errors import InputError
from textome.formats import Quarantine, Source, Target
from textome.formats.conll import Scheme, Sentence, detect_scheme, read, read_sentences, sniff, to_iob2, write

GOOD = "Mild\tO\ngout\tB-Disease\nattack\tI-Disease\n.\tO\n\nColchicine\tB-Chemical\nhelps\tO\n\n"


def source(text: str | bytes, name: str = "a.tsv") -> Source:
    return Source(name, data=text.encode() if isinstance(text, str) else text)


def found(text: str | bytes, entity_type: str | None = None) -> tuple[list[Document], Quarantine]:
    quarantine = Quarantine()
    return list(read(source(text), quarantine, entity_type)), quarantine


def sentences(text: str | bytes, entity_type: str | None = None, scheme: Scheme | None = None) -> list[Sentence]:
    return list(read_sentences(source(text), Quarantine(), entity_type, scheme))


def again(documents: list[Document], folder: Path) -> list[Document]:
    assert write(documents, Target(folder / "out.tsv")) == len(documents)
    quarantine = Quarantine()
    back = list(read(Source.of(folder / "out.tsv"), quarantine))
    assert quarantine.records == []
    return back


def spans(document: Document) -> list[tuple[str, str]]:
    return [(entity.text, entity.type) for entity in document.entities]


def test_each_sentence_is_a_document_whose_text_gives_the_words_back() -> None:
    (first, second), quarantine = found(GOOD)
    assert quarantine.count == 0
    assert (first.id, first.text) == ("a:1", "Mild gout attack .")
    assert (second.id, second.text) == ("a:6", "Colchicine helps")
    assert spans(first) == [("gout attack", "Disease")]
    assert first.text.split(" ") == list(sentences(GOOD)[0].words)


def test_the_last_sentence_needs_no_blank_line_and_windows_line_ends_are_line_ends() -> None:
    assert sentences("\ufeff" + GOOD.rstrip("\n").replace("\n", "\r\n")) == sentences(GOOD)


def test_docstart_lines_part_documents_of_several_sentences(tmp_path: Path) -> None:
    (first, second), _ = found(f"-DOCSTART-\tO\n\n{GOOD}-DOCSTART-\tO\nEnd\tO\n")
    assert first.text == "Mild gout attack .\nColchicine helps"
    assert spans(first) == [("gout attack", "Disease"), ("Colchicine", "Chemical")]
    assert second.text == "End"
    assert [document.text for document in again([first, second], tmp_path)] == [first.text, second.text]


def test_documents_after_one_of_several_sentences_stay_apart(tmp_path: Path) -> None:
    texts = ["One.", "Two.\nThree.", "Four.", "Five."]
    back = again([Document.from_text(text) for text in texts], tmp_path)
    assert [document.text.replace(" .", ".") for document in back] == texts


def test_more_columns_parted_by_spaces_with_the_tag_last() -> None:
    text = "-DOCSTART- -X- O O\n\nGout NNP I-NP I-DIS\nhurts  VBZ I-VP O\n"
    ((document,), quarantine) = found(text)
    assert quarantine.count == 0
    assert (document.text, spans(document)) == ("Gout hurts", [("Gout", "DIS")])


@pytest.mark.parametrize("first", [0, 1])
def test_a_first_column_that_counts_the_words_is_not_read_as_words(first: int) -> None:
    counted = [f"{number}\tw{number}\tO \r\n" for number in range(first, first + 3)]
    documents, quarantine = found("".join(counted) + f"\n{first}\tGout\tB-DIS\n")
    assert quarantine.count == 0
    assert [document.text for document in documents] == [f"w{first} w{first + 1} w{first + 2}", "Gout"]
    ((document,), _) = found("1\tCD\tO\n3\tCD\tO\n")
    assert document.text == "1 3"


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("iob1", "I-A I-A B-A O I-A I-B", "B-A I-A B-A O B-A B-B"),
        ("iob2", "B-A I-A B-A O B-A B-B", "B-A I-A B-A O B-A B-B"),
        ("iobes", "B-A E-A S-A O S-A S-B", "B-A I-A B-A O B-A B-B"),
        ("iobes", "B-A L-A U-A O U-A U-B", "B-A I-A B-A O B-A B-B"),
        ("iobes", "S-A E-A E-A O B-A M-A", "B-A B-A B-A O B-A I-A"),
        ("iob2", "O O O", "O O O"),
    ],
)
def test_the_schemes_are_told_apart_and_become_iob2(scheme: Scheme, tags: str, expected: str) -> None:
    assert detect_scheme([tags.split()]) == scheme
    assert to_iob2(tags.split(), scheme) == expected.split()
    text = "".join(f"w\t{tag}\n" for tag in tags.split())
    assert sentences(text)[0].tags == tuple(expected.split())


def test_the_scheme_is_that_of_the_whole_file() -> None:
    """Alone, the first sentence would be IOB1."""
    assert detect_scheme([["I-A", "B-A"], ["O", "B-A"]]) == "iob2"
    assert detect_scheme([["B-A", "I-A"], ["O", "S-A"]]) == "iobes"


def test_an_inside_tag_with_nothing_before_it_is_a_beginning_and_is_counted() -> None:
    first, second = sentences("a\tO\nb\tI-X\nc\tI-Y\n\nd\tB-X\ne\tI-X\n")
    assert first.tags == ("O", "B-X", "B-Y")
    assert (first.repaired, second.repaired) == (2, 0)
    (only,) = sentences("a\tO\nb\tI-X\n", scheme="iob1")
    assert (only.tags, only.repaired) == (("O", "B-X"), 0)


def test_bare_tags_need_a_type() -> None:
    text = "Mild\tO\nmouse\tB\ncells\tI\n"
    with pytest.raises(InputError, match=r"a\.tsv, line 1: .*--entity-type"):
        found(text)
    ((document,), _) = found(text, "Species")
    assert spans(document) == [("mouse cells", "Species")]


@pytest.mark.parametrize(
    ("line", "position", "message"),
    [
        (b"gout\n", "line 2", "expected a word and a tag"),
        (b"gout\tNN\tB-Disease\n", "line 2", "expected 2 columns as in the lines before, found 3"),
        (b"gout\tDisease\n", "line 2", "'Disease' is not an IOB or IOBES tag; the last column must hold O, B-TYPE"),
        (b"gout\t\n", "line 2", "'' is not an IOB"),
        (b"\tO\n", "line 2", "a tag but no word"),
        (b"go\xfct\tO\n", "line 2", "not UTF-8"),
    ],
)
def test_a_bad_line_loses_its_sentence_only(line: bytes, position: str, message: str) -> None:
    documents, quarantine = found(GOOD.encode().replace(b"gout\tB-Disease\n", line))
    assert [document.text for document in documents] == ["Colchicine helps"]
    (record,) = quarantine.records
    assert record.position == position
    assert message in record.reason


def test_a_damaged_file_gives_what_stands_before_the_damage() -> None:
    many = "".join(f"word{number * number}\tO\n\n" for number in range(4000))
    documents, quarantine = found(gzip.compress(many.encode())[:-2000])
    assert len(documents) > 1000
    assert documents[0].text == "word0"
    assert "cut short or damaged" in quarantine.records[0].reason


def test_words_keep_odd_characters_and_a_space_inside_becomes_a_no_break_space(tmp_path: Path) -> None:
    (document,), quarantine = found("1\u00a0000\tB-N\nE. coli\tO\n\ufeffx\tO\n#1\tO\ne\u0301\U0001f9ec\tO\n")
    assert quarantine.count == 0
    assert document.text.split(" ") == ["1\u00a0000", "E.\u00a0coli", "\ufeffx", "#1", "e\u0301\U0001f9ec"]
    ((back,),) = (again([document], tmp_path),)
    assert (back.text, back.entities) == (document.text, document.entities)


def test_words_are_cut_at_punctuation_and_where_entities_begin_and_end(tmp_path: Path) -> None:
    text = Document("a", (Passage("The anti-p53antibody (n=3)."),))
    ((back,),) = (again([text.with_annotations([text.entity([(9, 12)], "Gene x")])], tmp_path),)
    assert back.text == "The anti - p53 antibody ( n = 3 ) ."
    assert spans(back) == [("p53", "Gene_x")]


def test_of_overlapping_entities_the_longest_stays_and_of_equals_the_first(tmp_path: Path) -> None:
    text = Document("a", (Passage("left and right gout or ague"),))
    entities = [
        text.entity([(15, 19)], "Inner"),
        text.entity([(0, 4), (15, 19)], "Outer"),
        text.entity([(23, 27)], "First"),
        text.entity([(23, 27)], "Second"),
    ]
    ((back,),) = (again([text.with_annotations(entities)], tmp_path),)
    assert spans(back) == [("left and right gout", "Outer"), ("ague", "First")]


def test_an_entity_over_a_line_break_goes_on_as_a_new_one(tmp_path: Path) -> None:
    text = Document("a", (Passage("bad\ngout"),))
    ((back,),) = (again([text.with_annotations([text.entity([(0, 8)], "D")])], tmp_path),)
    assert spans(back) == [("bad", "D"), ("gout", "D")]


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_every_document_is_written_with_all_its_signs_and_stays_the_same_from_then_on(
    document: Document, tmp_path: Path
) -> None:
    once = again([document], tmp_path)
    assert "".join("".join(part.text for part in once).split()) == "".join(document.text.split())
    twice = again(once, tmp_path)
    assert [(part.text, part.entities) for part in twice] == [(part.text, part.entities) for part in once]


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_one_entity_keeps_exactly_its_signs(data: st.DataObject, text: str, tmp_path: Path) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    document = Document("a", (Passage(text),))
    back = again([document.with_annotations([document.entity([(start, end)], "X")])], tmp_path)
    found = "".join(entity.text for part in back for entity in part.entities)
    assert "".join(found.split()) == "".join(text[start:end].split())


def test_sniff() -> None:
    assert sniff(GOOD, "a")
    assert sniff("gout\tB", "a")
    assert sniff("Gout NN B-NP B-DIS\nhurts V O", "a")
    assert not sniff("This is I\nplain text\nof three lines.\n", "a")
    assert not sniff("a\tb\nc\td\n", "a")
    assert not sniff("", "a")


FOLDERS = (
    "BC2GM BC5CDR BC5CDR-chem BC5CDR-disease BioNLP09 BioNLP11EPI BioNLP11ID BioNLP13GE BioNLP13PC Ex-PTM NCBI-disease "
    "linnaeus s800"
)


@pytest.mark.parametrize("folder", FOLDERS.split())
def test_real_test_sets_have_the_counts_of_their_description_and_survive_writing(
    shared_data: Path, folder: str, tmp_path: Path
) -> None:
    place = Source.of(shared_data / "ner" / folder / "test.tsv")
    quarantine = Quarantine()
    corpus = list(read_sentences(place, quarantine, "Species" if folder == "s800" else None))
    assert quarantine.records == []
    described = json.loads((shared_data / "ner" / folder / "SOURCE.json").read_text())["splits"]["test"]
    assert len(corpus) == described["sentences"]
    assert sum(len(sentence.words) for sentence in corpus) == described["tokens"]
    begun = Counter(tag[2:] for sentence in corpus for tag in sentence.tags if tag[0] == "B")
    assert begun == described.get("labels", {"Species": described["entities"]})
    assert sum(sentence.repaired for sentence in corpus) == 0
    write(read(place, quarantine, "Species"), Target(tmp_path / "out"))
    back = read_sentences(Source.of(tmp_path / "out"), quarantine)
    assert [(item.words, item.tags) for item in back] == [(item.words, item.tags) for item in corpus]


@pytest.mark.parametrize(
    "text", ["Ménière's β-sitosterol", "Sjögren 3′UTR", "ﬁ a\u0301b\u0301c", "नमस्ते दुनिया", "e\u0301"]
)
def test_a_word_keeps_its_accents_however_they_are_written(text: str, tmp_path: Path) -> None:
    """NFC and NFD give the same words; marks stay with the letter before them."""
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    counts = []
    for number, form in enumerate(forms):
        write([Document("a", (Passage(form),))], Target(tmp_path / f"{number}.tsv"))
        (back,) = read(Source.of(tmp_path / f"{number}.tsv"), Quarantine())
        assert back.text.replace(" ", "") == form.replace(" ", "")
        assert not any(unicodedata.category(word[0]).startswith("M") for word in back.text.split())
        counts.append(len(back.text.split()))
    assert counts[0] == counts[1]
