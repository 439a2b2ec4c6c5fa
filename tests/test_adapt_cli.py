"""``serotone adapt`` and ``serotone predict --adapt`` and ``--profile`` as a user meets them."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from serotone.cli import app
from serotone.recognition.part import Part
from serotone.recognition.profile import load_profile
from serotone.recognition.recognizer import Recognizer
from toy_bundle import SAMPLE_RATE, make_adaptable_bundle, make_toy_bundle, tone

AMPLITUDES = {"anna": (0.01, 0.02, 0.03), "ben": (0.04, 0.05, 0.06)}


@pytest.fixture
def office(tmp_path):
    """Six quiet recordings, three each in a speaker's folder."""
    root = tmp_path / "office"
    for speaker, amplitudes in AMPLITUDES.items():
        (root / speaker).mkdir(parents=True)
        for i, amplitude in enumerate(amplitudes):
            soundfile.write(root / speaker / f"{i}.wav", tone(1, amplitude), SAMPLE_RATE, subtype="FLOAT")
    return root


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answers(*arguments):
    """The predictions of a command that prints JSON lines, by the end of their names."""
    result = run("predict", *arguments, "--format", "jsonl")
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_adapt_then_predict_is_predict_adapt(adaptable, office, tmp_path):
    out = tmp_path / "new" / "office.profile.json"
    made = run("adapt", office, "--bundle", adaptable, "--out", out)
    assert made.exit_code == 0, made.stderr
    assert made.stdout == f"{out}: profile office, count 6, for toy 1\n"
    by_profile = answers(office, "--bundle", adaptable, "--profile", out)
    at_once = answers(office, "--bundle", adaptable, "--adapt")
    plain = answers(office, "--bundle", adaptable)
    assert {answer["profile"]["name"] for answer in by_profile} == {"office"}
    assert {answer["profile"]["count"] for answer in at_once} == {6}
    assert [answer["profile"] for answer in plain] == [None] * 6
    expected = Recognizer(adaptable).adapted_to(sorted(office.rglob("*.wav")))
    for one, other, before in zip(by_profile, at_once, plain, strict=True):
        probabilities = expected.predict(one["name"]).probabilities
        for label in probabilities:
            assert one["probabilities"][label] == pytest.approx(probabilities[label], abs=1e-5)
            assert other["probabilities"][label] == pytest.approx(probabilities[label], abs=1e-5)
        assert before["probabilities"] != other["probabilities"]


@pytest.mark.parametrize(
    "options", [{"channel": 1}, {"start": 0.5}, {"end": 0.5}, {"start": 0.2, "end": 0.9, "channel": 0}]
)
def test_a_profile_of_a_part_of_each_recording(adaptable, tmp_path, options):
    calls, out = tmp_path / "calls", tmp_path / "p.json"
    calls.mkdir()
    for i in range(6):
        sides = np.stack([tone(1, 0.02 + 0.01 * i), np.linspace(0.5, 1.5, SAMPLE_RATE) * tone(1, 0.1)], axis=1)
        soundfile.write(calls / f"{i}.wav", sides, SAMPLE_RATE, subtype="FLOAT")
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    made = run("adapt", calls, "--bundle", adaptable, "--out", out, *words)
    assert made.exit_code == 0, made.stderr
    expected = Recognizer(adaptable).profile(sorted(calls.iterdir()), name="p", **options)
    assert load_profile(out).to_dict() == expected.to_dict()
    assert load_profile(out).to_dict() != Recognizer(adaptable).profile(sorted(calls.iterdir()), name="p").to_dict()


def test_what_is_too_large_to_keep_is_heard_twice(adaptable, office, monkeypatch):
    kept = answers(office, "--bundle", adaptable, "--adapt", "--timeline")
    monkeypatch.setattr("serotone.cli.answers.KEPT_BYTES", 0)
    heard = []
    each = Part.each
    monkeypatch.setattr(Part, "each", lambda self, name, *do, **how: heard.append(name) or each(self, name, *do, **how))
    assert answers(office, "--bundle", adaptable, "--adapt", "--timeline") == kept
    assert len(heard) == 12


