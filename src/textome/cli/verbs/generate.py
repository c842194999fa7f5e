"""`textome generate`: texts that a model writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.options import OutputFile, Precision, Threads
from textome.cli.streams import finish, reported
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.formats import Quarantine
    from textome.runtime.generation.writer import Writer

# Prompts that are written on together.
POOL = 256


def generate(
    model: Annotated[str, typer.Argument(help="A bundle of a model that writes, exported by textome export.")],
    prompts: Annotated[list[str] | None, typer.Argument(metavar="[PROMPT]...", help="What to write on from.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="A file with a prompt on each line; - is standard input.")
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Tokens of a text at most. [default: 128]")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Draw tokens, the more freely the higher; else the most probable is taken.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k most probable tokens only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the most probable tokens that add up to p.")] = None,
    beam: Annotated[int | None, typer.Option(help="Follow so many texts at once, and take the most probable.")] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="Of a beam: above 0 favours long texts, below 0 short ones. [default: 1]")
    ] = None,
    no_repeat: Annotated[int | None, typer.Option(help="No run of so many tokens occurs twice.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End a text before this string; may be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of what is drawn. [default: 0]")] = None,
    samples: Annotated[int | None, typer.Option(help="Texts for each prompt. [default: 1]")] = None,
    output: OutputFile = Path("-"),
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, with what ended each text.")] = False,
    precision: Precision = None,
    threads: Threads = None,
) -> None:
    """Write on from prompts with a language model, or write the answer of a text-to-text model, without PyTorch.

    Without a temperature, top-k or top-p the most probable token is taken at each step. A seed gives the same texts again.

    Example: textome generate runs/gpt/model "Patients were randomised to" --temperature 0.8 --top-p 0.95
    """
    from textome.formats import Quarantine
    from textome.formats.reading.sources import Target
    from textome.runtime.generation.settings import GenerationSettings
    from textome.runtime.generation.writer import Writer

    options = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "beam": beam,
        "length_penalty": length_penalty,
        "no_repeat": no_repeat,
        "stop": stop or None,
        "seed": seed,
        "samples": samples,
    }
    settings = GenerationSettings.of({name: value for name, value in options.items() if value is not None})
    if (file is None) == (not prompts):
        raise InputError('give prompts, or a file of them by --file; to write from nothing give ""')
    loaded = Writer.load(model, precision=precision, threads=threads)
    quarantine, count = Quarantine(), 0
    with reported(quarantine), Target.of(output).open() as stream:
        for pool in _pools(loaded, prompts or [], file, quarantine):
            for prompt, texts in zip(pool, loaded.write(pool, settings, count), strict=True):
                count += 1
                for text in texts:
                    line = json.dumps({"prompt": prompt} | asdict(text), ensure_ascii=False) if as_json else text.text
                    stream.write(f"{line}\n".encode())
    finish(quarantine, count)


def _pools(model: Writer, prompts: list[str], file: str | None, quarantine: Quarantine) -> Iterator[list[str]]:
    """The prompts that the model can read, some at a time; the others are quarantined."""
    pool: list[str] = []
    for number, prompt in enumerate(_lines(file) if file else prompts, 1):
        try:
            model.check_prompt(prompt)
        except InputError as error:
            quarantine.add(file or "the command line", f"prompt {number}", error)
            continue
        pool.append(prompt)
        if len(pool) == POOL:
            yield pool
            pool = []
    if pool:
        yield pool


def _lines(file: str) -> Iterator[str]:
    from textome.formats.reading.sources import Source

    with Source.of(file).open() as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{file}, line {number}: this is not UTF-8 text; convert it first") from error
