"""Sounds from files, log-mel frames, and augmentation."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Segment
from textome.inputs.sound_files import decoded, resampled
from textome.inputs.speech import Speech, mel_bands
from tiny_modalities import tone, wav


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_every_width_are_the_same_sound(width: int):
    samples = tone(100, 8000, 0.05).astype(np.float64)
    top = 2 ** (8 * width - 1)
    numbers = np.rint(samples * (top - 1)).astype(np.int64) + (128 if width == 1 else 0)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(width)
        sound.setframerate(8000)
        sound.writeframes(b"".join(int(value).to_bytes(width, "little", signed=width > 1) for value in numbers))
    found, rate = decoded(stream.getvalue())
    assert rate == 8000
    np.testing.assert_allclose(found, samples, atol=1.5 / top if width < 4 else 1e-6)


def test_two_channels_become_their_mean():
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(np.array([[1000, 3000], [-2000, 0]], "<i2").tobytes())
    np.testing.assert_allclose(decoded(stream.getvalue())[0] * 32768, [2000, -1000], atol=0.01)


def test_damaged_sounds_are_told():
    whole = wav(tone(100, 8000, 0.1), 8000)
    with pytest.raises(InputError, match="truncated: its header tells of 800 samples, 778 are there"):
        decoded(whole[:-44])
    with pytest.raises(InputError, match="not even its header"):
        decoded(whole[:20])
    with pytest.raises(InputError, match="empty"):
        decoded(wav(np.zeros(0, np.float32), 8000))
    with pytest.raises(InputError):
        decoded(b"this is a text")


@pytest.mark.parametrize(("rate", "wanted"), [(8000, 16000), (16000, 8000), (44100, 8000), (8000, 8000)])
def test_resampling_keeps_a_tone(rate: int, wanted: int):
    found = resampled(tone(440, rate, 0.5), rate, wanted)
    expected = tone(440, wanted, 0.5)
    assert abs(len(found) - len(expected)) <= 1
    inner = slice(wanted // 20, -wanted // 20)
    np.testing.assert_allclose(found[: len(expected)][inner], expected[: len(found)][inner], atol=0.01)


def test_other_rates_are_resampled_or_refused_and_long_sounds_quarantined(tmp_path: Path):
    (tmp_path / "one_ann_1.wav").write_bytes(wav(tone(100, 8000, 0.2), 8000))
    (tmp_path / "two_bo_1.wav").write_bytes(wav(tone(100, 4000, 0.2), 4000))
    (tmp_path / "two_bo_2.wav").write_bytes(wav(tone(100, 4000, 2.0), 4000))
    names = r"(?P<label>\w+)_(?P<speaker>\w+)_\d+"
    settings = {"rate": 4000, "max_seconds": 1.0, "names": names}
    quarantine = Quarantine()
    records = list(Speech.model_validate(settings).read(str(tmp_path), quarantine))
    assert [(record.target, record.metadata, len(record.content)) for record in records] == [
        ("one", {"speaker": "ann"}, 800),
        ("two", {"speaker": "bo"}, 800),
    ]
    assert [record.reason for record in quarantine.records] == ["the sound lasts 2.0 s; at most 1 s are read"]
    quarantine = Quarantine()
    strict = Speech.model_validate(settings | {"other_rates": "refuse"})
    assert [record.target for record in strict.read(str(tmp_path), quarantine)] == ["two"]
    assert "8000 samples per second, the model 4000" in quarantine.records[0].reason


def test_bands_cover_all_frequencies_once_and_a_tone_is_loudest_in_its_band():
    bands = mel_bands(20, 512, 8000)
    middle = bands.sum(1)[(np.linspace(0, 4000, 257) > 200) & (np.linspace(0, 4000, 257) < 3500)]
    np.testing.assert_allclose(middle, 1, atol=1e-5)
    speech = Speech(rate=8000, mels=20)
    loudest = [int(speech.log_mel(tone(frequency, 8000, 0.2)).mean(0).argmax()) for frequency in (200, 600, 1500, 3000)]
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([20, 4000]) / 700)), 22) / 2595) - 1)
    for frequency, band in zip((200, 600, 1500, 3000), loudest, strict=True):
        assert edges[band] < frequency < edges[band + 2]


def test_frames_are_one_each_hop_and_a_short_sound_is_one():
    speech = Speech(rate=8000, mels=10, deviation=1.0, max_seconds=1.0)
    assert speech.log_mel(np.ones(200, np.float32)).shape == (1, 10)
    assert speech.log_mel(np.ones(20, np.float32)).shape == (1, 10)
    assert speech.log_mel(np.ones(360, np.float32)).shape == (3, 10)
    longest = speech.features(np.ones(8000, np.float32))["speech"]
    assert len(longest.positions) == speech.shapes()["speech"].axes[0]
    assert len(longest.positions) == -(-len(longest.values) // 4)
    with pytest.raises(InputError, match=r"lasts 1\.1 s"):
        speech.features(np.ones(8800, np.float32))


def test_louder_is_the_same_and_the_spread_is_one():
    speech = Speech(rate=8000, mels=10)
    from textome.inputs.records import Record

    sounds = [np.random.default_rng(seed).normal(0, 0.1, 4000).astype(np.float32) for seed in range(3)]
    speech = speech.fitted([Record(str(number), content=sound) for number, sound in enumerate(sounds)])
    soft, loud = (speech.features(factor * sounds[0])["speech"].values for factor in (1.0, 4.0))
    np.testing.assert_allclose(soft, loud, atol=1e-3)
    np.testing.assert_allclose(
        np.mean([speech.features(sound)["speech"].values ** 2 for sound in sounds]), 1, atol=1e-4
    )


def test_masks_hide_stretches_of_time_and_bands_and_no_more():
    speech = Speech(time_masks=1, time_mask=4, frequency_masks=1, frequency_mask=3, deviation=1.0)
    values = np.ones((50, 40), np.float32)
    hidden = False
    for seed in range(20):
        segment = {"speech": Segment(values, np.arange(13)[:, None])}
        found = speech.varied(segment, np.random.default_rng(seed))["speech"].values == 0
        rows, columns = found.all(1), found.all(0)
        assert rows.sum() <= 4
        assert columns.sum() <= 3
        assert (found == (rows[:, None] | columns)).all()
        hidden = hidden or bool(rows.any() and columns.any())
    assert hidden
    assert (values == 1).all()


def test_noise_speed_and_shift_change_the_sound_and_nothing_else():
    sound = tone(300, 8000, 0.3)
    speech = Speech(rate=8000, max_seconds=1.0, speed=0.2, shift=0.1, gain=6, noise=1.0)
    one, two, three = (speech.augmented(sound, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert len(one) != len(three)
    np.testing.assert_array_equal(Speech(rate=8000).augmented(sound, np.random.default_rng(1)), sound)


def test_a_pattern_that_is_none_is_told():
    with pytest.raises(ValueError, match="not a regular expression"):
        Speech(names="(")


def test_a_prediction_is_the_mean_over_speeds_that_training_draws_from():
    sound = tone(300, 8000, 0.5)
    slow, same, fast = sorted(Speech(rate=8000, speed=0.25, averaged=3).views(sound), key=len, reverse=True)
    np.testing.assert_array_equal(same, sound)
    assert (len(slow), len(fast)) == (5000, 3200)
    assert len(max(Speech(rate=8000, speed=0.25, averaged=3, max_seconds=0.5).views(sound), key=len)) == 4000
    (only,) = Speech(rate=8000, speed=0.25).views(sound)
    np.testing.assert_array_equal(only, sound)
    with pytest.raises(ValueError, match="averaged is over the speeds"):
        Speech(averaged=3)
