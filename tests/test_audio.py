"""Reading audio: what every source of sound gives, and what every source that is none says."""

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serotone import audio
from serotone.errors import (
    AudioEmptyError,
    AudioError,
    AudioFormatError,
    AudioMissingError,
    AudioNotFiniteError,
    AudioTooLongError,
    AudioTooShortError,
    AudioTruncatedError,
    MissingExtraError,
)

SRC = str(Path(audio.__file__).parents[1])


def speechlike(seconds: float = 3.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(times))
    return (0.3 * np.sin(2 * np.pi * 220 * times) + 0.03 * noise).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = 16000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def with_sizes(content: bytes, riff: int | None, data: int) -> bytes:
    changed = bytearray(content)
    if riff is not None:
        changed[4:8] = struct.pack("<I", riff)
    changed[40:44] = struct.pack("<I", data)
    return bytes(changed)


def read_or_refuse(content: bytes, **kwargs) -> audio.Audio | None:
    """None where it was refused with an error of ours that names the source; any other error passes through."""
    message = "<bytes>: "
    try:
        return audio.read(content, **kwargs)
    except (AudioError, MissingExtraError) as error:
        message = str(error)
    assert message.startswith("<bytes>: ")
    return None


class Unseekable(io.RawIOBase):
    """Bytes that come in dribs and drabs and only once, as from a socket."""

    def __init__(self, content: bytes, piece: int = 1000) -> None:
        self._content, self._piece = io.BytesIO(content), piece

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(self._piece if size < 0 else min(size, self._piece))


def through_pipe(content: bytes, **kwargs) -> audio.Audio:
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as sink:
            sink.write(content)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            return audio.read(stream, **kwargs)
    finally:
        thread.join()


# Every format gives the samples that were written

LINEAR_STEPS = {"PCM_U8": 2**-7, "PCM_S8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23, "PCM_32": 2**-24}
LINEAR_STEPS |= {"FLOAT": 2**-24, "DOUBLE": 2**-24}
LINEAR = [
    (kind, subtype)
    for kind in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC")
    for subtype in LINEAR_STEPS
    if soundfile.check_format(kind, subtype)
]


@pytest.mark.parametrize(("kind", "subtype"), LINEAR)
def test_linear_formats_round_trip_within_quantisation(kind, subtype):
    samples = speechlike(0.5)
    result = audio.read(encoded(samples, kind=kind, subtype=subtype), strict=True)
    assert result.samples.dtype == np.float32
    assert result.samples.shape == samples.shape
    assert np.abs(result.samples - samples).max() <= LINEAR_STEPS[subtype]
    assert (result.sample_rate, result.warnings, result.silent) == (16000, (), False)
    assert result.seconds == 0.5


def test_linear_formats_cover_all_wav_depths():
    wav = {subtype for kind, subtype in LINEAR if kind == "WAV"}
    assert wav == {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
    assert ("WAVEX", "PCM_24") in LINEAR


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "AIFF", "AU"])
@pytest.mark.parametrize("subtype", ["ALAW", "ULAW"])
def test_companded_formats_round_trip_within_their_step(kind, subtype):
    samples = speechlike(0.5)
    result = audio.read(encoded(samples, kind=kind, subtype=subtype), strict=True)
    step = np.maximum(np.abs(samples) / 16, 2**-9)  # 16 steps an octave, finest near zero (ITU-T G.711)
    assert np.all(np.abs(result.samples - samples) <= step)


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [("OGG", "VORBIS", 16000), ("OGG", "OPUS", 16000), ("MP3", None, 16000), ("WAV", "MS_ADPCM", 16000),
     ("WAV", "IMA_ADPCM", 16000), ("MP3", None, 44100), ("OGG", "VORBIS", 44100)],
)  # fmt: skip
def test_lossy_formats_keep_length_and_waveform(kind, subtype, rate):
    samples = speechlike(2.0, rate)
    result = audio.read(encoded(samples, rate, kind, subtype), strict=True)
    reference = audio.read(samples, source_rate=rate).samples
    assert abs(len(result.samples) - 32000) <= 1024  # ADPCM fills its last block
    assert np.corrcoef(result.samples[:32000], reference)[0, 1] > 0.98


