"""8-bit graphs on a processor with AVX2 alone, or on one that `benchmarks/on_processor.py` makes look like it."""

from __future__ import annotations

import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from textome.encoders import graph as encoder_graph
from textome.errors import DeviceError
from textome.runtime.graph import build_graph, expected_shapes

ON_PROCESSOR = Path(__file__).resolve().parents[2] / "benchmarks" / "on_processor.py"
FAULT_REFUSED = 125  # the exit status of benchmarks/processor/cpuid.c
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": 50,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
PROGRAM = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for model in sys.argv[2:]:
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    numpy.save(model + ".npy", session.run(None, dict(numpy.load(sys.argv[1])))[0])
"""
FEATURES = """
import signal, sys, threading
from pathlib import Path

def print_features():
    from numpy._core._multiarray_umath import __cpu_features__ as features
    print(features["AVX2"], features["AVX512F"], " avx512f" in Path("/proc/cpuinfo").read_text())

signal.signal(signal.SIGSEGV, lambda *_: print("a handler of its own"))
thread = threading.Thread(target=print_features)  # numpy asks the processor when it is imported
thread.start()
thread.join()
signal.raise_signal(signal.SIGSEGV)
"""


def states(model: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The hidden states that this machine's own processor computes."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


@pytest.fixture
def on_avx2() -> list[str]:
    """How a command begins that is to see AVX2 alone; the test is skipped where the machine cannot do that."""
    command = [sys.executable, str(ON_PROCESSOR), "--only", "avx2", "--"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if probe.returncode in (DeviceError.exit_code, FAULT_REFUSED):
        pytest.skip(probe.stderr.strip())
    return command


def test_programs_see_avx2_alone(on_avx2: list[str]) -> None:
    """In CPUID (of a thread) and in /proc/cpuinfo. A handler of their own still gets SIGSEGV, a fault still ends them."""
    result = subprocess.run([*on_avx2, sys.executable, "-c", FEATURES], capture_output=True, text=True, check=True)
    assert result.stdout == "True False False\na handler of its own\n"
    killed = subprocess.run([*on_avx2, sys.executable, "-c", "import ctypes; ctypes.string_at(0)"], check=False)
    assert killed.returncode == 128 + signal.SIGSEGV


def test_what_a_machine_cannot_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ON_PROCESSOR.parent))
    check = runpy.run_path(str(ON_PROCESSOR))["check"]
    with pytest.raises(DeviceError, match=r"/proc/cpuinfo has no flag cpuid_fault"):
        check({"avx2"}, "avx2", [])
    with pytest.raises(DeviceError, match=r"this processor has no avx512_vnni itself, which --only vnni runs with"):
        check({"avx2", "cpuid_fault"}, "vnni", [])


def test_int8_is_right_without_vnni(on_avx2: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graphs as they are exported are the fp32 one as nearly as here; with 8 bits of a weight sums overflow there."""
    generator = np.random.default_rng(0)
    tensors = {
        name: generator.normal("LayerNorm.weight" in name, 0.08, shape).astype(np.float32)
        for name, shape in expected_shapes(CONFIG, {}).items()
    }
    mask = np.ones((4, 32), np.int32)
    feeds = {"input_ids": generator.integers(1, 50, mask.shape, np.int64), "attention_mask": mask}
    np.savez(tmp_path / "inputs.npz", **feeds)
    models = {name: tmp_path / f"{name}.onnx" for name in ("fp32", "int8", "8 bits of a weight")}
    for name, path in models.items():
        monkeypatch.setattr(encoder_graph, "WEIGHT_BITS", 8 if path == models["8 bits of a weight"] else 7)
        precision = "fp32" if name == "fp32" else "int8"
        path.write_bytes(build_graph(tensors, CONFIG, precision, {}).SerializeToString())
    command = [*on_avx2, sys.executable, "-c", PROGRAM, str(tmp_path / "inputs.npz")]
    subprocess.run([*command, *map(str, models.values())], check=True, capture_output=True)
    exact = states(models["fp32"], feeds)
    errors = {name: np.abs(np.load(f"{path}.npy") - exact).mean() / exact.std() for name, path in models.items()}
    here = {name: np.abs(states(path, feeds) - exact).mean() / exact.std() for name, path in models.items()}
    print({name: f"{here[name]:.6f} here, {errors[name]:.6f} with AVX2 alone" for name in models})
    assert errors["fp32"] < 1e-4
    assert errors["int8"] == pytest.approx(here["int8"], rel=0.02)
    assert errors["8 bits of a weight"] > 2 * errors["int8"]
