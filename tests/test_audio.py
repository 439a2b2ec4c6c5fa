"""Reading audio: what every source of sound gives."""

import contextlib
import io
import os
import subprocess
import sys
import threading
import warnings
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from made_audio import Unseekable, encoded, env, speechlike, through_pipe
from serotone import audio
from serotone.audio import decoding, libsndfile, sources
from serotone.errors import (
    AudioEmptyError,
    AudioError,
    AudioFormatError,
    AudioTruncatedError,
)

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
    for module in (sources, libsndfile):
        monkeypatch.setattr(module, "BLOCK_VALUES", 3001)
    monkeypatch.setattr(decoding, "_START_VALUES", 100)
    assert np.abs(audio.read(content).samples - whole.samples).max() <= 2e-7
    assert np.array_equal(audio.read(samples, source_rate=rate).samples, from_array.samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 16, 64, 1000])
def test_mono_is_the_mean_of_the_channels(channels):
    samples = np.random.default_rng(channels).uniform(-0.5, 0.5, (500, channels)).astype(np.float32)
    result = audio.read(encoded(samples, subtype="FLOAT")).samples
    assert np.abs(result - samples.astype(np.float64).mean(axis=1)).max() < 1e-6


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
        ([0.0, 1.0], 16000, "^<list>: a list cannot be read; give a path, .* or a NumPy array$"),
        (3, 16000, "^<int>: an int cannot be read"),
        (None, 16000, "^<NoneType>: a NoneType cannot be read"),
    ],
)
def test_arrays_of_unclear_meaning_are_refused(array, rate, words):
    with pytest.raises(AudioFormatError, match=words):
        audio.read(array, source_rate=rate)


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


def test_of_nothing_no_part_can_be_read():
    with pytest.raises(AudioEmptyError):
        audio.read(np.zeros(0, np.float32), source_rate=16000, start=1.0)


@pytest.mark.parametrize("kind", ["WAV", "MP3"])
def test_a_part_of_absurd_length(kind):
    content = encoded(speechlike(1.0), kind=kind)
    whole = audio.read(content).seconds
    for source, rate in ((content, None), (speechlike(1.0), 16000), (Unseekable(content), None)):
        cut = audio.read(source, source_rate=rate, end=1e305)
        assert cut.seconds == pytest.approx(whole, abs=0.1)
        assert cut.warnings == ("asked for audio up to 1e+305 s, but it ends at 1.00 s",) or kind == "MP3"
    for source, rate in ((content, None), (speechlike(1.0), 16000)):
        with pytest.raises(AudioEmptyError, match=r"no audio"):
            audio.read(source, source_rate=rate, start=1e304, end=1e305)


def test_part_beyond_the_end():
    content = encoded(speechlike(1.0))
    with pytest.raises(AudioEmptyError, match=r"no audio after 1\.5 s; it ends at 1\.00 s"):
        audio.read(content, start=1.5)
    result = audio.read(content, start=0.5, end=2.0)
    assert result.seconds == 0.5
    assert "ends at 1.00 s" in result.warnings[0]
    assert audio.read(content, end=1.01).warnings == ()  # a rounded annotation


def test_strict_refuses_no_whole_file_for_its_end():
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        content = encoded(speechlike(12.0), kind=kind)
        assert audio.read(content, end=20.0, strict=True).warnings == (
            "asked for audio up to 20 s, but it ends at 12.00 s",
        )
        with pytest.raises(AudioTruncatedError):
            audio.read(content[:-700], end=20.0, strict=True)


UNSEEKABLE = [("WAV", "GSM610"), ("AIFF", "GSM610"), ("WAV", "G721_32"), ("AU", "G721_32"), ("AU", "G723_24"),
              ("AU", "G723_40"), ("WAV", "NMS_ADPCM_16"), ("AIFF", "DWVW_16"), ("AIFF", "DWVW_24")]  # fmt: skip


@pytest.mark.parametrize(("kind", "subtype"), UNSEEKABLE)
def test_part_in_a_codec_that_cannot_seek(monkeypatch, kind, subtype):
    monkeypatch.setattr(libsndfile, "BLOCK_VALUES", 5000)
    file = io.BytesIO()
    with contextlib.suppress(soundfile.SoundFileError):  # DWVW is written whole, and yet fails
        soundfile.write(file, speechlike(4.0, 8000), 8000, format=kind, subtype=subtype)
    whole = audio.read(file, sample_rate=8000, strict=True).samples
    assert 32000 <= len(whole) <= 32400
    for start, end in [(3.0, None), (0.1, 0.2), (2.5, 3.25)]:
        part = audio.read(file, sample_rate=8000, start=start, end=end, strict=True).samples
        assert np.array_equal(part, whole[round(start * 8000) : None if end is None else round(end * 8000)])


@pytest.mark.parametrize(("start", "end"), [(-1, None), (1, 1), (2, 1), (np.nan, None), (0, np.nan), (np.inf, None)])
def test_part_that_makes_no_sense(start, end):
    with pytest.raises(AudioError, match=r"<bytes>.*expected 0 <= start < end"):
        audio.read(encoded(speechlike(1.0)), start=start, end=end)


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


# The module itself


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


def test_numbers_of_numpy_are_numbers():
    wide = np.stack([speechlike(1.0), 0.5 * speechlike(1.0)], axis=1)
    ours = audio.read(wide, source_rate=16000, channel=1, start=0.25, end=0.5)
    theirs = audio.read(
        wide, source_rate=np.float64(16000), channel=np.int64(1), start=np.float32(0.25), end=np.float32(0.5)
    )
    np.testing.assert_array_equal(ours.samples, theirs.samples)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source_rate": 44100.9}, r"source_rate is 44100\.9; expected a whole number"),
        ({"source_rate": "16000"}, "source_rate is '16000'; expected a whole number"),
        ({"sample_rate": 16000.5, "source_rate": 16000}, r"sample_rate is 16000\.5; expected a whole number"),
        ({"channel": True, "source_rate": 16000}, "channel is True; expected a whole number"),
    ],
)
def test_what_is_no_whole_number_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        audio.read(speechlike(1.0), **options)


def test_a_file_says_its_own_rate():
    with pytest.raises(ValueError, match="source_rate is 8000, but a file says its own rate"):
        audio.read(encoded(speechlike(1.0)), source_rate=8000)
