"""The child process that decodes with FFmpeg: it may crash, hang or vanish, and nothing else is lost."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from made_audio import env, speechlike
from serotone import audio
from serotone.audio import decoder, decoder_process
from serotone.errors import AudioError, AudioFormatError, AudioTooLongError

av = pytest.importorskip("av")

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def encoded_by_av(container: str, codec: str, frames: np.ndarray, rate: int = 48000) -> bytes:
    """(T, channels) in a container; int16 frames are taken as they are, float32 ones as the codec wants them."""
    file, channels = io.BytesIO(), frames.shape[1]
    layout = LAYOUTS.get(channels, f"{channels} channels")
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout = layout
        given = "s16" if frames.dtype == np.int16 else "flt"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(frames).reshape(1, -1), format=given, layout=layout)
        frame.sample_rate = rate
        pieces = [frame]
        if given == "flt":
            size = stream.codec_context.frame_size or None
            resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate, size)
            pieces = [*resampler.resample(frame), *resampler.resample(None)]
        for piece in pieces:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def alike(channels: int, seconds: float = 0.5) -> np.ndarray:
    return np.stack([speechlike(seconds, 48000)] * channels, axis=1)


@pytest.fixture(scope="module")
def m4a() -> bytes:
    return encoded_by_av("ipod", "aac", alike(2))


@pytest.fixture(autouse=True)
def no_children_from_before():
    decoder_process.dismiss_idle()
    yield
    decoder_process.dismiss_idle()


# Channels


@pytest.mark.parametrize(
    ("container", "codec", "channels"),
    [("ipod", "aac", 8), ("webm", "libopus", 8), ("ipod", "alac", 6),
     *(("wv", "wavpack", channels) for channels in (1, 2, 7, 8, 9, 16, 40, 64)), ("mov", "pcm_s16le", 40)],
)  # fmt: skip
def test_many_channels_decode(container, codec, channels):
    frames = alike(channels)
    frames[:, channels // 2] *= 0.5
    content = encoded_by_av(container, codec, frames)
    for channel in (0, channels // 2):
        result = audio.read(content, sample_rate=48000, channel=channel)
        assert result.channels == channels
        assert np.std(result.samples[5000:20000]) == pytest.approx(np.std(frames[5000:20000, channel]), rel=0.03)
    assert np.isfinite(audio.read(content).samples).all()


def test_too_many_channels_are_refused():
    content = encoded_by_av("mov", "pcm_s16le", np.ones((4800, 80), np.int16))
    with pytest.raises(AudioFormatError, match=r"<bytes>: .*it has 80 channels; at most 64 are decoded"):
        audio.read(content)


# One child for many files


def test_one_child_serves_many_files_damaged_ones_too(monkeypatch, m4a):
    started = []
    original = decoder_process.command
    monkeypatch.setattr(decoder_process, "command", lambda: started.append(1) or original())
    first = audio.read(m4a).samples
    for _ in range(3):
        with pytest.raises(AudioFormatError):
            audio.read(m4a[:200] + bytes(300))
        with pytest.raises(AudioError):
            audio.read(m4a, start=100)
        with pytest.raises(AudioTooLongError):
            audio.read(m4a, max_seconds=0.1)
        with pytest.raises(AudioTooLongError):
            audio.read(m4a, max_seconds=0.4)  # within what the header may be wrong by: told by decoding
        assert np.array_equal(audio.read(m4a).samples, first)
    assert len(started) == 1


def test_threads_have_a_child_each(m4a):
    expected, results = audio.read(m4a).samples, []

    def work() -> None:
        results.extend(audio.read(m4a).samples for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert all(np.array_equal(result, expected) for result in results)
    assert len(decoder_process._idle) <= 2


def test_a_child_that_died_while_idle_is_replaced(m4a):
    expected = audio.read(m4a).samples
    (child,) = decoder_process._idle
    child._process.kill()
    child._process.wait()
    assert np.array_equal(audio.read(m4a).samples, expected)


@pytest.mark.parametrize("blocks_before", [-1, 0, 3])
def test_where_an_earlier_file_may_be_to_blame_a_new_child_takes_over(monkeypatch, blocks_before):
    content = encoded_by_av("mov", "pcm_s16le", alike(2, 20.0))
    expected = audio.read(content).samples
    counted, killed = 0, []
    command, answer = decoder_process.DecoderProcess._command, decoder_process.DecoderProcess._answer

    def kill(child) -> None:
        killed.append(child)
        child._process.kill()
        child._process.wait()

    def dying_command(child, kind, *rest):
        if not killed and kind == (decoder.OPEN if blocks_before < 0 else decoder.DECODE) and blocks_before <= 0:
            kill(child)
        return command(child, kind, *rest)

    def dying_answer(child):
        nonlocal counted
        kind, data = answer(child)
        counted += kind == decoder.BLOCK
        if not killed and counted == blocks_before > 0:
            kill(child)
        return kind, data

    monkeypatch.setattr(decoder_process.DecoderProcess, "_command", dying_command)
    monkeypatch.setattr(decoder_process.DecoderProcess, "_answer", dying_answer)
    result = audio.read(content)
    assert len(killed) == 1
    assert np.array_equal(result.samples, expected)
    assert result.warnings == ()


# Children that fail

HELLO = "import os, signal, sys, time; sys.stdout.buffer.write(b'H\\0\\0\\0\\0'); sys.stdout.flush(); "
COMMAND = "sys.stdin.buffer.read(33); "
FAILING = {
    "crash": (HELLO + COMMAND + "os.kill(os.getpid(), signal.SIGSEGV)", "crashed: SIGSEGV"),
    "crash at once": ("import os; os.abort()", "did not start"),
    "exit": (HELLO + COMMAND + "sys.exit(3)", "exit status 3"),
    "hang": (HELLO + COMMAND + "time.sleep(60)", "did not finish in time"),
    "reads without end": (
        HELLO + COMMAND + "w = sys.stdout.buffer\n"
        "while True: w.write(b'R\\x0c\\0\\0\\0' + bytes(8) + b'\\1\\0\\0\\0'); w.flush(); sys.stdin.buffer.read(5)",
        "did not finish in time",
    ),
    "nonsense": (HELLO + COMMAND + "sys.stdout.buffer.write(b'?' * 5000); sys.stdout.flush()", "failed on it"),
    "too much": (HELLO + COMMAND + "sys.stdout.buffer.write(b'B\\xff\\xff\\xff\\xff')", "failed on it"),
    "out of memory": (HELLO + COMMAND + "sys.stdout.buffer.write(b'M\\0\\0\\0\\0')", "takes more than 512 MiB"),
    "no PyAV": ("import sys; sys.stdout.buffer.write(b'X\\x04\\0\\0\\0oops')", r"cannot be loaded \(oops\)"),
}


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("program", "words"), FAILING.values(), ids=FAILING.keys())
def test_a_child_that_fails_is_one_error_for_one_file(monkeypatch, tmp_path, m4a, program, words):
    path = tmp_path / "call.m4a"
    path.write_bytes(m4a)
    began = time.monotonic()
    with monkeypatch.context() as patched:
        if "in time" in words:
            patched.setattr(decoder_process, "STALL_SECONDS", 0.5)
        patched.setattr(decoder_process, "command", lambda: [sys.executable, "-c", program])
        with pytest.raises(AudioError, match=words) as caught:
            audio.read(path)
    assert time.monotonic() - began < 25  # less than the 30 s that a decoder has otherwise
    assert decoder_process._idle == []
    if "start" not in words and "loaded" not in words:
        assert isinstance(caught.value, AudioFormatError)
        assert str(caught.value).startswith(f"{path}: ")
    assert audio.read(path).warnings == ()


@pytest.mark.parametrize("reads", [1, 5])  # while it is opened, while it is decoded
@pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyboardInterrupt()])
def test_what_the_file_raises_is_raised(m4a, error, reads):
    class Broken(io.BytesIO):
        calls = 0

        def read(self, size: int | None = -1) -> bytes:
            self.calls += 1
            if self.calls > reads:
                raise error
            return super().read(size)

    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else AudioError
    with pytest.raises(expected):
        audio.read(Broken(encoded_by_av("mov", "pcm_s16le", alike(2, 5.0))))
    assert audio.read(m4a).warnings == ()


# Limits, and who ends when


def run_python(code: str, **kwargs) -> subprocess.CompletedProcess:
    here = str(Path(__file__).parent)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env(here), **kwargs)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address-space limit of Linux")
def test_memory_of_the_child_is_limited():
    code = """
