"""A GPT-2 of transformers, exported, writes as it does there: with cached keys as without, alone as in a batch."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from typer.testing import CliRunner

import textome
from textome.cli.main import application
from textome.documents import Document
from textome.errors import InputError, ModelError
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.generation.model import LanguageModel
from textome.runtime.generation.writer import Writer
from textome.runtime.model import Model
from tiny import make_texts
from tiny_writers import POSITIONS, exported, make_gpt

PROMPTS = ["aspirin is given", "", "patients with gout took metformin daily and no malaria", "no"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-2 as transformers saves it, with a byte-level vocabulary."""
    return make_gpt(tmp_path_factory.mktemp("gpt") / "checkpoint")


@pytest.fixture(scope="module")
def bundle(checkpoint: Path) -> Path:
    return exported(checkpoint, "fp32", "int8")


@pytest.fixture(scope="module")
def writer(bundle: Path) -> LanguageModel:
    return LanguageModel.load(bundle, precision="fp32", threads=1)


@pytest.fixture(scope="module")
def theirs(checkpoint: Path) -> transformers.GPT2LMHeadModel:
    return transformers.GPT2LMHeadModel.from_pretrained(checkpoint).eval()


def ids_of(writer: LanguageModel, prompt: str) -> list[int]:
    return writer._prompts([prompt])[0]


def test_cached_logits_equal_those_of_whole_texts_in_transformers(
    writer: LanguageModel, theirs: transformers.GPT2LMHeadModel
) -> None:
    """Prompts of different lengths in one batch, then tokens one at a time, with rows left out and doubled on the way."""
    prompts = [ids_of(writer, prompt) for prompt in PROMPTS]
    decoder = writer.session.start(prompts)
    rows = [list(ids) for ids in prompts]
    for step in range(5):
        logits = decoder.step(np.array([row[-1] for row in rows]))
        with torch.no_grad():
            expected = np.stack([theirs(torch.tensor([row])).logits[0, -1].numpy() for row in rows])
        assert np.abs(logits - expected).max() < 1e-4
        chosen = [0, 2, 2, 3, 1] if step == 1 else list(range(len(rows)))
        decoder.choose(np.array(chosen))
        rows = [[*rows[row], 5 + step + number] for number, row in enumerate(chosen)]


def test_greedy_text_equals_that_of_transformers(writer: LanguageModel, theirs: transformers.GPT2LMHeadModel) -> None:
    texts = writer.generate(PROMPTS, max_new_tokens=12)
    for prompt, (text,) in zip(PROMPTS, texts, strict=True):
        ids = torch.tensor([ids_of(writer, prompt)])
        written = theirs.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
        assert text.text == writer.tokenizer.decode(written.tolist(), strip=False)
        assert text.ended_by == ("end" if written[-1] == writer.tokenizer.end_id else "length")


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.9, "seed": 3, "samples": 2}, {"beam": 3, "samples": 2}, {"top_p": 0.9, "no_repeat": 2}],
)
def test_a_prompt_is_written_on_alone_as_with_others(writer: LanguageModel, options: dict[str, object]) -> None:
    together = writer.generate(PROMPTS, max_new_tokens=10, **options)
    assert [len(texts) for texts in together] == [options.get("samples", 1)] * len(PROMPTS)
    (alone,) = writer.generate(PROMPTS[0], max_new_tokens=10, **options)
    assert [(text.text, text.ended_by) for text in alone] == [(text.text, text.ended_by) for text in together[0]]


def test_a_stop_ends_a_text_before_it(writer: LanguageModel) -> None:
    ((whole,),) = writer.generate(PROMPTS[:1], max_new_tokens=20)
    middle = whole.text[5:8]
    ((text,),) = writer.generate(PROMPTS[:1], max_new_tokens=20, stop=(middle, "never written"))
    assert text.text == whole.text[: whole.text.index(middle)]
    assert text.ended_by == "stop"
    assert text.num_tokens <= whole.num_tokens


