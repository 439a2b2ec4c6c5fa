"""``serotone listen``: a file, a pipe and a microphone, live; the view, the JSON lines, and how it ends."""

import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import threading
import time

import numpy as np
import pytest
import soundfile
from rich.console import Console

from serotone.audio.pipes import PipedSound
from serotone.cli.incoming import Line
from serotone.cli.live import State, Strip, View, letters
from serotone.errors import AudioEmptyError, AudioFormatError, AudioNotFiniteError
from serotone.recognition.loading import load_bundle
from serotone.recognition.prediction import Segment
from serotone.recognition.recognizer import Recognizer
from serotone.recognition.stream import Update
from test_predict_cli import SOURCE, process, run
from toy_bundle import LABELS, SAMPLE_RATE, buzz, tone

QUIET = np.zeros(3 * SAMPLE_RATE, np.float32)
SAID = np.concatenate([tone(5, 0.9), QUIET, buzz(4, 0.3)])
"""Angry, nobody, happy."""


@pytest.fixture
def call(tmp_path):
    path = tmp_path / "call.wav"
    soundfile.write(path, SAID, SAMPLE_RATE, subtype="FLOAT")
    return path


def lines(text):
    *updates, summary = map(json.loads, text.splitlines())
    assert all(list(line)[:2] == ["schema", "kind"] for line in (*updates, summary))
    assert [update.pop("kind") for update in updates] == ["update"] * len(updates)
    assert summary.pop("kind") == "summary"
    return updates, summary


def wav(samples, *, subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype=subtype)
    return file.getvalue()


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_file_gives_the_updates_and_the_answer_of_its_stream(adaptable, call):
    result = run("listen", call, "--bundle", adaptable, "--fast")
    updates, summary = lines(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    stream = Recognizer(adaptable).stream(sample_rate=SAMPLE_RATE)
    extra = {"schema": 1, "profile": None, "waiting_seconds": 0.0, "lost_seconds": 0.0}
    heard = stream.feed(SAID)
    stream.finish()
    assert stream.last_updates
    every = (*heard, *stream.last_updates)
    expected = [extra | {"final": update.final} | update.segment.to_dict() for update in every]
    assert updates == [update for update in expected if update["final"]]
    assert {update["label"] for update in updates} == {"angry", "happy"}
    assert lines(run("listen", call, "--bundle", adaptable, "--fast", "--every", 0.5).stdout)[0] == expected
    assert summary == json.loads(json.dumps(Recognizer(adaptable).predict(call, timeline=True).to_dict()))


def test_a_file_is_heard_at_the_pace_at_which_it_was_spoken(adaptable, tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, tone(3, 0.9), SAMPLE_RATE)
    begun = time.monotonic()
    assert run("listen", path, "--bundle", adaptable).exit_code == 0
    assert 2.9 < time.monotonic() - begun < 10


def test_channels_profiles_and_adapting(adaptable, tmp_path):
    path, other = tmp_path / "both.wav", tmp_path / "profile.json"
    samples = np.stack([tone(14, 0.9), buzz(14, 0.3)], axis=1)
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    loud = [tone(1, level) for level in (0.1, 0.2, 0.3, 0.4, 0.5)]
    Recognizer(adaptable).profile(loud, source_rate=SAMPLE_RATE, name="loud").save(other)

    mixed = run("listen", path, "--bundle", adaptable, "--fast")
    assert mixed.stderr == f"note: {path}: 2 channels mixed to one\n"
    piped = run("listen", "-", "--bundle", adaptable, "--fast", stdin=path.read_bytes())
    assert piped.stderr == "note: <stdin>: 2 channels mixed to one\n"
    for shown in (mixed, piped):
        summary = lines(shown.stdout)[1]
        assert (summary["warnings"], summary["notes"]) == ([], ["2 channels mixed to one"])
    updates, summary = lines(run("listen", path, "--bundle", adaptable, "--fast", "--channel", 1, "--adapt").stdout)
    assert (summary["channel"], summary["label"]) == (1, "happy")
    assert updates[0]["profile"] is None
    assert updates[-1]["profile"]["count"] == len(updates)
    updates, summary = lines(run("listen", path, "--bundle", adaptable, "--fast", "--profile", other).stdout)
    assert {update["profile"]["name"] for update in updates} == {summary["profile"]["name"]} == {"loud"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere.wav"], 1, "nowhere.wav: no such file"),
        (["CALL", "--channel", 3], 1, "has 1 channel, and channel 3 was asked for"),
        (["CALL", "--device", "2"], 2, "names a microphone"),
        (["CALL", "--rate", 16000], 2, "for raw samples on standard input"),
        (["--fast"], 2, "a microphone cannot be read faster"),
        (["CALL", "--adapt", "--profile", "p.json"], 2, "--adapt or --profile, not both"),
        (["-", "--rate", 16000, "--channel", 1], 2, "raw samples have one channel"),
    ],
)
def test_what_cannot_be_meant(adaptable, call, arguments, status, message):
    result = run("listen", *[call if word == "CALL" else word for word in arguments], "--bundle", adaptable)
    assert (result.exit_code, result.stdout) == (status, "")
    assert message in " ".join(result.stderr.split())


