"""Which formats there are, told by their content; the name of a file is asked only where its content has no mark."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import PurePath

from serotone.audio.track import Input
from serotone.errors import AudioFormatError

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".wav", ".wave", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".mpga", ".aif",
    ".aiff", ".aifc", ".au", ".snd", ".caf", ".sph", ".voc", ".m4a", ".m4b", ".mp4", ".mov", ".aac", ".webm", ".weba",
    ".mka", ".mkv", ".wma", ".amr", ".3gp", ".3g2", ".wv", ".ac3", ".eac3", ".ape", ".tta", ".g722", ".avi", ".flv",
})
# fmt: on
"""Lower-case suffixes that corpus readers and folder scans take for audio."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files: in words, in FFmpeg's terms ("": it has none), and whether libsndfile reads it."""

    kind: str
    container: str
    by_libsndfile: bool

    def foreign_codec(self, content: Input) -> str | None:
        """What libsndfile cannot decode in one of its own formats, in words; None where nothing is known of that."""
        if self.container == "wav":
            tag = _wav_tag(content)
            return f"{_WAV_CODECS[tag]} (in {self.kind})" if tag in _WAV_CODECS else None
        if self.container == "ogg":
            packet = content.at(28, 8)  # after the first page's header, of one segment (RFC 3533, section 6)
            return next((f"{codec} (in Ogg)" for mark, codec in _OGG_CODECS if packet.startswith(mark)), None)
        if self.container == "caf":
            return _CAF_CODECS.get(content.at(28, 4))  # mFormatID of the description, the first chunk
        return None


AAC = Format("AAC", "aac", False)

# (offset, mark, the format)
_FORMATS: tuple[tuple[int, bytes, Format], ...] = (
    (8, b"AVI LIST", Format("AVI", "avi", False)),
    (0, b"RIFF", Format("WAV", "wav", True)),
    (0, b"RIFX", Format("WAV", "", True)),
    (0, b"RF64", Format("WAV (RF64)", "wav", True)),
    (0, b"BW64", Format("WAV (BW64)", "wav", True)),
    (0, b"riff", Format("WAV (W64)", "w64", True)),
    (0, b"fLaC", Format("FLAC", "flac", True)),
    (0, b"OggS", Format("Ogg", "ogg", True)),
    (0, b"FORM", Format("AIFF", "aiff", True)),
    (0, b".snd", Format("AU", "au", True)),
    (0, b"caff", Format("CAF", "caf", True)),
    (0, b"NIST_1A", Format("NIST Sphere", "", True)),
    (0, b"Creative Voice File", Format("VOC", "voc", True)),
    (0, b"ID3", Format("MP3", "mp3", True)),
    (4, b"ftyp", Format("MP4 or M4A", "mov", False)),
    (0, b"\x1a\x45\xdf\xa3", Format("WebM or Matroska", "matroska", False)),
    (0, b"FLV\x01", Format("FLV", "flv", False)),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Format("WMA", "asf", False)),
    (0, b"#!AMR", Format("AMR", "amr", False)),
    (0, b"wvpk", Format("WavPack", "wv", False)),
    (0, b"MAC ", Format("Monkey's Audio", "ape", False)),
    (0, b"TTA1", Format("TTA", "tta", False)),
)
_NO_SOUND = {
    b"ftyp": (b"heic", b"heix", b"heif", b"hevc", b"avif", b"avis", b"mif1", b"msf1", b"crx "),
    b"RIFF": (b"WEBP", b"ACON", b"RMID", b"sfbk", b"PAL "),
}
"""What follows such a mark, from the eighth byte on, in files of pictures, notes and the like."""
_WITHOUT_A_MARK = {".g722": Format("G.722", "g722", False)}
_GIT_LFS = b"version https://git-lfs.github.com/spec/"
"""How a file begins that a clone without Git LFS has instead, as of CREMA-D."""

# Format tags of WAV (RFC 2361 and what FFmpeg writes) that FFmpeg decodes and libsndfile does not
_WAV_CODECS = {
    0x0042: "G.723.1", 0x0045: "G.726", 0x0064: "G.726", 0x0065: "G.722", 0x0083: "G.729", 0x00FF: "AAC",
    0x0160: "WMA", 0x0161: "WMA", 0x0162: "WMA", 0x0163: "WMA", 0x028F: "G.722", 0x1600: "AAC", 0x1602: "AAC",
    0x2000: "AC-3", 0x2001: "DTS", 0x5756: "WavPack", 0xA106: "AAC", 0xA109: "Speex", 0xF1AC: "FLAC",
}  # fmt: skip
_OGG_CODECS = ((b"Speex   ", "Speex"), (b"\x80theora", "Theora"), (b"PCM     ", "PCM"))
_CAF_CODECS = {
    b"aac ": "AAC (in CAF)",
    b"alac": "ALAC (in CAF)",  # some of which libsndfile decodes
    b"ima4": "IMA ADPCM (in CAF)",
    b"opus": "Opus (in CAF)",
    b"samr": "AMR (in CAF)",
}


def sniff(head: bytes, name: str) -> Format:
    """The format of a file that begins so, and in words bears this name."""
    for offset, mark, form in _FORMATS:
        if head.startswith(mark, offset) and not head.startswith(_NO_SOUND.get(mark, ()), 8):
            return form
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # the sync word of an MPEG audio frame
        return AAC if begins_aac(head) else Format("MP3", "mp3", True)
    if len(head) > 5 and head[:2] == b"\x0b\x77":  # the sync word of ATSC A/52; from bsid 11 on it is E-AC-3 (annex E)
        return Format("AC-3", "ac3" if head[5] >> 3 <= 10 else "eac3", False)
    if (suffix := PurePath(name).suffix.lower()) in _WITHOUT_A_MARK:
        return _WITHOUT_A_MARK[suffix]
    if head.startswith(_GIT_LFS):
        raise AudioFormatError(f"{name}: a pointer of Git LFS, not the audio itself; run git lfs pull in the clone")
    raise AudioFormatError(
        f"{name}: not audio (it begins with {head[:8]!r}); expected WAV, FLAC, OGG, MP3 or AIFF, "
        "or with the codecs extra M4A, MP4, WebM, AVI, AAC, WMA, AMR and similar formats"
    )


def begins_aac(frame: bytes) -> bool:
    """Whether these bytes begin like a frame of AAC in ADTS, where an MP3 says its layer (ISO 14496-3, 1.A.3.2.1)."""
    return len(frame) > 1 and frame[0] == 0xFF and frame[1] & 0xF6 == 0xF0


def _wav_tag(content: Input) -> int | None:
    """The format tag of a WAV file, that of the extension where it has one."""
    at = 12
    for _ in range(100):
        kind, length = struct.unpack("<4sI", content.at(at, 8).ljust(8, b"\0"))
        if kind == b"fmt ":
            body = content.at(at + 8, 26).ljust(26, b"\0")
            (tag,) = struct.unpack_from("<H", body)
            return int(struct.unpack_from("<H", body, 24)[0] if tag == 0xFFFE else tag)
        if kind == b"\0\0\0\0":
            return None
        at += 8 + length + length % 2
    return None
