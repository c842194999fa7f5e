"""Where graphs run."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from textome.errors import ModelError
from textome.runtime import session
from textome.runtime.bundle import Bundle
from textome.runtime.model import Model

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def test_a_gpu_that_the_runtime_does_not_know_is_refused_with_what_to_do(tiny_bundle: Path) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    assert session.inference_devices()["cpu"] == "ready"
    with pytest.raises(ModelError, match=r"device cuda is not in this ONNX Runtime.*onnxruntime-gpu.*--device cpu"):
        Model.load(tiny_bundle, device="cuda")


def test_a_gpu_is_asked_first_and_the_processor_for_what_it_lacks(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice only: no GPU is needed."""
    chosen = []

    def opened(source: str, options: object, providers: list[str]) -> object:
        chosen.append((Path(source).name, providers))
        raise RuntimeError("no GPU here")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(session, "_Graph", opened)
    for device in ("cuda", "cpu"):
        with pytest.raises(ModelError, match="no GPU here"):
            Model.load(tiny_bundle, device=device)
    assert chosen == [("model.fp32.onnx", [CUDA, CPU]), ("model.int8.onnx", [CPU])]


def test_graphs_of_a_gpu_are_the_most_exact_there_are(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    assert bundle.onnx_path(device="cuda").name == "model.fp32.onnx"
    assert bundle.onnx_path("int8", "cuda").name == "model.int8.onnx"
