"""Reading audio: streams whose writer did not know their size, and what was cut off."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest

from made_audio import Unseekable, encoded, env, read_or_refuse, speechlike, through_pipe, with_sizes
from serotone import audio
from serotone.audio import libsndfile
from serotone.errors import (
    AudioEmptyError,
    AudioFormatError,
    AudioTooLongError,
    AudioTruncatedError,
)

# Streams whose writer did not know the size

UNKNOWN = 0xFFFFFFFF
STREAM_SIZES = [(0, 0), (UNKNOWN, UNKNOWN), (UNKNOWN, 0), (0, UNKNOWN), (36, 0), (None, UNKNOWN)]
STREAM_SIZES += [(0x7FFFF024, 0x7FFFF000), (UNKNOWN, UNKNOWN - 36), (0x80000024, 0x80000000)]  # sox, others, arecord


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sizes", STREAM_SIZES)
def test_streaming_wav_is_read_to_its_end(tmp_path, sizes, channels):
    samples = np.stack([speechlike(1.0, seed=seed) for seed in range(channels)], axis=1)
    content = encoded(samples)
    streamed = with_sizes(content, *sizes)
    expected = audio.read(content).samples
    path = tmp_path / "stream.wav"
    path.write_bytes(streamed)
    results = [audio.read(source, strict=True) for source in (path, streamed, Unseekable(streamed))]
    for result in [*results, through_pipe(streamed, strict=True)]:
        assert np.array_equal(result.samples, expected)
        assert result.warnings == ()


@pytest.mark.parametrize("size", [0, 2**64 - 1])
def test_streaming_rf64_is_read_to_its_end(size):
    content = bytearray(encoded(speechlike(1.0), kind="RF64"))
    content[20:36] = struct.pack("<QQ", size, size)
    assert audio.read(bytes(content), strict=True).seconds == 1.0


def test_standard_input(tmp_path):
    code = "import sys; from serotone.audio import read; a = read(sys.stdin.buffer); print(a.name, a.seconds)"
    content = with_sizes(encoded(speechlike(1.0)), 0, 0)
    process = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True, env=env())
    assert process.stdout.split() == [b"<stdin>", b"1.0"]


def test_empty_data_chunk_before_other_chunks_is_empty_and_not_a_stream():
    content = encoded(np.zeros(0, np.float32)) + b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + b"x" * 18
    content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    with pytest.raises(AudioEmptyError):
        audio.read(content)


def test_flac_of_unknown_length():
    content = bytearray(encoded(speechlike(2.0), kind="FLAC"))
    packed = int.from_bytes(content[18:26], "big") >> 36 << 36  # STREAMINFO: 36 bits of total samples
    content[18:26] = packed.to_bytes(8, "big")
    assert audio.read(bytes(content), strict=True).seconds == 2.0
    assert audio.read(bytes(content), start=1.5, strict=True).seconds == 0.5
    with pytest.raises(AudioEmptyError, match="<bytes>: contains no audio between start and end"):
        audio.read(bytes(content), start=300)


def test_a_pipe_without_an_end_stops_at_the_bound():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return with_sizes(encoded(np.zeros(1)), 0, 0) if self.given == size else bytes(size)

    stream = Endless()
    with pytest.raises(AudioTooLongError, match="<stream>"):
        audio.read(stream, max_seconds=2)
    assert stream.given < 10_000_000


def test_a_pipe_that_is_not_audio_is_not_read_to_its_end():
    class Zeros(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    stream = Zeros()
    with pytest.raises(AudioFormatError):
        audio.read(stream)
    assert stream.given < 1_000_000


# Truncated


@pytest.mark.parametrize("fraction", [0.3, 0.61, 0.95])
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"),
     ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)],
)  # fmt: skip
def test_truncated_file_gives_what_decodes_and_a_warning(tmp_path, kind, subtype, fraction):
    content = encoded(speechlike(12.0 if kind == "OGG" else 4.0), kind=kind, subtype=subtype)
    whole = audio.read(content).samples
    path = tmp_path / "cut"
    path.write_bytes(content[: int(len(content) * fraction)])
    result = audio.read(path)
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("truncated")
    least = fraction - 0.15  # whole pages, whole frames
    assert least * len(whole) <= len(result.samples) < len(whole)
    shared = len(result.samples) - (2304 if kind == "MP3" else 0)  # the last frames miss what they borrow bits from
    assert np.abs(result.samples[:shared] - whole[:shared]).max() < 1e-6
    with pytest.raises(AudioTruncatedError, match="cut: truncated"):
        audio.read(path, strict=True)


def test_truncated_stream_and_array_free_formats_agree_with_the_file(tmp_path):
    content = encoded(speechlike(2.0), kind="FLAC")
    content = content[: len(content) // 2]
    assert np.array_equal(through_pipe(content).samples, audio.read(content).samples)
    assert through_pipe(content).warnings == audio.read(content).warnings


def without_frame_count(content: bytes) -> bytes:
    length = libsndfile.mp3_frame_bytes(content[:4])
    assert b"Xing" in content[:length] or b"Info" in content[:length]
    return content[length:]


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x01\x10" + bytes(144)])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (22050, 2), (44100, 1), (48000, 2)])
def test_mp3_without_a_frame_count_is_read_to_its_end(rate, channels, tag):
    samples = speechlike(4.0, rate)  # libsndfile alone stops after a quarter where loud follows soft
    samples[: len(samples) // 2] *= 0.01
    content = encoded(np.stack([samples] * channels, axis=1), rate, "MP3")
    whole = audio.read(content, sample_rate=rate).samples
    bare = tag + without_frame_count(content)
    result = audio.read(bare, sample_rate=rate, strict=True).samples
    late = len(result) - len(whole)
    assert 0 <= late < 3 * 1152  # the encoder's delay and padding, which only the missing tag states
    shifts = [shift for shift in range(late + 1) if np.abs(result[shift : shift + len(whole)] - whole).max() < 1e-5]
    assert len(shifts) == 1
    part = audio.read(bare, sample_rate=rate, start=2.5, end=3.0).samples
    assert np.abs(part - result[round(2.5 * rate) : 3 * rate]).max() < 1e-5
    with pytest.raises(AudioTooLongError):
        audio.read(bare, max_seconds=3)


@pytest.mark.parametrize("start", [300, 1e20, 1e300])
def test_mp3_without_a_frame_count_and_a_start_behind_its_end(start):
    bare = without_frame_count(encoded(speechlike(1.0), kind="MP3"))
    with pytest.raises(AudioEmptyError, match="<bytes>: contains no audio between start and end"):
        audio.read(bare, start=start)


def test_mp3_without_a_frame_count_cut_in_a_frame():
    bare = without_frame_count(encoded(speechlike(4.0), kind="MP3"))
    assert audio.read(bare, strict=True).seconds > 4.0
    with pytest.raises(AudioTruncatedError, match="last frame is incomplete"):
        audio.read(bare[:-50], strict=True)


@pytest.mark.parametrize("tag", [b"TAG" + bytes(125), b"APETAGEX" + bytes(24), b"\x00" * 500])
def test_tags_after_an_mp3_are_not_truncation(tag):
    assert audio.read(encoded(speechlike(2.0), kind="MP3") + tag, strict=True).seconds == 2.0


def test_chunks_after_the_samples_are_neither_sound_nor_truncation():
    content = encoded(speechlike(1.0)) + b"LIST" + struct.pack("<I", 10) + b"INFOxxxxxx"
    assert audio.read(content, strict=True).seconds == 1.0


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_every_cut_is_audio_or_an_audio_error(kind):
    content = encoded(speechlike(0.6), kind=kind)
    cuts = {*range(0, 100), *range(0, len(content), max(1, len(content) // 60)), len(content) - 1}
    for cut in sorted(cuts):
        result = read_or_refuse(content[:cut])
        if result is not None:
            assert 0 < result.seconds < 0.7
            assert np.isfinite(result.samples).all()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_parts_of_a_truncated_file(kind):
    content = encoded(speechlike(4.0), kind=kind)
    cut = content[: len(content) * 6 // 10]
    for part in ({"start": 0.5, "end": 1.0}, {"start": 1.0}):
        whole = audio.read(content, **part).samples
        result = audio.read(cut, **part)
        shared = min(len(result.samples), 8000)
        assert shared > 1000
        assert np.abs(result.samples[:shared] - whole[:shared]).max() < 1e-6
    with pytest.raises(AudioEmptyError, match="<bytes>: "):
        audio.read(cut, start=3.5)
