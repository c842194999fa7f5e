"""Runs a command as on another processor: one with AVX2 alone, or with VNNI and no AMX, on a processor that has more.

    python benchmarks/on_processor.py --only {avx2,avx512,vnni,all} -- COMMAND...

Neither CPUID nor /proc/cpuinfo tells the command, and all that it starts, of what the level lacks, so that ONNX Runtime,
PyTorch, numpy and the C library choose the instructions that they would choose there: `avx2` (as AMD's Zen 2 or Intel's
Haswell), `avx512` (Skylake: no VNNI), `vnni` (Ice Lake: AVX-512 with VNNI, no bf16 and no AMX), and `all` (nothing is
hidden, to compare under the same conditions). Clock rate, caches and the time of each instruction stay those of this
processor.

Needs Linux on x86-64 whose CPUID can fault (`cpuid_fault` in /proc/cpuinfo), gcc and unshare (util-linux), and the right to
mount. A process that is started without the variables LD_PRELOAD and GLIBC_TUNABLES sees the whole processor in CPUID.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from one_sentence import in_one_sentence

from textome.errors import DeviceError

SOURCE = Path(__file__).resolve().parent / "processor" / "cpuid.c"
CPUINFO = Path("/proc/cpuinfo")
LIBRARY = "textome_cpuid.so"
EAX, EBX, ECX, EDX = range(4)

# Where CPUID tells each feature, by the name that /proc/cpuinfo gives it: leaf, subleaf, register, bit
# (Intel's Software Developer's Manual, volume 2A, CPUID).
AMX = {
    "amx_bf16": (7, 0, EDX, 22),
    "amx_tile": (7, 0, EDX, 24),
    "amx_int8": (7, 0, EDX, 25),
    "amx_fp16": (7, 1, EAX, 21),
    "amx_complex": (7, 1, EDX, 8),
}
AFTER_VNNI = {
    "avx_vnni": (7, 1, EAX, 4),
    "avx512_bf16": (7, 1, EAX, 5),
    "avx_ifma": (7, 1, EAX, 23),
    "avx_vnni_int8": (7, 1, EDX, 4),
    "avx_ne_convert": (7, 1, EDX, 5),
    "avx_vnni_int16": (7, 1, EDX, 10),
    "avx10": (7, 1, EDX, 19),
    "avx512_fp16": (7, 0, EDX, 23),
    "avx512_vp2intersect": (7, 0, EDX, 8),
}
AFTER_SKYLAKE = {
    "avx512ifma": (7, 0, EBX, 21),
    "avx512vbmi": (7, 0, ECX, 1),
    "avx512_vbmi2": (7, 0, ECX, 6),
    "gfni": (7, 0, ECX, 8),
    "vaes": (7, 0, ECX, 9),
    "vpclmulqdq": (7, 0, ECX, 10),
    "avx512_vnni": (7, 0, ECX, 11),
    "avx512_bitalg": (7, 0, ECX, 12),
    "avx512_vpopcntdq": (7, 0, ECX, 14),
}
AVX512 = {
    "avx512f": (7, 0, EBX, 16),
    "avx512dq": (7, 0, EBX, 17),
    "avx512cd": (7, 0, EBX, 28),
    "avx512bw": (7, 0, EBX, 30),
    "avx512vl": (7, 0, EBX, 31),
}
HIDDEN = {
    "avx2": AMX | AFTER_VNNI | AFTER_SKYLAKE | AVX512,
    "avx512": AMX | AFTER_VNNI | AFTER_SKYLAKE,
    "vnni": AMX | AFTER_VNNI,
    "all": {},
}
# The leaves that describe tiles, their products, and AVX10.
EMPTY = (0x1D, 0x1E, 0x24)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(HIDDEN), required=True, help="what the command sees of the processor")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    sys.exit(run(options.command, options.only))


def run(command: list[str], level: str) -> int:
    """Runs `command` as on a processor of `level`, and returns its exit status, or 128 and the signal that ended it.

    Raises `DeviceError` where this machine cannot hide the features of its processor, or has not those of the level.
    """
    cpuinfo = CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""
    flags = set(re.findall(r"\w+", next(iter(re.findall(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)), "")))
    namespace, no_rights = ["unshare", "--mount"], []
    if os.geteuid() != 0:
        namespace += ["--user", "--map-current-user", "--keep-caps"]
        no_rights = ["setpriv", "--ambient-caps=-all", "--inh-caps=-all"]
    check(flags, level, namespace)
    # What an outer run of this program hides stays hidden: its /proc/cpuinfo is the one that was read.
    hidden = {name: where for name, where in HIDDEN["avx2"].items() if name in HIDDEN[level] or name not in flags}
    with tempfile.TemporaryDirectory() as folder:
        library, seen = Path(folder, LIBRARY), Path(folder, "cpuinfo")
        compile_library(library, hidden)
        seen.write_text(without(cpuinfo, hidden), encoding="utf-8")
        script = 'mount --bind "$1" /proc/cpuinfo && export LD_PRELOAD="$2" GLIBC_TUNABLES="$3" && shift 3 && exec "$@"'
        others = [path for path in os.environ.get("LD_PRELOAD", "").split() if Path(path).name != LIBRARY]
        tunables = "glibc.cpu.hwcaps=" + ",".join(f"-{name.upper()}" for name in hidden)
        arguments = [str(seen), " ".join([str(library), *others]), tunables, *no_rights, *command]
        status = subprocess.call([*namespace, "sh", "-c", script, "sh", *arguments])
        return status if status >= 0 else 128 - status


def check(flags: set[str], level: str, namespace: list[str]) -> None:
    """Raises `DeviceError` where this machine cannot do it: what is missing, and what to do."""
    if "cpuid_fault" not in flags:
        raise DeviceError(
            "the processor or its kernel cannot hide features from a program (/proc/cpuinfo has no flag cpuid_fault); use "
            "Linux on an Intel processor since 2012, or a virtual machine of KVM on one"
        )
    needed = {"avx2": "avx2", "avx512": "avx512bw", "vnni": "avx512_vnni", "all": "avx2"}[level]
    if needed not in flags:
        raise DeviceError(f"this processor has no {needed} itself, which --only {level} runs with; take a lower level")
    for program, package in (("gcc", "gcc"), ("unshare", "util-linux"), ("setpriv", "util-linux")):
        if shutil.which(program) is None:
            raise DeviceError(f"the program {program} is missing; install {package}")
    probe = subprocess.run(
        [*namespace, "mount", "--bind", CPUINFO, CPUINFO], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        raise DeviceError(
            f"this user may not mount over /proc/cpuinfo ({probe.stderr.strip()}); run it as root, not in a container"
        )


def compile_library(library: Path, hidden: Mapping[str, tuple[int, int, int, int]]) -> None:
    """Compiles `SOURCE` to a library that hides these features: (leaf, subleaf, register, bit) by name."""
    bits = [f"{{{leaf},{subleaf},{register},{1 << bit}u}}" for leaf, subleaf, register, bit in hidden.values()]
    empty = [str(leaf) for leaf in EMPTY] if "amx_tile" in hidden else []
    options = [
        "-O2",
        "-shared",
        "-fPIC",
        "-Wl,-z,initfirst",
        f"-DHIDDEN={','.join(bits)}",
        f"-DEMPTY={','.join(empty)}",
    ]
    subprocess.run(["gcc", *options, "-o", str(library), str(SOURCE), "-ldl"], check=True)


def without(cpuinfo: str, hidden: Collection[str]) -> str:
    """The text of /proc/cpuinfo without the flags of those names."""

    def kept(line: re.Match[str]) -> str:
        return " ".join(flag for flag in line[0].split(" ") if flag not in hidden)

    return re.sub(r"^flags.*$", kept, cpuinfo, flags=re.MULTILINE)


if __name__ == "__main__":
    in_one_sentence(main)