@pytest.mark.parametrize("way", ["folder", "csv", "tsv", "semicolon.csv"])
def test_speakers(adaptable, office, tmp_path, way):
    said = "folder"
    if way != "folder":
        said = office.parent / f"who.{way}"
        mark = {"csv": ",", "tsv": "\t", "semicolon.csv": ";"}[way]
        rows = [f"office/{s}/{i}.wav{mark}{s}{mark}x" for s in AMPLITUDES for i in range(3)]
        said.write_text("\n".join([mark.join(["Path", "speaker", "emotion"]), *rows]) + "\n", encoding="utf-8")
    out = tmp_path / "p.json"
    made = run("adapt", office, "--bundle", adaptable, "--out", out, "--speakers", said, "--name", "our office")
    assert made.exit_code == 0, made.stderr
    assert "profile our office, count 6, 2 speakers" in made.stdout
    profile = load_profile(out)
    assert {name: speaker.count for name, speaker in profile.speakers.items()} == {"anna": 3, "ben": 3}
    expected = Recognizer(adaptable).with_profile(profile)
    for how in (["--profile", out], ["--adapt"]):
        for answer in answers(office, "--bundle", adaptable, *how, "--speakers", said):
            speaker = "anna" if "anna" in answer["name"] else "ben"
            assert answer["profile"]["speaker"] == speaker
            probabilities = expected.predict(answer["name"], speaker=speaker).probabilities
            np.testing.assert_allclose(
                [answer["probabilities"][label] for label in probabilities], list(probabilities.values()), atol=1e-5
            )
    adapted = answers(office, "--bundle", adaptable, "--profile", out)
    assert {answer["profile"]["speaker"] for answer in adapted} == {None}


@pytest.mark.parametrize(
    ("said", "content", "says"),
    [
        (
            "none.csv",
            None,
            "no such file; give a CSV file with the columns path and speaker, or the word folder",
        ),
        (
            "office",
            None,
            "is a folder; give a CSV file with the columns path and speaker, or the word folder if",
        ),
        (
            "who.csv",
            "path,voice\n",
            "no column speaker; the first line must name the columns path and speaker, and it names path, voice",
        ),
        ("who.csv", ",".join(f"column {i}" for i in range(20)), "and 8 more"),
        ("who.csv", "", "it names nothing"),
        ("who.csv", "path,speaker\nother.wav,anna\n", "names none of these recordings"),
        ("who.csv", b"path,speaker\n\xff\xfe,a\n", "invalid start byte; save it as UTF-8"),
        (
            "who.csv",
            "path,speaker\noffice/ben/0.wav,ben\noffice/anna/0.wav,anna\noffice/anna/../anna/0.wav,ben\n",
            "0.wav has the speaker anna in line 3 and ben in line 4; give each recording one speaker",
        ),
    ],
)
def test_tables_of_speakers_that_are_none(adaptable, office, tmp_path, said, content, says):
    if content is not None:
        (tmp_path / said).write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("adapt", office, "--bundle", adaptable, "--out", tmp_path / "p.json", "--speakers", tmp_path / said)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            {"anna": "Anna", "ben": "Ben"},
            "note: the profile knows 0 of 2 speakers of {table} (it has anna, ben); "
            "answers for Anna, Ben are adapted to its collection alone\n",
        ),
        (
            {"anna": "anna", "ben": "Ben"},
            "note: the profile knows 1 of 2 speakers of {table} (it has anna, ben); "
            "answers for Ben are adapted to its collection alone\n",
        ),
        ({"anna": "anna", "ben": "ben"}, ""),
    ],
)
def test_speakers_that_a_profile_does_not_know_are_noted(adaptable, office, tmp_path, names, says):
    profile, table = tmp_path / "p.json", tmp_path / "who.csv"
    assert run("adapt", office, "--speakers", "folder", "--bundle", adaptable, "--out", profile).exit_code == 0
    rows = [f"office/{folder}/{i}.wav,{name}" for folder, name in names.items() for i in range(3)]
    table.write_text("\n".join(["path,speaker", *rows]) + "\n", encoding="utf-8")
    result = run("predict", office, "--bundle", adaptable, "--profile", profile, "--speakers", table)
    assert (result.exit_code, result.stderr) == (0, says.format(table=table))


