"""How much the server takes: every bound in one place."""

from dataclasses import dataclass, field

from serotone.processors import processors

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a profile may be called: its name is part of an address, and of a file's name."""

NAME_IN_WORDS = "at most 64 letters, digits, ., _ and -, the first a letter or digit"


NAME_SENT = 4096
"""How many characters a client may send as the name of a recording, folders and all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost, and how many there may be at a time.

    ``workers`` answer at a time, each with a child process that decodes for it; ``queue`` more requests may wait, and
    the next gets 503. ``uploads`` is how many bodies are received at a time, ``body_bytes`` the size of one, ``files``
    the number of recordings in one. ``max_seconds`` is the longest recording, ``decoded_values`` the most samples, over
    all channels, that are decoded of one, ``channels`` the most that are answered apart; ``decode_seconds`` and
    ``decode_bytes`` are the time and the memory that decoding it may take. ``streams`` are live at a time, each for
    ``stream_seconds`` at most, of audio and of time. ``idle_seconds`` is how long a client may send nothing while
    something is expected of it. ``profiles`` are kept. ``grace_seconds`` is how long a server that was told to end
    waits for what it holds.
    """

    workers: int = field(default_factory=processors)
    queue: int = 16
    uploads: int = 64
    body_bytes: int = 100_000_000
    files: int = 100
    max_seconds: float = 3600.0
    decoded_values: int = 2**29
    channels: int = 32
    decode_seconds: float = 60.0
    decode_bytes: int = 2**29
    streams: int = 8
    stream_seconds: float = 4 * 3600.0
    idle_seconds: float = 30.0
    profiles: int = 100
    grace_seconds: float = 30.0
