"""Which formats there are, told by their content: the names of files are not asked."""

from serotone.errors import AudioFormatError

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".wav", ".wave", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd",
    ".caf", ".sph", ".m4a", ".mp4", ".mov", ".aac", ".webm", ".mka", ".mkv", ".wma", ".amr", ".3gp",
})
# fmt: on
"""Lower-case suffixes that corpus readers and folder scans take for audio."""

# (offset, magic, what it is, FFmpeg's name for it, whether libsndfile reads it)
_FORMATS: tuple[tuple[int, bytes, str, str, bool], ...] = (
    (0, b"RIFF", "WAV", "wav", True),
    (0, b"RIFX", "WAV", "", True),
    (0, b"RF64", "WAV (RF64)", "wav", True),
    (0, b"BW64", "WAV (BW64)", "wav", True),
    (0, b"riff", "WAV (W64)", "w64", True),
    (0, b"fLaC", "FLAC", "flac", True),
    (0, b"OggS", "Ogg", "ogg", True),
    (0, b"FORM", "AIFF", "aiff", True),
    (0, b".snd", "AU", "au", True),
    (0, b"caff", "CAF", "caf", True),
    (0, b"NIST_1A", "NIST Sphere", "", True),
    (0, b"ID3", "MP3", "mp3", True),
    (4, b"ftyp", "MP4 or M4A", "mov", False),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska", "matroska", False),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA", "asf", False),
    (0, b"#!AMR", "AMR", "amr", False),
)
_PICTURE_BRANDS = (b"heic", b"heix", b"heif", b"hevc", b"avif", b"avis", b"mif1", b"msf1", b"crx ")


def sniff(head: bytes, name: str) -> tuple[str, str, bool]:
    """What the first bytes are: in words, in FFmpeg's terms, and whether libsndfile reads it."""
    for offset, magic, kind, container, readable in _FORMATS:
        if head.startswith(magic, offset) and not (magic == b"ftyp" and head[8:12] in _PICTURE_BRANDS):
            return kind, container, readable
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # the sync word of an MPEG audio frame
        return ("AAC", "aac", False) if head[1] & 0xF6 == 0xF0 else ("MP3", "mp3", True)
    raise AudioFormatError(
        f"{name}: not audio (it begins with {head[:8]!r}); expected WAV, FLAC, OGG, MP3 or AIFF, "
        "or with the codecs extra M4A, MP4, WebM, AAC, WMA or AMR"
    )
