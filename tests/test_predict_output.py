"""What ``serotone predict`` writes: never over a recording, never half, and on from where it was stopped."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer

from serotone import __version__
from serotone.cli.partial import Partial
from serotone.recognition.recognizer import Recognizer
from test_predict_cli import heed_interrupts, process, run
from toy_bundle import SAMPLE_RATE, buzz, make_toy_bundle, tone

FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def buffered(monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.wav"
    soundfile.write(path, tone(1, 0.9), SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of 400 recordings, one of which is none; long enough for a process to be stopped among them."""
    folder = tmp_path_factory.mktemp("many")
    source = folder.parent / "source.wav"
    soundfile.write(source, np.concatenate([tone(0.5, 0.9), buzz(0.5, 0.2)]), SAMPLE_RATE)
    for number in range(400):
        (folder / f"{number:03}.wav").hardlink_to(source)
    (folder / "1_bad.wav").write_text("hello", encoding="utf-8")
    return folder


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("format", ["csv", "json"])
def test_out_may_be_a_pipe(toy, good, format):
    child = process("predict", good, "--bundle", toy, "--format", format, "--out", "/dev/stdout")
    answer, errors = child.communicate()
    assert (child.returncode, errors.decode()) == (0, "")
    assert answer.decode() == run("predict", good, "--bundle", toy, "--format", format).stdout


# Never over a recording -----------------------------------------------------------------------------------------------


