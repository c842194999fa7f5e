"""Memory of several processes with the bundled model: started apart, with mapped weights, or forked when it is loaded.

    python benchmarks/sharing.py [--processes N]

Each process annotates one text with one thread. Printed is the proportional set size of all together (Linux): what several
share is counted once. The ways: the graph as it is; its weights in a file of their own, which ONNX Runtime maps into memory
(needs the extra `train`); that, and ONNX Runtime told not to pack the weights for the processor; and a fork when the model
is loaded, as `textome serve --workers` does it, with the parent that holds it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import onnxruntime

from textome.pipeline import Pipeline
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.model import Model
from textome.runtime.session import Session
from textome.tasks import HeadShape

TEXT = "Metformin lowered glucose in patients with type 2 diabetes. Quinine can cause tinnitus."


class Mapped(Session):
    """The bundled graph, whose weights lie in a file of their own."""

    def __init__(self, path: Path, packed: bool) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_mem_pattern = False
        if not packed:
            options.add_session_config_entry("session.disable_prepacking", "1")
        super().__init__(Bundle.load(resolve_model(None)).onnx_path(), {"entities": HeadShape(27, 0)}, 1)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4)
    number = parser.parse_args().processes
    with tempfile.TemporaryDirectory() as folder:
        path = with_weights_apart(Path(folder))
        ways: dict[str, tuple[str, Any]] = {
            "apart": ("spawn", None),
            "weights mapped": ("spawn", (path, True)),
            "weights mapped, not packed": ("spawn", (path, False)),
        }
        for name, (method, how) in ways.items():
            print(f"{name:30}{together(number, method, how):8.0f} MB", flush=True)
    print(f"{'forked, with the parent':30}{together(number, 'fork', Pipeline([Model.load(threads=1)])):8.0f} MB")


def with_weights_apart(folder: Path) -> Path:
    import onnx

    model = onnx.load(Bundle.load(resolve_model(None)).onnx_path())
    onnx.save_model(model, folder / "model.onnx", save_as_external_data=True, location="weights.bin")
    return folder / "model.onnx"


def together(number: int, method: str, how: Any) -> float:
    """Megabytes of `number` processes, and of this one where they are forked from it."""
    context: Any = multiprocessing.get_context(method)
    barrier, sizes = context.Barrier(number + 1), context.Queue()
    processes = [context.Process(target=work, args=(how, barrier, sizes)) for _ in range(number)]
    for process in processes:
        process.start()
    barrier.wait(120)  # all have annotated
    own = megabytes() if method == "fork" else 0.0
    total = own + sum(sizes.get() for _ in processes)
    barrier.wait(120)
    for process in processes:
        process.join()
    return float(total)


def work(how: Any, barrier: Barrier, sizes: Any) -> None:
    if how is None:
        annotator = Pipeline([Model.load(threads=1)])
    elif isinstance(how, Pipeline):
        annotator = how
    else:
        annotator = Pipeline([Model(Bundle.load(resolve_model(None)), Mapped(*how))])
    annotator.annotate(TEXT)
    barrier.wait(120)
    sizes.put(megabytes())
    barrier.wait(120)


def megabytes() -> float:
    return int(re.findall(r"^Pss:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)[0]) / 1024


if __name__ == "__main__":
    main()