def test_no_number_is_too_large_for_every(adaptable, call):
    plain, absurd = (
        lines(run("listen", call, "--bundle", adaptable, "--fast", *options).stdout)
        for options in ([], ["--every", "1e308"])
    )
    assert absurd == plain


# Pipes ----------------------------------------------------------------------------------------------------------------


def test_a_pipe_gives_what_the_file_gives(adaptable, call):
    from_file = lines(run("listen", call, "--bundle", adaptable, "--fast").stdout)
    for data, options in (
        (call.read_bytes(), []),
        ((SAID * 32767).round().astype("<i2").tobytes(), ["--rate", "16000"]),
    ):
        result = run("listen", "-", "--bundle", adaptable, "--fast", *options, stdin=data)
        updates, summary = lines(result.stdout)
        assert result.exit_code == 0
        assert [update["label"] for update in updates] == [update["label"] for update in from_file[0]]
        assert (summary["name"], summary["shares"]) == ("<stdin>", from_file[1]["shares"])


def test_samples_that_are_far_too_loud_are_warned_of_once(adaptable, tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, tone(1, 20_000), SAMPLE_RATE, subtype="FLOAT")
    for source, stdin in ((path, None), ("-", path.read_bytes())):
        result = run("listen", source, "--bundle", adaptable, "--fast", stdin=stdin)
        (warning,) = lines(result.stdout)[1]["warnings"]
        assert warning.startswith("samples reach 2e+04, but -1 to 1 is expected")
        assert result.stderr.count("samples reach") == 1


def test_a_live_pipe_is_answered_before_it_ends(adaptable):
    child = process("listen", "-", "--bundle", adaptable, "--rate", "16000", stdin=subprocess.PIPE, bufsize=0)
    child.stdin.write((SAID[: 2 * SAMPLE_RATE] * 32767).astype("<i2").tobytes())  # and it stays open
    first = json.loads(child.stdout.readline())
    assert first["label"] == "angry"
    child.send_signal(signal.SIGINT)
    rest, errors = child.communicate(timeout=20)  # closes its standard input only after the signal
    assert (child.returncode, errors) == (0, b"")
    summary = json.loads(rest.splitlines()[-1])
    assert (summary["kind"], summary["label"], summary["shares"]) == ("summary", "angry", {"angry": 1.0})


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_wav_of_samples(subtype):
    samples = np.stack([tone(0.3, 0.5), buzz(0.3, 0.25)], axis=1)
    piped = PipedSound(io.BytesIO(wav(samples, subtype=subtype) + b"LIST\4\0\0\0odd "), "pipe")
    parts = list(piped.frames(0.05))
    assert (piped.sample_rate, piped.channels, {len(part) for part in parts}) == (SAMPLE_RATE, 2, {800})
    np.testing.assert_allclose(np.concatenate(parts), samples, atol=0.01 if subtype == "PCM_U8" else 1e-4)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_header_that_does_not_know_its_size(size):
    data = wav(tone(0.3, 0.5))
    assert data[36:40] == b"data"
    piped = PipedSound(io.BytesIO(data[:40] + struct.pack("<I", size) + data[44:]), "pipe")
    assert sum(map(len, piped.frames(0.1))) == 4800