def test_an_out_that_is_a_recording_is_refused(toy, good, tmp_path):
    """A shell expands ``--out *.wav`` to the first recording as the file and the others as recordings."""
    other = tmp_path / "other.wav"
    other.write_bytes(good.read_bytes())
    plain = tmp_path / "plain"
    plain.write_bytes(good.read_bytes())
    symbolic, hard = tmp_path / "symbolic.csv", tmp_path / "hard.csv"
    symbolic.symlink_to(good)
    hard.hardlink_to(plain)
    unheard = tmp_path / "unheard.json"
    unheard.write_bytes(good.read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for out, inputs, reason in [
        (good, [good], "has the name of a recording"),
        (good, [other], "has the name of a recording"),
        (tmp_path / "new.FLAC", [other], "has the name of a recording"),
        (symbolic, [good], "has the name of a recording"),
        (plain, [plain], "is one of the files to read"),
        (hard, [other, plain], "is one of the files to read"),
        (unheard, [good], "holds audio (WAV)"),
        (tmp_path, [good], "is a folder"),
        ("-", [good], "without --out, what is answered goes to standard output"),
    ]:
        for format in ("csv", "table"):
            result = run("predict", "--bundle", toy, "--format", format, "--out", out, *inputs)
            assert result.exit_code == 2, (out, result.stderr)
            assert reason in " ".join(result.stderr.split())
            assert result.stdout == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_out_that_is_another_file_of_the_command_is_refused(adaptable, tmp_path):
    clips = []
    for number in range(5):
        clips.append(tmp_path / f"{number}.wav")
        soundfile.write(clips[-1], tone(1, 0.01 * (1 + number)), SAMPLE_RATE, subtype="FLOAT")
    profile, table = tmp_path / "office.json", tmp_path / "speakers.csv"
    assert run("adapt", *clips, "--bundle", adaptable, "--out", profile).exit_code == 0
    table.write_text("path,speaker\n0.wav,anna\n")
    before = profile.read_bytes(), table.read_bytes()
    for command in (
        ["predict", *clips, "--profile", profile, "--out", profile],
        ["predict", *clips, "--profile", profile, "--speakers", table, "--out", table],
        ["adapt", *clips, "--speakers", table, "--out", table],
    ):
        result = run(*command, "--bundle", adaptable, env={"COLUMNS": "400"})
        assert result.exit_code == 2
        assert "is one of the files to read" in " ".join(result.stderr.split())
    assert (profile.read_bytes(), table.read_bytes()) == before


def test_a_link_is_written_through(toy, good, tmp_path):
    """The file that a link means gets the answers, and the link stays one."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "there" / "answers.jsonl")
    assert run("predict", good, "--bundle", toy, "--out", link).exit_code == 0
    assert link.is_symlink()
    assert json.loads((tmp_path / "there" / "answers.jsonl").read_text(encoding="utf-8"))["label"] == "angry"


# Formats --------------------------------------------------------------------------------------------------------------


def test_the_suffix_of_out_is_the_format_unless_one_is_given(toy, good, tmp_path):
    def written(name, *options):
        assert run("predict", good, "--bundle", toy, "--out", tmp_path / name, *options).exit_code == 0
        return (tmp_path / name).read_text(encoding="utf-8")

    assert json.loads(written("a.json"))["predictions"][0]["label"] == "angry"
    assert json.loads(written("a.JSONL"))["label"] == "angry"
    assert written("a.csv").startswith("name,label,")
    assert written("a.txt").startswith(f"{good}  1.00 s  angry")
    assert written("b.json", "--format", "csv").startswith("name,label,")


# Interruptions --------------------------------------------------------------------------------------------------------


def stop_after(child, partial, lines, how):
    """Send a signal once the file holds so many lines."""
    until = time.monotonic() + 60
    while not (partial.exists() and partial.read_bytes().count(b"\n") >= lines):
        assert time.monotonic() < until
        assert child.poll() is None
        time.sleep(0.005)
    child.send_signal(how)
    return child.communicate()[1].decode()


@pytest.mark.parametrize(
    ("format", "how", "status"),
    [
        ("jsonl", signal.SIGINT, 130),
        ("csv", signal.SIGTERM, 143),
        ("jsonl", signal.SIGHUP, 129),
        ("csv", signal.SIGKILL, -9),
        ("jsonl", signal.SIGKILL, -9),
    ],
)
def test_the_same_command_goes_on_where_it_was_stopped(toy, many, tmp_path, format, how, status):
    timeline = ["--timeline"] if format == "csv" else []
    whole = tmp_path / f"whole.{format}"
    assert run("predict", many, "--bundle", toy, "--out", whole, *timeline).exit_code == 1
    out = tmp_path / "run" / f"answers.{format}"
    command = ["predict", many, "--bundle", toy, "--out", out, *timeline]
    partial = out.with_name(f"{out.name}.partial")
    child = process(*command)
    errors = stop_after(child, partial, 10, how)
    assert child.returncode == status, errors
    assert listing(out.parent) == [f"{out.name}.partial", f"{out.name}.partial.index"]
    kept = partial.read_bytes()
    assert whole.read_bytes().startswith(kept)
    answered = len(partial.with_name(f"{partial.name}.index").read_bytes().splitlines()) - 1
    assert 5 <= answered < 400
    if how != signal.SIGKILL:
        assert errors.splitlines()[-2:] == [
            f"note: {partial}: {answered} of 401 recordings are answered; run the same command again to continue",
            "note: stopped",
        ]
    again = run(*command)
    assert again.exit_code == 1
    assert f"note: {partial}: {answered} of 401 recordings are answered already; continuing" in again.stderr
    assert "error: " in again.stderr
    assert listing(out.parent) == [out.name]
    assert out.read_bytes() == whole.read_bytes()


def test_an_interruption_right_after_an_answer_counts_it(tmp_path, monkeypatch):
    out = tmp_path / "answers.jsonl"
    noted = Partial._note

    def interrupted(partial, entry):
        noted(partial, entry)
        if entry.get("name") == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr(Partial, "_note", interrupted)
    counts = []

    def write():
        with Partial(out, {}, ["a", "b", "c"]) as partial:
            try:
                for name in ("a", "b", "c"):
                    partial.stream.write(f"{name}\n")
                    partial.keep(name)
            finally:
                counts.append(partial.kept)

    with pytest.raises(KeyboardInterrupt):
        write()
    with Partial(out, {}, ["a", "b", "c"]) as again:
        counts.append(again.kept)
        assert [again.has(name) for name in ("a", "b", "c")] == [True, True, False]
    assert counts == [2, 2]
    assert (tmp_path / "answers.jsonl.partial").read_text() == "a\nb\n"


@pytest.mark.parametrize("format", ["json", "table"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_written_at_the_end_leaves_nothing_behind(toy, many, tmp_path, format, how):
    out = tmp_path / "run" / "answers"
    child = process("predict", many, "--bundle", toy, "--format", format, "--out", out)
    until = time.monotonic() + 60
    while not out.parent.exists() and time.monotonic() < until:
        time.sleep(0.005)
    child.send_signal(how)
    errors = child.communicate()[1].decode()
    assert child.returncode == (143 if how == signal.SIGTERM else -9), errors
    assert listing(out.parent) == []


def test_a_torn_line_is_cut_away(toy, good, tmp_path):
    names = [str(tmp_path / "in" / f"{number}.wav") for number in range(4)]
    (tmp_path / "in").mkdir()
    for name in names:
        Path(name).hardlink_to(good)
    out = tmp_path / "out" / "answers.jsonl"
    command = ["predict", *names, "--bundle", toy, "--out", out]
    assert run(*command).exit_code == 0
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.unlink()
    terms = {"bundle": Recognizer(toy).bundle.sha256, "--format": "jsonl", "--timeline": False, "--strict": False}
    with Partial(out, terms | {"serotone": __version__}, names) as partial:
        for name, line in zip(names[:2], lines, strict=False):
            partial.stream.write(line.decode())
            partial.keep(name)
    index = partial.path.with_name("answers.jsonl.partial.index")
    rows, notes = partial.path.read_bytes(), index.read_bytes()
    assert rows == b"".join(lines[:2])
    for torn_rows, torn_notes, kept in [
        (rows, notes, 2),
        (rows + b'{"schema": 1, "na', notes, 2),  # the row is half there
        (rows + b'{"name": "unnoted"}\n', notes + b'{"name": "/so', 2),  # the row is there, and half its note
        (rows[:-1], notes, 1),  # the notes reached the disk before the last row did
        (rows, notes[:10], 0),  # not even the terms are whole: nothing is known, all is answered anew
        (b"", notes, 0),
    ]:
        partial.path.write_bytes(torn_rows)
        index.write_bytes(torn_notes)
        result = run(*command)
        assert result.exit_code == 0
        going_on = f"note: {partial.path}: {kept} of 4 recordings are answered already; continuing with the rest\n"
        assert result.stderr == (going_on if kept else "")
        assert out.read_bytes() == whole
        assert listing(out.parent) == ["answers.jsonl"]
        out.unlink()


def test_other_terms_do_not_go_on(toy, good, many, tmp_path):
    out = tmp_path / "answers.jsonl"
    partial = tmp_path / "answers.jsonl.partial"
    command = ["predict", many, "--out", out]
    stop_after(process(*command, "--bundle", toy), partial, 3, signal.SIGTERM)
    before = partial.read_bytes()
    make_toy_bundle(tmp_path / "other", version="2")
    for changed, reason in [
        ([*command, "--bundle", tmp_path / "other"], "wrote with bundle toy 1; this one has bundle toy 2"),
        ([*command, "--bundle", toy, "--timeline"], "wrote without --timeline; this one has --timeline"),
        ([*command, "--bundle", toy, "--channel", 0], "wrote without --channel; this one has --channel 0"),
        ([*command, "--bundle", toy, "--format", "csv"], "wrote with --format jsonl; this one has --format csv"),
        (["predict", good, "--out", out, "--bundle", toy], "recordings that are not among these, such as"),
    ]:
        result = run(*changed)
        assert result.exit_code == 2
        message = " ".join(result.stderr.split())
        assert reason in message
        assert "; run the interrupted command again to finish it, choose another --out, or delete" in message
        assert "delete answers.jsonl.partial to start again" in message
    assert partial.read_bytes() == before
    (tmp_path / "answers.jsonl.partial.index").write_text("[]\n[]\n", encoding="utf-8")
    message = " ".join(run(*command, "--bundle", toy).stderr.split())
    assert "answers.jsonl.partial.index is damaged; choose another --out, or delete" in message
    (tmp_path / "answers.jsonl.partial.index").unlink()
    message = " ".join(run(*command, "--bundle", toy).stderr.split())
    assert "cannot be continued without answers.jsonl.partial.index; choose another --out, or delete" in message
    assert partial.read_bytes() == before
    partial.unlink()
    assert run(*command, "--bundle", toy).exit_code == 1
    assert listing(tmp_path) == ["answers.jsonl", "good.wav", "other"]


def test_other_speakers_do_not_go_on(tmp_path):
    out = tmp_path / "answers.jsonl"
    before = {"a": "anna", "b": None}
    with Partial(out, {}, ["a", "b"], before) as partial:
        partial.stream.write("a\n")
        partial.keep("a")
    for now in ({"a": "berta", "b": None}, {"a": None, "b": None}):
        with pytest.raises(typer.BadParameter, match="answers a as spoken by anna; this command's --speakers has"):
            Partial(out, {}, ["a", "b"], now).__enter__()
    with Partial(out, {}, ["a", "b"], before | {"b": "berta"}) as partial:
        assert partial.kept == 1


def test_two_processes_do_not_write_one_file(toy, many, tmp_path):
    command = ["predict", many, "--bundle", toy, "--out", tmp_path / "answers.csv"]
    first = process(*command)
    partial = tmp_path / "answers.csv.partial"
    until = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < until:
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)
    second = run(*command)
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert second.exit_code == 2
    assert "another process is writing" in second.stderr
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as rows:
        assert len(list(csv.DictReader(rows))) == 400


def test_a_recording_named_twice_is_answered_twice(toy, good, tmp_path):
    out = tmp_path / "answers.jsonl"
    child = process("predict", *[good] * 300, "--bundle", toy, "--out", out)
    stop_after(child, tmp_path / "answers.jsonl.partial", 3, signal.SIGKILL)
    assert run("predict", *[good] * 300, "--bundle", toy, "--out", out).exit_code == 0
    assert len(out.read_bytes().splitlines()) == 300


# Full disks, closed streams, readers that go away ---------------------------------------------------------------------


def status_and_error(*arguments, **options):
    child = process(*arguments, **options)
    errors = child.communicate()[1].decode()
    return child.returncode, errors


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv"])
def test_a_full_device_is_one_line(toy, good, format):
    said = "No space left on device; free some space, or write to another place"
    with FULL.open("w") as full:
        status, errors = status_and_error("predict", good, "--bundle", toy, "--format", format, stdout=full)
    assert (status, errors) == (1, f"error: standard output: {said}\n")
    status, errors = status_and_error("predict", good, "--bundle", toy, "--format", format, "--out", FULL)
    assert (status, errors) == (1, f"error: {FULL}: {said}\n")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("command", [["--help"], ["--version"], ["bundle", "list"], ["corpus", "list"]])
def test_a_full_device_under_any_command_is_one_line(command):
    with FULL.open("w") as full:
        status, errors = status_and_error(*command, stdout=full)
    assert status == 1
    assert errors.startswith(("error: standard output: No space left on device; ", "error: output: No space left"))
    assert len(errors.splitlines()) == 1


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_a_full_device_without_buffers(toy, good):
    with FULL.open("w") as full:
        status, errors = status_and_error("predict", good, "--bundle", toy, stdout=full, env={"PYTHONUNBUFFERED": "1"})
    assert (status, errors) == (
        1,
        "error: output: No space left on device; free some space, or write to another place\n",
    )


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize(
    ("arguments", "status"), [(["GOOD"], 0), (["GOOD", "none.wav"], 1), (["GOOD", "--nosuch"], 2), (["none.wav"], 1)]
)
def test_no_result_depends_on_standard_error(toy, good, tmp_path, arguments, status):
    outs = [tmp_path / "plain.csv", tmp_path / "full.csv"]
    ends = []
    with FULL.open("w") as full:
        for out, errors in zip(outs, (subprocess.DEVNULL, full), strict=True):
            words = [good if word == "GOOD" else word for word in arguments]
            child = process("predict", *words, "--bundle", toy, "--out", out, stderr=errors, stdout=subprocess.DEVNULL)
            ends.append(child.wait())
    assert ends == [status, status]
    written = [out.read_bytes() if out.exists() else None for out in outs]
    assert written[0] == written[1]
    assert (written[1] is None) == (status == 2)


@pytest.mark.parametrize("command", [["predict"], ["adapt"]])
def test_a_folder_that_was_deleted_is_one_line(adaptable, good, tmp_path, monkeypatch, command):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = run(*command, good, "--bundle", adaptable, "--out", "answers.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: the folder that this command runs in was deleted; change to another one with cd\n"


def limited(size):
    """In a child: files end at so many bytes, as on a disk that is full."""

    def limit():
        heed_interrupts()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def process_on_small_disk(size, *arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent / "src")}
    command = [sys.executable, "-m", "serotone", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, preexec_fn=limited(size))


@pytest.mark.parametrize("format", ["jsonl", "csv", "json"])
def test_a_disk_that_fills_keeps_the_lines_that_are_whole(toy, many, tmp_path, format):
    out = tmp_path / "run" / f"answers.{format}"
    stopped = process_on_small_disk(15000, "predict", many, "--bundle", toy, "--out", out)
    assert stopped.returncode == 1
    assert "Traceback" not in stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith(f"error: {out}: File too large; free some space")
    if format == "json":
        assert listing(out.parent) == []
        return
    assert listing(out.parent) == [f"{out.name}.partial", f"{out.name}.partial.index"]
    assert run("predict", many, "--bundle", toy, "--out", out).exit_code == 1
    assert out.read_bytes().count(b"\n") == 400 + (format == "csv")


def closing(*descriptors):
    def close():
        heed_interrupts()
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.mark.parametrize(
    ("closed", "arguments", "status", "said"),
    [
        ((1,), [], 1, "error: standard output: Bad file descriptor; "),
        ((1,), ["--out", "answers.csv"], 0, ""),
        ((0, 1), ["--out", "answers.csv"], 0, ""),
        ((0,), ["-"], 1, "error: -: standard input is closed; "),
        ((0, 1, 2), [], 1, ""),
        ((2,), ["none.wav"], 1, ""),
    ],
)
def test_closed_streams(toy, good, tmp_path, closed, arguments, status, said):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent / "src")}
    command = [sys.executable, "-m", "serotone", "predict", str(good), "--bundle", str(toy), *arguments]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, preexec_fn=closing(*closed)
    )
    assert ended.returncode == status, ended.stderr
    assert ended.stderr.startswith(said)
    assert len(ended.stderr.splitlines()) == bool(said)
    if "answers.csv" in arguments:
        assert (tmp_path / "answers.csv").read_text(encoding="utf-8").startswith("name,label,")


def test_more_than_a_buffer_to_a_closed_stream_is_one_line():
    command = [sys.executable, "-m", "serotone", "bundle", "card", "default"]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=closing(1))
    assert (ended.returncode, ended.stderr.splitlines()[1:]) == (1, [])
    assert ended.stderr.startswith("error: output: Bad file descriptor")


def test_a_reader_of_the_help_that_goes_away_is_141():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        ended = subprocess.run([sys.executable, "-m", "serotone", "--help"], stdout=gone, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("format", ["table", "jsonl", "csv"])
def test_a_reader_that_goes_away_is_141_whatever_the_format(toy, many, format):
    child = process("predict", many, many, many, "--bundle", toy, "--format", format)
    child.stdout.readline()
    child.stdout.close()
    errors = child.stderr.read().decode()
    child.stderr.close()
    assert child.wait() == 141
    assert [line for line in errors.splitlines() if "1_bad.wav" not in line] == []


def test_a_pipe_in_a_folder_is_passed_over_and_named(toy, good, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.wav").write_bytes(good.read_bytes())
    os.mkfifo(folder / "a.wav")
    child = process("predict", folder, "--bundle", toy, "--format", "jsonl")
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert errors.decode().startswith(f"error: {folder / 'a.wav'}: a pipe, socket or device; these are skipped")
    assert json.loads(out)["name"] == str(folder / "b.wav")
