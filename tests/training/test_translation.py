"""A tiny translation model learns a made-up language by heart, and its commands give what it learnt."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

import textome
from textome.cli.main import application
from textome.documents import Document, Passage, titled
from textome.errors import InputError, ModelError
from textome.metrics.translation import score_translations
from textome.training.kinds import plan_run
from textome.training.optimisation.optimiser import rate_at
from textome.training.translation.translator import Translator

WORDS = {
    "the": "ta",
    "nurse": "niro",
    "doctor": "doko",
    "sees": "vi",
    "helps": "helu",
    "patient": "pati",
    "child": "kido",
}


def translated(text: str) -> str:
    """The made-up language: each word has its own, and the verb comes last."""
    first, subject, verb, second, thing = text.removesuffix(".").split()
    return " ".join(WORDS[word] for word in (first, subject, second, thing, verb)) + "."


def make_recipe(folder: Path, **settings: object) -> Path:
    generator = random.Random(1)
    people = ["nurse", "doctor", "patient", "child"]
    texts = [
        f"the {generator.choice(people)} {generator.choice(['sees', 'helps'])} the {generator.choice(people)}."
        for _ in range(300)
    ]
    for name, some in (("train", texts), ("val", texts[:20])):
        (folder / f"{name}.en").write_text("\n".join(some) + "\n")
        (folder / f"{name}.xx").write_text("\n".join(map(translated, some)) + "\n")
    values = {"epochs": 12} | settings
    path = folder / "recipe.toml"
    path.write_text(
        'task = "translation"\nname = "tiny"\n[data]\nsource = "en"\ntarget = "xx"\ntrain = ["train.{}"]\n'
        'validation = ["val.{}"]\n[model]\nvocabulary = 320\nhidden_size = 32\nencoder_layers = 1\ndecoder_layers = 1\n'
        "num_attention_heads = 2\nintermediate_size = 64\ndropout = 0.0\nmax_length = 24\n[training]\n"
        'learning_rate = 1e-2\ntoken_budget = 512\nwarmup = 0.1\nschedule = "inverse_sqrt"\nbeta2 = 0.98\n'
        + "".join(f"{name} = {value}\n" for name, value in values.items())
    )
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translation")
    return plan_run(make_recipe(folder)).start(folder / "run", False, lambda record: None)


def test_it_learns_words_and_their_order(bundle: Path) -> None:
    records = [json.loads(line) for line in (bundle.parent / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["best"] > 0.95
    translator = Translator.load(bundle)
    texts = ["the child helps the doctor.", "", "  the nurse sees the nurse.  "]
    for width in (1, 4):
        assert translator.translate(texts, width) == ["ta kido ta doko helu.", "", "ta niro ta niro vi."]


def test_an_encoder_with_disentangled_attention_learns_it_too(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    bundle = plan_run(recipe, ["model.encoder=deberta"]).start(tmp_path / "run", False, lambda record: None)
    assert Translator.load(bundle).translate(["the child helps the doctor."]) == ["ta kido ta doko helu."]
    names = set(load_file(bundle / "model.safetensors"))
    assert "encoder.encoder.rel_embeddings.weight" in names
    assert "model.decoder.layers.0.encoder_attn.q_proj.weight" in names


def test_layout_and_long_texts_are_kept(bundle: Path) -> None:
    translator = Translator.load(bundle)
    text = "\n  the child sees the nurse.  The end\r\n\n\tthe nurse helps the child.\n"
    found = translator.translate_layout(text)
    lines = found.split("\n")
    assert lines[0] == ""
    assert lines[1].startswith("  ta kido ta niro vi.  ")
    assert lines[1].endswith("\r")
    assert lines[2:] == ["", "\tta niro ta kido helu.", ""]
    assert translator.translate_layout(" \n") == " \n"
    long = " ".join(["the child sees the nurse."] * 8)
    (ids,) = translator.encode([long])
    pieces = translator._cut(ids)
    assert max(map(len, pieces)) <= translator.max_length
    assert [token for piece in pieces for token in piece[:-1]] == ids[:-1]
    (whole,) = translator.translate([long])
    assert whole.count("ta ") >= len(pieces)


def test_a_pipeline_gives_each_passage_its_translation(bundle: Path) -> None:
    pipeline = textome.load(bundle, leave_out=["linking"])
    text = "the child sees the nurse.\n\nthe nurse helps the child."
    document = Document("1", (*titled("the nurse sees the nurse.", text), Passage(" ", 90)))
    found = pipeline(document)
    assert [(label.name, label.task) for label in found.labels] == [
        ("ta niro ta niro vi.", "translation"),
        ("ta kido ta niro vi.\n\nta niro ta kido helu.", "translation"),
    ]
    assert [document.text[slice(*label.span)] for label in found.labels if label.span] == [
        "the nurse sees the nurse.",
        text,
    ]
    assert found.labels[0].metadata == {"language": "xx"}
    assert [item.labels[0].name for item in pipeline(["the nurse sees the nurse."])] == ["ta niro ta niro vi."]


def test_characters_outside_the_vocabulary_are_read(bundle: Path) -> None:
    translator = Translator.load(bundle)
    text = "β-blocker \U0001f489 \u202eabc"
    (ids,) = translator.encode([text])
    assert translator.tokenizer.decode(ids[:-1]).strip() == text
    assert isinstance(translator.translate([text])[0], str)


def test_the_commands(bundle: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("the child helps the doctor.\nthe nurse sees the nurse.\n")
    options = ["translate", str(source), "-m", str(bundle)]
    for more in ([], ["--lines", "--beam", "1"]):
        done = CliRunner().invoke(application(), [*options, *more, "-o", str(output)])
        assert done.exit_code == 0, done.output
        assert output.read_text() == "ta kido ta doko helu.\nta niro ta niro vi.\n"
    done = CliRunner().invoke(application(), [*options, "--to", "de"])
    assert isinstance(done.exception, InputError)
    assert "the model translates to 'xx', not 'de'" in str(done.exception)
    done = CliRunner().invoke(
        application(), ["evaluate", "-m", str(bundle), "-d", str(bundle.parent.parent / "val.{}"), "--json"]
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["score"] == facts["BLEU"] > 0.95
    assert "tok:13a" in facts["notes"]["BLEU"]
    assert facts["chrF"] > 0.95


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, epochs=2)
    whole = plan_run(recipe).start(tmp_path / "whole", False, lambda record: None)

    class StoppedError(Exception):
        pass

    def stop(record: dict) -> None:
        if record["event"] == "validation":
            raise StoppedError

    with pytest.raises(StoppedError):
        plan_run(recipe).start(tmp_path / "part", False, stop)
    again = plan_run(recipe).start(tmp_path / "part", True, lambda record: None)
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_wrong_input_is_told(bundle: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    recipe = make_recipe(tmp_path)
    for override, message in (
        ("model.num_attention_heads=3", "multiple of num_attention_heads"),
        ("model.vocab=3", "did you mean 'vocabulary'"),
        ("data.target=yy", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            plan_run(recipe, [override]).start(tmp_path / message[:4], False, lambda record: None)
    (tmp_path / "long.en").write_text("the nurse " * 20)
    (tmp_path / "long.xx").write_text("ta niro")
    with pytest.raises(InputError, match="no training pair has at most"):
        plan_run(recipe, ['data.train=["long.{}"]']).start(tmp_path / "long", False, lambda record: None)
    (tmp_path / "leak.en").write_text("the nurse of the old hospital sees the young patient.\n")
    (tmp_path / "leak.xx").write_text("ta niro\n")
    overrides = ['data.train=["leak.{}"]', 'data.test=["leak.{}"]']
    with pytest.raises(InputError, match="no training pair was read"):
        plan_run(recipe, overrides).start(tmp_path / "leaks", False, lambda record: None)
    with pytest.raises(ModelError, match=r"the model has no task .translation."):
        Translator.load(tiny_bundle)


def test_the_schedule_is_that_of_the_paper() -> None:
    rates = [rate_at(step, 1000, 0.1, "inverse_sqrt") for step in range(1000)]
    assert rates[49] == pytest.approx(0.5)
    assert max(rates) == rates[99] == 1.0
    assert rates[399] == pytest.approx(0.5)


def test_bleu_of_the_same_text_is_100() -> None:
    assert score_translations(["a b c d e"], ["a b c d e"])["BLEU"][0] == pytest.approx(1)
    assert score_translations(["x"], ["a b c d e"])["BLEU"][0] == 0


def test_a_finished_translation_goes_on_with_other_texts(bundle: Path, tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1)
    sizes = path.read_text().split("[model]")[1].split("[training]")[0]
    path.write_text(path.read_text().replace(sizes, f'\nbase = "{bundle}"\ndropout = 0.0\n').replace("1e-2", "1e-9"))
    done = plan_run(path).start(tmp_path / "run", False, lambda event: None)
    first, second = load_file(bundle / "model.safetensors"), load_file(done / "model.safetensors")
    assert first.keys() == second.keys()
    assert max(abs(first[name] - second[name]).max() for name in first) < 1e-6
    assert json.loads((done / "textome.json").read_text())["tasks"]["translation"]["max_length"] == 24
    (tmp_path / "val.yy").write_text("a\n" * 20)
    (tmp_path / "train.yy").write_text("a\n" * 300)
    for change, message in ((("dropout = 0.0", "hidden_size = 64"), "hidden_size"), (('"xx"', '"yy"'), "en to xx")):
        other = tmp_path / "other.toml"
        other.write_text(path.read_text().replace(*change))
        with pytest.raises(InputError, match=message):
            plan_run(other).start(tmp_path / "other", False, lambda event: None)
