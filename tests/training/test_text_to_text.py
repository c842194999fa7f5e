"""One tiny T5 that classifies, answers and summarises: trained, exported, and run without PyTorch at every entrance."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from pydantic import BaseModel
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers
from typer.testing import CliRunner

from textome.cli.main import application
from textome.corpus.vocabulary import write_vocabulary
from textome.datasets.labelled import LabelledText
from textome.documents import Document, Passage
from textome.errors import InputError, ModelError
from textome.formats import Quarantine
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.generation.targets import write_targets
from textome.runtime.generation.text_to_text import TextToTextModel
from textome.runtime.step import ModelSettings, load_model
from textome.tasks.text_to_text import TextToText, Written
from textome.text.tokenization import SENTINELS, Tokenizer
from textome.training import models as settings
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from textome.training.text.data import load_task
from textome.training.text_to_text.model import load_t5
from textome.training.translation.translator import SourceDecoder

DRUGS, ILLS = ("aspirin", "ibuprofen", "metformin"), ("headache", "fever", "diabetes")


def write_lines(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tokenizer_of(words: list[str]) -> Tokenizer:
    """A vocabulary of whole words, and of letters for others: a learnt one differs from run to run."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*(("▁" + word, -2.0) for word in words), ("▁", -9.0), *((letter, -9.0) for letter in letters)]
    tokenizer = FastTokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -99.0), *pieces], unk_id=2))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>", *SENTINELS[::-1]])
    return Tokenizer(tokenizer, "the tiny vocabulary")