@pytest.mark.parametrize("cut", [1, 2, 3201])
def test_a_pipe_that_ends_before_its_header_says(cut):
    whole = wav(tone(0.3, 0.5))
    piped = PipedSound(io.BytesIO(whole), "pipe")
    assert (sum(map(len, piped.frames(0.1))), piped.warnings) == (4800, [])
    piped = PipedSound(io.BytesIO(whole[:-cut]), "pipe")
    assert sum(map(len, piped.frames(0.1))) == (9600 - cut) // 2
    assert piped.warnings == [f"truncated: its header announces 9600 bytes of samples, but only {9600 - cut} arrived"]
    endless = PipedSound(io.BytesIO(whole[:40] + b"\xff" * 4 + whole[44:-cut]), "pipe")
    assert (sum(map(len, endless.frames(0.1))), endless.warnings) == ((9600 - cut) // 2, [])


@pytest.mark.parametrize("place", [0, 1600, 3210])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300])
def test_what_comes_before_a_sample_that_is_no_number_is_heard(place, value):
    samples = np.stack([tone(0.3, 0.5), buzz(0.3, 0.25)], axis=1).astype(float)
    samples[place, 1] = value
    lengths = []
    with pytest.raises(AudioNotFiniteError, match=rf"pipe: NaN or infinity {place / SAMPLE_RATE:.3f} s in"):
        lengths.extend(map(len, PipedSound(io.BytesIO(wav(samples, subtype="DOUBLE")), "pipe").frames(0.1)))
    assert sum(lengths) == place


@pytest.mark.parametrize("value", [3e7, -3e7, 1e30])
def test_what_is_far_beyond_audio_is_refused_as_in_a_file(value):
    samples = np.stack([tone(0.3, 0.5), buzz(0.3, 0.25)], axis=1)
    samples[3210, 1] = value
    lengths = []
    with pytest.raises(AudioNotFiniteError, match=rf"pipe: a sample of {re.escape(f'{value:.3g}')} 0\.201 s in"):
        lengths.extend(map(len, PipedSound(io.BytesIO(wav(samples, subtype="FLOAT")), "pipe").frames(0.1)))
    assert sum(lengths) == 3210
    samples[3210, 1] = 9e5  # integers stored as floats
    assert sum(map(len, PipedSound(io.BytesIO(wav(samples, subtype="FLOAT")), "pipe").frames(0.1))) == 4800
    assert sum(map(len, PipedSound(io.BytesIO(wav(samples, subtype="FLOAT")), "pipe").frames(0.1, 1))) == 4800


def test_channels_of_a_pipe_that_cancel_each_other_are_remarked(adaptable):
    data = wav(np.stack([tone(3, 0.9), -tone(3, 0.9)], axis=1), subtype="FLOAT")
    mixed = run("listen", "-", "--bundle", adaptable, "--fast", stdin=data)
    (warning,) = lines(mixed.stdout)[1]["warnings"]
    assert warning.startswith("its 2 channels cancel each other out (one is inverted); give --channel N to hear one")
    assert mixed.stderr == f"note: <stdin>: {warning}\n"
    one = run("listen", "-", "--bundle", adaptable, "--fast", "--channel", 1, stdin=data)
    assert (lines(one.stdout)[1]["label"], one.stderr) == ("angry", "")


def test_a_channel_that_is_not_heard_may_hold_what_is_no_number(adaptable):
    samples = np.stack([tone(5, 0.9), np.full(5 * SAMPLE_RATE, np.nan)], axis=1)
    heard = [
        run("listen", "-", "--bundle", adaptable, "--fast", "--channel", channel, stdin=wav(samples, subtype="FLOAT"))
        for channel in (0, 1)
    ]
    assert [result.exit_code for result in heard] == [0, 1]
    assert lines(heard[0].stdout)[1]["duration_seconds"] == 5
    assert "NaN or infinity 0.000 s in" in heard[1].stderr


def test_a_pipe_with_a_sample_that_is_no_number_is_summed_up_first(adaptable):
    samples = tone(5, 0.9)
    samples[4 * SAMPLE_RATE] = np.nan
    result = run("listen", "-", "--bundle", adaptable, "--fast", stdin=wav(samples, subtype="FLOAT"))
    summary = lines(result.stdout)[1]
    assert (result.exit_code, summary["label"], summary["duration_seconds"]) == (1, "angry", 4)
    assert result.stderr == "error: <stdin>: NaN or infinity 4.000 s in; expected samples of about -1 to 1\n"


