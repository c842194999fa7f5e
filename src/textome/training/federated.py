"""Federated averaging (McMahan et al. 2017, algorithm 1): several sites train one model, and no text leaves a site.

Each client is a process of its own with its own data. In every round it fine-tunes the shared weights by its own recipe
and sends back weights, how many records it has, and what privacy it has spent. The mean is made robust against clients that
die, send NaN, claim to have more than they have, or move the weights much further than the others. With
`[privacy]` in a client's recipe, its epsilon holds for all rounds together: the noise is chosen for as many, and what each
round has spent is added up by the same accountant.

Weights travel as safetensors, which cannot hold code. What weights say of the data they were trained on is not nothing:
without privacy a server can try to reconstruct some of it. Here all processes are of one machine: it shows what federated
training costs in quality, and is not a service for a network.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from textome.errors import InputError, TextomeError
from textome.formats.reading.sources import whole_folder
from textome.runtime.model_files import read_json
from textome.training.finetune import finetune
from textome.training.recipe import Recipe
from textome.training.run import write_json
from textome.training.techniques.privacy import spent_together

_WEIGHTS = "model.safetensors"
_END = b""
_MAX_MESSAGE = 10_000
# A client counts at most so many times as much as the median one, and moves the weights at most so many times as far.
MAX_COUNT = 2.0
MAX_NORM = 2.0


@dataclass(frozen=True)
class Client:
    """A site: its name, the recipe that names its data, and how many training records it says it has; None: it counts."""

    name: str
    recipe: Recipe[Any]
    records: int | None = None


@dataclass(frozen=True)
class Update:
    """What a client sends after a round.

    privacy   what its rounds have spent together by its own account, see `privacy.spent_together`; None without privacy
    """

    client: str
    records: int
    weights: Mapping[str, Tensor]
    privacy: Mapping[str, Any] | None = None


def average(
    updates: Sequence[Update], previous: Mapping[str, Tensor] | None, say: Callable[[str], None] = lambda line: None
) -> dict[str, Tensor]:
    """The mean of the clients' weights by their numbers of records, float32.

    previous   the weights that all started from; None in the first round, in which the median of the clients stands for it

    Left out is who sends other tensors than the rest, infinite numbers or NaN, or says to have no records. A number of
    records counts up to `MAX_COUNT` medians, a distance from `previous` up to `MAX_NORM` medians; what is more is cut.
    Raises InputError where nobody is left.
    """
    expected = {name: tensor.shape for name, tensor in (previous or _usual(updates)).items()}
    good = []
    for update in updates:
        if {name: tensor.shape for name, tensor in update.weights.items()} != expected:
            say(f"{update.client}: left out, its tensors are not those of the others")
        elif update.records < 1 or not all(bool(torch.isfinite(tensor).all()) for tensor in update.weights.values()):
            say(f"{update.client}: left out, its weights or its number of records are not usable numbers")
        else:
            good.append(update)
    if not good:
        raise InputError("no client sent weights that can be used; look at what the clients report")
    if previous is None:
        previous = {
            name: torch.stack([item.weights[name].float() for item in good]).median(0).values for name in expected
        }
    centre = {name: tensor.float() for name, tensor in previous.items()}
    limit = MAX_COUNT * median(update.records for update in good)
    counts = [min(float(update.records), limit) for update in good]
    moves = [{name: update.weights[name].float() - centre[name] for name in expected} for update in good]
    norms = [float(torch.sqrt(sum((tensor**2).sum() for tensor in move.values()))) for move in moves]  # type: ignore[arg-type]
    max_norm = MAX_NORM * median(norms)
    for update, count, norm in zip(good, counts, norms, strict=True):
        if count < update.records:
            say(f"{update.client}: counts as {count:g} records, not as {update.records}")
        if norm > max_norm > 0:
            say(f"{update.client}: its step is shortened to {max_norm / norm:.0%}")
    total = sum(counts)
    scales = [
        count / total * (min(1.0, max_norm / norm) if max_norm and norm else 1.0)
        for count, norm in zip(counts, norms, strict=True)
    ]
    return {
        name: centre[name] + sum(scale * move[name] for scale, move in zip(scales, moves, strict=True))
        for name in expected
    }


def federate(
    clients: Sequence[Client],
    rounds: int,
    folder: Path,
    *,
    min_clients: int = 2,
    timeout: float = 3600.0,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train by the clients in turn of rounds, each in a process of its own; the folder of the finished bundle.

    min_clients   with fewer that still answer, the run ends
    timeout       seconds after which a client that has not answered a round is given up

    `federated.json` in the folder says of each round who answered, with how many records, and what privacy was spent. The
    bundle holds nothing that a client's own run says of its data.

    Raises InputError where too few clients are left, or the folder is there already.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already; choose another folder for this run")
    if len({client.name for client in clients}) < len(clients):
        raise InputError("two clients have one name; give each its own")
    context = get_context("spawn")
    processes, connections = {}, {}
    for client in clients:
        connection, client_end = context.Pipe()
        processes[client.name] = context.Process(
            target=train_client, args=(client, rounds, folder / client.name, client_end), daemon=False
        )
        processes[client.name].start()
        client_end.close()
        connections[client.name] = connection
    shared: dict[str, Tensor] | None = None
    history: list[dict[str, Any]] = []
    try:
        for number in range(1, rounds + 1):
            updates = _round(connections, shared, timeout, say)
            if len(updates) < min_clients:
                raise InputError(f"round {number}: {len(updates)} clients answered, and {min_clients} are needed")
            shared = average(updates, shared, say)
            say(f"round {number} of {rounds}: {len(updates)} clients")
            history.append(_reported(updates, say))
            write_json(folder / "federated.json", history)
        for connection in connections.values():
            connection.send_bytes(_END)
    finally:
        for connection in connections.values():
            connection.close()
        for process in processes.values():
            process.join(5)
            if process.is_alive():
                process.terminate()
    assert shared is not None
    return _write(folder / next(iter(connections)) / f"round-{rounds}" / "bundle", shared, history, folder / "bundle")


def _reported(updates: Sequence[Update], say: Callable[[str], None]) -> dict[str, Any]:
    """A round for `federated.json`; what privacy was spent is also said."""
    for update in updates:
        if update.privacy is not None:
            say(
                f"{update.client}: epsilon {update.privacy['epsilon']:.2f} at delta {update.privacy['delta']:g} spent "
                f"after {update.privacy['steps']:,} steps, by its own account"
            )
    return {update.client: {"records": update.records, "privacy": update.privacy} for update in updates}


def _write(source: Path, weights: Mapping[str, Tensor], history: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """The bundle of the shared weights: that of a client, without what it says of the client's own run and data."""
    with whole_folder(folder) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)
        description = read_json(draft / "textome.json")
        provenance = {
            "recipe": description.get("provenance", {}).get("recipe", {}) | {"data": {}},
            "federated": history,
        }
        write_json(draft / "textome.json", description | {"provenance": provenance})
        rows = [f"| {name} | {item['records']:,} | {_epsilon(item)} |" for name, item in history[-1].items()]
        lines = [
            f"# {description['name']}",
            "",
            f"Federated averaging over {len(rows)} clients, {len(history)} rounds.",
            "",
        ]
        lines += ["| client | records, by its own account | privacy |", "|---|---|---|", *rows]
        (draft / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (draft / _WEIGHTS).write_bytes(save(dict(weights)))
    return folder


def _epsilon(item: Mapping[str, Any]) -> str:
    spent = item["privacy"]
    return "none" if spent is None else f"epsilon {spent['epsilon']:.2f} at delta {spent['delta']:g}"


def _round(
    connections: dict[str, Connection], shared: Mapping[str, Tensor] | None, timeout: float, say: Callable[[str], None]
) -> list[Update]:
    """What the clients answer to the shared weights; those that have died or take too long are given up."""
    message = save(dict(shared)) if shared else b"start"
    waiting: dict[Connection, str] = {}
    for name in list(connections):
        try:
            connections[name].send_bytes(message)
            waiting[connections[name]] = name
        except OSError:
            _give_up(connections, name, say)
    updates = []
    while waiting:
        answered = set(wait(list(waiting), timeout))
        if not answered:
            for name in waiting.values():
                _give_up(connections, name, say, f" in {timeout:g} s")
            break
        for connection in [item for item in waiting if item in answered]:
            name = waiting.pop(connection)
            try:
                updates.append(_received(name, connection))
            except (EOFError, OSError, ValueError, RuntimeError, TypeError, TextomeError) as error:
                _give_up(connections, name, say, f" ({error})" if str(error) else "")
    return sorted(updates, key=lambda update: update.client)


def _received(name: str, connection: Connection) -> Update:
    """Raises InputError with what a client says went wrong, and ValueError or TypeError for what is not an answer."""
    answer = json.loads(connection.recv_bytes(_MAX_MESSAGE))
    if "error" in answer:
        raise InputError(str(answer["error"]))
    privacy = answer["privacy"]
    if privacy is not None:
        privacy = {
            "epsilon": float(privacy["epsilon"]),
            "delta": float(privacy["delta"]),
            "steps": int(privacy["steps"]),
        }
    return Update(name, int(answer["records"]), load(connection.recv_bytes()), privacy)


def _give_up(connections: dict[str, Connection], name: str, say: Callable[[str], None], why: str = "") -> None:
    say(f"{name}: no answer{why}; the others go on without it")
    connections.pop(name).close()


def train_client(client: Client, rounds: int, folder: Path, connection: Connection) -> None:
    """A client's process: fine-tune from the shared weights and send its own, until an empty message.

    Of each round only the folder of the last one stays. What goes wrong is sent in place of an answer, in one sentence.
    """
    try:
        _train(client, rounds, folder, connection)
    except TextomeError as error:
        connection.send_bytes(json.dumps({"error": str(error)[: _MAX_MESSAGE // 4]}).encode())


def _train(client: Client, rounds: int, folder: Path, connection: Connection) -> None:
    number = 0
    bundle: Path | None = None
    spent: list[dict[str, Any]] = []
    if client.recipe.privacy is not None:
        privacy = client.recipe.privacy.model_copy(update={"runs": rounds})
        client = replace(client, recipe=client.recipe.model_copy(update={"privacy": privacy}))
    while message := connection.recv_bytes():
        number += 1
        recipe, run, base = client.recipe, folder / f"round-{number}", folder / "base"
        if bundle is not None:
            shutil.copytree(bundle, base)
            (base / _WEIGHTS).write_bytes(message)
            model = recipe.model.model_copy(update={"base": str(base)})
            recipe = recipe.model_copy(update={"model": model})
        bundle = finetune(recipe, run)
        if recipe.privacy is not None:
            spent.append(read_json(run / "privacy.json"))
        records = _counted(run) if client.records is None else client.records
        answer = {"records": records, "privacy": spent_together(spent) if spent else None}
        connection.send_bytes(json.dumps(answer).encode())
        connection.send_bytes((bundle / _WEIGHTS).read_bytes())
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(folder / f"round-{number - 1}", ignore_errors=True)


def _counted(run: Path) -> int:
    """The training records of a run, as its `data.json` has them."""
    tasks = read_json(run / "data.json").values()
    return sum(int(task.get("train_records", task.get("pairs", 0))) for task in tasks)


def _usual(updates: Sequence[Update]) -> Mapping[str, Tensor]:
    """The weights whose names and shapes most clients have."""
    kinds: dict[str, list[Update]] = {}
    for update in updates:
        key = repr(sorted((name, tuple(tensor.shape)) for name, tensor in update.weights.items()))
        kinds.setdefault(key, []).append(update)
    return max(kinds.values(), key=len)[0].weights if kinds else {}