def test_a_profile_without_speakers_is_noted(adaptable, office, tmp_path):
    profile = tmp_path / "p.json"
    assert run("adapt", office, "--bundle", adaptable, "--out", profile).exit_code == 0
    result = run("predict", office, "--bundle", adaptable, "--profile", profile, "--speakers", "folder")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: the profile knows 0 of 2 speakers (it has none); answers for anna, ben")


def test_rows_of_recordings_that_were_not_given_are_noted(adaptable, office, tmp_path):
    table = tmp_path / "who.csv"
    rows = [f"office/{s}/{i}.wav,{s}" for s in AMPLITUDES for i in range(3)]
    table.write_text("\n".join(["path,speaker", *rows, "gone.wav,anna", "off.wav,ben"]) + "\n", encoding="utf-8")
    result = run("predict", office, "--bundle", adaptable, "--adapt", "--speakers", table)
    assert (result.exit_code, result.stderr) == (
        0,
        f"note: {table} names 2 recordings that this command was not given, such as gone.wav; "
        "its paths are relative to its own folder\n",
    )


def test_options_that_do_not_fit(adaptable, office, tmp_path):
    flat = office / "anna"
    assert run("predict", office, "--bundle", adaptable, "--adapt", "--profile", "p.json").exit_code == 2
    assert run("predict", office, "--bundle", adaptable, "--speakers", "folder").exit_code == 2
    assert run("predict", flat, "--bundle", adaptable, "--adapt", "--speakers", "folder").exit_code == 2
    refused = run("adapt", office, "--bundle", adaptable, "--out", tmp_path / "p.json", "--start", "2", "--end", "1")
    assert refused.exit_code == 2
    assert "--end: ends at 1 s, which is not after the start" in refused.stderr
    assert run("adapt", "-", "--bundle", adaptable, "--out", tmp_path / "p.json").exit_code == 2
    assert run("adapt", office, "--bundle", adaptable, "--out", flat / "0.wav").exit_code == 2
    assert run("adapt", office, "--bundle", adaptable).exit_code == 2


def test_bad_recordings_are_one_line_each_and_the_rest_go_on(adaptable, office, tmp_path):
    (office / "anna" / "z.wav").write_text("hello", encoding="utf-8")
    made = run("adapt", office, tmp_path / "none.wav", "--bundle", adaptable, "--out", tmp_path / "p.json")
    assert made.exit_code == 1
    assert [line.split(": ")[0] for line in made.stderr.splitlines()] == ["error", "error"]
    assert load_profile(tmp_path / "p.json").count == 6
    at_once = run("predict", office, tmp_path / "none.wav", "--bundle", adaptable, "--adapt", "--format", "jsonl")
    assert at_once.exit_code == 1
    assert len(at_once.stdout.splitlines()) == 6
    assert len(at_once.stderr.splitlines()) == 2


def test_without_its_decoder_a_recording_is_left_out(adaptable, office, tmp_path, monkeypatch):
    (office / "call.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + bytes(200))
    monkeypatch.setitem(sys.modules, "av", None)
    made = run("adapt", office, "--bundle", adaptable, "--out", tmp_path / "office.json")
    assert (made.exit_code, load_profile(tmp_path / "office.json").count) == (1, 6)
    assert made.stderr.count("codecs") == 1
    answered = run("predict", office, "--bundle", adaptable, "--adapt", "--format", "csv")
    assert (answered.exit_code, len(answered.stdout.splitlines())) == (1, 7)
    assert "codecs" in answered.stderr


def test_a_speaker_whose_name_is_no_utf_8_stays_one(adaptable, office, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(office) + b"/caf\xe9"))
    (office / "anna").rename(odd)
    out = tmp_path / "office.json"
    assert run("adapt", office, "--speakers", "folder", "--bundle", adaptable, "--out", out).exit_code == 0
    assert set(load_profile(out).speakers) == {odd.name, "ben"}


def test_where_nothing_can_be_adapted_to_each_failure_is_named(adaptable, tmp_path):
    result = run("predict", tmp_path / "a.wav", tmp_path / "b.wav", "--bundle", adaptable, "--adapt")
    assert result.exit_code == 1
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()[:2]] == [
        ["error", str(tmp_path / name)] for name in ("a.wav", "b.wav")
    ]
    assert "at least 5" in result.stderr


