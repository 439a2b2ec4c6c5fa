"""Where live speech comes from: a microphone, a file or a pipe. What has arrived waits in a line for its turn."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from serotone.audio import blocks
from serotone.audio.mixing import Mixer
from serotone.audio.pipes import PipedSound
from serotone.errors import AudioError, AudioMissingError, MissingExtraError
from serotone.names import count_of

CHUNK_SECONDS, FAST_CHUNK_SECONDS = 0.02, 1.0
"""What is passed on at a time: at real-time pace, and without waiting."""

MOST_WAITING_SECONDS = 30.0
"""What waits at most: of a microphone, what arrives beyond it is lost; a file or a pipe waits."""


class Line:
    """Audio that waits to be heard, between the thread that brings it and the one that hears it."""

    def __init__(self, sample_rate: int, most_seconds: float = MOST_WAITING_SECONDS) -> None:
        self._rate, self._most = sample_rate, most_seconds * sample_rate
        self._changed = threading.Condition()
        self._waiting: deque[NDArray[np.float32] | int] = deque()  # a number stands for so many samples that were lost
        self._samples = self._lost = 0
        self._ended = self._closed = False
        self._problem: Exception | None = None

    @property
    def waiting_seconds(self) -> float:
        """What waits now."""
        return self._samples / self._rate

    @property
    def lost_seconds(self) -> float:
        """What arrived when too much waited already."""
        return self._lost / self._rate

    @property
    def finished(self) -> bool:
        """Whether all has been taken that will ever come."""
        with self._changed:
            return self._ended and not self._waiting

    @property
    def problem(self) -> Exception | None:
        """What the audio ended with, where that was not its end."""
        return self._problem

    def put(self, samples: NDArray[np.float32]) -> bool:
        """Bring samples (T,), waiting while too many do; False where nobody takes them any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._samples < self._most)
            self._append(samples)
            return not self._closed

    def offer(self, samples: NDArray[np.float32]) -> None:
        """Bring samples (T,) without waiting; where too many wait, they are counted as lost, and silence follows."""
        with self._changed:
            if self._samples < self._most:
                self._append(samples)
                return
            self._lost += len(samples)
            if self._waiting and isinstance(self._waiting[-1], int):
                self._waiting[-1] += len(samples)
            else:
                self._waiting.append(len(samples))

    def end(self, problem: Exception | None = None) -> None:
        """Nothing more comes. Ending twice changes nothing."""
        with self._changed:
            if not self._ended:
                self._ended, self._problem = True, problem
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes anything any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, timeout: float) -> NDArray[np.float32]:
        """What came first, (T,), lost audio as silence; empty where nothing comes for so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting or self._ended, timeout) or not self._waiting:
                return np.zeros(0, np.float32)
            first = self._waiting.popleft()
            if isinstance(first, int):
                if first > self._rate:
                    self._waiting.appendleft(first - self._rate)
                return np.zeros(min(first, self._rate), np.float32)
            self._samples -= len(first)
            self._changed.notify_all()
            return first

    def _append(self, samples: NDArray[np.float32]) -> None:
        self._waiting.append(samples)
        self._samples += len(samples)
        self._changed.notify_all()


class Incoming:
    """Live audio, mono at ``sample_rate`` Hz, which arrives in ``line``; close it, or use it in a ``with`` statement.

    ``name`` is what it is called. ``warnings`` and ``notes`` are those of `serotone.recognition.prediction.Prediction`,
    complete when the line is finished.
    """

    def __init__(self, name: str, sample_rate: int) -> None:
        self.name, self.sample_rate = name, sample_rate
        self.line = Line(sample_rate)
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.closing = threading.Event()
        self.stack = ExitStack()

    def __enter__(self) -> "Incoming":
        return self

    def __exit__(self, *problem: object) -> None:
        self.closing.set()
        self.line.close()
        self.stack.close()

    def bring(self, sound: Iterator[NDArray[np.float32]], *, paced: bool, after: Callable[[], None]) -> None:
        """Start a thread that brings ``sound``, at real-time pace where ``paced``, and calls ``after`` at its end."""

        def run() -> None:
            problem: Exception | None = None
            try:
                begun, samples = time.monotonic(), 0
                for piece in sound:
                    samples += len(piece)
                    due = begun + samples / self.sample_rate
                    if self.closing.wait(max(0.0, due - time.monotonic()) if paced else 0.0):
                        break
                    if not self.line.put(piece):
                        break
                after()
            except Exception as error:  # whatever it is, the thread that hears raises it
                problem = error
            self.line.end(problem)

        # A daemon: reading a pipe may wait for ever, and cannot be interrupted.
        threading.Thread(target=run, daemon=True).start()


def open_file(path: str, *, sample_rate: int, channel: int | None, fast: bool) -> Incoming:
    """A file, from its beginning; raises AudioError as `serotone.audio.blocks`."""
    opened = blocks(path, sample_rate=sample_rate, channel=channel)
    incoming = Incoming(opened.name, sample_rate)
    size = _chunk(sample_rate, fast=fast)

    def sound() -> Iterator[NDArray[np.float32]]:
        with opened:
            for block in opened:
                yield from np.split(block, range(size, len(block), size))

    def after() -> None:
        incoming.warnings += opened.warnings
        incoming.notes += opened.notes

    incoming.bring(sound(), paced=not fast, after=after)
    return incoming


def open_pipe(stream: IO[bytes], *, rate: int | None, channel: int | None, fast: bool) -> Incoming:
    """WAV, or with a ``rate`` raw samples, from standard input; raises AudioError as `PipedSound`."""
    piped = PipedSound(stream, "<stdin>", rate)
    mixer = _mixer(piped.name, piped.channels, channel)
    incoming = Incoming(piped.name, piped.sample_rate)
    seconds = FAST_CHUNK_SECONDS if fast else CHUNK_SECONDS

    def after() -> None:
        incoming.warnings += piped.warnings
        if mixer.cancelled:
            incoming.warnings.append(
                f"its {piped.channels} channels cancel each other out (one is inverted); give --channel N to hear one "
                "(0 is the first)"
            )
        elif mixer.differ:
            incoming.notes.append(f"{piped.channels} channels mixed to one")

    incoming.bring((mixer.mix(frames) for frames in piped.frames(seconds, channel)), paced=not fast, after=after)
    return incoming


def microphones() -> list[str]:
    """A line for each microphone: its number, its name, channels and rate, and which is the system's default.

    Raises MissingExtraError, AudioError: as `open_microphone`.
    """
    sounddevice = _sounddevice()
    try:
        found = [device for device in sounddevice.query_devices() if device["max_input_channels"]]
        default = sounddevice.query_devices(kind="input")["index"] if found else None
    except sounddevice.PortAudioError as error:
        raise _no_microphone(error) from error
    return [
        f"{device['index']:>3}  {device['name']}, {count_of(device['max_input_channels'], 'channel')}, "
        f"{device['default_samplerate']:.0f} Hz{' (default)' if device['index'] == default else ''}"
        for device in found
    ]


def open_microphone(*, channel: int | None, device: str | None = None) -> Incoming:
    """The system's default microphone, or the one with this number or part of a name, at the rate it prefers.

    Raises MissingExtraError: sounddevice is not installed. Raises AudioError: there is no such microphone, or it fails.
    """
    sounddevice = _sounddevice()
    try:
        number = int(device) if device is not None and device.isdecimal() else device
        found = sounddevice.query_devices(number, kind="input")
        rate, most = round(found["default_samplerate"]), int(found["max_input_channels"])
        mixer = _mixer("microphone", most if channel is not None else 1, channel)
        incoming = Incoming(f"microphone ({found['name']})", rate)

        def arrive(frames: NDArray[np.float32], count: int, when: object, status: Any) -> None:
            if status.input_overflow and OVERFLOW not in incoming.warnings:
                incoming.warnings.append(OVERFLOW)
            incoming.line.offer(mixer.mix(frames).copy())

        def leave() -> None:
            incoming.line.end(
                None if incoming.closing.is_set() else AudioError("microphone: it stopped; is it plugged in?")
            )

        microphone = sounddevice.InputStream(
            device=number,
            samplerate=rate,
            channels=mixer.channels,
            dtype="float32",
            callback=arrive,
            finished_callback=leave,
        )
        microphone.start()
    except (sounddevice.PortAudioError, ValueError, OverflowError) as error:
        if device is not None:
            raise AudioError(
                f"microphone {device}: {error}; serotone listen --devices lists those there are"
            ) from error
        raise _no_microphone(error) from error
    incoming.stack.callback(microphone.close)
    return incoming


OVERFLOW = "the microphone's driver reports that it lost some audio; how much is not known"


def _sounddevice() -> Any:
    """The library for microphones, which looks for PortAudio when it is imported."""
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtraError("listening to the microphone", "live") from error
    except OSError as error:
        raise AudioError(
            f"microphone: {error}; install PortAudio (Debian, Ubuntu: apt install libportaudio2)"
        ) from error
    return sounddevice


def _no_microphone(error: Exception) -> AudioError:
    return AudioError(f"microphone: {error}; plug one in, or give a file: serotone listen call.wav")


def standard_input() -> IO[bytes]:
    """Standard input without a buffer: a thread that waits for one holds a lock that ends the process badly."""
    if sys.stdin is None:
        raise AudioMissingError("-: standard input is closed; pipe audio into it, or give a path")
    stream: IO[bytes] = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    return stream


def _mixer(name: str, channels: int, channel: int | None) -> Mixer:
    if channel is not None and channel >= channels:
        raise AudioError(
            f"{name}: has {count_of(channels, 'channel')}, and channel {channel} was asked for (0 is the first)"
        )
    return Mixer(channels, channel)


def _chunk(sample_rate: int, *, fast: bool) -> int:
    return round((FAST_CHUNK_SECONDS if fast else CHUNK_SECONDS) * sample_rate)
