"""An exported graph, ready to run on ONNX Runtime."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from textome.errors import ModelError
from textome.processors import available_threads
from textome.runtime.states import ONLY_STATES, StatesOutput, with_output
from textome.tasks.iob import LABELS, Floats


class Session:
    """An ONNX graph of a token classifier on the processor.

    threads   processor threads; by default as many as the process may use
    states    where the graph has its last hidden states, for a session that gives them too

    `num_heads` is the number of heads (entity types) whose scores the graph gives.

    Raises ModelError where the file is damaged or no such graph.
    """

    def __init__(self, path: Path, threads: int | None = None, states: StatesOutput | None = None) -> None:
        self._session = open_graph(path, threads, states)
        self._states = states
        inputs = {item.name for item in self._session.get_inputs()}
        if inputs != {"input_ids", "attention_mask"}:
            raise ModelError(f"{path}: the graph's inputs are {sorted(inputs)}; export the model with `textome export`")
        shapes = {item.name: item.shape for item in self._session.get_outputs()}
        num_labels = shapes.get("logits", [None])[-1]
        if not isinstance(num_labels, int) or num_labels % len(LABELS):
            raise ModelError(f"{path}: the graph's outputs are {shapes}; export the model with `textome export`")
        self.num_heads = num_labels // len(LABELS)

    def logits(self, input_ids: NDArray[np.int64], lengths: NDArray[Any]) -> Floats:
        """Scores for each token and head.

        Input   input_ids (B, S), rows padded with any id; lengths (B,), the tokens of each row
        Output  (B, S, num_heads, 3) float32; rows beyond a sequence's length mean nothing
        """
        feeds = {"input_ids": input_ids, "attention_mask": _mask(input_ids, lengths)}
        (scores,) = self._session.run(["logits"], feeds)
        return scores.reshape(*scores.shape[:2], self.num_heads, len(LABELS))  # type: ignore[no-any-return]

    def hidden_states(self, input_ids: NDArray[np.int64], lengths: NDArray[Any]) -> Floats:
        """The last hidden states (B, S, hidden_size) of a session that was opened with `states`; inputs as for `logits`."""
        assert self._states is not None
        feeds = {"input_ids": input_ids, "attention_mask": _mask(input_ids, lengths)}
        return _batch_first(self._session.run([self._states.name], feeds)[0], self._states)


class EncoderSession:
    """An ONNX graph of an encoder without heads, on the processor; as `Session`, but it gives hidden states only."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self._session = open_graph(path, threads)
        outputs = [item.name for item in self._session.get_outputs()]
        if outputs != [ONLY_STATES.name]:
            raise ModelError(f"{path}: the graph's outputs are {outputs}; export the model with `textome export`")

    def hidden_states(self, input_ids: NDArray[np.int64], lengths: NDArray[Any]) -> Floats:
        """The last hidden states (B, S, hidden_size); inputs as for `Session.logits`."""
        feeds = {"input_ids": input_ids, "attention_mask": _mask(input_ids, lengths)}
        (states,) = self._session.run([ONLY_STATES.name], feeds)
        return states  # type: ignore[no-any-return]


