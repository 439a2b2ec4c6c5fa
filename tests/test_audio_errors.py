"""Reading audio: each thing that cannot be read is told apart, and hostile input does no harm."""

import bz2
import gzip
import http.client
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from made_audio import Unseekable, encoded, env, read_or_refuse, speechlike
from serotone import audio
from serotone.errors import (
    AudioEmptyError,
    AudioError,
    AudioFormatError,
    AudioMissingError,
    AudioNotFiniteError,
    AudioTooLongError,
    AudioTooShortError,
    MissingExtraError,
)

# Errors, each with the name of the file


def test_missing_file(tmp_path):
    with pytest.raises(AudioMissingError, match=r"nowhere\.wav: no such file"):
        audio.read(tmp_path / "nowhere.wav")
    with pytest.raises(AudioMissingError, match="reads files only, so download it first"):
        audio.read("https://example.org/call.wav")
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
    with pytest.raises(AudioMissingError, match="the path of a recording is empty; give the path of an audio file"):
        audio.read("")


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
     b"RIFF\x10\0\0\0sfbkLIST" + bytes(50), b"FORM\0\0\0\x20ILBMBMHD" + bytes(50), b"fLaC", b"OggS" + bytes(300),
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
        with pytest.raises(AudioEmptyError, match=r"empty\.wav: contains no audio"):
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
    almost = r"<array>: 0\.4999 s of audio; at least 0\.5 s are needed"
    with pytest.raises(AudioTooShortError, match=almost):
        audio.read(np.ones(7999), source_rate=16000, min_seconds=0.5)
    with pytest.raises(AudioTooShortError):
        audio.read(np.ones(1), source_rate=768_000, sample_rate=1000)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_too_long_is_told_from_the_header(monkeypatch, kind):
    content = encoded(speechlike(3.0), kind=kind)
    assert audio.read(content, max_seconds=3.0).seconds == 3.0
    assert audio.read(content, max_seconds=1.0, start=1.5, end=2.5).seconds == 1.0
    assert audio.read(content, sample_rate=8000, min_seconds=2.9, max_seconds=3.0).seconds == 3.0
    monkeypatch.setattr(audio.Blocks, "_decoded", None)  # nothing may be decoded
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


