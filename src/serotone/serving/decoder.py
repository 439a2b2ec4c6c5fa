"""The program of a child process that decodes uploads: under a limit on memory, one recording after another.

A request is JSON: ``path`` and ``name`` of a file, and what `serotone.audio.blocks` is to be asked. The answer is a
message that begins with `OPENED` (JSON: how many channels there are), any number that begin with `BLOCK` and hold mono
float32 samples, then one that begins with `END` (JSON: what is known of the source). Instead of any of them, one that
begins with `ERROR` (JSON: the name of the error's class and its message) is the last. An empty message from the parent
ends a recording early. When the parent goes away, its end of the link closes, and the child ends too.
"""

import io
import json
import signal
from multiprocessing.connection import Connection
from typing import Any

from serotone.audio import Blocks
from serotone.audio.decoder import limit_memory
from serotone.errors import AudioTooLongError, SerotoneError

READY, OPENED, BLOCK, END, ERROR = b"R", b"O", b"B", b"E", b"X"
LONGEST_REQUEST = 1 << 16


def serve(link: Connection, memory_bytes: int) -> None:
    """Decode what is asked for until the parent closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    import soundfile  # noqa: F401 - both before the limit: what libraries take is not the recording's
    import soxr  # noqa: F401

    limit_memory(memory_bytes)
    try:
        link.send_bytes(READY)
        while True:
            if request := link.recv_bytes(LONGEST_REQUEST):
                link.send_bytes(_answer(link, json.loads(request), memory_bytes))
    except (EOFError, ConnectionError):
        return


def _answer(link: Connection, asked: dict[str, Any], memory_bytes: int) -> bytes:
    """Send the blocks of a recording; the last message about it."""
    name = asked["name"]
    try:
        about = _decode(link, **asked)
    except (MemoryError, SerotoneError) as error:
        kind, message = type(error).__name__, str(error)
        if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):  # in a decoder's callback
            message = f"{name}: decoding it takes more than {memory_bytes >> 20} MiB of memory; send it as WAV or FLAC"
            kind = "DecoderFailedError"
        return ERROR + json.dumps({"error": kind, "message": message}).encode()
    return END + json.dumps(about).encode()


def _decode(
    link: Connection, path: str, name: str, max_seconds: float, decoded_values: int, **asked: Any
) -> dict[str, object]:
    raw = io.FileIO(path)
    raw.name = name  # messages call it what its sender does
    with io.BufferedReader(raw) as file:
        with Blocks(file, **asked) as opened:
            per_second = opened.channels * opened.source_rate
        link.send_bytes(OPENED + json.dumps({"channels": opened.channels}).encode())
        bound = min(max_seconds, decoded_values / per_second)
        try:
            with Blocks(file, max_seconds=max(bound, asked["min_seconds"]), **asked) as blocks:
                for block in blocks:
                    link.send_bytes(BLOCK + block.tobytes())
                    if link.poll():  # the parent has heard enough
                        link.recv_bytes(LONGEST_REQUEST)
                        break
                return {"silent": blocks.silent, "warnings": blocks.warnings, "notes": blocks.notes}
        except AudioTooLongError as error:
            why = "" if bound == max_seconds else f" with {opened.channels} channels at {opened.source_rate} Hz"
            raise AudioTooLongError(
                f"{name}: too long{why}; this server accepts at most {bound:g} s of it: send it in parts"
            ) from error
