"""The exit status: 2 where the command line is wrong, 1 where what it names is missing, damaged or does not fit."""

import pytest
import soundfile
from typer.testing import CliRunner

from serotone.cli import app
from toy_bundle import SAMPLE_RATE, make_toy_bundle, tone

SCORE = ("score", "call.wav", "--out", "scores")
TRAIN = ("crnn-mel", "--corpus", "folders=corpus", "--out", "run")
EVALUATE = ("evaluate", "toy", "--corpus", "folders=corpus")

USAGE = [
    ("predict", "call.wav", "--out", "file/answers.csv"),
    ("predict", "call.wav", "--start", "2", "--end", "1"),
    ("predict", "call.wav", "--sha256", "abc"),
    ("adapt", "call.wav", "--out", "file/p.json"),
    ("listen", "call.wav", "--sha256", "abc"),
    ("bundle", "verify", "toy", "--sha256", "abc"),
    (*SCORE, "--address", "auto"),
    (*SCORE, "--sha256", "abc"),
    (*SCORE, "--time-limit", "1e9"),
    ("score", "call.wav", "--out", "file"),
    ("serve", "--bundle", "toy", "--bundle", "toy"),
    ("serve", "--bundle", "toy", "--profiles", "file"),
    ("serve", "--bundle", "toy", "--decode-seconds", "1e9"),
    ("serve", "--bundle", "toy", "--token-file", "nosuch"),
    ("serve", "--bundle", "toy", "--token-file", "corpus"),
    (*EVALUATE, "--labels", ""),
    (*EVALUATE, "--labels", "angry,glad"),
    (*EVALUATE, "--merge", "angry"),
    (*EVALUATE, "--merge", "angry=cross"),
    (*EVALUATE, "--out", "file"),
    ("evaluate", "toy", "--corpus", "folders"),
    ("evaluate", "toy", "--corpus", "folders=corpus", "--corpus", "folders=corpus"),
    ("train", *TRAIN, "--evidence", "runs/loso"),
    ("train", *TRAIN, "--set", "schedule"),
    ("train", *TRAIN, "--set", "schedule=bugdet"),
    ("train", *TRAIN, "--out", "file"),
    ("crossval", *TRAIN, "--folds", "one"),
    ("crossval", *TRAIN, "--gpus", "1"),
    ("crossval", *TRAIN, "--out", "file"),
    ("search", *TRAIN),
    ("search", *TRAIN, "--tune", "center.weight"),
    ("search", *TRAIN, "--tune", "center.weight=1:0"),
    ("search", *TRAIN, "--tune", "center.weight=0:1", "--corpora", "shared"),
    ("study", "center-loss", *TRAIN[1:], "--rows", "crnn-mle"),
    ("study", "center-loss", *TRAIN[1:], "--seeds", "one"),
    ("study", "center-loss", *TRAIN[1:], "--seeds", "-1"),
    ("study", "center-loss", *TRAIN[1:], "--seeds", "1,1"),
    ("study", "center-loss", *TRAIN[1:], "--address", "auto"),
    ("study", "center-loss", *TRAIN[1:], "--set", "schedule"),
    ("study", "show", "center-loss", "--set", "schedule"),
    ("study", "show", "center-loss", "--set", "schedule=bugdet"),
    ("study", "show", "center-loss", "--set", "foo.bar=1"),
    ("recipe", "show", "crnn-mel", "--set", "schedule"),
    ("recipe", "explain", "crnn-mel", "--set", "schedul=budget"),
    ("report", "corpus", "--out", "file"),
]

INPUT = [
    ("predict", "nosuch.wav", "--bundle", "toy"),
    ("predict", "call.wav", "--bundle", "nosuch"),
    ("predict", "call.wav", "--bundle", "toy", "--profile", "nosuch"),
    ("predict", "call.wav", "--bundle", "toy", "--channel", "7"),
    ("predict", "call.wav", "--bundle", "toy", "--start", "100"),
    ("predict", "call.wav", "--bundle", "toy", "--sha256", "0" * 64),
    ("listen", "nosuch.wav", "--bundle", "toy"),
    ("score", "call.wav", "--out", "corpus", "--bundle", "toy"),
    ("serve", "--bundle", "nosuch", "--port", "0"),
    ("evaluate", "toy", "--corpus", "nosuch=corpus"),
    ("evaluate", "toy", "--corpus", "emodb=corpus"),
    ("train", "nosuch", *TRAIN[1:]),
    ("train", "broken.yaml", *TRAIN[1:], "--set", "seed=1"),
    ("crossval", "crnn-mel", "--corpus", "emodb=nosuch", "--out", "run"),
    ("search", *TRAIN, "--space", "nosuch"),
    ("study", "nosuch", *TRAIN[1:]),
    ("study", "show", "study.yaml"),
    ("study", "show", "study.yaml", "--set", "seed=1"),
    ("recipe", "show", "nosuch"),
    ("recipe", "show", "broken.yaml", "--set", "seed=1"),
    ("report", "nosuch"),
    ("bundle", "verify", "corpus"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    make_toy_bundle(folder / "toy")
    soundfile.write(folder / "call.wav", tone(1, 0.9), SAMPLE_RATE)
    for emotion in ("angry", "sad"):
        clip = folder / "corpus" / emotion / "anna" / "a.wav"
        clip.parent.mkdir(parents=True)
        soundfile.write(clip, tone(1, 0.9), SAMPLE_RATE)
    (folder / "file").touch()
    (folder / "broken.yaml").write_text("schema: 1\nextends: crnn-mel\nschedule: bugdet\n")
    (folder / "study.yaml").write_text("schema: 1\ntitle: t\ndescription: d\nrows: [crnn-mel, nosuch]\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "status"),
    [*((line, 2) for line in USAGE), *((line, 1) for line in INPUT)],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_command_line_ends_with_2_and_a_wrong_input_with_1(place, monkeypatch, arguments, status):
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, type(done.exception)) == (status, SystemExit), done.output
    assert done.stderr.count("rror: ") == 1
    left = {path.name for path in place.rglob("*")} - {path.name for path in before}
    assert not (status == 2 and left), left
