"""Where a run computes: the one place that knows devices, chooses one, and what each needs at a step's end.

Tested on the CPU; CUDA is what PyTorch's own tests cover; MPS and XLA (TPU) go through the same calls and are untested.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch

from textome.errors import DeviceError, InputError
from textome.processors import available_threads

_KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto", number: int = 0) -> torch.device:
    """The device of a name. "auto" is CUDA, else MPS, else the CPU; XLA is never chosen unasked.

    number   which of several GPUs

    PyTorch counts processors without a container's quota, so its threads are bounded by that here.

    Raises DeviceError where PyTorch does not see the device, with what to do.
    """
    if torch.get_num_threads() > (threads := available_threads()):
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if problem := _missing(name):
        raise DeviceError(f"--device {name}: {problem}")
    if name == "xla":
        import torch_xla

        return torch_xla.device()  # type: ignore[no-any-return]
    return torch.device(name, number) if name == "cuda" else torch.device(name)


def devices() -> dict[str, str]:
    """Each device with what PyTorch says of it, or why it cannot be used."""
    state_of = {name: _missing(name) or "there" for name in ("cpu", "cuda", "mps", "xla")}
    state_of["cpu"] = f"there, {torch.get_num_threads()} threads"
    if state_of["cuda"] == "there":
        names = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        state_of["cuda"] = ", ".join(f"{item.name} ({item.total_memory / 2**30:.0f} GB)" for item in names)
    for name in ("mps", "xla"):
        state_of[name] += ", untested" if state_of[name] == "there" else ""
    return state_of


def device_name(device: torch.device) -> str:
    """What computes, for the record of a run."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def precision_for(name: str, device: torch.device) -> str:
    """`name`, or for "auto" bf16 where the device computes it fast: a processor with matrix tiles (AMX), and most GPUs.

    With AVX-512's products of bf16 alone, fp32 trained 1.6 times as fast (Intel Xeon, 2 threads, MiniLM-L6).

    Raises InputError for fp16 on a device without the scaling that it needs.
    """
    if name == "fp16" and device.type not in ("cuda", "cpu"):
        raise InputError(f"training.precision is fp16, which is for CUDA; use bf16 or fp32 on {device.type}")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device.type == "cpu":
        return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"
    return "bf16" if device.type == "xla" else "fp32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Matrix products in 16 bits where `precision` says so."""
    return torch.autocast(device.type, _KINDS[precision]) if precision in _KINDS else nullcontext()


def gradient_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Scaling of the loss, which keeps fp16 gradients from vanishing (Micikevicius et al. 2018, section 3.2); it leaves
    out a step whose gradients overflow. In other precisions it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def product_type(precision: str) -> torch.dtype:
    """In what a precision multiplies matrices."""
    return _KINDS.get(precision, torch.float32)


def workers_for(device: torch.device) -> int:
    """How many processes make batches beside the run: none where the run itself uses the processor's cores."""
    return min(6, available_threads() // 2) if device.type == "cuda" else 0


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    else:
        end_step(device)


def end_step(device: torch.device) -> None:
    """What a device needs after each step: XLA compiles and runs what was noted up to here, the others nothing."""
    if device.type == "xla":
        import torch_xla

        torch_xla.sync()


def _missing(name: str) -> str | None:
    """Why a device cannot be used here, and what to do; None where it can."""
    if name == "cuda" and not torch.cuda.is_available():
        if torch.version.cuda is None and torch.version.hip is None:
            return "this PyTorch is built without CUDA; see pytorch.org/get-started for one that has it"
        return "PyTorch sees no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES"
    if name == "mps" and not torch.backends.mps.is_available():
        return "only on a Mac with Apple silicon and macOS 14 or later"
    if name == "xla" and find_spec("torch_xla") is None:
        return "needs torch_xla: pip install torch_xla, of the version of this PyTorch"
    return None