def test_wave_from_the_standard_library_is_read_exactly(tmp_path):
    values = np.array([0, 1, -1, 32767, -32768, 12345], np.int16)
    path = tmp_path / "exact.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(values.tobytes())
    assert audio.read(path).samples.tolist() == (values / 32768).tolist()


def test_float_samples_beyond_one_are_kept():
    samples = np.array([0.0, 2.5, -3.0, 0.5], np.float32)
    assert audio.read(encoded(samples, subtype="FLOAT")).samples.tolist() == samples.tolist()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".txt", ""])
def test_content_decides_and_not_the_suffix(tmp_path, kind, suffix):
    content = encoded(speechlike(1.0), kind=kind)
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(content)
    assert np.array_equal(audio.read(path).samples, audio.read(content).samples)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_every_way_in_gives_the_same_samples(tmp_path, kind):
    content = encoded(speechlike(1.5, 22050), 22050, kind)
    path = tmp_path / "clip"
    path.write_bytes(content)
    expected = audio.read(path).samples
    assert abs(len(expected) - 24000) <= 1
    with path.open("rb") as file, path.open("rb", buffering=0) as raw:
        sources = [str(path), content, bytearray(content), memoryview(content), io.BytesIO(content), file, raw]
        for source in [*sources, Unseekable(content)]:
            assert np.array_equal(audio.read(source).samples, expected), type(source)
    assert np.array_equal(through_pipe(content).samples, expected)


def test_seekable_file_is_read_from_its_beginning_and_left_where_it_stood():
    file = io.BytesIO(encoded(speechlike(1.0)))
    file.seek(777)
    assert audio.read(file).seconds == 1.0
    assert file.tell() == 777
    assert not file.closed


def test_names_of_sources(tmp_path):
    content = encoded(speechlike(0.1))
    path = tmp_path / "ünï 声.wav"
    path.write_bytes(content)
    assert audio.read(path).name == str(path)
    with path.open("rb") as file:
        assert audio.read(file).name == str(path)
    assert audio.read(content).name == "<bytes>"
    assert audio.read(Unseekable(content)).name == "<stream>"
    assert audio.read(speechlike(0.1), source_rate=16000).name == "<array>"


@pytest.mark.skipif(os.name != "posix", reason="file names of raw bytes")
def test_file_name_that_is_not_unicode(tmp_path):
    path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/clip\xff.wav")
    try:
        Path(path).write_bytes(encoded(speechlike(0.1)))
    except OSError:
        pytest.skip("this file system refuses it")
    assert audio.read(path).seconds == 0.1


# Resampling and mixing


@pytest.mark.parametrize("rate", [8000, 11025, 12345, 16000, 22050, 32000, 44100, 48000, 96000, 192000])
def test_resampling_keeps_frequency_amplitude_and_length(rate):
    times = np.arange(2 * rate) / rate
    result = audio.read((0.5 * np.sin(2 * np.pi * 1000 * times)).astype(np.float32), source_rate=rate).samples
    assert abs(len(result) - 32000) <= 1
    middle = result[4000:28000]
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(4000, 28000) / 16000)
    assert np.abs(middle - expected).max() < 1e-4  # in phase, too


def test_resampling_removes_what_would_alias():
    times = np.arange(2 * 48000) / 48000
    result = audio.read(np.sin(2 * np.pi * 11000 * times), source_rate=48000).samples
    assert np.abs(result[2000:-2000]).max() < 1e-4


