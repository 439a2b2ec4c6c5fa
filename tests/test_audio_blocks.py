"""Audio in blocks: what `read` gives, a piece at a time, in the memory of a few pieces."""

import gc
import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
import soundfile

from made_audio import Unseekable, encoded, env, speechlike
from serotone import audio
from serotone.audio import libsndfile, sources
from serotone.errors import (
    AudioEmptyError,
    AudioError,
    AudioFormatError,
    AudioNotFiniteError,
    AudioTooLongError,
    AudioTooShortError,
    AudioTruncatedError,
)

STEREO = np.stack([speechlike(2.0, 44100), speechlike(2.0, 44100, seed=1)[::-1]], axis=1)
OPPOSITE = np.stack([speechlike(2.0, 44100), -0.9 * speechlike(2.0, 44100)], axis=1)
SURROUND = np.stack([0 * speechlike(2.0, 44100)] * 5 + [speechlike(2.0, 44100)], axis=1)
SOURCES = {
    f"{kind}, {name}": encoded(frames, 44100, kind)
    for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF")
    for name, frames in (("mono", speechlike(2.0, 44100)), ("stereo", STEREO), ("opposite", OPPOSITE))
} | {"WAV, 5.1": encoded(SURROUND, 44100), "cut off": encoded(STEREO, 44100)[:-5000]}


def facts(of: audio.Audio | audio.Blocks) -> tuple[object, ...]:
    return of.name, of.sample_rate, of.channels, of.warnings, of.notes, of.silent, of.seconds


@pytest.mark.parametrize("block_values", [None, 1009])
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("options", [{}, {"sample_rate": 44100}, {"start": 0.5, "end": 1.75}, {"channel": 0}], ids=str)
def test_blocks_are_what_read_gives(monkeypatch, name, options, block_values):
    expected = audio.read(SOURCES[name], **options)
    if block_values:
        for module in (sources, libsndfile):
            monkeypatch.setattr(module, "BLOCK_VALUES", block_values)
    for source in (SOURCES[name], Unseekable(SOURCES[name])):
        with audio.blocks(source, **options) as blocks:
            pieces = list(blocks)
        assert all(piece.ndim == 1 and len(piece) and piece.dtype == np.float32 for piece in pieces)
        assert len(pieces) > 20 or not block_values
        assert facts(blocks)[1:] == facts(expected)[1:]
        assert np.abs(np.concatenate(pieces) - expected.samples).max() <= 2e-7


def test_blocks_of_an_array_are_copies():
    samples = speechlike(1.0)
    (block,) = audio.blocks(samples, source_rate=16000)
    assert np.array_equal(block, samples)
    block[:] = 0
    assert samples.any()


def test_facts_grow_with_the_blocks(monkeypatch):
    monkeypatch.setattr(libsndfile, "BLOCK_VALUES", 16000)
    content = encoded(np.concatenate([np.zeros(16000, np.float32), speechlike(1.0)]))[:-2000]
    with audio.blocks(content) as blocks:
        assert (blocks.name, blocks.channels, blocks.seconds) == ("<bytes>", 1, 0)
        next(blocks)
        assert (blocks.seconds, blocks.silent) == (1.0, True)
        next(blocks)
        assert (blocks.seconds, blocks.silent) == (2.0 - 1000 / 16000, False)
        assert list(blocks) == []
        assert "truncated" in blocks.warnings[0]