def test_a_pipe_with_a_sample_far_beyond_audio_is_summed_up_first(adaptable):
    samples = np.stack([tone(5, 0.9), tone(5, 0.9)], axis=1)
    samples[4 * SAMPLE_RATE] = 3e38
    result = run("listen", "-", "--bundle", adaptable, "--fast", stdin=wav(samples, subtype="FLOAT"))
    summary = lines(result.stdout)[1]
    assert (result.exit_code, summary["label"], summary["duration_seconds"]) == (1, "angry", 4)
    assert result.stderr == "error: <stdin>: a sample of 3e+38 4.000 s in; expected samples of about -1 to 1\n"


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", AudioEmptyError, "empty"),
        (b"fLaC\0\0\0\0\0\0\0\0\0", AudioFormatError, "expected WAV, or raw 16-bit samples with --rate HZ"),
        (wav(tone(0.1, 0.5))[:30], AudioFormatError, "without samples after it"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff", AudioFormatError, "without samples after it"),
        (wav(tone(0.1, 0.5), subtype="ULAW"), AudioFormatError, "8-bit samples"),
    ],
)
def test_what_is_no_wav(data, error, message):
    with pytest.raises(error, match=message):
        PipedSound(io.BytesIO(data), "pipe")


@pytest.mark.parametrize(("data", "options"), [(b"", ["--rate", 8000]), (b"a", ["--rate", 8000]), (wav(QUIET[:0]), [])])
def test_a_pipe_that_ends_without_a_sample_is_an_error_as_such_a_file_is(adaptable, data, options):
    result = run("listen", "-", "--bundle", adaptable, *options, stdin=data)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: <stdin>: contains no audio\n"


def test_a_truncated_pipe_is_warned_of(adaptable):
    result = run("listen", "-", "--bundle", adaptable, "--fast", stdin=wav(tone(3, 0.9))[:-1000])
    (warning,) = lines(result.stdout)[1]["warnings"]
    assert warning == "truncated: its header announces 96000 bytes of samples, but only 95000 arrived"
    assert result.stderr == f"note: <stdin>: {warning}\n"


# Microphones ----------------------------------------------------------------------------------------------------------

FAKE = """
import os, signal, threading, time, types
import numpy as np

class PortAudioError(Exception):
    pass

DEVICES = [
    {"index": 0, "name": "fake", "default_samplerate": 8000.0, "max_input_channels": 2},
    {"index": 1, "name": "loudspeaker", "default_samplerate": 8000.0, "max_input_channels": 0},
    {"index": 2, "name": "USB headset", "default_samplerate": 8000.0, "max_input_channels": 1},
]

def query_devices(device=None, kind=None):
    if os.environ["FAKE"] == "none":
        raise PortAudioError("Error querying device -1")
    if isinstance(device, int) and device >= 2**31:
        raise OverflowError(f"integer {device} does not fit 'int'")
    if kind is None:
        return DEVICES
    if device is None:
        return DEVICES[0]
    for one in DEVICES:
        if device == one["index"] or isinstance(device, str) and device.lower() in one["name"].lower():
            return one
    raise ValueError(f"No input device matching {device!r}")

class InputStream:
    def __init__(self, device, samplerate, channels, dtype, callback, finished_callback):
        assert (samplerate, dtype, query_devices(device, "input")["index"]) == (8000, "float32", 2 if device else 0)
        self.channels, self.callback, self.finished = channels, callback, finished_callback

    def start(self):
        status = types.SimpleNamespace(input_overflow=os.environ["FAKE"] == "overflow")
        tone = 0.9 * np.sin(2 * np.pi * 200 * np.arange(8000) / 8000)
        frames = np.stack([tone, 0.002 * tone], axis=1)[:, :self.channels].astype("float32")
        for _ in range(int(os.environ["SECONDS_AT_ONCE"])):
            self.callback(frames, len(frames), None, status)
            frames[:] = frames  # the driver fills the same buffer again
        if os.environ["FAKE"] == "unplugged":
            self.finished()
        else:
            threading.Thread(target=self.end_when_all_is_taken).start()

    def end_when_all_is_taken(self):
        cells = (cell.cell_contents for cell in self.callback.__closure__)
        (line,) = (cell.line for cell in cells if hasattr(cell, "line"))
        waits = True
        while waits:
            time.sleep(0.05)
            with line._changed:
                waits = bool(line._waiting)  # what was lost, too
        os.kill(os.getpid(), signal.SIGINT)

    def close(self):
        self.finished()
"""


def microphone(tmp_path, adaptable, *arguments, fake="well", seconds=4):
    (tmp_path / "sounddevice.py").write_text(FAKE)
    environment = {"PYTHONPATH": f"{SOURCE}{os.pathsep}{tmp_path}", "FAKE": fake, "SECONDS_AT_ONCE": str(seconds)}
    child = process("listen", "--bundle", adaptable, *arguments, env=environment, text=True)
    output, errors = child.communicate(timeout=30)
    return child.returncode, output, errors