@pytest.mark.parametrize("target", [8000, 22050, 48000])
def test_asked_rate_is_given(target):
    result = audio.read(encoded(speechlike(1.0)), sample_rate=target)
    assert (result.sample_rate, len(result.samples), result.seconds) == (target, target, 1.0)


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize(("kind", "channels"), [("WAV", 2), ("FLAC", 2), ("MP3", 2), ("WAV", 7), ("FLAC", 5)])
def test_blocks_are_invisible(monkeypatch, rate, kind, channels):
    samples = np.stack([speechlike(1.0, rate, seed) for seed in range(channels)], axis=1)
    content = encoded(samples, rate, kind)
    whole = audio.read(content)
    from_array = audio.read(samples, source_rate=rate)
    monkeypatch.setattr(audio, "_BLOCK_VALUES", 3001)
    monkeypatch.setattr(audio, "_START_VALUES", 100)
    assert np.abs(audio.read(content).samples - whole.samples).max() <= 2e-7
    assert np.array_equal(audio.read(samples, source_rate=rate).samples, from_array.samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 16, 64, 1000])
def test_mono_is_the_mean_of_the_channels(channels):
    samples = np.random.default_rng(channels).uniform(-0.5, 0.5, (500, channels)).astype(np.float32)
    result = audio.read(encoded(samples, subtype="FLOAT")).samples
    assert np.abs(result - samples.astype(np.float64).mean(axis=1)).max() < 1e-6


def test_opposite_channels_cancel_and_count_as_silence():
    left = speechlike(0.5)
    assert audio.read(encoded(np.stack([left, -left], axis=1), subtype="FLOAT")).silent


# Arrays


