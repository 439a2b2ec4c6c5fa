"""``serotone predict`` and ``serotone bundle`` as a user meets them: output, errors, exit status, speed of start."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.cells import cell_len
from typer.testing import CliRunner

from serotone import Recognizer, __version__
from serotone.cli import COMMANDS, app
from serotone.cli.console import PipeConsole
from serotone.cli.messages import one_line
from serotone.cli.table import COLOURS, TableWriter
from toy_bundle import LABELS, SAMPLE_RATE, buzz, make_toy_bundle, tone

SOURCE = Path(__file__).resolve().parent.parent / "src"


@pytest.fixture
def clips(tmp_path):
    """A folder with three good clips (one in a sub-folder), two bad ones and files that are no audio."""
    root = tmp_path / "clips"
    (root / "sub").mkdir(parents=True)
    (root / ".hidden").mkdir()
    soundfile.write(root / "b_loud.wav", tone(1, 0.9), SAMPLE_RATE)
    soundfile.write(root / "a_quiet.FLAC", tone(1, 0.002), SAMPLE_RATE, format="FLAC")
    soundfile.write(root / "sub" / "buzz.wav", buzz(1, 0.2), SAMPLE_RATE)
    soundfile.write(root / "c_short.wav", tone(0.1, 0.9), SAMPLE_RATE)
    soundfile.write(root / ".hidden" / "x.wav", tone(1, 0.9), SAMPLE_RATE)
    (root / "d_none.wav").write_text("hello", encoding="utf-8")
    (root / "._b_loud.wav").write_text("resource fork", encoding="utf-8")
    (root / "notes.txt").write_text("hello", encoding="utf-8")
    return root


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.wav"
    soundfile.write(path, tone(1, 0.9), SAMPLE_RATE)
    return path


@pytest.fixture
def long(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.concatenate([tone(5, 0.9), np.zeros(3 * SAMPLE_RATE), buzz(5, 0.3)]), SAMPLE_RATE)
    return path


def run(*arguments, stdin=None, env=None):
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin, env=env)


def process(*arguments, **options):
    """The command as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)} | options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, "-m", "serotone", *map(str, arguments)],
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        env=environment,
        preexec_fn=heed_interrupts,
        **options,
    )


