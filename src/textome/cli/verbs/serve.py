"""`textome serve`: the REST service and its page."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated

import typer

from textome.cli.environment import EnvironmentCommand
from textome.cli.pipelines import with_pipeline
from textome.cli.streams import echo, say
from textome.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from textome.pipeline import PipelineChoice
    from textome.runtime.step import ModelSettings

COMMAND = EnvironmentCommand
_PACKAGES = ("fastapi", "uvicorn", "prometheus_client")


@partial(with_pipeline, but=("types", "min_confidence", "flat", "question"))
def serve(
    *,
    pipeline: PipelineChoice,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.", min=0, max=65535)] = 8000,
    keys: Annotated[Path | None, typer.Option(help="File of API keys; with it every request needs one.")] = None,
    add_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make a key, add it to the --keys file, print it, and stop.")
    ] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Serve without keys at an address that others reach.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that requests may call this service by; may be given several times."),
    ] = None,
    rate: Annotated[float, typer.Option(help="Requests a second of each key; 0 is not a bound.", min=0)] = 0.0,
    max_requests: Annotated[int, typer.Option(help="Requests that may wait or be in work.", min=1)] = 256,
    max_connections: Annotated[int, typer.Option(help="Connections at once, of each worker.", min=1)] = 1000,
    max_characters: Annotated[int, typer.Option(help="Characters of one request.", min=1)] = 1_000_000,
    max_tokens: Annotated[int, typer.Option(help="Tokens that the model reads for one request.", min=1)] = 50_000,
    max_written_tokens: Annotated[
        int, typer.Option(help="Tokens that a model may write for one request.", min=1)
    ] = 4096,
    max_body: Annotated[int, typer.Option(help="Bytes of one request's body, unpacked.", min=1)] = 16 << 20,
    deadline: Annotated[float, typer.Option(help="Seconds for one request.", min=0.1)] = 60.0,
    max_delay: Annotated[float, typer.Option(help="Seconds a batch waits to be filled.", min=0, max=1)] = 0.005,
    cache: Annotated[int, typer.Option(help="Characters of recent texts whose entities are kept.", min=0)] = 0,
    grace: Annotated[float, typer.Option(help="Seconds to finish what is in flight when told to stop.", min=1)] = 30.0,
    pubmed: Annotated[
        bool, typer.Option("--pubmed", help="Fetch citations from PubMed by PMID; else nothing leaves this machine.")
    ] = False,
    label_studio: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Be a backend of Label Studio, and keep what annotators submit in FOLDER."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads; default: all cores.", min=1)] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that share the models' memory; several compute in one thread each.", min=1)
    ] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False,
    log_format: Annotated[str, typer.Option(help="text, or json: a JSON object a line.")] = "text",
) -> None:
    """Serve models over HTTP: a REST interface under /v1 and a page at /.

    Each --model is one that requests can name, as FOLDER or NAME=FOLDER. The steps of the pipeline follow each of them.

    Options may stand in environment variables: TEXTOME_SERVE_MAX_BODY is --max-body.

    Example: textome serve --port 8000
    """
    if missing := [name for name in _PACKAGES if not _is_installed(name)]:
        raise MissingExtraError(f"textome serve (without {', '.join(missing)})", "serve")
    from textome.serve.keys import KeyFile
    from textome.serve.keys import add_key as make_key
    from textome.serve.processes.running import bind, is_loopback, local_names, run

    if add_key is not None:
        if keys is None:
            raise InputError("--add-key needs the file to add it to; give --keys FILE")
        echo(make_key(keys, add_key))
        say(f"added {add_key!r} to {keys}; the key above is shown only now, and kept nowhere")
        return
    local = is_loopback(host)
    if not local and keys is None and not allow_anonymous:
        raise InputError(
            f"--host {host} is reached by others, so keys are needed: give --keys FILE (make one with --add-key NAME), or "
            f"--allow-anonymous to let everybody in"
        )
    from textome.serve.app import create_app
    from textome.serve.limits import Limits
    from textome.serve.logs import announce, log_to_stderr
    from textome.serve.processes.board import Board
    from textome.serve.processes.workers import bind_each, run_workers
    from textome.serve.pubmed import E_UTILITIES
    from textome.serve.queueing import Settings
    from textome.serve.service import Service

    if log_format not in ("text", "json"):
        raise InputError(f"--log-format {log_format}: choose text or json")
    if workers > 1 and threads not in (None, 1):
        raise InputError(f"--threads {threads}: each of several workers computes in one thread; leave --threads out")
    if workers > 1 and label_studio is not None:
        raise InputError("--label-studio needs one process; leave --workers out")
    threads = 1 if workers > 1 else threads
    key_file = KeyFile(keys) if keys else None
    limits = Limits(body_bytes=max_body, characters=max_characters, request_seconds=deadline)
    settings = Settings(
        max_requests=max_requests,
        max_characters=2 * max_characters,
        max_tokens=max_tokens,
        max_written_tokens=max_written_tokens,
        max_delay=max_delay,
        cache_characters=cache,
    )
    service = Service.load(_named(pipeline), pipeline.rules, limits=limits, settings=settings, threads=threads)
    service.pubmed = E_UTILITIES if pubmed else None
    hosts = [*(allowed_host or []), *(local_names(host) if local and key_file is None else [])]
    if not local and not allowed_host:
        hosts = []
    app = create_app(service, keys=key_file, rate=rate, allowed_hosts=hosts, label_studio=label_studio)
    sockets = bind_each(host, port, workers) if workers > 1 else [bind(host, port)]
    address = sockets[0].getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    log_to_stderr(quiet, log_format)
    tell = announce if log_format == "json" else say
    names = ", ".join(f"{name} ({loaded.bundle.name})" for name, loaded in service.models.items())
    serving = f"serving {names} at http://{shown}:{address[1]}"
    if workers == 1:
        run(
            app,
            service,
            sockets[0],
            grace=grace,
            connections=max_connections,
            ready=lambda: tell(f"{serving} - stop with Ctrl-C"),
        )
    else:
        board = Board(workers)

        def work(number: int, listening: socket, parent: int) -> None:
            app.metrics.share(board, number)
            run(app, service, listening, grace=grace, connections=max_connections, parent=parent)

        tell(f"{serving} by {workers} workers - stop with Ctrl-C")
        run_workers(work, sockets, grace, board.retire)
    tell("stopped")


def _named(pipeline: PipelineChoice) -> dict[str, ModelSettings]:
    """The models by name: NAME=FOLDER, or FOLDER under its own name; the bundled one is "default"."""
    named: dict[str, ModelSettings] = {}
    for model in pipeline.models:
        item = model.model or "default"
        name, equals, path = item.partition("=")
        if not equals or Path(item).exists():
            name, path = (item if item == "default" else Path(item).name), item
        if not name or not path:
            raise InputError(f"--model {item}: expected FOLDER or NAME=FOLDER")
        if name in named:
            raise InputError(f"--model {item}: there is a model {name!r} already; give another name as NAME=FOLDER")
        named[name] = model.model_copy(update={"model": path})
    return named


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # a module that a test or a program has blocked
        return False