def test_array_orientations_agree():
    samples = np.random.default_rng(0).uniform(-1, 1, (4000, 2)).astype(np.float32)
    expected = samples.mean(axis=1)
    for array in (samples, samples.T, np.asfortranarray(samples), samples[::1]):
        assert np.abs(audio.read(array, source_rate=16000).samples - expected).max() < 1e-6


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_integer_arrays_are_divided_by_full_scale(dtype):
    info = np.iinfo(dtype)
    result = audio.read(np.array([0, info.min, info.max, info.max // 2 + 1], dtype), source_rate=16000).samples
    assert result[:2].tolist() == [0.0, -1.0]
    assert result[2] == pytest.approx(1.0, abs=2.0 / info.max)
    assert result[3] == 0.5


def test_unsigned_bytes_are_centred():
    result = audio.read(np.array([128, 0, 255, 192], np.uint8), source_rate=16000).samples
    assert result.tolist() == [0.0, -1.0, 127 / 128, 0.5]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_float_arrays_are_taken_as_they_are(dtype):
    result = audio.read(np.array([0, 0.5, -1.5], dtype), source_rate=16000)
    assert result.samples.tolist() == [0, 0.5, -1.5]


def test_result_does_not_share_memory_with_the_array():
    samples = speechlike(0.1)
    result = audio.read(samples, source_rate=16000)
    samples[:] = 0
    assert result.samples.any()


@pytest.mark.parametrize(
    ("array", "rate", "words"),
    [
        (np.zeros(100), None, "source_rate"),
        (np.zeros(100), 10, "source_rate is 10"),
        (np.zeros(100), 10**9, "source_rate"),
        (np.zeros((2, 3, 4)), 16000, r"shape \(2, 3, 4\)"),
        (np.zeros((5, 5)), 16000, r"shape \(5, 5\)"),
        (np.float32(1.0) * np.ones(()), 16000, "shape"),
        (np.zeros(100, np.int64), 16000, "dtype int64"),
        (np.zeros(100, complex), 16000, "dtype complex128"),
        (np.array(["a"]), 16000, "dtype"),
        (np.zeros(100, bool), 16000, "dtype bool"),
        ([0.0, 1.0], 16000, "list"),
        (None, 16000, "NoneType"),
    ],
)
def test_arrays_of_unclear_meaning_are_refused(array, rate, words):
    with pytest.raises(AudioFormatError, match=words):
        audio.read(array, source_rate=rate)


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


# A part of a source


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", None), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None), ("AIFF", None)]
)
def test_part_equals_the_slice_of_the_whole(kind, subtype, rate):
    content = encoded(speechlike(4.0, rate), rate, kind, subtype)
    whole = audio.read(content, sample_rate=rate).samples
    for start, end in [(None, 1.0), (1.0, None), (0.5, 2.25), (3.9, 4.0), (2.0, 2.0 + 1 / rate)]:
        part = audio.read(content, sample_rate=rate, start=start, end=end)
        expected = whole[round((start or 0) * rate) : None if end is None else round(end * rate)]
        assert part.samples.shape == expected.shape
        assert np.abs(part.samples - expected).max() <= 2e-7
        assert part.warnings == ()


def test_part_of_an_array_and_of_a_pipe():
    samples = speechlike(2.0)
    expected = samples[8000:20000]
    part = audio.read(samples, source_rate=16000, start=0.5, end=1.25).samples
    assert np.array_equal(part, expected)
    part = audio.read(Unseekable(encoded(samples, subtype="FLOAT")), start=0.5, end=1.25).samples
    assert np.array_equal(part, expected)


def test_part_of_a_long_file_reads_little_of_it(tmp_path):
    class Counting(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.given += len(data)
            return data

    for kind in ("WAV", "FLAC"):
        file = Counting(encoded(speechlike(120.0), kind=kind))
        assert audio.read(file, start=100, end=101, max_seconds=1.5).seconds == 1.0
        assert file.given < len(file.getvalue()) / 10


def test_part_beyond_the_end():
    content = encoded(speechlike(1.0))
    with pytest.raises(AudioEmptyError, match=r"nothing from 1\.5 s on; it ends at 1\.00 s"):
        audio.read(content, start=1.5)
    result = audio.read(content, start=0.5, end=2.0)
    assert result.seconds == 0.5
    assert "ends at 1.00 s" in result.warnings[0]
    assert audio.read(content, end=1.01).warnings == ()  # a rounded annotation
    with pytest.raises(AudioTruncatedError):
        audio.read(content, end=2.0, strict=True)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (1, 1), (2, 1), (np.nan, None), (0, np.nan), (np.inf, None)])
def test_part_that_makes_no_sense(start, end):
    with pytest.raises(AudioError, match=r"<bytes>.*expected 0 <= start < end"):
        audio.read(encoded(speechlike(1.0)), start=start, end=end)


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
    length = audio._mp3_frame_bytes(content[:4])
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


# Errors, each with the name of the file


def test_missing_file(tmp_path):
    with pytest.raises(AudioMissingError, match=r"nowhere\.wav: no such file"):
        audio.read(tmp_path / "nowhere.wav")
    inside = tmp_path / "file"
    inside.write_bytes(b"x")
    with pytest.raises(AudioMissingError, match="no such file"):
        audio.read(inside / "clip.wav")
    with pytest.raises(AudioError):
        audio.read("nul\0byte.wav")
    with pytest.raises(AudioError):
        audio.read("long" * 2000)


def test_folder(tmp_path):
    with pytest.raises(AudioMissingError, match="is a folder; expected an audio file"):
        audio.read(tmp_path)
    with pytest.raises(AudioMissingError, match="is a folder"):
        audio.read(str(tmp_path) + "/")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_device():
    with pytest.raises(AudioError, match="/dev/zero: "):
        audio.read("/dev/zero")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "secret.wav"
    path.write_bytes(b"RIFF")
    path.chmod(0)
    with pytest.raises(AudioError, match=r"secret\.wav: cannot be opened: Permission denied"):
        audio.read(path)


@pytest.mark.parametrize(
    "content",
    [b"hello, this is no audio at all\n" * 10, b"<html><body>404</body></html>", b"\x89PNG\r\n\x1a\n" + bytes(100),
     b"PK\x03\x04" + bytes(100), b"%PDF-1.7", b"\x00" * 5000, b"x", b"RIFF", b"RIFF\x10\0\0\0WEBPVP8 " + bytes(50),
     b"RIFF\x10\0\0\0AVI LIST" + bytes(50), b"FORM\0\0\0\x20ILBMBMHD" + bytes(50), b"fLaC", b"OggS" + bytes(300),
     b"ID3\x04\0\0\0\0\0\x10" + bytes(200), b"\xff\xfb", b"\0\0\0\x18ftypheic" + bytes(100)],
)  # fmt: skip
@pytest.mark.parametrize("codecs", [True, False])
def test_not_audio(tmp_path, monkeypatch, content, codecs):
    if not codecs:
        monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "thing.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFormatError, match=r"thing\.wav: "):
        audio.read(path)


def test_empty(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(AudioEmptyError, match=r"empty\.wav: empty \(0 bytes\)"):
        audio.read(path)
    with pytest.raises(AudioEmptyError):
        audio.read(Unseekable(b""))
    for kind in ("WAV", "AIFF", "AU"):
        path.write_bytes(encoded(np.zeros(0, np.float32), kind=kind))
        with pytest.raises(AudioEmptyError, match=r"empty\.wav: not one sample of audio"):
            audio.read(path)
    for shape in [(0,), (0, 2), (2, 0)]:
        with pytest.raises(AudioEmptyError, match="<array>"):
            audio.read(np.zeros(shape), source_rate=16000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_not_finite(bad, rate, subtype):
    samples = speechlike(1.0, rate).astype(np.float64)
    samples[rate // 2] = bad
    for source, given_rate in ((encoded(samples, rate, subtype=subtype), None), (samples, rate)):
        with pytest.raises(AudioNotFiniteError, match=r"NaN or infinity 0\.500 s in"):
            audio.read(source, source_rate=given_rate)


def test_overflow_of_float32_counts_as_infinity():
    with pytest.raises(AudioNotFiniteError):
        audio.read(np.full(100, 1e300), source_rate=16000)
    with pytest.raises(AudioNotFiniteError):
        audio.read(np.full((100, 4), 3e38, np.float32), source_rate=16000)
    square = np.where(np.arange(1000) // 50 % 2, 3.4e38, -3.4e38)
    with pytest.raises(AudioNotFiniteError):
        audio.read(square, source_rate=44100)


def test_too_short():
    content = encoded(speechlike(0.3))
    with pytest.raises(AudioTooShortError, match=r"<bytes>: 0\.3 s of audio; at least 0\.5 s are needed"):
        audio.read(content, min_seconds=0.5)
    assert audio.read(content, min_seconds=0.3).seconds == 0.3
    with pytest.raises(AudioTooShortError):
        audio.read(content, start=0.1, min_seconds=0.25)
    with pytest.raises(AudioTooShortError):
        audio.read(np.ones(1), source_rate=768_000, sample_rate=1000)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_too_long_is_told_from_the_header(monkeypatch, kind):
    content = encoded(speechlike(3.0), kind=kind)
    assert audio.read(content, max_seconds=3.0).seconds == 3.0
    assert audio.read(content, max_seconds=1.0, start=1.5, end=2.5).seconds == 1.0
    assert audio.read(content, sample_rate=8000, min_seconds=2.9, max_seconds=3.0).seconds == 3.0
    monkeypatch.setattr(audio, "_gather", None)  # nothing may be decoded
    with pytest.raises(AudioTooLongError, match=r"<bytes>: 3\.0 s of audio; at most 2 s"):
        audio.read(content, max_seconds=2)


def test_bounds_are_met_exactly_whatever_the_rate():
    for rate in (8000, 11025, 16000, 44100, 48000):
        for tenths in range(1, 30):
            samples = np.ones(round(rate * tenths / 10), np.float32)
            bounds = {"min_seconds": tenths / 10, "max_seconds": tenths / 10}
            assert audio.read(samples, source_rate=rate, **bounds).seconds == pytest.approx(tenths / 10, abs=1e-4)


def test_too_long_is_told_while_decoding_where_the_header_is_silent():
    content = bytearray(encoded(speechlike(3.0), kind="FLAC"))
    content[18:26] = (int.from_bytes(content[18:26], "big") >> 36 << 36).to_bytes(8, "big")
    with pytest.raises(AudioTooLongError, match="more than"):
        audio.read(bytes(content), max_seconds=2)
    with pytest.raises(AudioTooLongError):
        audio.read(np.zeros(40000), source_rate=16000, max_seconds=2)


@pytest.mark.parametrize(
    "arguments",
    [{"sample_rate": 0}, {"sample_rate": 10**7}, {"min_seconds": -1}, {"min_seconds": 3, "max_seconds": 2},
     {"max_seconds": float("nan")}],
)  # fmt: skip
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match="expected"):
        audio.read(encoded(speechlike(1.0)), **arguments)


def test_text_file_object(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded(speechlike(0.1)))
    with path.open(encoding="latin-1") as file, pytest.raises(AudioError, match=r"clip\.wav: opened as text"):
        audio.read(file)


def test_stream_that_fails():
    class Broken(io.BytesIO):
        calls = 0

        def read(self, size: int | None = -1) -> bytes:
            self.calls += 1
            if self.calls > 4:
                raise OSError("the disk is gone")
            return super().read(size)

    class BrokenPipe(Broken):
        def seekable(self) -> bool:
            return False

    for broken in (Broken, BrokenPipe):
        with pytest.raises(AudioError, match="<stream>: reading it failed: the disk is gone"):
            audio.read(broken(encoded(speechlike(30.0))))


def test_interrupt_while_decoding_is_not_swallowed():
    class Interrupted(io.BytesIO):
        calls = 0

        def read(self, size: int | None = -1) -> bytes:
            self.calls += 1
            if self.calls == 8:
                raise KeyboardInterrupt
            return super().read(size)

    with pytest.raises(KeyboardInterrupt):
        audio.read(Interrupted(encoded(speechlike(30.0))))


# Silence


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "AIFF"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_digital_silence_is_audio_and_is_flagged(kind, rate):
    result = audio.read(encoded(np.zeros(rate, np.float32), rate, kind), strict=True)
    assert result.silent
    assert result.seconds == 1.0
    assert not result.samples.any()


def test_one_sample_is_not_silence():
    samples = np.zeros(16000, np.float32)
    samples[777] = 2**-15
    assert not audio.read(encoded(samples, subtype="PCM_16")).silent


# Hostile input


def wav_header(rate=16000, channels=1, bits=16, align=2, code=1, data=100, riff=136) -> bytes:
    fields = struct.pack("<HHIIHH", code, channels, rate, (rate * align) % 2**32, align, bits)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt \x10\0\0\0" + fields + b"data" + struct.pack("<I", data)


HOSTILE = {
    "rate 2^32-1": wav_header(rate=2**32 - 1),
    "rate 2^31-1": wav_header(rate=2**31 - 1),
    "rate 1": wav_header(rate=1),
    "rate 0": wav_header(rate=0),
    "channels 65535": wav_header(channels=65535, align=65534),
    "channels 1024": wav_header(channels=1024, align=2048),
    "channels 0": wav_header(channels=0, align=0),
    "bits 65535": wav_header(bits=65535),
    "align 0": wav_header(align=0),
    "data 2 GB": wav_header(data=0x7FFFFFFE),
    "data unknown": wav_header(data=0xFFFFFFFF, riff=0xFFFFFFFF),
    "adpcm block": wav_header(code=2, bits=4, align=65535),
    "ima block": wav_header(code=17, bits=4, align=65535, channels=1024),
    "chunk 4 GB": b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xffINFO",
    "fmt 4 GB": b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + bytes(16),
    "many chunks": b"RIFF\xff\xff\xff\xffWAVE" + b"junk\0\0\0\0" * 50000,
    "flac samples": b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x03\xe8\x00\xff\xff\xff\xff\xff" + bytes(16),
    "flac metadata": b"fLaC\x06\xff\xff\xff" + b"\xff" * 40,
    "id3 256 MB": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100),
    "aiff samples": b"FORM" + b"\xff" * 4 + b"AIFFCOMM\0\0\0\x12" + b"\xff" * 6 + b"\0\x10\x40\x0e" + b"\xff" * 8,
    "caf": b"caff\0\1\0\0desc\0\0\0\0\0\0\0\x20" + b"\xff" * 32 + b"data" + b"\x7f" * 8,
    "au": b".snd" + b"\xff" * 20,
    "ogg": b"OggS\0\2" + b"\xff" * 22 + bytes(255),
    "mp4 box 2^63": b"\0\0\0\x10ftypM4A \0\0\0\0\0\0\0\1moov\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(100),
    "ebml": b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(100),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_header_gives_audio_or_an_audio_error(content):
    result = read_or_refuse(content + bytes(100))
    assert result is None or result.seconds < 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address-space limit of Linux")
def test_hostile_headers_allocate_little():
    code = """
import resource
from test_audio import HOSTILE, audio, encoded, np
from serotone.errors import AudioError
audio.read(encoded(np.zeros(44100), 44100))
try:
    audio.read(HOSTILE["ebml"])
except AudioError:
    pass
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 200_000_000,) * 2)
for content in HOSTILE.values():
    try:
        audio.read(content + bytes(100), max_seconds=1e9)
    except AudioError:
        pass
print("done")
"""
    here = str(Path(__file__).parent)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env(here))
    assert process.stdout.strip() == "done", process.stderr[-2000:]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", b"RIFF\0\1\0\0WAVE", b"fLaC", b"OggS", b"FORM", b"ID3", b"\xff\xfb", b"\xff\xf1", b".snd",
                        b"caff", b"riff", b"NIST_1A", b"\0\0\0\x20ftyp", b"\x1a\x45\xdf\xa3"]),
       st.binary(max_size=400))  # fmt: skip