def test_texts_are_as_probable_as_transformers_says(
    writer: LanguageModel, theirs: transformers.GPT2LMHeadModel
) -> None:
    """Short ones, and one of several windows, each of which sees half of the one before."""
    texts = ["no malaria was seen", " ".join(sentence for document in make_texts(8) for sentence in document)]
    likelihoods = writer.predictions("text", [Document.from_text(text) for text in texts])
    for text, likelihood in zip(texts, likelihoods, strict=True):
        ids, expected = ids_of(writer, text), 0.0
        for start in range(0, max(1, len(ids) - POSITIONS // 2), POSITIONS // 2):
            window = ids[start : start + POSITIONS]
            with torch.no_grad():
                chances = theirs(torch.tensor([window])).logits[0].log_softmax(-1)
            first = POSITIONS // 2 if start else 1
            expected += sum(float(chances[at - 1, window[at]]) for at in range(first, len(window)))
        assert likelihood.num_tokens == len(ids) - 1
        assert likelihood.log_probability == pytest.approx(expected, abs=1e-2)
    assert len(ids) > 2 * POSITIONS


def test_scores_are_perplexities_of_words_and_bits_of_bytes(bundle: Path) -> None:
    task = Bundle.load(bundle).tasks["text"]
    from textome.tasks.language_model import Likelihood

    record = Document.from_text("a bc é")
    scores = task.score([record], [Likelihood(-6 * math.log(2), 4)])
    assert scores["word_perplexity"] == pytest.approx(4)
    assert scores["token_perplexity"] == pytest.approx(2**1.5)
    assert scores["bits_per_byte"] == pytest.approx(6 / 7)


def test_the_int8_graph_says_nearly_the_same(bundle: Path, writer: LanguageModel) -> None:
    rounded = LanguageModel.load(bundle, precision="int8", threads=1)
    records = [Document.from_text("no malaria was seen and metformin is given for gout")]
    first, second = (model.predictions("text", records)[0].log_probability for model in (writer, rounded))
    assert second == pytest.approx(first, rel=0.05)


def test_what_cannot_be_written_on_is_refused(writer: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"prompt 2: the prompt has \d+ tokens, and the model reads at most 48"):
        writer.generate(["no", "malaria " * 60])
    with pytest.raises(InputError, match="temperature"):
        writer.generate("no", temperature=0)
    assert writer.generate([]) == []
    (texts,) = writer.generate("no", max_new_tokens=1000)
    assert texts[0].num_tokens <= POSITIONS


def test_other_models_write_nothing(tiny_bundle: Path) -> None:
    with pytest.raises(ModelError, match="this model writes no texts; its tasks are entities"):
        Writer.load(tiny_bundle)


def test_checkpoints_of_other_architectures_and_settings_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "other"))
    config = json.loads((folder / "config.json").read_text())
    for changes, message in (
        (
            {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
            "config.json: the architecture is 'llama'; only",
        ),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx True is not supported"),
        ({"n_embd": 64}, "the weights do not fit config.json"),
    ):
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(ModelError, match=message):
            export_bundle(Bundle.load(folder), tmp_path / "bundle", "fp32")


def test_it_has_no_heads_for_those_that_need_them(bundle: Path) -> None:
    with pytest.raises(ModelError, match="its task text is a language_model, asked by textome annotate, generate"):
        Model.load(bundle)


def test_a_pipeline_writes_on_from_documents(bundle: Path, writer: LanguageModel) -> None:
    pipeline = textome.load(bundle, precision="fp32")
    document = pipeline("no malaria was seen")
    ((text,),) = writer.generate("no malaria was seen", max_new_tokens=2 * len(ids_of(writer, document.text)) + 10)
    assert [label.name for label in document.labels] == [text.text]
    assert pipeline("malaria " * 60).labels


def test_the_verb_writes_texts_and_quarantines_prompts(bundle: Path, tmp_path: Path) -> None:
    verbs = application(["generate"])

    def run(*arguments: str, **more: str) -> tuple[int, str]:
        result = CliRunner().invoke(verbs, ["generate", str(bundle), "--precision", "fp32", *arguments], **more)
        return result.exit_code, result.stdout

    code, first = run("no malaria", "--max-new-tokens", "6", "--temperature", "1", "--seed", "7", "--json")
    assert code == 0
    row = json.loads(first)
    assert (row["prompt"], row["num_tokens"] <= 6) == ("no malaria", True)
    assert run("no malaria", "--max-new-tokens", "6", "--temperature", "1", "--seed", "7", "--json")[1] == first
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("no malaria\n" * 257)
    rows = run("--file", str(prompts), "--max-new-tokens", "4", "--temperature", "1")[1].splitlines()
    assert rows[256] != rows[0] or rows[255] != rows[1], "what is drawn begins again after 256 prompts"
    prompts.write_text("no malaria\n" + "malaria " * 60 + "\n\n")
    code, lines = run("--file", str(prompts), "--max-new-tokens", "4", "--json")
    assert code == 1
    assert [json.loads(line)["prompt"] for line in lines.splitlines()] == ["no malaria", ""]
    with pytest.raises(InputError, match="give prompts, or a file"):
        verbs(["generate", str(bundle)], standalone_mode=False)