def test_the_microphone_until_ctrl_c(tmp_path, adaptable):
    status, output, errors = microphone(tmp_path, adaptable)
    updates, summary = lines(output)
    assert (status, errors) == (0, "")
    assert {update["label"] for update in updates} == {"angry"}
    assert (summary["name"], summary["label"], summary["duration_seconds"]) == ("microphone (fake)", "angry", 4.0)
    updates, summary = lines(microphone(tmp_path, adaptable, "--channel", 1)[1])
    assert (summary["label"], summary["channel"]) == ("sad", 1)


@pytest.mark.parametrize("device", ["2", "headset"])
def test_a_microphone_is_chosen_by_number_or_name(tmp_path, adaptable, device):
    status, output, errors = microphone(tmp_path, adaptable, "--device", device)
    assert (status, errors, lines(output)[1]["name"]) == (0, "", "microphone (USB headset)")


def test_microphones_are_listed(tmp_path, adaptable):
    listed = "  0  fake, 2 channels, 8000 Hz (default)\n  2  USB headset, 1 channel, 8000 Hz\n"
    assert microphone(tmp_path, adaptable, "--devices") == (0, listed, "")
    status, output, errors = microphone(tmp_path, adaptable, "--device", "horn")
    assert (status, output) == (1, "")
    assert errors == (
        "error: microphone horn: No input device matching 'horn'; serotone listen --devices lists those there are\n"
    )
    for number in ("3000000000", "9" * 5000):
        status, output, errors = microphone(tmp_path, adaptable, "--device", number)
        assert (status, output) == (1, "")
        assert errors.startswith(f"error: microphone {number}: ")
        assert errors.endswith("; serotone listen --devices lists those there are\n")


def test_audio_that_is_lost_is_counted_and_said(tmp_path, adaptable):
    status, output, errors = microphone(tmp_path, adaptable, fake="overflow", seconds=45)
    updates, summary = lines(output)
    said = "15.0 s of audio arrived faster than it was answered, and were lost"
    driver = "the microphone's driver reports that it lost some audio; how much is not known"
    assert (status, summary["duration_seconds"], summary["warnings"]) == (0, 45.0, [said, driver])
    assert errors == f"note: microphone (fake): {said}\nnote: microphone (fake): {driver}\n"
    assert updates[-1]["lost_seconds"] == 15.0
    assert updates[0]["waiting_seconds"] > 20
    assert 29 < summary["speech_seconds"] < 31  # what was lost is silence, so that times stay right


def test_microphones_that_do_not_work(tmp_path, adaptable):
    status, output, errors = microphone(tmp_path, adaptable, fake="none")
    assert (status, output) == (1, "")
    assert errors == (
        "error: microphone: Error querying device -1; plug one in, or give a file: serotone listen call.wav\n"
    )
    status, output, errors = microphone(tmp_path, adaptable, fake="unplugged")
    assert (status, lines(output)[1]["label"]) == (1, "angry")  # what was heard is summed up
    assert errors == "error: microphone: it stopped; is it plugged in?\n"