def test_random_bytes_decode_or_raise_an_audio_error(magic, content):
    result = read_or_refuse(magic + content)
    assert result is None or (result.seconds > 0 and np.isfinite(result.samples).all())


BASES = {
    kind: encoded(np.sin(np.arange(4000) / 10).astype(np.float32) / 2, kind=kind)
    for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF")
}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(BASES)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=12),
    st.booleans(),
)
def test_damaged_files_decode_or_raise_an_audio_error(kind, changes, in_header):
    content = bytearray(BASES[kind])
    for where, value in changes:
        content[where % (60 if in_header else len(content))] = value
    for part in ({}, {"start": 0.1, "end": 0.2}):
        result = read_or_refuse(bytes(content), max_seconds=60, **part)
        assert result is None or np.isfinite(result.samples).all()


# Containers (the codecs extra)


def contained(container: str, codec: str, rate: int, folder: Path, options: dict | None = None, seconds=3.0) -> bytes:
    av = pytest.importorskip("av")
    path = folder / f"made.{container}"
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        samples = np.stack([speechlike(seconds, rate)] * 2)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(stream.codec_context.format.name, "stereo", rate, size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return path.read_bytes()


CONTAINERS = [("ipod", "aac", 44100), ("mp4", "aac", 16000), ("mov", "alac", 44100), ("mov", "pcm_s16le", 48000),
              ("webm", "libopus", 48000), ("matroska", "aac", 44100), ("adts", "aac", 44100)]  # fmt: skip


@pytest.mark.parametrize(("container", "codec", "rate"), CONTAINERS)
def test_containers_decode(tmp_path, container, codec, rate):
    content = contained(container, codec, rate, tmp_path)
    path = tmp_path / "call.wav"  # the name says nothing
    path.write_bytes(content)
    reference = audio.read(speechlike(3.0, rate), source_rate=rate).samples
    results = [audio.read(source, strict=True) for source in (path, content, Unseekable(content))]
    for result in results:
        assert result.warnings == ()
        assert abs(len(result.samples) - 48000) < 1800  # the encoder's frame, and its delay where not written down
        assert np.array_equal(result.samples, results[0].samples)
    spectrum = np.abs(np.fft.rfft(results[0].samples[8000:40000]))
    assert abs(np.argmax(spectrum) / 2 - 220) < 1
    assert np.std(results[0].samples[8000:40000]) == pytest.approx(np.std(reference[8000:40000]), rel=0.02)


@pytest.mark.parametrize(("container", "codec", "rate"), CONTAINERS[:5])
def test_part_of_a_container(tmp_path, container, codec, rate):
    content = contained(container, codec, rate, tmp_path)
    whole = audio.read(content, sample_rate=rate).samples
    part = audio.read(content, sample_rate=rate, start=1.0, end=2.0).samples
    assert np.array_equal(part, whole[rate : 2 * rate])
    assert np.array_equal(audio.read(content, sample_rate=rate, start=2.5).samples, whole[round(2.5 * rate) :])
    with pytest.raises(AudioEmptyError):
        audio.read(content, start=5)


def test_containers_are_bounded(tmp_path):
    for container, codec, rate in CONTAINERS[:5]:
        content = contained(container, codec, rate, tmp_path)
        with pytest.raises(AudioTooLongError):
            audio.read(content, max_seconds=2.5)
        with pytest.raises(AudioTooLongError):
            audio.read(content, max_seconds=1)


def test_truncated_containers(tmp_path):
    content = contained("ipod", "aac", 44100, tmp_path, {"movflags": "faststart"})
    result = audio.read(content[: len(content) * 6 // 10])
    assert 1.0 < result.seconds < 2.5
    assert result.warnings[0].startswith("truncated")
    with pytest.raises(AudioTruncatedError, match="<bytes>: truncated"):
        audio.read(content[: len(content) * 6 // 10], strict=True)
    late = contained("ipod", "aac", 44100, tmp_path)  # its index comes last and is gone
    with pytest.raises(AudioFormatError, match="damaged"):
        audio.read(late[: len(late) * 6 // 10])
    webm = contained("webm", "libopus", 48000, tmp_path)
    assert 1.0 < audio.read(webm[: len(webm) * 6 // 10]).seconds < 2.5


def test_container_without_sound(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "silent-film.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    with pytest.raises(AudioFormatError, match=r"silent-film\.mp4.*no sound"):
        audio.read(path)


@pytest.mark.parametrize("head", [b"\0\0\0\x20ftypM4A ", b"\x1a\x45\xdf\xa3", b"#!AMR\n", b"\xff\xf1\x50\x80"])
def test_missing_extra_names_file_and_command(tmp_path, monkeypatch, head):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "call.m4a"
    path.write_bytes(head + bytes(100))
    with pytest.raises(MissingExtraError, match=r"call\.m4a: .*pip install 'serotone\[codecs\]'") as caught:
        audio.read(path)
    assert caught.value.extra == "codecs"


def test_core_formats_need_no_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        assert audio.read(encoded(speechlike(0.5), kind=kind)).seconds == 0.5


# The module itself


def env(*folders: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([*folders, SRC, os.environ.get("PYTHONPATH", "")])}


def test_import_brings_in_no_decoder():
    code = "import sys, serotone.audio; print(sorted({'soundfile', 'soxr', 'av', 'torch', 'scipy'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env()).stdout
    assert output.strip() == "[]"


def test_reading_warns_nobody_and_leaves_no_thread():
    before = threading.active_count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audio.read(encoded(speechlike(1.0, 44100), 44100))
    assert threading.active_count() == before


def test_suffixes_are_lower_case_with_their_dot():
    assert {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".m4a", ".mp4", ".webm"} <= audio.AUDIO_SUFFIXES
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in audio.AUDIO_SUFFIXES)


def test_real_corpus_reads_as_the_decoder_gives_it():
    root = os.environ.get("SEROTONE_DATA")
    files = sorted(Path(root or "/nonexistent").glob("emodb/wav/*.flac"))[::20]
    if not files:
        pytest.skip("SEROTONE_DATA names no folder with emodb")
    for path in files:
        result = audio.read(path, strict=True, min_seconds=0.5)
        expected, rate = soundfile.read(path, dtype="float32")
        assert rate == 16000
        assert np.array_equal(result.samples, expected)
