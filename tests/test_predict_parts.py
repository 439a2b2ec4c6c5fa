"""Which part of a recording ``serotone predict`` hears, what it says of that, and timelines for other programs."""

import csv
import io
import json
import re

import numpy as np
import pytest
import soundfile

from serotone.cli.tracks import RttmWriter
from serotone.recognition.loading import load_bundle
from serotone.recognition.prediction import Prediction, Segment
from test_predict_cli import process, run
from toy_bundle import SAMPLE_RATE, buzz, make_toy_bundle, tone

HALVES = np.concatenate([tone(5, 0.9), np.zeros(3 * SAMPLE_RATE, np.float32), buzz(5, 0.3)])


@pytest.fixture
def call(tmp_path):
    """A call: one side is loud, then silent, then buzzes; the other is quiet."""
    path = tmp_path / "a call.wav"
    soundfile.write(path, np.stack([HALVES, tone(13, 0.002)], axis=1), SAMPLE_RATE)
    return path


@pytest.fixture
def long(tmp_path):
    path = tmp_path / "long one.wav"
    soundfile.write(path, HALVES, SAMPLE_RATE)
    return path


def answers(*arguments):
    result = run("predict", *arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["predictions"]


# Channels -------------------------------------------------------------------------------------------------------------


def test_a_mix_is_always_said(toy, call, tmp_path):
    noisy = tmp_path / "both.wav"
    soundfile.write(noisy, np.stack([tone(1, 0.5), buzz(1, 0.3)], axis=1), SAMPLE_RATE)
    said = "2 channels mixed to one"
    for options in ([], ["--format", "csv", "--timeline"], ["--format", "webvtt"], ["--format", "rttm"]):
        assert run("predict", noisy, "--bundle", toy, *options).stderr == f"note: {noisy}: {said}\n"
    (answer,) = answers(noisy, "--bundle", toy)
    assert answer["notes"] == [said]
    (row,) = csv.DictReader(io.StringIO(run("predict", noisy, "--bundle", toy, "--format", "csv").stdout))
    assert row["notes"] == said


def test_one_channel(toy, call):
    labels = [answers(call, "--bundle", toy, "--channel", channel, "--end", 5)[0]["label"] for channel in (0, 1)]
    assert labels == ["angry", "sad"]
    (answer,) = answers(call, "--bundle", toy, "--channel", "1")
    assert (answer["channel"], answer["notes"], answer["name"]) == (1, [], str(call))
    missing = run("predict", call, "--bundle", toy, "--channel", "2")
    assert missing.exit_code == 1
    assert "has 2 channels, and channel 2 was asked for (0 is the first)" in missing.stderr


def test_each_channel_apart(toy, call, long, monkeypatch):
    given = answers(call, long, "--bundle", toy, "--channels", "--end", "5")
    assert [(answer["name"], answer["channel"], answer["label"]) for answer in given] == [
        (str(call), 0, "angry"),
        (str(call), 1, "sad"),
        (str(long), None, "angry"),
    ]
    shown = run("predict", call, "--bundle", toy, "--channels")
    assert f"{call}, channel 0" in shown.stdout
    assert f"{call}, channel 1" in shown.stdout
    monkeypatch.delenv("COLUMNS", raising=False)  # as wide as it takes
    table = run("predict", call, long, "--bundle", toy, "--channel", "0", "--end", "5").stdout
    assert all(f"{name}, channel 0  " in table for name in (call, long))  # a row each
    assert shown.stderr == ""
    rows = list(csv.DictReader(io.StringIO(run("predict", call, "--bundle", toy, "--channels", "--format=csv").stdout)))
    assert [row["channel"] for row in rows] == ["0", "1"]


def test_each_channel_apart_goes_on_with_the_same_command_only(toy, call, tmp_path):
    out = tmp_path / "out" / "answers.jsonl"
    assert run("predict", call, "--bundle", toy, "--channels", "--out", out).exit_code == 0
    assert [json.loads(line)["channel"] for line in out.read_text(encoding="utf-8").splitlines()] == [0, 1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["x.wav", "--channel", "0", "--channels"], "give --channel or --channels, not both"),
        (["-", "x.wav", "-"], "standard input can be read only once; give - once"),
        (["-", "--channels"], "standard input can be read only once"),
        (["x.wav", "--start", "5", "--end", "5"], "ends at 5 s, which is not after the start"),
        (["x.wav", "--end", "0"], "ends at 0 s, which is not after the start"),
        (["x.wav", "y.wav", "--format", "webvtt"], "holds one recording, but 2 were given"),
        (["x.wav", "y.wav", "--format", "audacity"], "choose rttm, csv, json or jsonl"),
        (["x.wav", "--out", "x.xlsx"], "no format has the suffix .xlsx; use one of .csv, .json, .jsonl, .rttm"),
    ],
)
def test_what_makes_no_sense_is_refused(toy, options, reason):
    result = run("predict", *options, "--bundle", toy, env={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


# A part in time -------------------------------------------------------------------------------------------------------


def test_a_part_in_time_counts_from_the_start_of_the_recording(toy, long):
    (whole,) = answers(long, "--bundle", toy, "--timeline")
    (part,) = answers(long, "--bundle", toy, "--timeline", "--start", "5", "--end", "12")
    assert [(s["start"], s["end"], s["label"]) for s in whole["segments"]] == [
        (0, 5, "angry"),
        (5, 8, None),
        (8, 13, "happy"),
    ]
    assert [(s["start"], s["end"], s["label"]) for s in part["segments"]] == [(5, 8, None), (8, 12, "happy")]
    assert part["duration_seconds"] == 7
    assert (whole["shares"], part["shares"]) == ({"angry": 0.5, "happy": 0.5}, {"happy": 1})


def test_a_part_beyond_the_end_and_a_bound(toy, long):
    late = run("predict", long, "--bundle", toy, "--start", "20")
    assert (late.exit_code, late.stderr) == (1, f"error: {long}: no audio after 20 s; it ends at 13.00 s\n")
    bounded = run("predict", long, "--bundle", toy, "--max-seconds", "10")
    assert "13.0 s of audio; at most 10 s are accepted here" in bounded.stderr
    assert run("predict", long, "--bundle", toy, "--max-seconds", "10", "--end", "9").exit_code == 0


def test_an_empty_path_is_not_this_folder(toy):
    result = run("predict", "", "--bundle", toy)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: a PATH is empty; give the path of a recording")


# Timelines for other programs -----------------------------------------------------------------------------------------


def written(toy, recording, out, *options):
    assert run("predict", recording, "--bundle", toy, "--out", out, *options).exit_code == 0
    return out.read_text(encoding="utf-8")


def test_audacity_reads_its_labels(toy, long, call, tmp_path):
    """Three fields apart by tabs, as Audacity's manual has them; silence has no label."""
    text = written(toy, long, tmp_path / "labels.txt", "--format", "audacity")
    rows = [line.split("\t") for line in text.splitlines()]
    assert [(float(start), float(end)) for start, end, _ in rows] == [(0, 5), (8, 13)]
    assert [label.split() for _, _, label in rows] == [["angry", "0.99"], ["happy", "1.00"]]
    apart = written(toy, call, tmp_path / "sides.txt", "--format", "audacity", "--channels")
    assert {line.split("\t")[2].split(": ")[0] for line in apart.splitlines()} == {"channel 0", "channel 1"}


def cues(text):
    """The cues of a WebVTT file, by its grammar (W3C): a header, blocks apart by empty lines, their timings."""
    header, *blocks = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    stamp = r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"
    for block in blocks:
        if block.startswith("NOTE "):
            assert "-->" not in block
            continue
        timing, payload = block.split("\n")
        match = re.fullmatch(f"{stamp} --> {stamp}", timing)
        hours, minutes, seconds, parts, *rest = map(int, match.groups())
        start = hours * 3600 + minutes * 60 + seconds + parts / 1000
        stop = rest[0] * 3600 + rest[1] * 60 + rest[2] + rest[3] / 1000
        assert stop > start
        yield start, stop, payload


def test_webvtt_is_parsed_by_its_grammar(toy, long, call, tmp_path):
    text = written(toy, long, tmp_path / "a.vtt")
    assert list(cues(text)) == [(0, 5, "angry 0.99"), (8, 13, "happy 1.00")]
    late = written(toy, long, tmp_path / "b.vtt", "--start", "8.5", "--end", "12.25")
    assert list(cues(late)) == [(8.5, 12.25, "happy 1.00")]
    voices = {payload.split(">")[0] for _, _, payload in cues(written(toy, call, tmp_path / "c.vtt", "--channels"))}
    assert voices == {"<v channel 0", "<v channel 1"}


@pytest.mark.parametrize("name", ["a.vtt", "a.txt"])
def test_segments_of_all_channels_are_in_the_order_of_time(toy, tmp_path, name):
    """WebVTT demands it: no cue starts before the one above it; Audacity writes labels so, too."""
    path = tmp_path / "three.wav"
    back = np.ascontiguousarray(HALVES[::-1])
    soundfile.write(path, np.stack([HALVES, back, tone(13, 0.3)], axis=1), SAMPLE_RATE)
    text = written(toy, path, tmp_path / name, "--channels", *([] if name == "a.vtt" else ["--format", "audacity"]))
    if name == "a.vtt":
        found = [(start, int(re.match(r"<v channel (\d)>", payload)[1])) for start, _, payload in cues(text)]
    else:
        rows = [line.split("\t") for line in text.splitlines()]
        found = [(float(start), int(label[len("channel ")])) for start, _, label in rows]
    assert found == sorted(found)
    assert {channel for _, channel in found} == {0, 1, 2}
    assert len(found) == 5


def test_webvtt_counts_hours():
    from serotone.cli.tracks import _clock

    assert [_clock(seconds) for seconds in (0, 59.9996, 3599.5, 36000.25)] == [
        "00:00:00.000",
        "00:01:00.000",
        "00:59:59.500",
        "10:00:00.250",
    ]


def rttm(text):
    """The segments of an RTTM file: ten fields a line (NIST, RT-09 evaluation plan, appendix A)."""
    for line in text.splitlines():
        kind, file, channel, start, length, orthography, subtype, name, confidence, lookahead = line.split()
        assert (kind, orthography, subtype, lookahead) == ("SPEAKER", "<NA>", "<NA>", "<NA>")
        yield file, int(channel), float(start), float(start) + float(length), name, float(confidence)


def test_rttm_has_ten_fields(toy, long, call, tmp_path):
    text = written(toy, long, tmp_path / "a.rttm")
    assert [row[:5] for row in rttm(text)] == [("long_one", 1, 0, 5, "angry"), ("long_one", 1, 8, 13, "happy")]
    (answer,) = answers(long, "--bundle", toy, "--timeline")
    for row, segment in zip(rttm(text), answer["segments"][::2], strict=True):
        assert row[5] == pytest.approx(segment["confidence"], abs=5e-4)
    sides = list(rttm(written(toy, call, tmp_path / "b.rttm", "--channels")))
    assert {row[1] for row in sides} == {1, 2}


def test_rttm_keeps_recordings_of_one_name_apart(toy, long, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / "calls" / folder).mkdir(parents=True)
        (tmp_path / "calls" / folder / "x.wav").write_bytes(long.read_bytes())
    text = written(toy, tmp_path / "calls", tmp_path / "all.rttm")
    assert {row[0] for row in rttm(text)} == {str(tmp_path / "calls" / folder / "x.wav") for folder in ("a", "b")}


def test_rttm_keeps_recordings_apart_that_differ_in_blanks_alone(toy, long, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    for name in ("a b.wav", "a_b.wav", "a%20b.wav", "c d.wav", "e.wav"):
        (calls / name).write_bytes(long.read_bytes())
    text = written(toy, calls, tmp_path / "all.rttm")
    files = ["a%20b", f"{calls}/a%20b.wav", f"{calls}/a_b.wav", "c_d", "e"]
    assert sorted({row[0] for row in rttm(text)}) == sorted(files)


@pytest.mark.parametrize(
    "names",
    [
        ["x.wav", "x.flac"],
        ["a b.wav", "a%20b.wav", "a_b.wav"],
        ["x.wav.wav", "x.wav", "y/x.wav"],
        ["1/ .wav", "2/\t.wav"],
    ],
)
def test_rttm_calls_no_two_recordings_the_same(toy, names):
    stream = io.StringIO()
    writer = RttmWriter(stream, load_bundle(toy), names)
    segment = Segment(0, 1, "sad", {"sad": 1.0}, 1.0, False, 1)
    for name in names:
        writer.add(Prediction(name, "sad", {"sad": 1.0}, 1.0, False, None, 1, 1, 1, (), "toy 1", (segment,)))
    assert len({row[0] for row in rttm(stream.getvalue())}) == len(names)


def test_doubt_is_marked(tmp_path, long):
    make_toy_bundle(tmp_path / "strict", thresholds={"uncertain": 1.0})
    text = written(tmp_path / "strict", long, tmp_path / "a.vtt")
    assert [payload for _, _, payload in cues(text)] == ["angry? 0.99", "happy? 1.00"]


@pytest.mark.parametrize("format", ["table", "csv", "webvtt", "rttm", "audacity"])
def test_a_reader_that_goes_away_is_141(toy, long, format):
    child = process("predict", long, "--bundle", toy, "--format", format)
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait() == 141
