"""The command `textome`: its verbs, one file each, and how every error becomes one sentence and an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated

import typer

import textome
from textome.cli.streams import say
from textome.errors import TextomeError

# In the order of `textome --help`. Each is a function, or a Typer application of its own, of that name in cli/verbs/, or
# in the folder there that `_FOLDERS` names.
VERBS = (
    "annotate",
    "ask",
    "explain",
    "bulk",
    "query",
    "evidence",
    "preprocess",
    "train-tokenizer",
    "pretrain",
    "finetune",
    "tune",
    "report",
    "evaluate",
    "select",
    "export",
    "push",
    "pull",
    "convert",
    "fetch",
    "deidentify",
    "convert-checkpoint",
    "translate",
    "generate",
    "predict",
    "screen",
    "follow",
    "variants",
    "serve",
    "mcp",
    "info",
    "doctor",
    "vocabulary",
)
_TRAINING = ("preprocess", "train-tokenizer", "pretrain", "finetune", "tune", "report", "export", "convert-checkpoint")
_FOLDERS = dict.fromkeys(_TRAINING, "training.")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"textome {textome.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
) -> None:
    """Options that stand before the verb."""


def application(verbs: Iterable[str] = VERBS, for_list: bool = False) -> typer.Typer:
    """The command line with these verbs; only their modules are imported.

    for_list   verbs have no options, which are half the time of `textome --help`, where they are only listed
    """
    built = typer.Typer(
        name="textome",
        help="Biomedical text mining on BioBERT-style Transformers: from raw text to a running service.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    built.callback()(_options)
    for name in verbs:
        attribute = name.replace("-", "_")
        module = import_module(f"textome.cli.verbs.{_FOLDERS.get(name, '')}{attribute}")
        verb = getattr(module, attribute)
        if for_list:
            about = verb.info.help if isinstance(verb, typer.Typer) else verb.__doc__
            built.command(name, help=about)(_listed)
        elif isinstance(verb, typer.Typer):
            built.add_typer(verb, name=name)
        else:
            built.command(name, cls=getattr(module, "COMMAND", None))(verb)
    return built


def _listed() -> None:
    """A verb in the list of all."""


def _of_the_system(error: OSError) -> str:
    """What the system refused, and what to do about it."""
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there, or choose another path" if full else "check the path and its permissions"
    return f"{where}{error.strerror or error}; {advice} (--debug before the verb shows where this came from)"


def _spare_last_search() -> None:
    """Keep the interpreter from looking for garbage at its end, which took a seventh of a short run. DuckDB is bound by
    nanobind, which reports on standard error what such a search has not freed."""
    if "duckdb" not in sys.modules:
        gc.freeze()


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 some records quarantined, 2 wrong input, 3 a part is missing."""
    # What modules make stays: to look through it for garbage again and again only slows a start.
    gc.set_threshold(100_000)
    atexit.register(_spare_last_search)
    # Pydantic would read the metadata of every installed package for plug-ins; one who wants them sets this to nothing.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        # A verb in front needs no other verb's module, and the list of all needs no options: the start is quicker so.
        for_list = set(arguments) <= {"-h", "--help"} and "_TEXTOME_COMPLETE" not in os.environ
        verbs = arguments[:1] if arguments and arguments[0] in VERBS else VERBS
        application(verbs, for_list)(arguments, prog_name="textome")
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
