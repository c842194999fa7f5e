"""Sounds from files: WAV by Python's own reader, FLAC and Ogg by soundfile where that is installed.

A place is a sound file, a folder of them, or a tar of such a folder. What a file's name says is read by a pattern with
named groups, see Speech; without one a sound's label is the name of the folder that it lies in.
"""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from textome.errors import InputError
from textome.formats.reading.archives import unpacked
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Floats, Record

SUFFIXES = (".wav", ".flac", ".ogg")
_WIDTHS = {1: "u1", 2: "<i2", 4: "<i4"}


def read_sounds(
    path: str, quarantine: Quarantine, rate: int, other_rates: str, max_seconds: float, names: str
) -> Iterator[Record]:
    """The records of a file or folder: samples (time,) float32 from -1 to 1 at `rate` per second; see Speech for others.

    Raises InputError where the path is missing or holds no sound.
    """
    location = Path(path)
    if not location.exists():
        raise InputError(f"{path}: no such file or directory")
    if location.is_file() and location.name.endswith((".tar", ".tar.gz", ".tar.xz", ".zip")):
        location = unpacked(location)
    folder, files = location.parent, [location]
    if location.is_dir():
        folder, files = location, sorted(file for file in location.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise InputError(f"{path}: the folder holds no sounds ({', '.join(SUFFIXES)})")
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            samples, file_rate = decoded(file.read_bytes())
            if file_rate != rate:
                if other_rates == "refuse":
                    raise InputError(
                        f"the sound has {file_rate} samples per second, the model {rate}; set modality.other_rates=resample"
                    )
                samples = resampled(samples, file_rate, rate)
            if len(samples) > max_seconds * rate:
                raise InputError(f"the sound lasts {len(samples) / rate:.1f} s; at most {max_seconds:g} s are read")
        except (InputError, OSError) as error:
            quarantine.add(str(file) if path == str(location) else f"{path}!{name}", "", error)
            continue
        matched = re.fullmatch(names, file.stem) if names else None
        if names and matched is None:
            # A sound that someone wants to know about need not be named as the training data.
            yield Record(name, content=samples)
            continue
        attributes = dict(matched.groupdict()) if matched else {}
        label = attributes.pop("label", None) if matched else file.parent.name if file.parent != folder else None
        yield Record(name, metadata=attributes, content=samples, target=label)


def decoded(data: bytes) -> tuple[Floats, int]:
    """The samples (time,) float32 of a sound file, the mean of its channels, and how many there are per second.

    Raises InputError for what is not a sound, truncated, or empty.
    """
    try:
        with wave.open(io.BytesIO(data)) as sound:
            count, width, channels, rate = (
                sound.getnframes(),
                sound.getsampwidth(),
                sound.getnchannels(),
                sound.getframerate(),
            )
            raw = sound.readframes(count)
    except (wave.Error, EOFError) as error:
        if data[:4] == b"RIFF" and len(data) < 44:
            raise InputError("the sound is truncated: not even its header is whole") from error
        return _by_soundfile(data, error)
    if (there := len(raw) // (width * channels)) < count:
        raise InputError(f"the sound is truncated: its header tells of {count} samples, {there} are there")
    if not count or not rate:
        raise InputError("the sound is empty")
    if width == 3:
        parts = np.frombuffer(raw, "u1").reshape(-1, 3).astype(np.int32)
        values = (parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) / 2.0**31
    else:
        numbers = np.frombuffer(raw, _WIDTHS[width])
        values = (numbers - 128.0) / 128 if width == 1 else numbers / 2.0 ** (8 * width - 1)
    return values.reshape(-1, channels).mean(1).astype(np.float32), rate


def _by_soundfile(data: bytes, reason: Exception) -> tuple[Floats, int]:
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise InputError(
            f"this is not a WAV file of plain samples ({reason}); for other kinds run: pip install soundfile"
        ) from error
    try:
        values, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"this is not a sound that can be read ({reason})") from error
    if not len(values):
        raise InputError("the sound is empty")
    return values.mean(1).astype(np.float32), int(rate)


def resampled(samples: Floats, rate: float, target_rate: float) -> Floats:
    """The same sound with `target_rate` instead of `rate` samples per second: its spectrum cut, or filled up with zeros."""
    ratio = Fraction(target_rate / rate).limit_denominator(1000)
    if ratio == 1:
        return samples
    # With silence around it the ends do not run into each other; whole periods of the ratio keep samples in their places.
    border = -(-256 // ratio.denominator) * ratio.denominator
    padded = np.pad(samples, (border, border + -len(samples) % ratio.denominator))
    size = int(len(padded) * ratio)
    spectrum = np.fft.rfft(padded)
    room = np.zeros(size // 2 + 1, spectrum.dtype)
    kept = min(len(room), len(spectrum))
    room[:kept] = spectrum[:kept]
    sound = np.fft.irfft(room, size) * float(ratio)
    start = int(border * ratio)
    return sound[start : start + max(1, round(len(samples) * ratio))].astype(np.float32)
