"""Reading audio from MP4, WebM and their like: the ``codecs`` extra."""

import sys
from pathlib import Path

import numpy as np
import pytest

from made_audio import Unseekable, encoded, speechlike
from serotone import audio
from serotone.errors import (
    AudioEmptyError,
    AudioFormatError,
    AudioTooLongError,
    AudioTruncatedError,
    MissingExtraError,
)

# Containers (the codecs extra)


def contained(
    container: str, codec: str, rate: int, folder: Path, options: dict | None = None, seconds=3.0, channels=2
) -> bytes:
    av = pytest.importorskip("av")
    path = folder / f"made.{container}"
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = layout = "stereo" if channels == 2 else "mono"
        samples = np.stack([speechlike(seconds, rate)] * channels)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate, size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return path.read_bytes()


CONTAINERS = [("ipod", "aac", 44100), ("mp4", "aac", 16000), ("mov", "alac", 44100), ("mov", "pcm_s16le", 48000),
              ("webm", "libopus", 48000), ("matroska", "aac", 44100), ("adts", "aac", 44100),
              ("avi", "pcm_s16le", 44100), ("flv", "aac", 44100)]  # fmt: skip


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


def test_aac_behind_an_id3_tag(tmp_path):
    content = contained("adts", "aac", 44100, tmp_path)
    tag = b"ID3\4\0\0\0\0\1\x0a" + b"PRIV\0\0\0\x3f\0\0".ljust(138, b"\0")
    assert np.array_equal(audio.read(tag + content, strict=True).samples, audio.read(content).samples)


@pytest.mark.parametrize("bounds", [{"max_seconds": float("inf")}, {"start": 0.0, "end": 1e300}])
def test_boundless_bounds(tmp_path, bounds):
    content = contained("ipod", "aac", 44100, tmp_path)
    assert np.array_equal(audio.read(content, **bounds).samples, audio.read(content).samples)


def test_a_start_beyond_every_number(tmp_path):
    content = contained("adts", "aac", 44100, tmp_path)  # it states no duration
    with pytest.raises(AudioEmptyError):
        audio.read(content, start=1e300)


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


def test_mp3_in_wav_is_not_called_truncated(tmp_path):
    content = contained("wav", "libmp3lame", 16000, tmp_path)
    assert audio.read(content, strict=True).seconds == pytest.approx(3.0, abs=0.15)
    assert audio.read(content[: len(content) // 2]).warnings[0].startswith("truncated")


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("wav", "g722", 16000), ("g722", "g722", 16000), ("mp2", "mp2", 44100), ("ac3", "ac3", 48000),
     ("eac3", "eac3", 48000), ("wv", "wavpack", 44100), ("tta", "tta", 44100)],
)  # fmt: skip
def test_rarer_formats_decode(tmp_path, container, codec, rate):
    path = tmp_path / f"call.{container}"
    path.write_bytes(contained(container, codec, rate, tmp_path, channels=1 if codec == "g722" else 2))
    result = audio.read(path, strict=True)
    assert result.seconds == pytest.approx(3.0, abs=0.15)
    assert abs(np.argmax(np.abs(np.fft.rfft(result.samples[8000:40000]))) / 2 - 220) < 1
    assert path.suffix in audio.AUDIO_SUFFIXES


def test_container_without_sound(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "silent-film.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    with pytest.raises(AudioFormatError, match=r"silent-film\.mp4.*no audio"):
        audio.read(path)


@pytest.mark.parametrize(
    "head", [b"\0\0\0\x20ftypM4A ", b"\x1a\x45\xdf\xa3", b"#!AMR\n", b"\xff\xf1\x50\x80", b"ID3\4\0\0\0\0\0\0\xff\xf1"]
)
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
