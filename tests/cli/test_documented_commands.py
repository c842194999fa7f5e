"""Every `textome` command in the documentation parses: the verb is there, its options too, and no argument is missing."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from textome.cli.main import VERBS, application

ROOT = Path(__file__).resolve().parent.parent.parent
_BLOCK = re.compile(r"^```(?:sh|text)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(textome [a-z][^`]* [^`]+)`")
_COMMAND = re.compile(r"(?:^|[|;&]\s*)textome\s+([^|;&>]+)")
_USAGE = typer.BadParameter.__base__ or Exception  # the error of all wrong command lines
# An inline command that leaves words out is not a command to type.
_SHORTENED = re.compile(r"\.\.\.|…|\bVERB\b|\[|<")


def pages() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.splitlines() if name != "CHANGELOG.md" and "reference/commands" not in name]
    return [ROOT / name for name in names if "textome " in (ROOT / name).read_text(encoding="utf-8")]


def commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """The words behind `textome` of each command of a page, and whether it stands in a sentence, not in a block."""
    blocks = [line for block in _BLOCK.findall(text) for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    sentences = [" ".join(item.split()) for item in _INLINE.findall(text)]
    for line, in_sentence in [*((line, False) for line in blocks), *((line, True) for line in sentences)]:
        if not _SHORTENED.search(line):
            yield from ((shlex.split(words, comments=True), in_sentence) for words in _COMMAND.findall(line.strip()))


def problem(words: list[str], in_sentence: bool) -> str:
    """What is wrong with a command, or nothing. A sentence may leave arguments out."""
    verb, *arguments = words
    if verb.startswith("-"):
        return ""
    if verb not in VERBS:
        return f"there is no verb {verb}"
    command = get_command(application([verb])).commands[verb]  # type: ignore[attr-defined]
    while arguments and arguments[0] in getattr(command, "commands", ()):
        command, *arguments = [command.commands[arguments[0]], *arguments[1:]]
    try:
        command.make_context(verb, ["1" if word == "N" else word for word in arguments])
    except typer.Exit:
        return ""  # --help and the like
    except _USAGE as error:
        missing = type(error).__name__ in ("MissingParameter", "NoArgsIsHelpError", "BadOptionUsage")
        return "" if missing and in_sentence else str(error) or type(error).__name__
    return ""


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_of_a_page_parse(page: Path) -> None:
    wrong = {
        "textome " + " ".join(words): reason
        for words, in_sentence in commands(page.read_text(encoding="utf-8"))
        if words and (reason := problem(words, in_sentence))
    }
    assert wrong == {}


def test_wrong_commands_are_seen() -> None:
    block = "```\ntextome annotate a.txt --nonsense\ntextome dance | textome convert a.txt # why\n```\n"
    found = [*commands(f"{block}See `textome info  x` and `textome convert --to csv`.")]
    assert [words for words, _ in found[:3]] == [["annotate", "a.txt", "--nonsense"], ["dance"], ["convert", "a.txt"]]
    assert [bool(problem(*item)) for item in found] == [True, True, True, False, False]