def test_without_sounddevice_the_install_command(adaptable, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    result = run("listen", "--bundle", adaptable)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install 'serotone[live]'" in result.stderr


# The line -------------------------------------------------------------------------------------------------------------


def test_a_line_that_is_full_lets_a_file_wait_and_loses_of_a_microphone():
    line = Line(10, most_seconds=1.0)
    for value in (1.0, 2.0, 3.0):
        line.offer(np.full(6, value, np.float32))  # of the third there is no room
    line.offer(np.full(9, 4.0, np.float32))
    assert (line.waiting_seconds, line.lost_seconds) == (1.2, 1.5)
    waiter = threading.Thread(target=line.put, args=[np.full(2, 5.0, np.float32)])
    waiter.start()
    waiter.join(0.05)
    assert waiter.is_alive()
    taken = [line.take(1.0) for _ in range(5)]
    waiter.join()
    assert [(len(part), float(part[0])) for part in taken] == [(6, 1.0), (6, 2.0), (10, 0.0), (5, 0.0), (2, 5.0)]
    assert len(line.take(0.01)) == 0
    assert not line.finished
    line.end()
    assert line.finished
    line.close()
    assert not line.put(np.ones(1, np.float32))


# The view -------------------------------------------------------------------------------------------------------------


def update(start, end, label, confidence=0.7, *, profile=None, final=True):
    rest = (1 - confidence) / 2
    probabilities = {} if label is None else {name: confidence if name == label else rest for name in LABELS}
    uncertain = confidence < 0.5
    return Update(Segment(start, end, label, probabilities, confidence, uncertain, 1.0), profile, final)


def test_the_view_says_all_of_it_without_colour(adaptable):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    console = Console(file=screen, width=70, color_system=None, force_terminal=False)
    view = View(screen, load_bundle(adaptable), "call.wav", console=console)
    view.show([update(0, 2, "angry"), update(1, 4, "happy", 0.4), update(4, 6, None)], State(6.0, 0.0, 0.0))
    view.show([update(7, 9, "sad", profile={"name": "stream", "count": 6})], State(10.0, 2.5, 1.25))
    console.print(view.drawing())
    view.close()
    screen.seek(0)
    text = screen.read()
    shown = text[text.rindex("  sad  0.70, certain") :].splitlines()
    assert shown[0].endswith("0:10  call.wav")
    assert shown[2:5] == [
        f"  A angry  {'█' * 6:<40} 0.15",
        f"  H happy  {'█' * 6:<40} 0.15",
        f"  S sad    {'█' * 28:<40} 0.70",
    ]
    assert shown[6] == "  " + " " * 50 + "AAhh···SS "
    assert shown[8] == "  1.2 s of audio lost, because it arrives too fast; 2 s behind; adapte"
    assert "adapted to stream (6)" in view._remark()


def test_the_strip_keeps_a_minute_and_early_cells():
    strip = Strip()
    for second in range(0, 3600, 2):
        strip.add(update(max(0, second - 2), second + 2, "angry").segment, final=True)
    assert strip.drawn(letters(LABELS), 3600.0, 60, dot=".").plain == "  " + "A" * 60
    assert len(strip._cells) < 130


def test_what_is_final_takes_the_place_of_what_was_said_at_once(adaptable):
    strip = Strip()
    for end in (2, 3, 4):
        strip.add(update(0, end, "sad").segment, final=False)
    strip.add(update(4, 5, None).segment, final=False)
    assert strip.drawn(letters(LABELS), 5.0, 5, dot=".").plain == "  SSSS."
    strip.add(update(0, 3, "happy").segment, final=True)
    assert strip.drawn(letters(LABELS), 5.0, 5, dot=".").plain == "  HHHS."
    screen = io.StringIO()
    view = View(screen, load_bundle(adaptable), "call.wav", console=Console(file=screen, width=70))
    view.show([update(0, 4, "sad", final=False), update(0, 3, "happy")], State(4.0, 0.0, 0.0))
    assert view._last.segment.label == "sad"  # what ended later
    view.close()


def test_labels_of_one_letter_are_told_apart():
    assert letters(["sad", "surprised", "s"]) == {"sad": "S", "surprised": "U", "s": "0"}


def test_a_terminal_gets_the_view_and_ctrl_c_the_summary(adaptable, call):
    ours, theirs = pty.openpty()
    child = process("listen", call, "--bundle", adaptable, stdout=theirs, env={"TERM": "xterm", "COLUMNS": "80"})
    os.close(theirs)
    shown = b""
    while b", certain" not in shown:
        shown += os.read(ours, 4096)
    child.send_signal(signal.SIGINT)
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
    assert (child.communicate(timeout=20)[1], child.returncode) == (b"", 0)
    summary = shown.decode().rpartition(f"{call}: ")[2]
    assert " of speech in 0:0" in summary
    assert "100%" in summary
    assert "\x1b[?25h" in shown.decode()  # the cursor is back
    os.close(ours)


def test_ctrl_c_before_anything_was_said(adaptable):
    child = process("listen", "-", "--bundle", adaptable, "--rate", "16000", stdin=subprocess.PIPE, bufsize=0)
    child.stdin.write(bytes(2 * SAMPLE_RATE))  # a second of silence, for one update
    assert json.loads(child.stdout.readline())["label"] is None
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=20)
    summary = json.loads(output)
    assert (child.returncode, errors) == (0, b"")
    assert (summary["label"], summary["reason"], summary["shares"]) == (None, "digital silence", {})


def test_sigterm_sums_up_and_ends_with_its_status(adaptable, call):
    child = process("listen", call, "--bundle", adaptable, text=True)
    first = child.stdout.readline()
    child.terminate()
    output, _ = child.communicate(timeout=20)
    assert child.returncode == 143
    assert lines(first + output)[1]["label"] == "angry"