class TaskSession:
    """An ONNX graph of an encoder with heads for tasks, on the processor.

    sizes    for each task (num_labels, states) of its head, which the graph must have
    states   as for `Session`

    Raises ModelError where the file is damaged or no such graph.
    """

    def __init__(
        self,
        path: Path,
        sizes: Mapping[str, tuple[int, int]],
        threads: int | None = None,
        states: StatesOutput | None = None,
    ) -> None:
        self._session = open_graph(path, threads, states)
        self._states = states
        inputs = {item.name: len(item.shape) for item in self._session.get_inputs()}
        expected = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), 2)
        expected |= {f"{name}.places": 3 for name, (_, states) in sizes.items() if states > 1}
        own = {states.name} if states else set()
        outputs = {item.name: item.shape[-1] for item in self._session.get_outputs() if item.name not in own}
        if inputs != expected or outputs != {name: labels for name, (labels, _) in sizes.items()}:
            raise ModelError(
                f"{path}: the graph has inputs {inputs} (with their dimensions) and outputs {outputs}, which are not those "
                f"of textome.json; export the model with `textome export`"
            )
        self._sizes = dict(sizes)
        self._unasked = {name: states for name, (_, states) in sizes.items() if states > 1}

    def scores(
        self,
        task: str,
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        lengths: NDArray[Any],
        places: NDArray[np.int64] | None = None,
    ) -> Floats:
        """The scores of one task's head; see `together`."""
        return self.together((task,), input_ids, token_type_ids, lengths, places)[task]

    def together(
        self,
        tasks: Sequence[str],
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        lengths: NDArray[Any],
        places: NDArray[np.int64] | None = None,
    ) -> dict[str, Floats]:
        """The scores of the heads of these tasks, in one pass of the encoder.

        Input   input_ids, token_type_ids (B, S) padded; lengths (B,); places (B, M, states) of a head over several states,
                which is asked alone
        Output  for each task (B, num_labels), or (B, S, num_labels) of a head over each token, or (B, M, num_labels) of one
                over several states
        """
        feeds = self._feeds(input_ids, token_type_ids, lengths)
        if places is not None:
            feeds |= {f"{name}.places": places for name in self._unasked if name in tasks}
        return dict(zip(tasks, self._session.run(list(tasks), feeds), strict=True))

    def hidden_states(self, input_ids: NDArray[np.int64], lengths: NDArray[Any]) -> Floats:
        """The last hidden states (B, S, hidden_size) of single texts; as for `Session`."""
        assert self._states is not None
        feeds = self._feeds(input_ids, np.zeros_like(input_ids), lengths)
        return _batch_first(self._session.run([self._states.name], feeds)[0], self._states)

    def _feeds(
        self, input_ids: NDArray[np.int64], token_type_ids: NDArray[np.int64], lengths: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        """The graph's inputs; heads over several states look at [CLS] only."""
        feeds = {
            f"{name}.places": np.zeros((len(input_ids), 1, states), np.int64) for name, states in self._unasked.items()
        }
        mask = _mask(input_ids, lengths)
        return feeds | {"input_ids": input_ids, "token_type_ids": token_type_ids, "attention_mask": mask}

    def entities(self, task: str) -> EntityHead:
        """The head of this name as one for entities, three labels for each type."""
        return EntityHead(self, task, self._sizes[task][0] // len(LABELS))


class EntityHead:
    """The head for entities of a graph with several tasks, asked as a `Session` is."""

    def __init__(self, session: TaskSession, task: str, num_heads: int) -> None:
        self._session, self._task, self.num_heads = session, task, num_heads

    def logits(self, input_ids: NDArray[np.int64], lengths: NDArray[Any]) -> Floats:
        """Scores for each token and head; as for `Session`."""
        scores = self._session.scores(self._task, input_ids, np.zeros_like(input_ids), lengths)
        return scores.reshape(*scores.shape[:2], self.num_heads, len(LABELS))


def open_graph(path: Path, threads: int | None, states: StatesOutput | None = None) -> onnxruntime.InferenceSession:
    """The runtime's session of a graph, with its hidden states as a further output where they are named.

    Raises ModelError where it cannot be loaded, and where it has no such states.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_threads()
    options.inter_op_num_threads = 1
    # A thread that spins while it waits takes the core from whatever else runs here: on shared cores that halves
    # the speed, and it burns power between batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    # Batches come in many shapes: a plan of memory for each of them would only grow.
    options.enable_mem_pattern = False
    try:
        source = str(path) if states is None else _with_states(path, states)
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except ModelError:
        raise
    except Exception as error:  # the runtime raises its own classes, which share no base but Exception
        raise ModelError(f"{path}: the graph cannot be loaded ({str(error).splitlines()[0]})") from error


def names_states(path: Path, states: StatesOutput) -> bool:
    """Does the graph have a tensor of that name, as those of `textome export` do?"""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as graph:
        return graph.find(states.name.encode()) >= 0


def _with_states(path: Path, states: StatesOutput) -> bytes:
    graph = path.read_bytes()
    if states.name.encode() not in graph:
        raise ModelError(
            f"{path}: the graph does not name its hidden states; export the model again with `textome export`"
        )
    return with_output(graph, states.name)


def _batch_first(found: Floats, states: StatesOutput) -> Floats:
    return found if states.batch_first else found.transpose(1, 0, 2)


def _mask(input_ids: NDArray[np.int64], lengths: NDArray[Any]) -> NDArray[np.int32]:
    return (np.arange(input_ids.shape[1]) < np.asarray(lengths)[:, None]).astype(np.int32)