from serotone.audio import decoder
decoder.limit_memory()
kept = bytearray(decoder.MEMORY_BYTES // 2)
try:
    bytearray(decoder.MEMORY_BYTES)
except MemoryError:
    print("limited")
"""
    assert run_python(code).stdout == "limited\n"


def test_this_process_does_not_load_pyav_and_nobody_prints(tmp_path, m4a):
    (tmp_path / "whole").write_bytes(m4a)
    (tmp_path / "damaged").write_bytes(m4a[: len(m4a) // 2] + bytes(500))
    code = f"""
import sys
from serotone import audio, errors
audio.read({str(tmp_path / "whole")!r})
try:
    audio.read({str(tmp_path / "damaged")!r})
except errors.AudioError:
    pass
print("av" in sys.modules)
"""
    run = run_python(code)
    assert (run.stdout, run.stderr, run.returncode) == ("False\n", "", 0)


def gone(pid: int) -> bool:
    psutil = pytest.importorskip("psutil")
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    "end", ["", "import os; os._exit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"]
)
def test_no_child_outlives_its_parent(tmp_path, m4a, end):
    path = tmp_path / "call.m4a"
    path.write_bytes(m4a)
    code = f"""
from serotone import audio
from serotone.audio import decoder_process
audio.read({str(path)!r})
print(decoder_process._idle[0]._process.pid, flush=True)
{end}
"""
    assert gone(int(run_python(code).stdout))


class _Bytes:
    """A recording that needs no parent."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def fetch(self, offset: int, size: int) -> bytes:
        return self.content[offset : offset + size]


@pytest.mark.parametrize("version", ["13.0.0", "18.1.0", "19.0.2"])
def test_titles_need_not_be_utf_8_in_any_version_of_pyav(m4a, version):
    class PyAV:
        """PyAV as far as its options go: before 19, a title that is no UTF-8 is an error by default."""

        __version__ = version

        @staticmethod
        def open(file, *, format, buffer_size, **more):
            assert more == ({} if version.startswith("19") else {"metadata_errors": "replace"})
            return av.open(file, format=format, buffer_size=buffer_size)

    frames, about, _ = decoder._open(PyAV, decoder._Recording(_Bytes(m4a), len(m4a)), "mov")
    assert about == (48000, 2)
    assert sum(frame.samples for frame in frames) >= 24000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_has_children_of_its_own(tmp_path, m4a):
    path = tmp_path / "call.m4a"
    path.write_bytes(m4a)
    code = f"""
import os, warnings
from serotone import audio
from serotone.audio import decoder_process
warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on Python warns of forks where there are threads
expected = audio.read({str(path)!r}).samples
pid = decoder_process._idle[0]._process.pid
if (forked := os.fork()) == 0:
    same = (audio.read({str(path)!r}).samples == expected).all()
    own = decoder_process._idle[0]._process.pid != pid
    decoder_process.dismiss_idle()
    os._exit(0 if same and own else 1)
status = os.waitpid(forked, 0)[1]
again = (audio.read({str(path)!r}).samples == expected).all()
print(status, again, decoder_process._idle[0]._process.pid == pid)
"""
    run = run_python(code)
    assert (run.stdout, run.stderr) == ("0 True True\n", "")