def heed_interrupts():
    """In a child: a test run in the background of a shell, or by nohup, has signals ignored, and would hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_version_and_help():
    assert run("--version").stdout == f"serotone {__version__}\n"
    shown = run("--help").stdout
    for name in COMMANDS:
        assert f"\n  {name} " in shown
    assert run("predict", "--help").exit_code == 0
    assert "..." not in shown.partition("Commands:")[2]  # each summary is whole
    for command in ("predict", "adapt", "score"):  # these take several
        assert "...}" in run(command, "--help").stdout.splitlines()[0]


@pytest.mark.parametrize("group", ["corpus", "study", "recipe", "bundle"])
def test_a_group_without_a_command_shows_its_help(group):
    alone = run(group)
    assert (alone.exit_code, alone.output) == (2, run(group, "--help").output)


def test_usage_errors_are_status_2(toy, good):
    assert run("predict").exit_code == 2
    assert run("nosuch").exit_code == 2
    assert run("predict", good, "--bundle", toy, "--format", "xml").exit_code == 2
    assert run("predict", good, "--bundle", toy, "--threads", "0").exit_code == 2


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["predict", "{good}", "--max-seconds", "0.11"], "0.11 is less than the 0.25 s that toy needs"),
        (["predict", "{good}", "--max-seconds", "nan"], "nan is not a finite number; give one"),
        (["predict", "{good}", "--start", "inf"], "inf is not a finite number"),
        (["listen", "{good}", "--fast", "--every", "nan"], "nan is not a finite number"),
        (["serve", "--grace-seconds", "inf"], "inf is not in the range 1<=x<=1000000"),
    ],
)
def test_numbers_that_no_range_refuses(toy, good, command, reason):
    result = run(*(word.format(good=good) for word in command), "--bundle", toy)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in " ".join(result.stderr.split())


def test_jsonl_one_line_each_and_failures_on_stderr(toy, clips):
    result = run("predict", clips, "--bundle", toy, "--format", "jsonl")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    expected = [("a_quiet.FLAC", "sad"), ("b_loud.wav", "angry"), ("sub/buzz.wav", "happy")]
    assert [(a["name"], a["label"]) for a in answers] == [(str(clips / n), label) for n, label in expected]
    errors = result.stderr.splitlines()
    assert len(errors) == 3
    assert errors[0].startswith(f"note: {clips}: skipped what does not end like audio: 1 .")
    assert errors[1].startswith(f"error: {clips / 'c_short.wav'}: 0.1 s")
    assert errors[2].startswith(f"error: {clips / 'd_none.wav'}: not audio")
    assert result.exit_code == 1


def test_json_is_valid_in_every_encoding(toy, tmp_path):
    clip = tmp_path / "zażółć 😀.wav"
    soundfile.write(clip, tone(1, 0.9), SAMPLE_RATE)
    for encoding in ("ascii", "cp1250", "utf-8"):
        with process("predict", clip, "--bundle", toy, "--format", "jsonl", env={"PYTHONIOENCODING": encoding}) as it:
            assert json.loads(it.communicate()[0].decode(encoding))["name"] == str(clip)


def test_a_path_that_nobody_could_look_at_is_one_line(toy, good):
    result = run("predict", good, f"{'x' * 300}.wav", "--bundle", toy, "--format", "csv")
    assert (result.exit_code, len(result.stdout.splitlines()), len(result.stderr.splitlines())) == (1, 2, 1)


def test_json_is_one_document_with_predictions_and_failures(toy, clips, good):
    raw = json.loads(run("predict", clips, "--bundle", toy, "--format", "json").stdout)
    assert raw["schema"] == 1
    assert raw["bundle"]["labels"] == list(LABELS)
    assert [Path(p["name"]).name for p in raw["predictions"]] == ["a_quiet.FLAC", "b_loud.wav", "buzz.wav"]
    assert [(Path(f["name"]).name, f["error"]) for f in raw["failures"]] == [
        ("c_short.wav", "AudioTooShortError"),
        ("d_none.wav", "AudioFormatError"),
    ]
    empty = run("predict", clips / "d_none.wav", "--bundle", toy, "--format", "json")
    assert json.loads(empty.stdout)["predictions"] == []
    assert empty.exit_code == 1
    fine = run("predict", good, "--bundle", toy, "--format", "json")
    assert fine.exit_code == 0
    assert fine.stderr == ""


def test_csv(toy, clips, long):
    rows = list(csv.DictReader(io.StringIO(run("predict", clips, "--bundle", toy, "--format", "csv").stdout)))
    assert [row["label"] for row in rows] == ["sad", "angry", "happy"]
    for row in rows:
        assert sum(float(row[f"p_{label}"]) for label in LABELS) == pytest.approx(1, abs=1e-5)
        assert row["windows"] == "1"
    timeline = run("predict", long, "--bundle", toy, "--format", "csv", "--timeline").stdout
    rows = list(csv.DictReader(io.StringIO(timeline)))
    assert [(float(r["start"]), float(r["end"]), r["label"]) for r in rows] == [
        (0, 5, "angry"),
        (5, 8, ""),
        (8, 13, "happy"),
    ]


def test_table_rows_have_a_bar_per_class(toy, clips):
    lines = run("predict", clips, "--bundle", toy).stdout.splitlines()
    assert lines[0].split() == ["recording", "emotion", "conf", *LABELS]
    for line, label in zip(lines[1:], ["sad", "angry", "happy"], strict=True):
        assert label in line
        column = lines[0].index(label, lines[0].index("conf"))
        assert line[column : column + 5] == "█████"
    assert "\x1b" not in "".join(lines)


def test_one_recording_is_a_block(toy, long):
    lines = run("predict", long, "--bundle", toy, "--timeline").stdout.splitlines()
    assert lines[0].startswith(f"{long}  13.00 s  ")
    assert "mean of 10 windows" in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == list(LABELS)
    assert "0.00 -     5.00 s  angry" in lines[4]
    assert lines[7].strip() == "of 10.0 s of speech: angry 50%, happy 50%"
    assert len(lines) == 8
    assert run("predict", long, "--bundle", toy).stdout.splitlines() == [*lines[:4], lines[7]]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
def test_table_fits_the_terminal(toy, clips, columns):
    shown = run("predict", clips, "--bundle", toy, "--timeline", env={"COLUMNS": str(columns)}).stdout
    wide = [line for line in shown.splitlines() if len(line) > columns and str(clips) not in line]
    if columns >= 60:
        assert not wide
    for label in ("sad", "angry", "happy"):
        assert label in shown


@pytest.mark.parametrize("columns", [40, 45, 60])
def test_a_segment_stays_on_one_line_of_a_narrow_terminal(toy, long, columns):
    shown = run("predict", long, "--bundle", toy, "--timeline", env={"COLUMNS": str(columns)}).stdout
    segments = [line for line in shown.splitlines() if " - " in line]
    assert [line.split()[4] for line in segments] == ["angry", "-", "happy"]
    assert max(map(len, segments)) <= columns


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_how_many_windows_a_row_sums_up_stays_on_one_line(toy, good, long, columns):
    shown = run("predict", good, long, "--bundle", toy, env={"COLUMNS": str(columns)}).stdout.splitlines()
    assert sum("mean of 10 windows" in line for line in shown) == 1
    assert max(map(cell_len, shown)) <= columns


def test_a_row_with_a_long_reason_has_no_empty_line_after_it(toy, good, tmp_path):
    soundfile.write(tmp_path / "hum.wav", tone(2, 1e-4), SAMPLE_RATE)
    shown = run("predict", good, tmp_path / "hum.wav", "--bundle", toy, env={"COLUMNS": "45"}).stdout.splitlines()
    assert "no speech: nothing above" in shown[-1]
    assert all(shown)


def test_on_a_terminal_lines_break_between_words(toy):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    terminal, recognizer = Terminal(), Recognizer(toy)
    silent = recognizer.predict(np.zeros(2 * SAMPLE_RATE, np.float32), source_rate=SAMPLE_RATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "24")
        patch.setenv("NO_COLOR", "1")
        TableWriter(terminal, recognizer.bundle, ["call.wav"]).add(replace(silent, name="call.wav"))
    lines = re.sub(r"\x1b\[\d*m", "", terminal.getvalue()).splitlines()
    assert [word for line in lines for word in line.split()] == ["call.wav", "2.00", "s", "-", "digital", "silence"]
    assert max(map(len, lines)) <= 24


def test_no_emotion_has_a_colour_that_a_common_background_swallows():
    assert not {"black", "white", "bright_white", "blue"} & set(COLOURS.values())


@pytest.mark.parametrize("value", ["0", "00", "-5"])
def test_a_terminal_of_no_width_or_height_is_none(toy, clips, monkeypatch, value):
    good = [clips / "b_loud.wav", clips / "a_quiet.FLAC"]
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    expected = [run("predict", *paths, "--bundle", toy).stdout for paths in (good, good[:1])]
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, value)
    assert [run("predict", *paths, "--bundle", toy).stdout for paths in (good, good[:1])] == expected
    assert min(PipeConsole(file=io.StringIO()).size) > 0


def test_columns_stay_where_they_are_in_an_encoding_without_the_name(toy, good):
    names = [good.with_name(name) for name in ("語語.wav", "plain.wav", "à.wav")]
    for path in names:
        path.write_bytes(good.read_bytes())
    for encoding in ("ascii", "latin-1", "utf-8"):
        child = process("predict", *names, "--bundle", toy, env={"PYTHONIOENCODING": encoding})
        head, *rows = child.communicate()[0].decode(encoding).splitlines()
        assert {cell_len(row[: row.index("angry")]) for row in rows} == {cell_len(head[: head.index("emotion")])}


def test_an_encoding_without_blocks(toy, good):
    child = process("predict", good, "--bundle", toy, env={"PYTHONIOENCODING": "ascii"})
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert b"####" in out


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_alone(toy, good, no_color, coloured):
    main, side = pty.openpty()
    child = process("predict", good, "--bundle", toy, stdout=side, env={"NO_COLOR": no_color, "TERM": "xterm-256color"})
    os.close(side)
    shown = b""
    try:
        while chunk := os.read(main, 65536):
            shown += chunk
    except OSError:  # how a terminal says that the other side has closed
        pass
    os.close(main)
    child.communicate()
    assert child.returncode == 0
    assert b"angry" in shown
    assert (b"\x1b[1;31m" in shown) == coloured


def test_uncertain_and_silent_in_a_table(tmp_path, clips):
    make_toy_bundle(tmp_path / "strict", thresholds={"uncertain": 0.99999})
    soundfile.write(clips / "e_silent.wav", np.zeros(16000), SAMPLE_RATE)
    shown = run("predict", clips, "--bundle", tmp_path / "strict").stdout
    assert "angry?" in shown
    assert "digital silence" in shown
    assert "? uncertain: a confidence below 0.99999" in shown


def test_standard_input(toy, good):
    child = process("predict", "-", "--bundle", toy, "--format", "jsonl", stdin=subprocess.PIPE)
    out, err = child.communicate(good.read_bytes())
    assert child.returncode == 0, err
    assert json.loads(out)["label"] == "angry"


def test_out_appears_whole_or_not_at_all(toy, clips, good, tmp_path):
    out = tmp_path / "new" / "answers.json"
    result = run("predict", clips, "--bundle", toy, "--format", "json", "--out", out)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(json.loads(out.read_text(encoding="utf-8"))["predictions"]) == 3
    assert [path.name for path in out.parent.iterdir()] == ["answers.json"]
    assert run("predict", good, "--bundle", toy, "--out", "/dev/null").exit_code == 0
    refused = run("predict", good, "--bundle", toy, "--out", good / "x.json")
    assert refused.exit_code == 2
    assert "good.wav is a file, not a folder" in " ".join(refused.stderr.split())


def test_a_folder_without_audio(toy, tmp_path, good):
    (tmp_path / "empty").mkdir()
    result = run("predict", tmp_path / "empty", good, "--bundle", toy, "--format", "jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'empty'}: no audio in this folder; expected files that end in")
    assert json.loads(result.stdout)["label"] == "angry"
    for name in ("a.mpc", "b.mpc", "notes"):
        (tmp_path / "empty" / name).write_text("hello", encoding="utf-8")
    passed = run("predict", tmp_path / "empty", "--bundle", toy).stderr
    assert "no audio in this folder (skipped: 1 without a suffix, 2 .mpc); expected files" in passed


def test_missing_files_and_bundles_are_one_line(toy, good):
    for arguments in ((good.with_name("none.wav"), "--bundle", toy), (good, "--bundle", "nosuch")):
        result = run("predict", *arguments)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.startswith("error: ")


def test_strict_makes_a_truncated_file_an_error(toy, good):
    good.write_bytes(good.read_bytes()[:-9000])
    lenient = run("predict", good, "--bundle", toy)
    assert lenient.exit_code == 0
    assert lenient.stderr.startswith(f"note: {good}: ")
    strict = run("predict", good, "--bundle", toy, "--strict")
    assert strict.exit_code == 1
    assert strict.stdout == ""


def test_names_cannot_move_the_cursor_nor_break_the_output(toy, good, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    content = good.read_bytes()
    names = [b"\x1b[2J.wav", b"new\nline.wav", b"latin\xe9.wav", "日本語.wav".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(content)
    for format in ("table", "json", "jsonl", "csv"):
        child = process("predict", folder, "--bundle", toy, "--format", format)
        out, err = child.communicate()
        assert child.returncode == 0, err
        assert b"\x1b" not in out or format == "csv"
        assert (rb"latin\udce9.wav" if format.startswith("json") else rb"latin\xe9.wav") in out
    child = process("predict", folder, "--bundle", toy, "--format", "jsonl")
    lines = child.communicate()[0].splitlines()
    assert len(lines) == 4
    assert {json.loads(line)["label"] for line in lines} == {"angry"}


def test_letters_blanks_and_joiners_of_any_script_are_shown():
    for kept in ("日本語\u3000の", "à\u202fla\u00a0carte", "می\u200cخواهم", "👩\u200d🎤", "e\u0301", "\ue000"):
        assert one_line(kept) == kept
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)):
        assert one_line(f"a{chr(code)}b") == (
            "a b" if chr(code) in "\n\t" else f"a\\x{code:02x}b" if code < 0x100 else f"a\\u{code:04x}b"
        )
    assert one_line("a\ud800\udce9\udfff") == r"a\ud800\xe9\udfff"


def test_a_reader_that_goes_away(toy, good):
    child = process("predict", *[good] * 3000, "--bundle", toy, "--format", "jsonl")
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait() == 141


def test_jsonl_streams(toy, good):
    """The first answer is there while the second recording has not even been sent."""
    child = process("predict", good, "-", "--bundle", toy, "--format", "jsonl", stdin=subprocess.PIPE)
    assert json.loads(child.stdout.readline())["name"] == str(good)
    out, err = child.communicate(good.read_bytes())
    assert json.loads(out)["name"] == "<stdin>"
    assert child.returncode == 0, err


def test_ctrl_c_is_130_and_one_line(toy, tmp_path):
    folder = tmp_path / "out"
    child = process("predict", "-", "--bundle", toy, "--out", folder / "answers.txt", stdin=subprocess.PIPE)
    until = time.monotonic() + 30
    while not folder.exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate()
    assert child.returncode == 130, err
    assert err.decode().splitlines() == ["note: stopped"]
    assert list(folder.iterdir()) == []


def test_bundle_commands(toy):
    assert run("bundle", "list").exit_code == 0
    assert json.loads(run("bundle", "list", "--format", "json").stdout)["schema"] == 1
    shown = run("bundle", "show", toy).stdout
    assert "angry, happy, sad" in shown
    raw = json.loads(run("bundle", "show", toy, "--format", "json").stdout)
    assert raw["labels"] == list(LABELS)
    verified = run("bundle", "verify", toy, "--sha256", raw["sha256"])
    assert verified.exit_code == 0
    assert raw["sha256"] in verified.stdout
    assert run("bundle", "verify", toy, "--sha256", "0" * 64).exit_code == 1


def test_verify_notices_damage(tmp_path):
    make_toy_bundle(tmp_path)
    content = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    result = run("bundle", "verify", tmp_path)
    assert result.exit_code == 1
    assert "damaged" in result.stderr


def test_the_command_line_imports_what_it_needs_and_no_more(toy, good):
    heavy = ("onnxruntime", "numpy", "rich", "torch", "pandas", "scipy", "av")
    program = f"import sys, serotone.cli; print([name for name in {heavy} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    loaded = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
    child = process("predict", good, "--bundle", toy, "--format", "json", env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rsplit(b"|", 1)[-1].strip() for line in child.communicate()[1].splitlines()}
    assert b"onnxruntime" in imported
    assert not imported & {b"torch", b"pandas", b"scipy", b"av", b"rich", b"rich.console"}


def test_a_misspelt_command_gets_the_nearest_one():
    result = run("predit", "call.wav")
    assert result.exit_code == 2
    assert "No such command 'predit' (did you mean predict?)." in result.stderr
    assert "No such command 'xyz'." in run("xyz").stderr


def test_the_users_folder_is_meant_wherever_it_stands(toy, good, tmp_path, monkeypatch):
    """Shells leave ``~`` as it is after ``=`` and in quotes; a folder of that name would be made here otherwise."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    for given in (["--out=~/a.csv"], ["--out", "~/b.csv"]):
        assert run("predict", "--bundle", toy, good, *given).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["a.csv", "b.csv"]
    assert not (tmp_path / "~").exists()