def make_recipe(folder: Path) -> Path:
    """Whether a text is of a trial or of a case, which drug helped, and the text's first words as its summary."""
    draw = random.Random(5)
    kinds, answers, titles, sentences = [], [], [], []
    for number in range(120):
        drug, ill = draw.choice(DRUGS), draw.choice(ILLS)
        trial = draw.random() < 0.5
        text = f"{'A trial' if trial else 'A case'} of {drug} in {ill}. It helped."
        sentences.append(text)
        kinds.append({"id": str(number), "text": text, "label": "trial" if trial else "case"})
        answers.append({"id": str(number), "text": f"What helped in {ill}?", "pair": text, "label": drug})
        titles.append({"id": str(number), "text": text, "label": f"{drug} in {ill}"})
    for name, rows in (("kinds", kinds), ("answers", answers), ("titles", titles)):
        write_lines(folder / f"{name}.jsonl", rows)
    words = sorted({word for text in [*sentences, "kind: question: title: context: What"] for word in text.split()})
    write_vocabulary(tokenizer_of(words), folder / "vocabulary", lowercase=False, sentinels=True)
    path = folder / "recipe.toml"
    tables = "".join(
        f"""
[[tasks]]
name = "{name}"
kind = "text_to_text"
metric = "{metric}"
prefix = "{prefix}"
train = ["{name}.jsonl"]
validation = ["{name}.jsonl#0-20%"]
max_target = 24
"""
        for name, metric, prefix in (
            ("kinds", "accuracy", "kind: "),
            ("answers", "exact_match", "question: "),
            ("titles", "rouge", "title: "),
        )
    )
    path.write_text(
        f"""
name = "tiny-t5"
[model]
tokenizer = "vocabulary"
hidden_size = 32
head_size = 8
num_attention_heads = 4
encoder_layers = 1
decoder_layers = 1
intermediate_size = 64
dropout = 0.0
window = 96
overlap = 8
[data]
root = "{folder}"
{tables}
[training]
epochs = 8
learning_rate = 1e-2
token_budget = 256
precision = "fp32"
seed = 3
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text_to_text")
    trained = finetune(load_recipe(make_recipe(folder)), folder / "run")
    export_bundle(Bundle.load(trained), trained, "fp32")
    return trained


@pytest.fixture(scope="module")
def model(bundle: Path) -> TextToTextModel:
    loaded = load_model(ModelSettings(model=str(bundle)))
    assert isinstance(loaded, TextToTextModel)
    return loaded


def test_one_model_learns_all_tasks(bundle: Path) -> None:
    scores = json.loads((bundle / "textome.json").read_text())["provenance"]["validation"][-1]
    assert scores["kinds"] > 0.8
    assert scores["titles"] > 0.4
    assert set(scores) == {"kinds", "answers", "titles", "mean"}


def test_the_graphs_write_what_the_model_in_torch_writes(bundle: Path, model: TextToTextModel) -> None:
    """Also in a batch of different lengths, with a beam, and with cached keys and values against none."""
    task = model.tasks["titles"]
    records = [
        LabelledText(str(number), text)
        for number, text in enumerate(("A trial of aspirin in fever.", "A case of metformin in diabetes. It helped."))
    ]
    examples = task.examples(records, model.tokenizer, 96, 8)
    network = load_t5(bundle).eval()
    for beam in (1, 3):
        settings = GenerationSettings(max_new_tokens=20, beam=beam)
        with torch.no_grad():
            expected = write_targets(partial(SourceDecoder, network), examples, model.tokenizer, settings)
        found = write_targets(model.session.start, examples, model.tokenizer, settings)
        assert [item.text for item in found] == [item.text for item in expected]
        assert np.allclose([item.confidence for item in found], [item.confidence for item in expected], atol=1e-4)


def test_every_step_of_the_graph_has_the_logits_of_torch(bundle: Path, model: TextToTextModel) -> None:
    network = load_t5(bundle).eval()
    draw = np.random.default_rng(2)
    sources = [draw.integers(3, 60, size).astype(np.int32) for size in (5, 31, 12)]
    ours, theirs = model.session.start(sources), SourceDecoder(network, sources)
    tokens = np.zeros(3, np.int64)
    with torch.no_grad():
        for position in range(6):
            logits = ours.step(tokens)
            assert np.abs(logits - theirs.step(tokens)).max() < 1e-3
            tokens = logits.argmax(-1)
            if position == 2:
                rows = np.array([2, 0, 0])
                ours.choose(rows)
                theirs.choose(rows)
                tokens = tokens[rows]


def test_the_verbs_run_it(bundle: Path, tmp_path: Path) -> None:
    run = CliRunner()
    result = run.invoke(application(), ["generate", str(bundle), "kind: A trial of aspirin in fever. It helped."])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == "trial"
    result = run.invoke(application(), ["generate", str(bundle), "kind: A trial of aspirin.", "summary: A trial."])
    assert result.exit_code == 1
    assert "the prefix of no task of the model" in result.stderr
    data = bundle.parents[1] / "kinds.jsonl"
    result = run.invoke(
        application(), ["evaluate", "--model", str(bundle), "--task", "kinds", "--data", str(data), "--json"]
    )
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert scores["score"] == scores["accuracy"] > 0.8
    text = tmp_path / "note.txt"
    text.write_text("A case of ibuprofen in fever. It helped.", encoding="utf-8")
    result = run.invoke(application(), ["annotate", str(text), "--model", str(bundle), "--to", "jsonl"])
    assert result.exit_code == 0, result.output
    labels = json.loads(result.stdout)["labels"]
    assert [label["task"] for label in labels] == ["kinds", "titles"]  # without a question nothing is answered


def test_the_service_writes_as_the_model_does(bundle: Path, model: TextToTextModel) -> None:
    pytest.importorskip("fastapi", reason="the service needs pip install 'textome[serve]'")
    from serve.conftest import running
    from textome.client import Client

    prompts = ["kind: A trial of aspirin in fever. It helped.", "title: A case of metformin in diabetes. It helped."]
    with running(bundle) as server, Client(server.url) as client:
        results = client.generate(prompts, max_new_tokens=24, beam=2, samples=2)
        assert [item["prefix"] for item in server.get("/v1/models").json["models"][0]["heads"]] == [
            "kind: ", "question: ", "title: ",
        ]  # fmt: skip
        for prompt, message in (
            ("A trial.", "of no task of the model"),
            (" ", "empty"),
            ("kind: x" * 99, "shorten it"),
        ):
            answer = server.post("/v1/generate", {"prompts": [prompt]})
            assert (answer.status, message in answer.json["detail"]) == (422, True), answer.json
    expected = model.generate(prompts, max_new_tokens=24, beam=2, samples=2)
    assert [[text.text for text in texts] for texts in results] == [[text.text for text in texts] for texts in expected]
    assert results[0][0].text == "trial"


def test_it_runs_without_torch(bundle: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from textome.runtime.step import ModelSettings, load_model\n"
        "from textome.runtime.generation.settings import GenerationSettings\n"
        f"model = load_model(ModelSettings(model={str(bundle)!r}))\n"
        "print(model.write(['kind: A case of aspirin in fever. It helped.'], GenerationSettings())[0][0].text)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "case", done.stderr


def test_a_long_text_is_read_in_windows(model: TextToTextModel) -> None:
    """Labels are those of the most confident window, and texts stand one after another."""
    text = " ".join(["A trial of aspirin in fever. It helped."] * 20)
    task = model.tasks["kinds"]
    assert len(task.examples([LabelledText("1", text)], model.tokenizer, 96, 8)) > 1
    (document,) = model([_document(text)])
    (label,) = (label for label in document.labels if label.task == "kinds")
    assert label.name in ("trial", "case")


def _document(text: str) -> Document:
    return Document("1", (Passage(text, 0),))


def test_questions_are_answered(bundle: Path) -> None:
    asked = load_model(ModelSettings(model=str(bundle), question="What helped in fever?"))
    (document,) = asked([_document("A trial of aspirin in fever. It helped.")])
    assert {label.task for label in document.labels} == {"kinds", "answers", "titles"}


def test_windows_are_merged_by_the_metric() -> None:
    written = [Written("no", 0.4), Written("yes", 0.9), Written("yes", 0.9)]
    classes = TextToText(metric="accuracy", labels=("no", "yes"))
    assert classes._merged(written).text == "yes"
    assert TextToText(metric="rouge")._merged(written).text == "no yes"
    assert TextToText()._merged([]) == Written("", 0.0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "A trial.", "label": "  "}, "the label is empty"),
        ({"text": " ", "label": "trial"}, "empty"),
        ({"text": "A trial of aspirin.", "label": "trial " * 40}, "max_target is 24"),
    ],
)
def test_a_bad_record_is_quarantined_in_training(
    bundle: Path, tmp_path: Path, row: dict[str, str], reason: str
) -> None:
    root = bundle.parents[1]
    bad = write_lines(tmp_path / "bad.jsonl", [row])
    recipe = load_recipe(root / "recipe.toml", [f'tasks.titles.train=["titles.jsonl", "{bad}"]'])
    data = load_task(recipe, recipe.tasks[2], Tokenizer.load(bundle))
    assert data.num_records == 120
    assert reason in str(data.quarantine.records[0])


def test_a_prompt_that_cannot_be_read(model: TextToTextModel) -> None:
    for prompt, reason in (("", "the prompt is empty"), ("kind: " + "A trial of aspirin. " * 30, "shorten it")):
        with pytest.raises(InputError, match=reason):
            model.check_prompt(prompt)


def test_a_missing_encoder_is_named(bundle: Path, tmp_path: Path) -> None:
    for name in ("config.json", "textome.json", "tokenizer.json", "model.fp32.onnx"):
        (tmp_path / name).write_bytes((bundle / name).read_bytes())
    with pytest.raises(ModelError, match=r"encoder\.fp32\.onnx: the graph of the encoder is missing"):
        load_model(ModelSettings(model=str(tmp_path)))


def test_labels_that_are_none_of_the_models_count_as_wrong() -> None:
    task = TextToText(metric="accuracy", labels=("no", "yes"))
    records = [LabelledText("1", "a", None, ("yes",)), LabelledText("2", "b", None, ("no",))]
    assert task.score(records, [Written("yes", 1.0), Written("perhaps", 1.0)])["accuracy"] == 0.5


def test_layouts_of_labelled_texts_and_questions_are_read(tmp_path: Path) -> None:
    task = TextToText(metric="accuracy")
    path = tmp_path / "abstracts.txt"
    path.write_text("###1\nAIM\tWe ask.\nEND\tWe know.\n\n", encoding="utf-8")
    records = list(task.read(str(path), "sentences", Quarantine()))
    assert [(record.id, record.text, record.labels) for record in records] == [
        ("1.1", "We ask.", ("AIM",)),
        ("1.2", "We know.", ("END",)),
    ]


def test_a_task_without_records_is_named(bundle: Path, tmp_path: Path) -> None:
    recipe = load_recipe(bundle.parents[1] / "recipe.toml", ["tasks.titles.max_target=2"])
    with pytest.raises(InputError, match="task 'titles': no training record is left"):
        finetune(recipe, tmp_path / "run")


@pytest.mark.parametrize("kind", [settings.TextToTextModel, settings.TranslationModel])
def test_a_run_that_started_from_a_base_reads_its_own_recipe(kind: type[BaseModel]) -> None:
    """All of it, the defaults too, as a resumed run does; what else the base decides is an error."""
    started = kind.model_validate({"base": "model", "dropout": 0.0})
    assert kind.model_validate(started.model_dump(mode="json")) == started
    with pytest.raises(ValueError, match="brings hidden_size with it"):
        kind.model_validate({"base": "model", "hidden_size": 32})


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_smaller_graphs_write_almost_the_same(
    bundle: Path, model: TextToTextModel, tmp_path: Path, precision: str
) -> None:
    export_bundle(Bundle.load(bundle), tmp_path / precision, precision)
    small = load_model(ModelSettings(model=str(tmp_path / precision)))
    assert isinstance(small, TextToTextModel)
    sources = [np.random.default_rng(3).integers(3, 48, size).astype(np.int32) for size in (20, 7)]
    logits, expected = (item.session.start(sources).step(np.zeros(2, np.int64)) for item in (small, model))
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.97


def test_a_checkpoint_of_transformers_is_exported_and_writes(bundle: Path, tmp_path: Path) -> None:
    """T5 v1.1 as `transformers` writes it, with an output matrix of its own."""
    torch.manual_seed(4)
    sizes = {"vocab_size": 256, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    config = transformers.T5Config(
        **sizes, feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0
    )
    theirs = transformers.T5ForConditionalGeneration(config).eval()
    theirs.lm_head.weight = torch.nn.Parameter(torch.randn(256, 16))
    theirs.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_bytes((bundle / "tokenizer.json").read_bytes())
    export_bundle(Bundle.load(tmp_path / "theirs"), tmp_path / "ours", "fp32")
    ours = load_model(ModelSettings(model=str(tmp_path / "ours")))
    assert isinstance(ours, TextToTextModel)
    ids = np.array([5, 9, 30, 12, 1], np.int32)
    with torch.no_grad():
        expected = theirs(input_ids=torch.tensor(ids[None].astype(int)), decoder_input_ids=torch.tensor([[0]])).logits
    assert np.abs(ours.session.start([ids]).step(np.zeros(1, np.int64)) - expected[0].numpy()).max() < 1e-4
    assert len(ours.write(["any words"], GenerationSettings(max_new_tokens=3))[0]) == 1
