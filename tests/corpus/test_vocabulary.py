"""A learnt vocabulary cuts its own text better, and loads wherever a BERT tokenizer does."""

from __future__ import annotations

import pytest
import transformers
from typer.testing import CliRunner

from textome.cli.main import application
from textome.corpus.vocabulary import SPECIAL, fit, train_vocabulary, write_vocabulary
from textome.errors import InputError
from textome.text.tokenization import Tokenizer

TEXT = [
    "Hydroxychloroquine lowered the interleukin level.",
    "The interleukin level rose without hydroxychloroquine.",
    "No hydroxychloroquine, no interleukin: the level stayed.",
] * 5


@pytest.fixture(scope="module")
def made() -> Tokenizer:
    return train_vocabulary(TEXT, 200)


def test_frequent_words_become_single_tokens(made):
    assert made.vocabulary()[: len(SPECIAL)] == list(SPECIAL)
    assert {"hydroxychloroquine", "interleukin", "level"} <= set(made.vocabulary())
    found = fit(made, TEXT, ["hydroxychloroquine", "interleukin level", "hydroxyurea"])
    assert found.tokens_per_word == pytest.approx(21 * 5 / 75, abs=0.2)  # words and their punctuation
    assert found.unknown == 0
    assert found.badly_cut == pytest.approx(1 / 3)


def test_what_the_alphabet_lacks_is_counted_as_unknown(made):
    assert fit(made, ["interleukin ξξ"]).unknown == 0.5
    assert fit(made, ["interleukin"]).badly_cut is None


def test_the_written_vocabulary_loads_here_and_in_transformers(made, tmp_path):
    write_vocabulary(made, tmp_path / "vocabulary", lowercase=True)
    again = Tokenizer.load(tmp_path / "vocabulary")
    assert again.fingerprint == made.fingerprint
    assert again.special_ids == list(range(len(SPECIAL)))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "vocabulary")
    ids = again.encode([TEXT[0]])[0].ids.tolist()
    assert theirs(TEXT[0])["input_ids"] == [again.start_id, *ids, again.end_id]
    with pytest.raises(InputError, match="exists already"):
        write_vocabulary(made, tmp_path / "vocabulary", lowercase=True)


def test_a_text_without_words_or_without_room_is_refused():
    with pytest.raises(InputError, match="no word"):
        train_vocabulary(["", "  "], 100)
    with pytest.raises(InputError, match="no room"):
        train_vocabulary(TEXT, 10)


def test_the_command_compares_with_the_bundled_vocabulary(tmp_path):
    source = tmp_path / "text.txt"
    source.write_text("\n\n".join(line.replace("ydroxychloroquine", "ozqutrivaxumab") for line in TEXT))
    terms = tmp_path / "terms.tsv"
    terms.write_text("hozqutrivaxumab\tB-Drug\n\n")  # a name that no vocabulary knows yet
    command = ["train-tokenizer", str(source), "-o", str(tmp_path / "v"), "--size", "200", "--terms", str(terms)]
    done = CliRunner().invoke(application(), command)
    assert done.exit_code == 0, done.output
    rows = {line[:15].strip(): line[15:].split() for line in done.stdout.splitlines()[1:]}
    assert float(rows["the new one"][1]) < float(rows["compared with"][1])
    assert rows["the new one"][-2:] == ["0.0", "%"]
    assert rows["compared with"][-2:] == ["100.0", "%"]
    assert isinstance(CliRunner().invoke(application(), command).exception, InputError)
