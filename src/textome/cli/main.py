"""The command `textome`: its verbs, one file each, and how every error becomes one sentence and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

import textome
from textome.cli.streams import say
from textome.cli.verbs.annotate import annotate
from textome.cli.verbs.ask import ask
from textome.cli.verbs.bulk import bulk
from textome.cli.verbs.convert import convert
from textome.cli.verbs.convert_checkpoint import convert_checkpoint
from textome.cli.verbs.doctor import doctor
from textome.cli.verbs.evaluate import evaluate
from textome.cli.verbs.explain import explain
from textome.cli.verbs.export import export
from textome.cli.verbs.finetune import finetune
from textome.cli.verbs.info import info
from textome.cli.verbs.predict import predict
from textome.cli.verbs.preprocess import preprocess
from textome.cli.verbs.pretrain import pretrain
from textome.cli.verbs.query import query
from textome.cli.verbs.report import report
from textome.cli.verbs.serve import serve
from textome.cli.verbs.train_tokenizer import train_tokenizer
from textome.cli.verbs.translate import translate
from textome.cli.verbs.tune import tune
from textome.cli.verbs.variants import variants
from textome.cli.verbs.vocabulary import vocabulary
from textome.errors import TextomeError

app = typer.Typer(
    name="textome",
    help="Biomedical text mining on BioBERT-style Transformers: from raw text to a running service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    annotate,
    ask,
    explain,
    bulk,
    query,
    preprocess,
    train_tokenizer,
    pretrain,
    finetune,
    tune,
    report,
    evaluate,
    export,
    convert,
    convert_checkpoint,
    translate,
    predict,
    variants,
    serve,
    info,
    doctor,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(vocabulary, name="vocabulary")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"textome {textome.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
) -> None:
    """Options that stand before the verb."""


def _of_the_system(error: OSError) -> str:
    """What the system refused, and what to do about it."""
    place = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there, or choose another place" if full else "look at the place and its permissions"
    return f"{place}{error.strerror or error}; {advice} (--debug before the verb shows where this came from)"


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 some records quarantined, 2 wrong input, 3 a part is missing."""
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="textome")
    except TextomeError as error:
        if debug:
            raise
        say(f"textome: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`textome ... | head`); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        say(f"textome: {_of_the_system(error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        print("textome: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
