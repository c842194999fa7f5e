"""An exported graph, ready to run on ONNX Runtime."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from textome.encoders import EXIT_THRESHOLD
from textome.errors import ModelError
from textome.processors import available_threads
from textome.runtime.batching import Batch
from textome.runtime.bundle import Bundle, Device
from textome.runtime.hidden_states import ONLY_HIDDEN_STATES, HiddenStatesOutput, hidden_states_output, with_output
from textome.tasks import HeadShape
from textome.tasks.examples import Floats

# The output of a graph with one head, whatever its task is called.
_LONE = "logits"
_PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_GET_CUDA = "run: pip uninstall onnxruntime; pip install 'onnxruntime-gpu[cuda,cudnn]'"


class Session:
    """An exported graph of an encoder with the heads of its tasks.

    heads    the shape of each head by the name of its task; none for a graph that gives hidden states only
    threads  processor threads; by default as many as the process may use
    hidden_output   where the graph has its last hidden states, for a session that gives them too; all tokens stay for these
    early_exit   whether tokens may leave early in a graph with a gate, see encoders.early_exit
    device   "cuda" for the first GPU of NVIDIA

    Raises ModelError where the file is damaged, or the graph is not one of such heads.
    """

    def __init__(
        self,
        path: Path,
        heads: Mapping[str, HeadShape],
        threads: int | None = None,
        hidden_output: HiddenStatesOutput | None = None,
        early_exit: bool = True,
        device: Device = "cpu",
    ) -> None:
        self._session = open_graph(path, threads, (hidden_output.name,) if hidden_output else (), device)
        can_leave = EXIT_THRESHOLD in {item.name for item in self._session.get_overridable_initializers()}
        self._all_stay = {EXIT_THRESHOLD: np.array(-np.inf, np.float32)} if can_leave else {}
        self._constants = {} if early_exit else self._all_stay
        self.hidden_output = hidden_output if heads else ONLY_HIDDEN_STATES
        own = {self.hidden_output.name} if self.hidden_output else set()
        inputs = {item.name: len(item.shape) for item in self._session.get_inputs()}
        outputs = {item.name: item.shape[-1] for item in self._session.get_outputs() if item.name not in own}
        lone = len(heads) == 1 and _LONE in outputs
        self._outputs = {name: _LONE if lone else name for name in heads}
        self._pooled = {name: shape[1] for name, shape in heads.items() if shape[1] > 1}
        expected = dict.fromkeys(("input_ids", "attention_mask"), 2)
        expected |= {"token_type_ids": 2} if heads and not lone else {}
        expected |= {f"{name}.places": 3 for name in self._pooled}
        if inputs != expected or outputs != {self._outputs[name]: shape[0] for name, shape in heads.items()}:
            raise ModelError(
                f"{path}: the graph has inputs {inputs} (with their dimensions) and outputs {outputs}, which are not those "
                f"of textome.json; export the model with `textome export`"
            )
        self._reads_types = "token_type_ids" in inputs

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        precision: str | None = None,
        threads: int | None = None,
        with_hidden_states: bool = False,
        early_exit: bool = True,
        device: Device = "cpu",
    ) -> Self:
        """The graph of a bundle; `with_hidden_states` for its hidden states too. Raises ModelError where there is none."""
        path = bundle.onnx_path(precision, device)
        heads = {name: task.head_shape for name, task in bundle.tasks.items() if task.head_shape.num_labels}
        hidden_output = (
            hidden_states_output(bundle.config, bool(bundle.heads)) if with_hidden_states and heads else None
        )
        return cls(path, heads, threads, hidden_output, early_exit, device)

    def run(self, heads: Sequence[str], batch: Batch) -> list[Floats]:
        """The scores of the heads of these tasks, in one pass of the encoder.

        Output  of each (B, num_labels), or (B, S, num_labels) of a head over each token, or (B, M, num_labels) of one over
                several hidden states, which takes the batch's positions; what lies beyond a row's length means nothing
        """
        feeds = self._feeds(batch)
        if batch.positions is not None:
            feeds |= {f"{name}.places": batch.positions for name in self._pooled if name in heads}
        return self._session.run([self._outputs[name] for name in heads], feeds)  # type: ignore[no-any-return]

    def hidden_states(self, batch: Batch) -> Floats:
        """The last hidden states (B, S, hidden_size), of a session that gives them."""
        assert self.hidden_output is not None
        (hidden_states,) = self._session.run([self.hidden_output.name], self._feeds(batch) | self._all_stay)
        return hidden_states if self.hidden_output.batch_first else hidden_states.transpose(1, 0, 2)  # type: ignore[no-any-return]

    def _feeds(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The graph's inputs; heads over several hidden states look at [CLS] only."""
        feeds: dict[str, NDArray[Any]] = {"input_ids": batch.input_ids, "attention_mask": batch.mask, **self._constants}
        if self._reads_types:
            types = batch.token_type_ids
            feeds["token_type_ids"] = np.zeros_like(batch.input_ids) if types is None else types
        rows = len(batch.input_ids)
        return feeds | {f"{name}.places": np.zeros((rows, 1, width), np.int64) for name, width in self._pooled.items()}


class _Graph(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session of the runtime that says in one sentence where a graph cannot take what its model's files ask of it."""

    path: Path

    def run(self, *arguments: Any, **options: Any) -> list[Any]:
        try:
            return super().run(*arguments, **options)  # type: ignore[no-any-return]
        except Exception as error:  # as in `open_graph`
            reason = str(error).splitlines()[0][:300]
            raise ModelError(
                f"{self.path}: the graph cannot be run ({reason}); are its window, its tokenizer and its graph of one "
                "model? Export it again with `textome export`"
            ) from error


def inference_devices() -> dict[str, str]:
    """What each `--device` of the verbs that annotate is here: "ready", or what is missing."""
    ready = _PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    return {"cpu": "ready", "cuda": "ready" if ready else f"not in this ONNX Runtime; {_GET_CUDA}"}


def open_graph(
    path: Path, threads: int | None, tensors: Sequence[str] = (), device: Device = "cpu"
) -> onnxruntime.InferenceSession:
    """The runtime's session of a graph.

    tensors  the names of tensors that become further outputs, as its hidden states
    device   "cuda": operators that the GPU does not have run on the processor

    Raises ModelError where it cannot be loaded, where it has no such tensors, and where there is no such device.
    """
    if device != "cpu" and inference_devices()[device] != "ready":
        raise ModelError(f"{path}: the device {device} is {inference_devices()[device]}, or run it with --device cpu")
    providers = [_PROVIDERS[device], *([_PROVIDERS["cpu"]] if device != "cpu" else [])]
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
        source = _with_outputs(path, tensors) if tensors else str(path)
        graph = _Graph(source, options, providers=providers)
        graph.path = path
        return graph
    except ModelError:
        raise
    except Exception as error:  # the runtime raises its own classes, which share no base but Exception
        raise ModelError(f"{path}: the graph cannot be loaded ({str(error).splitlines()[0]})") from error


def names_hidden_states(path: Path, hidden_output: HiddenStatesOutput) -> bool:
    """Does the graph have a tensor of that name, as those of `textome export` do?"""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as graph:
        return graph.find(hidden_output.name.encode()) >= 0


def _with_outputs(path: Path, tensors: Sequence[str]) -> bytes:
    graph = path.read_bytes()
    for name in tensors:
        if name.encode() not in graph:
            raise ModelError(f"{path}: the graph has no tensor {name!r}; export the model again with `textome export`")
        graph = with_output(graph, name)
    return graph