def test_a_mix_is_noted_before_its_first_block():
    with audio.blocks(SOURCES["FLAC, stereo"]) as blocks:
        next(blocks)
        assert blocks.notes == ("2 channels mixed to one",)
    with audio.blocks(SOURCES["FLAC, opposite"]) as blocks:
        next(blocks)
        assert "its 2 channels cancel each other out (one is inverted), so only channel 0" in blocks.warnings[0]


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        (b"", {}, AudioEmptyError),
        (b"no audio at all" * 10, {}, AudioFormatError),
        (encoded(speechlike(1.0)), {"max_seconds": 0.5}, AudioTooLongError),
        (encoded(speechlike(1.0)), {"channel": 1}, AudioError),
        (encoded(speechlike(1.0)), {"start": 2.0}, AudioEmptyError),
        (encoded(speechlike(1.0)), {"start": 2.0, "end": 1.0}, AudioError),
        ("nowhere.wav", {}, AudioError),
    ],
)
def test_what_opening_shows_is_raised_by_opening(source, options, error):
    with pytest.raises(error) as ours:
        audio.blocks(source, **options)
    with pytest.raises(error) as theirs:
        audio.read(source, **options)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    ("source", "options", "error", "before"),
    [
        (encoded(speechlike(1.0)), {"min_seconds": 2.0}, AudioTooShortError, 1),
        (encoded(speechlike(1.0))[:-2000], {"strict": True}, AudioTruncatedError, 1),
        (encoded(STEREO, 44100)[:-2000], {"strict": True}, AudioTruncatedError, 1),
        (encoded(np.array([0.0, np.nan]), subtype="FLOAT"), {}, AudioNotFiniteError, 0),
        (encoded(np.zeros(0)), {}, AudioEmptyError, 0),
    ],
    ids=["short", "truncated", "truncated stereo", "not finite", "empty"],  # of bytes, an id would hold a time stamp
)
def test_what_only_the_end_shows_is_raised_there(source, options, error, before):
    with pytest.raises(error) as theirs:
        audio.read(source, **options)
    with audio.blocks(source, **options) as blocks:
        for _ in range(before):
            next(blocks)
        with pytest.raises(error) as ours:
            list(blocks)
    assert str(ours.value) == str(theirs.value)


def test_no_bound_on_length_unless_given(monkeypatch):
    monkeypatch.setattr(audio.reading, "MAX_SECONDS", 1.0)
    content = encoded(speechlike(2.0))
    assert sum(len(block) for block in audio.blocks(content)) == 32000
    with pytest.raises(AudioTooLongError):
        audio.read(content)


def test_a_file_is_closed_at_the_end_and_where_blocks_are_left_early(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(SOURCES["FLAC, stereo"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(audio.blocks(path))) > 0
        blocks = audio.blocks(path)
        next(blocks)
        blocks.close()
        blocks.close()
        assert list(blocks) == []
        with audio.blocks(path):
            pass
        gc.collect()
    file = io.BytesIO(SOURCES["FLAC, stereo"])
    file.seek(77)
    with audio.blocks(file) as blocks:
        next(blocks)
    assert file.tell() == 77


def test_a_source_that_changes_between_its_two_readings_is_an_error(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(STEREO, 44100))
    blocks = audio.blocks(path)
    path.write_bytes(encoded(STEREO, 48000))
    with blocks, pytest.raises(AudioError, match=r"a\.wav: changed while it was being read"):
        next(blocks)


@pytest.mark.parametrize(("minutes", "channels"), [(300, 1), (30, 2)])
def test_hours_take_the_memory_of_minutes(tmp_path, minutes, channels):
    """walk.md's FLAC of silence, 2.7 MB for hours, once took gigabytes; several channels are decoded twice."""
    code = """
import resource, sys
from serotone import audio
with audio.blocks(sys.argv[1], sample_rate=8000) as blocks:
    samples = sum(len(block) for block in blocks)
print(samples // 8000, blocks.silent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks = []
    for length in (2, minutes):
        path = tmp_path / f"{length}.flac"
        with soundfile.SoundFile(path, "w", 16000, channels, format="FLAC") as file:
            for _ in range(length):
                file.write(np.zeros((960000, channels), np.int16))
        run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, env=env())
        seconds, silent, peak = run.stdout.split()
        assert (seconds, silent) == (str(length * 60), "True")
        peaks.append(int(peak) / (2**20 if sys.platform == "darwin" else 2**10))
    assert peaks[1] < peaks[0] + 4  # MiB; in one array, five hours at 8 kHz are 549