def cut_archive(kind: str) -> object:
    """A recording as it is read out of an archive that ends early, is damaged, or cannot go back."""
    if kind == "no archive":
        return lzma.open(io.BytesIO(kind.encode()))
    content = encoded(speechlike(2.0))
    if kind in ("gzip", "bz2", "lzma"):
        module = {"gzip": gzip, "bz2": bz2, "lzma": lzma}[kind]
        packed = module.compress(content)
        return module.open(io.BytesIO(packed[: len(packed) // 2]))
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("clip.wav", content)
        file.getbuffer()[5000] ^= 1
        return zipfile.ZipFile(file).open("clip.wav")
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("clip.wav")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    file.seek(0)
    stream = tarfile.open(fileobj=file, mode="r|gz")  # noqa: SIM115 - the member reads it
    return stream.extractfile(stream.next())


class Response(io.RawIOBase):
    """A download that breaks off."""

    def read(self, size: int = -1) -> bytes:
        raise http.client.IncompleteRead(b"RIFF", 100)


class Tensor:
    """An array of a library whose own errors are no ValueError."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda: cut_archive("gzip"), "EOFError: Compressed file ended before"),
        (lambda: cut_archive("bz2"), "EOFError: Compressed file ended before"),
        (lambda: cut_archive("lzma"), "EOFError: Compressed file ended before"),
        (lambda: cut_archive("no archive"), "LZMAError: "),
        (lambda: cut_archive("zip"), "BadZipFile: Bad CRC-32"),
        (lambda: cut_archive("tar"), "[A-Za-z]+Error: "),
        (Response, r"IncompleteRead: IncompleteRead\(4 bytes read, 100 more expected\)"),
        (Tensor, r"RuntimeError: Can't call numpy\(\) on Tensor that requires grad"),
    ],
    ids=["gzip", "bz2", "lzma", "no-lzma", "zip", "tar", "http", "tensor"],
)
def test_what_a_source_raises_is_an_audio_error(source, words):
    opened = source()
    with pytest.raises(AudioError, match=f"^{audio.sources.name_of(opened)}: reading it failed: {words}"):
        audio.read(opened, source_rate=16000 if isinstance(opened, Tensor) else None)


def test_a_file_that_cannot_go_back_is_an_audio_error():
    class Forgetful(io.BytesIO):
        def seek(self, place: int, whence: int = 0) -> int:
            if place == 7:
                raise RuntimeError("no way back")
            return super().seek(place, whence)

    file = Forgetful(encoded(speechlike(1.0)))
    super(Forgetful, file).seek(7)
    with pytest.raises(AudioError, match="<stream>: reading it failed: RuntimeError: no way back"):
        audio.read(file)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), FileNotFoundError(2, "No usable folder")])
def test_a_long_stream_and_a_full_folder_of_temporary_files(monkeypatch, error):
    monkeypatch.setattr(audio.sources, "_SPOOL_BYTES", 10_000)
    monkeypatch.setattr(tempfile, "tempdir", "/small")

    def full(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    words = f"<stream>: .* temporary file, and /small has no room .{error.strerror}.; .* set TMPDIR to another folder"
    with pytest.raises(AudioError, match=words):
        audio.read(Unseekable(encoded(speechlike(1.0))))


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

    class Array:
        def __array__(self, *_: object, **__: object) -> np.ndarray:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audio.read(Array(), source_rate=16000)


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
from test_audio_errors import HOSTILE, audio, encoded, np
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


# What is no audio by its values


@pytest.mark.parametrize("rate", [16000, 44100])
def test_values_far_beyond_audio_are_refused(rate):
    samples = speechlike(1.0, rate)
    samples[rate // 2] = 1e30
    for source, given_rate in ((encoded(samples, rate, subtype="FLOAT"), None), (samples, rate)):
        with pytest.raises(AudioNotFiniteError, match=r"a sample of 1e\+30 0\.500 s in"):
            audio.read(source, source_rate=given_rate)


def test_integers_stored_as_floats_are_taken_with_a_warning():
    result = audio.read(speechlike(1.0) * 32768, source_rate=16000, strict=True)
    assert "but -1 to 1 is expected" in result.warnings[0]
    assert np.array_equal(result.samples, speechlike(1.0) * 32768)


# Damaged is not "too short", and what an extra decodes is not damaged


def test_damaged_flac_is_called_damaged():
    whole = encoded(speechlike(3.0), kind="FLAC")
    some, none = bytearray(whole), bytearray(whole)
    some[len(whole) // 10 : len(whole) // 10 + 2000] = bytes(2000)
    none[100:] = bytes(len(whole) - 100)
    for content in (some, none):
        with pytest.raises(AudioFormatError, match="damaged"):
            audio.read(bytes(content), min_seconds=0.5)
    assert 0 < audio.read(bytes(some)).seconds < 0.5


def tagged_wav(tag: int) -> bytes:
    content = bytearray(encoded(speechlike(1.0)))
    content[20:22] = struct.pack("<H", tag)
    return bytes(content)


OGG_SPEEX = b"OggS\0\2" + bytes(20) + b"\1\x50" + b"Speex   1.2rc1" + bytes(66)
CAF_AAC, CAF_ALAC = (
    b"caff\0\1\0\0desc\0\0\0\0\0\0\0\x20" + struct.pack(">d", 44100.0) + codec + bytes(20)
    for codec in (b"aac ", b"alac")
)


@pytest.mark.parametrize(
    ("content", "codec"),
    [(tagged_wav(0x028F), "G.722"), (tagged_wav(0x0065), "G.722"), (OGG_SPEEX, "Speex"), (CAF_AAC, "AAC"),
     (CAF_ALAC, "ALAC"), (b"RIFF\x10\0\0\0AVI LIST" + bytes(50), "AVI"),
     (b"FLV\x01" + bytes(60), "FLV"), (b"wvpk" + bytes(60), "WavPack"), (b"\x0b\x77" + bytes(60), "AC-3")],
)  # fmt: skip
def test_the_core_names_the_extra_for_codecs_that_it_lacks(monkeypatch, content, codec):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=rf"<bytes>: {codec}.*pip install 'serotone\[codecs\]'"):
        audio.read(content)


def test_raw_g722_is_told_by_its_name_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "call.g722"
    path.write_bytes(bytes(100))
    with pytest.raises(MissingExtraError, match=r"call\.g722: G\.722 audio"):
        audio.read(path)
    with pytest.raises(AudioFormatError, match="not audio"):
        audio.read(bytes(100))


def test_a_pointer_of_git_lfs_says_how_to_get_the_audio(tmp_path):
    path = tmp_path / "1001_IEO_ANG_HI.wav"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 73226\n")
    with pytest.raises(AudioFormatError, match=r"HI\.wav: a pointer of Git LFS, .*; run git lfs pull"):
        audio.read(path)


# Length and memory


def test_the_message_about_length_names_what_there_is():
    with pytest.raises(AudioTooLongError, match=r"Raise the limit \(--max-seconds, or max_seconds in Python\)"):
        audio.read(np.zeros(40000), source_rate=16000, max_seconds=2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident size as Linux counts it")
@pytest.mark.parametrize("rate", [16000, 8000])
def test_memory_is_that_of_the_result(tmp_path, rate):
    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", rate, 1, format="FLAC") as file:
        for _ in range(20):
            file.write(np.zeros(60 * rate, np.int16))
    code = f"""
import resource, numpy as np
from serotone.audio import read
read(np.zeros(44100), source_rate=44100); read({str(path)!r}, end=1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sound = read({str(path)!r})
print(sound.samples.nbytes, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env())
    result, taken = map(int, run.stdout.split())
    assert result == 4 * 1200 * 16000
    assert taken < result + 30_000_000


# Folders


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_folder_scan_opens_nothing_and_tells_what_it_passed_over(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("b.wav", "sub/a.mp2", "c.WV", ".hidden.wav", ".git/d.wav", "notes.txt", "x.TXT", "README"):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "b.wav")
    scan = audio.scan_folder(tmp_path)
    assert scan.files == tuple(str(tmp_path / name) for name in ("b.wav", "c.WV", "link.wav", "sub/a.mp2"))
    assert scan.irregular == (str(tmp_path / "gone.wav"), str(tmp_path / "pipe.wav"))
    assert scan.others == {"": 1, ".txt": 2}


def test_links_to_folders_are_followed_once_and_never_round(tmp_path):
    for name in ("calls/monday/1.wav", "calls/2.wav", "archive/old/3.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    calls = tmp_path / "calls"
    links = {"latest": "monday", "self": ".", "up": "..", "more": tmp_path / "archive", "gone": "nowhere"}
    for name, target in links.items():
        (calls / name).symlink_to(target)
    (tmp_path / "archive" / "back").symlink_to(calls)
    assert audio.scan_folder(calls).files == tuple(
        str(calls / name) for name in ("2.wav", "monday/1.wav", "more/old/3.wav")
    )
    assert audio.scan_folder(calls / "latest").files == (str(calls / "latest" / "1.wav"),)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    for name in ("open/1.wav", "locked/2.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path) == str(tmp_path / "locked"):  # root may read all, so no mode keeps it out
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    (locked, problem), opened = audio.audio_in(tmp_path)
    assert locked == str(tmp_path / "locked")
    assert str(problem).startswith(f"{locked}: this folder cannot be read: Permission denied")
    assert opened == (str(tmp_path / "open" / "1.wav"), None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_named_pipe_is_read_as_a_stream(tmp_path):
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    content = encoded(speechlike(1.0))
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    assert audio.read(path).seconds == 1.0
    writer.join()
