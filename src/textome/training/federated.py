"""Federated averaging (McMahan et al. 2017, algorithm 1): several sites train one model, and no text leaves a site.

Each client is a process of its own with its own data. In every round it fine-tunes the shared weights by its own recipe
and sends back weights and how many records it has. The mean is made robust against clients that die, send what is no
number, claim to have more than they have, or move the weights much further than the others. Private training in a
client's recipe (`[privacy]`) holds for each round of that client; its epsilons add up over the rounds.

Weights travel as safetensors, which cannot hold code. What weights say of the data they were trained on is not nothing:
without privacy a server can try to reconstruct some of it. Here all processes are of one machine: it shows what federated
training costs in quality, and is no service for a network.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from textome.errors import InputError
from textome.training.finetune import finetune
from textome.training.recipe import Recipe

_WEIGHTS = "model.safetensors"
_END = b""
# A client counts at most so many times as much as the median one, and moves the weights at most so many times as far.
MAX_COUNT = 2.0
MAX_NORM = 2.0


@dataclass(frozen=True)
class Client:
    """A site: its name, the recipe that names its data, and how many training records it says it has."""

    name: str
    recipe: Recipe[Any]
    records: int


@dataclass(frozen=True)
class Update:
    """What a client sends after a round."""

    client: str
    records: int
    weights: Mapping[str, Tensor]


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
            say(f"{update.client}: left out, its weights or its number of records are no usable numbers")
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
    longest = MAX_NORM * median(norms)
    for update, count, norm in zip(good, counts, norms, strict=True):
        if count < update.records:
            say(f"{update.client}: counts as {count:g} records, not as {update.records}")
        if norm > longest > 0:
            say(f"{update.client}: its step is shortened to {longest / norm:.0%}")
    total = sum(counts)
    scales = [
        count / total * (min(1.0, longest / norm) if longest and norm else 1.0)
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

    Raises InputError where too few clients are left, or the folder is there already.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already; choose another folder for this run")
    if len({client.name for client in clients}) < len(clients):
        raise InputError("two clients have one name; give each its own")
    context = get_context("spawn")
    processes, connections = {}, {}
    for client in clients:
        connection, theirs = context.Pipe()
        processes[client.name] = context.Process(
            target=_train, args=(client, folder / client.name, theirs), daemon=False
        )
        processes[client.name].start()
        theirs.close()
        connections[client.name] = connection
    shared: dict[str, Tensor] | None = None
    try:
        for number in range(1, rounds + 1):
            updates = _round(connections, shared, timeout, say)
            if len(updates) < min_clients:
                raise InputError(f"round {number}: {len(updates)} clients answered, and {min_clients} are needed")
            shared = average(updates, shared, say)
            say(f"round {number} of {rounds}: {len(updates)} clients")
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
    last = next(iter(connections))
    shutil.copytree(folder / last / f"round-{rounds}" / "bundle", folder / "bundle")
    (folder / "bundle" / _WEIGHTS).write_bytes(save(shared))
    return folder / "bundle"


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
                _give_up(connections, name, say)
            break
        for connection in [item for item in waiting if item in answered]:
            name = waiting.pop(connection)
            try:
                records = int(connection.recv_bytes(64))
                updates.append(Update(name, records, load(connection.recv_bytes())))
            except (EOFError, OSError, ValueError, RuntimeError) as error:
                _give_up(connections, name, say, f" ({error})" if str(error) else "")
    return sorted(updates, key=lambda update: update.client)


def _give_up(connections: dict[str, Connection], name: str, say: Callable[[str], None], why: str = "") -> None:
    say(f"{name}: no answer{why}; the others go on without it")
    connections.pop(name).close()


def _train(client: Client, folder: Path, connection: Connection) -> None:
    """A client's process: fine-tune from the shared weights, send its own, until there are no more rounds."""
    number = 0
    bundle: Path | None = None
    while message := connection.recv_bytes():
        number += 1
        recipe = client.recipe
        if bundle is not None:
            base = folder / f"base-{number}"
            shutil.copytree(bundle, base)
            (base / _WEIGHTS).write_bytes(message)
            model = recipe.model.model_copy(update={"base": str(base)})
            recipe = recipe.model_copy(update={"model": model})
        bundle = finetune(recipe, folder / f"round-{number}")
        connection.send_bytes(str(client.records).encode())
        connection.send_bytes((bundle / _WEIGHTS).read_bytes())


def _usual(updates: Sequence[Update]) -> Mapping[str, Tensor]:
    """The weights whose names and shapes most clients have."""
    kinds: dict[str, list[Update]] = {}
    for update in updates:
        key = repr(sorted((name, tuple(tensor.shape)) for name, tensor in update.weights.items()))
        kinds.setdefault(key, []).append(update)
    return max(kinds.values(), key=len)[0].weights if kinds else {}
