"""Speech as log-mel frames, which convolutions shorten before the encoder (Gulati et al. 2020, section 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Floats, Modality, Record, Segment, Segments, Shape
from textome.inputs.sound_files import read_sounds, resampled


class Speech(Modality):
    """Sounds and their log-mel frames. A record's content is (time,) float32 from -1 to 1.

    rate          samples per second
    other_rates   sounds of other rates are brought to it, or with "refuse" quarantined
    max_seconds   sounds that last longer are quarantined
    names         a regular expression for file names without their ending; its group `label` is the label, other groups
                  are attributes, as (?P<label>[0-9])_(?P<speaker>[a-z]+)_[0-9]+. Empty: the folder's name is the label
    mels          bands, from 20 Hz to half the rate, evenly spaced on the mel scale
    frame, hop    milliseconds of a frame, and from one to the next
    downsamplings   convolutions that each halve the number of frames
    speed         while training, drawn anew for each reading: up to 1 + so much faster or slower, which moves the pitch too
    shift         while training: up to so many seconds of silence before or after
    gain          while training: decibels louder or softer
    noise         while training: the share of sounds that get white noise, 5 to 30 dB below them
    time_masks, frequency_masks  while training: so many stretches of frames, or bands, are hidden (SpecAugment, Park et al.
                  2019, section 2)
    time_mask, frequency_mask  frames, or bands, of such a stretch at most
    averaged      so many speeds, evenly spaced over those that `speed` allows, whose answers are averaged
    deviation     of the log energies of the training data; the mean of each band is taken away in each sound
    """

    old_keys: ClassVar[Mapping[str, str]] = {"halvings": "downsamplings", "longest": "max_seconds"}

    kind: Literal["speech"] = "speech"
    rate: int = Field(16000, ge=1000)
    other_rates: Literal["resample", "refuse"] = "resample"
    max_seconds: float = Field(4.0, gt=0)
    names: str = ""
    mels: int = Field(40, ge=4)
    frame: float = Field(25.0, gt=0)
    hop: float = Field(10.0, gt=0)
    downsamplings: int = Field(2, ge=0, le=4)
    speed: float = Field(0.0, ge=0)
    shift: float = Field(0.0, ge=0)
    gain: float = Field(0.0, ge=0)
    noise: float = Field(0.0, ge=0, le=1)
    time_masks: int = Field(0, ge=0)
    time_mask: int = Field(10, ge=1)
    frequency_masks: int = Field(0, ge=0)
    frequency_mask: int = Field(8, ge=1)
    averaged: int = Field(1, ge=1, le=15)
    deviation: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _averaged_over_speeds(self) -> Self:
        if self.averaged > 1 and not self.speed:
            raise ValueError("averaged is over the speeds that `speed` allows, which is 0")
        return self

    @field_validator("names")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"this is not a regular expression ({error})") from error
        return value

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        return read_sounds(path, quarantine, self.rate, self.other_rates, self.max_seconds, self.names)

    def shapes(self) -> dict[str, Shape]:
        tokens = self._frames(round(self.max_seconds * self.rate))
        for _ in range(self.downsamplings):
            tokens = -(-tokens // 2)
        return {"speech": Shape("vectors", self.mels, (tokens,), self.downsamplings)}

    def fitted(self, records: Sequence[Record]) -> Self:
        spreads = [float(np.square(self._centred(record.content)).mean()) for record in records]
        return self.model_copy(update={"deviation": float(np.sqrt(np.mean(spreads))) or 1.0})

    def features(self, content: Floats) -> Segments:
        if not self.deviation:
            raise InputError("the spread of the energies is not known; train the model first")
        if len(content) > round(self.max_seconds * self.rate):
            raise InputError(
                f"the sound lasts {len(content) / self.rate:.1f} s; at most {self.max_seconds:g} s are read"
            )
        values = (self._centred(content) / self.deviation).astype(np.float32)
        tokens = len(values)
        for _ in range(self.downsamplings):
            tokens = -(-tokens // 2)
        return {"speech": Segment(values, np.arange(tokens)[:, None])}

    def views(self, content: Floats) -> list[Floats]:
        max_samples = round(self.max_seconds * self.rate)
        speeds = (1 + self.speed) ** np.linspace(-1, 1, self.averaged) if self.averaged > 1 else [1.0]
        return [resampled(content, 1.0, float(speed))[:max_samples] for speed in speeds]

    def augmented(self, content: Floats, generator: np.random.Generator) -> Floats:
        samples = content
        if self.speed:
            samples = resampled(samples, 1.0, (1 + self.speed) ** generator.uniform(-1, 1))
        if self.shift:
            moved = round(self.rate * generator.uniform(-self.shift, self.shift))
            samples = np.pad(samples, (max(moved, 0), max(-moved, 0)))
        if self.gain:
            samples = samples * np.float32(10 ** (generator.uniform(-self.gain, self.gain) / 20))
        if self.noise and generator.random() < self.noise:
            level = float(np.sqrt(np.square(samples).mean())) * 10 ** (-generator.uniform(5, 30) / 20)
            samples = samples + generator.standard_normal(len(samples), np.float32) * np.float32(level)
        return samples[: round(self.max_seconds * self.rate)]

    def varied(self, segments: Segments, generator: np.random.Generator) -> Segments:
        segment = segments["speech"]
        values = segment.values.copy()
        for axis, masks, most in ((0, self.time_masks, self.time_mask), (1, self.frequency_masks, self.frequency_mask)):
            for _ in range(masks):
                # Not more than a fifth of a short sound.
                width = int(generator.integers(0, min(most, max(1, values.shape[axis] // 5)), endpoint=True))
                first = int(generator.integers(0, values.shape[axis] - width, endpoint=True))
                values[(slice(None),) * axis + (slice(first, first + width),)] = 0.0  # the mean
        return {"speech": Segment(values, segment.positions)}

    def log_mel(self, samples: Floats) -> Floats:
        """(frames, mels): logarithms of the energies in bands of Hann-windowed frames; a short sound is one frame."""
        size, hop = round(self.frame * self.rate / 1000), round(self.hop * self.rate / 1000)
        padded = np.pad(samples, (0, max(0, size - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
        length = 1 << (size - 1).bit_length()
        power = np.abs(np.fft.rfft(frames * np.hanning(size), length)) ** 2
        return np.asarray(np.log(power @ mel_bands(self.mels, length, self.rate) + 1e-8), np.float32)

    def _centred(self, samples: Floats) -> Floats:
        values = self.log_mel(samples)
        return np.asarray(values - values.mean(0), np.float32)

    def _frames(self, samples: int) -> int:
        size, hop = round(self.frame * self.rate / 1000), round(self.hop * self.rate / 1000)
        return max(0, samples - size) // hop + 1


@cache
def mel_bands(count: int, length: int, rate: int) -> Floats:
    """(length // 2 + 1, count): triangles that overlap by half, evenly spaced in mel = 2595 log10(1 + f / 700) from 20 Hz
    to half the rate (Davis and Mermelstein 1980; the formula is O'Shaughnessy's 1987)."""
    low, high = (2595 * np.log10(1 + frequency / 700) for frequency in (20.0, rate / 2))
    edges = 700 * (10 ** (np.linspace(low, high, count + 2) / 2595) - 1)
    frequencies = np.linspace(0, rate / 2, length // 2 + 1)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