def test_a_profile_that_cannot_be_written_is_refused_before_anything_is_read(adaptable, office, monkeypatch):
    monkeypatch.setattr(Recognizer, "profile", None)
    result = run("adapt", office, "--bundle", adaptable, "--out", office / "anna" / "0.wav" / "p.json")
    assert result.exit_code == 2
    assert f"{office / 'anna' / '0.wav'} is a file, not a folder" in " ".join(result.stderr.split())


def test_too_few_recordings_and_wrong_bundles_are_one_line(adaptable, office, tmp_path):
    profile = tmp_path / "p.json"
    run("adapt", office, "--bundle", adaptable, "--out", profile)
    make_adaptable_bundle(tmp_path / "other", version="2")
    make_toy_bundle(tmp_path / "plain")
    for arguments, says in (
        (("adapt", office / "anna", "--bundle", adaptable, "--out", tmp_path / "q.json"), "at least 5"),
        (("predict", office / "anna", "--bundle", adaptable, "--adapt"), "at least 5"),
        (("adapt", office, "--bundle", tmp_path / "plain", "--out", tmp_path / "q.json"), "cannot be adapted"),
        (("predict", office, "--bundle", tmp_path / "plain", "--adapt"), "cannot be adapted"),
        (("predict", office, "--bundle", tmp_path / "other", "--profile", profile), "make one with serotone adapt"),
        (("predict", office, "--bundle", adaptable, "--profile", tmp_path / "none.json"), "no such file"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert says in result.stderr
        assert result.stdout == ""
    assert not (tmp_path / "q.json").exists()


def test_the_table_ends_with_the_profile(adaptable, office, tmp_path):
    run("adapt", office, "--bundle", adaptable, "--out", tmp_path / "office.profile.json")
    adapted = run("predict", office, "--bundle", adaptable, "--profile", tmp_path / "office.profile.json").stdout
    assert adapted.splitlines()[-1] == "adapted to office, count 6"
    at_once = run("predict", office, "--bundle", adaptable, "--adapt").stdout
    assert at_once.splitlines()[-1] == "adapted to these recordings, count 6"
    speakers = run("predict", office, "--bundle", adaptable, "--adapt", "--speakers", "folder").stdout
    assert speakers.splitlines()[-1] == "adapted to these recordings, count 6, then to 2 speakers"
    assert "adapted" not in run("predict", office, "--bundle", adaptable).stdout


@pytest.mark.parametrize("timeline", [[], ["--timeline"]])
def test_a_row_of_csv_names_the_profile(adaptable, office, tmp_path, timeline):
    run("adapt", office, "--bundle", adaptable, "--out", tmp_path / "p.json", "--name", 'desk "2"')
    for options, named in [
        (["--profile", tmp_path / "p.json"], 'desk "2"'),
        (["--adapt"], "these recordings"),
        ([], ""),
    ]:
        text = run("predict", office, "--bundle", adaptable, "--format", "csv", *timeline, *options).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        assert list(rows[0])[-1] == "profile"
        assert [row["profile"] for row in rows] == [named] * 6


def test_timelines_for_other_programs_say_that_they_are_adapted(adaptable, office, tmp_path):
    path, profile = office / "anna" / "0.wav", tmp_path / "p.json"
    (tmp_path / "who.csv").write_text(f"path,speaker\n{path},anna\n", encoding="utf-8")
    run("adapt", office, "--bundle", adaptable, "--out", profile, "--name", "a ---> b", "--speakers", "folder")
    options = ["predict", path, "--bundle", adaptable, "--format"]
    for speakers, then in [([], ""), (["--speakers", tmp_path / "who.csv"], ", then to the speaker anna")]:
        shown = run(*options, "webvtt", "--profile", profile, *speakers)
        assert shown.stderr == ""
        notes = [block for block in shown.stdout.split("\n\n") if block.startswith("NOTE ")]
        assert notes == ["NOTE emotions by serotone, toy 1", f"NOTE adapted to a -> b, count 6{then}"]
    assert "adapted" not in run(*options, "webvtt").stdout
    for format in ("audacity", "rttm"):
        shown = run(*options, format, "--profile", profile)
        said = f"the answers are adapted to a ---> b, count 6; the format {format} cannot say so"
        assert shown.stderr == f"note: {said}\n"
        plain = run(*options, format)
        assert plain.stderr == ""


def test_a_table_with_other_columns_is_not_continued(adaptable, office, tmp_path, monkeypatch):
    out, command = tmp_path / "a.csv", ["predict", office, "--bundle", adaptable, "--out", tmp_path / "a.csv"]
    predict = Recognizer.predict

    def interrupted(self, source, **how):
        if str(source).endswith("ben/1.wav"):
            raise KeyboardInterrupt
        return predict(self, source, **how)

    def interrupt():
        with monkeypatch.context() as patch:
            patch.setattr(Recognizer, "predict", interrupted)
            assert run(*command).exit_code == 130

    interrupt()
    index = tmp_path / "a.csv.partial.index"
    terms, *rest = index.read_text(encoding="utf-8").splitlines()
    before = {key: value for key, value in json.loads(terms).items() if key != "columns"}  # of serotone before profiles
    index.write_text("\n".join([json.dumps(before), *rest, ""]), encoding="utf-8")
    refused = run(*command)
    message = " ".join(refused.stderr.split())
    assert refused.exit_code == 2
    assert "a.csv.partial has other columns than this version of serotone writes; choose another --out" in message
    index.unlink()
    (tmp_path / "a.csv.partial").unlink()
    interrupt()
    assert run(*command).exit_code == 0
    assert out.read_text(encoding="utf-8") == run(*command[:-2], "--format", "csv").stdout


def test_the_question_mark_has_the_threshold_of_its_level(tmp_path, office):
    levels = {
        "collection": {"temperature": 100.0, "shrinkage": 0, "thresholds": {"uncertain": 0.77}},
        "speaker": {"temperature": 100.0, "shrinkage": 15},
    }
    adaptable = tmp_path / "toy"
    make_adaptable_bundle(adaptable, adaptation=levels, thresholds={"uncertain": 0.66})
    assert "a confidence below 0.77" in run("predict", office, "--bundle", adaptable, "--adapt").stdout
    by_speaker = run("predict", office, "--bundle", adaptable, "--adapt", "--speakers", "folder").stdout
    assert "a confidence below 0.66" in by_speaker


def test_one_hint_from_twenty_recordings_on(adaptable, office, tmp_path):
    path = office / "anna" / "0.wav"
    assert run("predict", *[path] * 19, "--bundle", adaptable).stderr == ""
    hint = run("predict", *[path] * 20, "--bundle", adaptable).stderr
    assert hint.startswith("note: 20 recordings: ")
    assert "--adapt" in hint
    assert len(hint.splitlines()) == 1
    assert run("predict", *[path] * 20, "--bundle", adaptable, "--adapt").stderr == ""
    make_toy_bundle(tmp_path / "plain")
    assert run("predict", *[path] * 20, "--bundle", tmp_path / "plain").stderr == ""


def test_an_interrupted_file_goes_on_with_the_same_profile_alone(adaptable, office, tmp_path, monkeypatch):
    out, one, two = tmp_path / "answers.jsonl", tmp_path / "one.json", tmp_path / "two.json"
    run("adapt", office, "--bundle", adaptable, "--out", one)
    run("adapt", office, "--bundle", adaptable, "--out", two, "--speakers", "folder")
    answer = Recognizer.answer

    def interrupted(self, hearing, **how):
        if hearing.name.endswith("ben/1.wav"):
            raise KeyboardInterrupt
        return answer(self, hearing, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Recognizer, "answer", interrupted)
        assert run("predict", office, "--bundle", adaptable, "--profile", one, "--out", out).exit_code == 130
    for options, words in [(["--profile", two], "with profile one; this one has profile two"), ([], "has no profile")]:
        refused = run("predict", office, "--bundle", adaptable, *options, "--out", out)
        assert refused.exit_code == 2
        assert words in " ".join(refused.stderr.split())
    assert run("predict", office, "--bundle", adaptable, "--profile", one, "--out", out).exit_code == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6


def test_standard_input_is_heard_once(adaptable, office):
    content = (office / "anna" / "0.wav").read_bytes()
    result = CliRunner().invoke(
        app, ["predict", str(office), "-", "--bundle", str(adaptable), "--adapt", "--format", "jsonl"], input=content
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["profile"]["count"] == 7
