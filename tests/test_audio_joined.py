"""Reading audio: recordings joined to one file byte by byte, as ``cat`` does."""

import io
import struct

import numpy as np
import pytest

from made_audio import encoded, speechlike, through_pipe
from serotone import audio
from serotone.audio.joined import joined_track
from serotone.audio.track import Input
from serotone.errors import AudioEmptyError, AudioTooLongError, AudioTruncatedError

KINDS = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]
ID3 = b"ID3\x04\0\0\0\x01\0\0" + bytes(2**14)
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 2000, 1, 0xA0000000) + b"\xff\xfb" * 1000


def recordings(kind: str, subtype: str | None, channels: int = 1, rate: int = 16000) -> list[bytes]:
    sounds = [speechlike(seconds, rate, seed) for seed, seconds in enumerate((1.0, 2.5, 1.5))]
    return [encoded(np.stack([sound, *[sound / 2] * (channels - 1)], axis=1), rate, kind, subtype) for sound in sounds]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_joined_recordings_are_read_one_after_another(kind, subtype, channels):
    parts = recordings(kind, subtype, channels)
    for chosen in ([0, 1], [1, 0, 2], [2, 2]):
        whole = audio.read(b"".join(parts[i] for i in chosen), strict=True, channel=channels - 1)
        expected = np.concatenate([audio.read(parts[i], channel=channels - 1).samples for i in chosen])
        assert np.array_equal(whole.samples, expected)
    mixed = audio.read(b"".join(parts), strict=True)
    assert (mixed.seconds, mixed.channels, mixed.warnings) == (5.0, channels, ())
    assert np.array_equal(through_pipe(b"".join(parts)).samples, mixed.samples)


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_a_part_of_joined_recordings(kind, subtype):
    content = b"".join(recordings(kind, subtype))
    whole = audio.read(content).samples
    for start, end in [(0.2, 0.4), (0.5, 1.5), (1.0, None), (0.9, 4.0), (3.5, 3.75), (4.5, None)]:
        part = audio.read(content, start=start, end=end, strict=True).samples
        expected = whole[round(start * 16000) : None if end is None else round(end * 16000)]
        assert part.shape == expected.shape
        assert np.abs(part - expected).max() < (0.01 if subtype == "OPUS" else 2e-7)  # its decoder takes time to settle
    with pytest.raises(AudioEmptyError, match="contains no audio between start and end"):
        audio.read(content, start=9)
    with pytest.raises(AudioTooLongError):
        audio.read(content, max_seconds=4)


def test_tags_between_joined_mp3():
    first, second, _ = recordings("MP3", None)
    expected = np.concatenate([audio.read(first).samples, audio.read(second).samples])
    for between in (ID3, b"TAG" + bytes(125), APE, APE + b"TAG" + bytes(125) + ID3):
        assert np.array_equal(audio.read(ID3 + first + between + second, strict=True).samples, expected)
    assert audio.read(ID3 + first + APE + ID3, strict=True).seconds == 1.0


def test_an_mp3_whose_tag_knows_no_size_is_one_recording():
    content = bytearray(recordings("MP3", None)[0])
    at = content.index(b"Info" if b"Info" in content[:200] else b"Xing")
    assert content[at + 7] & 3 == 3
    for size in (0, 1, 2**32 - 1):
        content[at + 12 : at + 16] = struct.pack(">I", size)
        assert audio.read(bytes(content), strict=True).seconds == 1.0


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_joined_recordings_that_differ_are_read_up_to_there(kind, subtype):
    first, second, _ = recordings(kind, subtype)
    stereo = recordings(kind, subtype, channels=2)[0]
    joined = audio.read(first + second + stereo)
    assert np.array_equal(joined.samples, audio.read(first + second).samples)
    (warning,) = joined.warnings
    assert "the one that begins at 3.50 s has 16000 Hz and 2 channels, not 16000 Hz and 1; only" in warning
    with pytest.raises(AudioTruncatedError, match="this file consists of several recordings"):
        audio.read(first + second + stereo, strict=True)


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_the_last_of_joined_recordings_is_truncated(kind, subtype):
    first, second, _ = recordings(kind, subtype)
    joined = audio.read(first + second[:-700])
    assert 1.0 < joined.seconds < 3.5
    (warning,) = joined.warnings
    assert warning.startswith("truncated")
    assert warning.endswith("(in the part from 1.00 s on)")
    if kind == "OGG":
        assert "at 1.00 s cannot be decoded" in audio.read(first + second[:60]).warnings[0]


def test_streams_side_by_side_in_ogg_are_not_joined():
    def page(flags: int, serial: int, size: int = 30) -> bytes:
        return struct.pack("<4sxBqIIIBB", b"OggS", flags, 0, serial, 0, 0, 1, size) + bytes(size)

    together = page(2, 1) + page(2, 2) + page(0, 1) + page(0, 2) + page(4, 2) + page(4, 1)
    for content in (together, recordings("OGG", "OPUS")[0]):
        assert joined_track(Input(io.BytesIO(content)), content[:64]) is None
