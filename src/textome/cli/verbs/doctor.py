"""`textome doctor`: what is installed, what can compute, and what is missing."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from textome.cli.options import AsJson
from textome.cli.streams import echo, say
from textome.processors import available_threads

_BASE = ("lxml", "numpy", "onnxruntime", "pydantic", "rich", "tokenizers", "typer")
_EXTRAS = {
    "corpus": ("datasketch", "ftfy", "py3langid"),
    "train": ("onnx", "safetensors", "tensorboard", "torch"),
    "tune": ("optuna",),
    "privacy": ("opacus",),
    "mlflow": ("mlflow-skinny",),
    "serve": ("fastapi", "prometheus-client", "uvicorn"),
    "bulk": ("pyarrow", "duckdb", "fsspec"),
    "cluster": ("ray",),
    "modalities": ("pillow", "soundfile"),
    "pixels": ("pillow", "pycocotools", "scikit-image", "scipy"),
    "molecules": ("rdkit",),
}
_USES = {
    "corpus": "preprocess",
    "train": "pretrain, finetune and export",
    "tune": "tune",
    "privacy": "finetune with [privacy]",
    "mlflow": "training.mlflow",
    "serve": "serve",
    "bulk": "bulk and query",
    "cluster": "bulk --ray",
    "modalities": "predict and finetune of images and sounds",
    "pixels": "masks and boxes in images",
    "molecules": "predict and finetune of molecules",
}
_CPU_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def doctor(as_json: AsJson = False) -> None:
    """Tell what is installed, which accelerators there are, and what is missing and how to get it.

    Example: textome doctor
    """
    findings = {
        "textome": _version("textome"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _BASE},
        "extras": {extra: {name: _version(name) for name in names} for extra, names in _EXTRAS.items()},
        "processor": {"threads": available_threads(), "instructions": instructions()},
        "gpu": _gpu(),
        "devices": _devices(),
        "inference_devices": _inference_devices(),
        "bundled_model": _bundled(),
    }
    advice = _advice()
    if as_json:
        echo(json.dumps(findings | {"advice": advice}, indent=2))
        return
    echo(f"textome {findings['textome']} on Python {findings['python']}, {findings['system']}")
    for name in _BASE:
        echo(f"  {name:20}{_version(name) or 'MISSING'}")
    for extra, names in _EXTRAS.items():
        for name in names:
            echo(f"  {name:20}{_version(name) or 'not installed'}  [{extra}]")
    known = ", ".join(instructions()) or "none known"
    echo(f"  {'processor':20}{available_threads()} threads; int8 and bf16 instructions: {known}")
    echo(f"  {'GPU':20}{findings['gpu'] or 'none that PyTorch sees'}")
    for name, state in (_devices() or {}).items():
        echo(f"  {'--device ' + name:20}{state}")
    for name, state in (_inference_devices() or {}).items():
        echo(f"  {'annotate on ' + name:20}{state}")
    echo(f"  {'bundled model':20}{findings['bundled_model'] or 'MISSING'}")
    for line in advice:
        echo(f"- {line}")


def _version(name: str) -> str | None:
    from importlib import metadata  # slow to import, and `textome --help` imports this module

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def instructions() -> list[str]:
    """The instruction sets that matter here, as Linux names them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    present = set(text.split("flags", 1)[1].split("\n", 1)[0].split()) if "flags" in text else set()
    return [flag for flag in _CPU_FLAGS if flag in present]


def _gpu() -> str | None:
    if _version("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _devices() -> dict[str, str] | None:
    """What each `--device` of the training verbs is here; None without PyTorch."""
    if _version("torch") is None:
        return None
    from textome.training.devices import devices

    return devices()


def _inference_devices() -> dict[str, str] | None:
    """What each `--device` of the verbs that annotate is here; None without ONNX Runtime."""
    if _version("onnxruntime") is None and _version("onnxruntime-gpu") is None:
        return None
    from textome.runtime.session import inference_devices

    return inference_devices()


def _bundled() -> str | None:
    from textome.errors import ModelError
    from textome.runtime.bundle import Bundle, resolve_model

    try:
        bundle = Bundle.load(resolve_model(None))
        return f"{bundle.name} ({bundle.onnx_path().stat().st_size / 1e6:.1f} MB)"
    except ModelError as error:
        say(f"textome: {error}")
        return None


def _advice() -> list[str]:
    advice = []
    if any(_version(name) is None for name in _BASE):
        advice.append("the base install is incomplete; run: pip install --force-reinstall textome")
    for extra, names in _EXTRAS.items():
        if missing := [name for name in names if _version(name) is None]:
            advice.append(f"{', '.join(missing)} missing (for textome {_USES[extra]}): pip install 'textome[{extra}]'")
    return advice
