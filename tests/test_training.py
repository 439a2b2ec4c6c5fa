"""Training as its user meets it: a recipe, a corpus, a command - and a machine that is switched off midway."""

import csv
import errno
import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from serotone.cli import app
from serotone.cli.crossval import table
from serotone.corpora import Utterance, parse_corpora, synthetic
from serotone.errors import RunError
from serotone.experiments.crossval import crossval
from serotone.experiments.planning import gather, plan
from serotone.experiments.train import train
from serotone.recipes import load
from serotone.recognition.recognizer import Recognizer
from serotone.reports import circumstances
from serotone.reports.collect import collect
from serotone.reports.write import report
from serotone.runs.writing import held
from serotone.splits import Split
from serotone.training.data import GroupedByLength, decode, derived_seed
from serotone.training.export import probabilities, reload
from serotone.training.fit import run_fold
from serotone.training.material import Material
from started import serotone, start

QUICK = (
    "schedule=budget",
    "schedules.budget.precision=float32",  # bfloat16 is slow where a processor lacks it
    "schedules.budget.steps=9",
    "schedules.budget.batch_size=4",  # 4 batches an epoch, and a validation that does not fall on its end
    "schedules.budget.validate_every=3",
    "schedules.budget.select_from=2",
    "protocol=leave-one-speaker-out",
    "max_frames=80",
    "frontend.num_mels=64",
)


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpora") / "synthetic"
    synthetic.make(root, speakers=3, seed=0, sentences=2)
    return root


def command(voices: Path, out: Path, *more: str) -> list[str]:
    changes = [part for change in QUICK for part in ("--set", change)]
    run = ["crossval", "crnn-center-mel", "--corpus", f"synthetic={voices}"]
    return [*run, "--out", str(out), "--threads", "1", *changes, *more]


def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(voices: Path, tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    longer = "schedules.budget.steps=60"  # not over before the last blow falls
    long = ("--folds", "0", "--set", longer)
    crossval(load("crnn-center-mel", (*QUICK, longer)), parse_corpora([f"synthetic={voices}"]), unbroken, only=[0])
    checkpoint = broken / "fold-0-0" / "last.ckpt"

    def moment() -> int:
        return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0

    for blow, number in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)):
        before = moment()
        process = start(serotone, *command(voices, broken, *long))
        try:
            while process.is_alive() and moment() == before:
                time.sleep(0.01)
            time.sleep(0.1 * bool(blow))
            os.kill(process.pid, number)
            process.join(60)
        finally:
            process.kill()
        assert process.exitcode == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
        assert not (broken / "fold-0-0" / "metrics.json").exists(), "the blow came too late to test anything"
    last = CliRunner().invoke(app, command(voices, broken, *long))
    assert last.exit_code == 0, last.output
    for name in ("predictions.csv", "validation.csv", "curves.csv", "selection.json", "split.json"):
        assert (broken / "fold-0-0" / name).read_bytes() == (unbroken / "fold-0-0" / name).read_bytes(), name
    assert not checkpoint.exists()
    assert "1 of 3 folds" in last.stdout


def test_a_fold_that_fails_keeps_no_other_from_running(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    recipe, folder = load("crnn-mel", QUICK, corpora=["synthetic"]), tmp_path / "fold-0-0"
    folder.mkdir()
    (folder / "versions.json").write_text("no JSON")
    with pytest.raises(RunError, match=r"^1 of 2 folds failed; .*: fold 0-0: .*versions\.json: damaged"):
        crossval(recipe, utterances, tmp_path, only=[0, 1])
    assert json.loads((tmp_path / "summary.json").read_text())["folds_finished"] == 1
    (line,) = circumstances.failures(collect(tmp_path)).rows
    assert [cell.text for cell in line[:3]] == ["crnn-mel", "0", "0-0"]
    assert "versions.json: damaged" in line[3].text
    changes = [part for change in QUICK for part in ("--set", change)]
    words = ["crossval", "crnn-mel", "--corpus", f"synthetic={voices}", "--folds", "0,1", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, *changes])
    assert "1 of 3 folds; shared between test and training" in done.stdout
    assert "error: 1 of 2 folds failed" in done.stderr
    (folder / "versions.json").unlink()
    assert crossval(recipe, utterances, tmp_path, only=[0, 1])["folds_finished"] == 2
    assert not circumstances.failures(collect(tmp_path)).rows


def test_a_class_that_only_validating_speakers_have_names_the_remedy(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    recipe = load("crnn-mel", QUICK)
    (split,) = (split for split in plan(recipe, utterances) if split.fold == 0)
    train = tuple(u.id for u in utterances if u.id in split.train and u.emotion != "angry")
    with pytest.raises(RunError, match=r"has no clip of angry; .*protocol\.validation_speakers=0"):
        run_fold(recipe, replace(split, train=train), gather(recipe, utterances)[0], tmp_path)
    with pytest.raises(RunError, match=r"has no clip of angry; leave that out of labels, or merge.* emotion$"):
        run_fold(recipe, replace(split, train=train, validation=()), gather(recipe, utterances)[0], tmp_path)


def test_one_recording_under_two_names_is_no_new_one(voices: Path, tmp_path: Path) -> None:
    """No check of speakers or sentences sees it."""
    shutil.copytree(voices, tmp_path / "voices")
    (angry,) = (tmp_path / "voices").glob("syn01_angry_00.wav")
    shutil.copy(tmp_path / "voices" / "syn00_angry_00.wav", angry)
    utterances = parse_corpora([f"synthetic={tmp_path / 'voices'}"])
    quiet = load("crnn-mel", (*QUICK, "protocol.validation_speakers=0", "monitor=none"))
    summary = crossval(quiet, utterances, tmp_path / "run")
    assert summary["shared_recordings"] == 2
    assert "0 speakers" in table(summary)
    assert ", 2 recordings under two names\n" in table(summary)
    for fold, names in (("fold-0-0", ["synthetic/syn00_angry_00"]), ("fold-0-1", ["synthetic/syn01_angry_00"])):
        assert json.loads((tmp_path / "run" / fold / "leaks.json").read_text())["test_copies"] == names
    report(tmp_path / "run")
    page = (tmp_path / "run" / "report" / "tables.md").read_text()
    assert "But 2 recordings of the test parts are also in training, sample for sample, under another name." in page
    trained = train(quiet, utterances, tmp_path / "trained")
    assert "1 recording of it is also in training, sample for sample." in trained.read("CARD.md").decode()


def test_a_recording_that_validates_and_tests_is_no_new_one_either() -> None:
    waveforms = {name: np.full(40, n, dtype=np.float32) for n, name in enumerate("abcde")}
    waveforms |= {"d": waveforms["a"].copy(), "e": waveforms["b"].copy()}
    names = dict.fromkeys("abcdef", "toy")
    material = Material(("angry", "sad"), waveforms, dict.fromkeys("abcdef", 0), names, names)
    split = Split(0, 0, train=("a",), validation=("b",), test=("c", "d", "e", "f"))  # f could not be read
    assert material.copies(split) == ["d", "e"]


def test_a_rule_is_named_by_what_it_came_to(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    summary = crossval(load("crnn-mel", (*QUICK, "protocol=speaker-independent")), utterances, tmp_path, only=[0])
    assert summary["protocol"] == "leave-one-speaker-out"
    assert collect(tmp_path).runs[0].protocol == "speaker-independent (here leave-one-speaker-out)"


def test_a_run_folder_belongs_to_one_recipe(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    crossval(load("crnn-mel", QUICK), utterances, tmp_path, only=[0])
    with pytest.raises(RunError, match=r"another recipe \(seed was 0 and is now 1\); use another --out"):
        crossval(load("crnn-mel", (*QUICK, "seed=1")), utterances, tmp_path, only=[0])
    several = (*QUICK, "seed=1", "center.weight=2", "loss.gamma=1", "labels=[angry, sad]")
    with pytest.raises(RunError, match=r"labels was null and is now \[angry, sad\]; seed was .*; .*; and 1 more"):
        crossval(load("crnn-mel", several), utterances, tmp_path, only=[0])
    with pytest.raises(RunError, match="another corpus"):
        crossval(load("crnn-mel", QUICK), utterances[:-1], tmp_path, only=[0])
    elsewhere = (*QUICK, "schedules.paper.learning_rate=0.5", "description=said anew")  # neither trains anything
    assert crossval(load("crnn-mel", elsewhere), utterances, tmp_path, only=[0])["folds_finished"] == 1
    with pytest.raises(RunError, match=r"another recipe \(schedules\.budget\.learning_rate was"):
        crossval(load("crnn-mel", (*QUICK, "schedules.budget.learning_rate=0.5")), utterances, tmp_path, only=[0])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["folds_finished"] == 1
    assert summary["shared_speakers"] == 0
    with (tmp_path / "fold-0-0" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["id"].split("/")[0] for row in rows} == {"synthetic"}
    right = np.mean([row["truth"] == row["prediction"] for row in rows])
    assert summary["folds"][0]["wa"] == pytest.approx(right)


def test_a_corpus_may_have_a_name_that_is_not_ascii(voices: Path, tmp_path: Path) -> None:
    utterances = [replace(u, corpus="müller") for u in parse_corpora([f"synthetic={voices}"])]
    for fold in (0, 1):
        assert crossval(load("crnn-mel", QUICK), utterances, tmp_path, only=[fold])["folds_finished"] == fold + 1


def test_what_is_refused_before_anything_is_trained_pins_nothing_down(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    with pytest.raises(RunError, match="1 of 1 folds failed"):
        crossval(load("crnn-mel", (*QUICK, "frontend.num_mels=8")), utterances, tmp_path, only=[0])
    assert crossval(load("crnn-mel", QUICK), utterances, tmp_path, only=[0])["folds_finished"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            ["validate_every=null", "steps=2"],
            r"schedules\.budget ends at step 2 before a validation counts: there is one an epoch, which is 4 steps,"
            r" and the first that counts is at step 2 or later; set validate_every to fewer steps, train longer",
        ),
        (
            ["steps=null", "epochs=2", "select_from=9"],
            r"ends at step 8 before .* every 3 steps, and .* at step 9 or later; lower select_from, train",
        ),
        (
            ["steps=null", "epochs=2", "warm_up_steps=9"],
            r"schedules\.budget\.warm_up_steps is 9, but the schedule has 8 steps, 4 an epoch; lower it",
        ),
    ],
)
def test_a_schedule_whose_steps_do_nothing_is_refused(
    changes: list[str], words: str, voices: Path, tmp_path: Path
) -> None:
    recipe = load("crnn-mel", [*QUICK, *(f"schedules.budget.{change}" for change in changes)])
    utterances = parse_corpora([f"synthetic={voices}"])
    material, _ = gather(recipe, utterances)
    with pytest.raises(RunError, match=words):
        run_fold(recipe, plan(recipe, utterances)[0], material, tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_the_folder_of_a_study_is_no_run(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    (tmp_path / "study.yaml").write_text("schema: 1\n")
    for run in (crossval, train):
        with pytest.raises(RunError, match="this is the folder of a study; use another --out"):
            run(load("crnn-mel", QUICK), utterances, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_a_training_of_another_fold_is_not_taken_up(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    recipe = load("crnn-mel", QUICK)
    train(recipe, utterances, tmp_path, fold=0)
    shutil.rmtree(tmp_path / "bundle")
    with pytest.raises(RunError, match="started with other training, validation or test parts than it has now"):
        train(recipe, utterances, tmp_path, fold=1)
    train(recipe, utterances, tmp_path, fold=0)


def test_folds_of_a_corpus_that_was_corrected_are_not_mixed(voices: Path, tmp_path: Path) -> None:
    """A sentence is known by the speaker's number before, and as it was said after: other folds of the same data."""
    utterances = parse_corpora([f"synthetic={voices}"])
    recipe = load("crnn-mel", (*QUICK, "protocol=sentence-out", "protocol.folds=2"))
    after = [replace(u, sentence=f"{number % 4}") for number, u in enumerate(utterances)]
    before = [replace(u, sentence=f"{number % 4 // 2 + 2 * (number % 2)}") for number, u in enumerate(utterances)]
    crossval(recipe, before, tmp_path, only=[0])
    with pytest.raises(RunError, match="or the corpus has changed"):
        crossval(recipe, after, tmp_path, only=[1])
    assert crossval(recipe, before, tmp_path, only=[1])["folds_finished"] == 2


def test_a_recipe_of_the_users_own_is_not_replaced(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    mine = tmp_path / "recipe.yaml"
    mine.write_text("extends: crnn-mel  # mine\nschema: 1\n")
    for run in (crossval, train):
        with pytest.raises(RunError, match=r"recipe\.yaml: serotone did not write this file and would replace it"):
            run(load(mine, QUICK), utterances, tmp_path)
    assert "# mine" in mine.read_text()


def test_a_fold_without_a_test_clip_fails_and_spoils_nothing(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    broken = tmp_path / "broken.wav"
    broken.write_text("none")
    bad = [replace(u, path=broken) if u.speaker == utterances[0].speaker else u for u in utterances]
    fold = next(s.fold for s in plan(load("crnn-mel", QUICK), bad) if utterances[0].id in s.test)
    with pytest.raises(RunError, match=r"none of the \d+ test clips could be read"):
        crossval(load("crnn-mel", QUICK), bad, tmp_path / "out", only=[fold])
    other = (fold + 1) % 3
    assert crossval(load("crnn-mel", QUICK), bad, tmp_path / "out", only=[other])["folds_finished"] == 1


def test_training_ends_in_a_bundle_whose_drivers_agree(voices: Path, tmp_path: Path) -> None:
    utterances = parse_corpora([f"synthetic={voices}"])
    bundle = train(load("crnn-center-mel", QUICK), utterances, tmp_path / "run")
    split = plan(load("crnn-center-mel", QUICK), utterances)[0]
    assert [item["utterances"] for item in bundle.data] == [len(split.train) + len(split.validation)]
    system, recipe = reload(bundle)
    assert recipe.name == "crnn-center-mel"
    recognizer = Recognizer(bundle.path)
    generator = np.random.default_rng(0)
    for samples, silence in ((9000, 0), (16001, 0), (40000, 0), (16000, 12000)):
        waveform = np.pad((generator.standard_normal(samples) * 0.1).astype(np.float32), silence)
        ours = probabilities(system, waveform[None])[0]
        answer = recognizer.predict(waveform, source_rate=16000)
        assert [answer.probabilities[label] for label in bundle.labels] == pytest.approx(list(ours), abs=1e-4)
    assert train(load("crnn-center-mel", QUICK), utterances, tmp_path / "run").sha256 == bundle.sha256
    (row,) = collect(tmp_path / "run").rows
    assert row.finished[0][1].ids == tuple(sorted(split.test))
    graph = bundle.read("model.onnx")
    shutil.rmtree(bundle.path)  # exported anew, under another version; trained once
    again = train(load("crnn-center-mel", [*QUICK, "bundle.version=2"]), utterances, tmp_path / "run")
    assert (again.name, again.version, again.read("model.onnx") == graph) == ("crnn-center-mel", "2", True)


def test_a_clip_that_is_too_long_is_cut_to_its_middle(tmp_path: Path) -> None:
    utterances, written = [], {}
    for name, count in (("long", 16_000), ("short", 8000)):
        written[name] = np.linspace(-0.5, 0.5, count, dtype=np.float32)
        soundfile.write(tmp_path / f"{name}.wav", written[name], 16_000, subtype="FLOAT")
        utterances.append(Utterance(name, tmp_path / f"{name}.wav", "sad", "toy/s", "toy"))
    waveforms, lines = decode(utterances, sample_rate=16_000, max_samples=8000)
    np.testing.assert_array_equal(waveforms["long"], written["long"][4000:12_000])
    np.testing.assert_array_equal(waveforms["short"], written["short"])
    assert lines == ["1 clip of more than 0.5 s: only the middle is used, to train and to test"]


def test_batches_hold_every_clip_once_and_like_lengths_together() -> None:
    lengths = np.random.default_rng(0).integers(16000, 140000, size=437).tolist()
    grouped = GroupedByLength(lengths, batch_size=32, pool_batches=8, seed=1)
    plain = GroupedByLength(lengths, batch_size=32, pool_batches=1, seed=1)
    for batches in (list(grouped), list(plain)):
        assert sorted(index for batch in batches for index in batch) == list(range(437))
        assert len(batches) == len(grouped) == 14

    def padding(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in b) * len(b) - sum(lengths[i] for i in b) for b in batches)

    assert padding(list(grouped)) < padding(list(plain)) / 2
    assert list(grouped) == list(grouped)
    assert list(grouped) != list(GroupedByLength(lengths, batch_size=32, pool_batches=8, seed=2))


def test_derived_seeds_differ_and_stay() -> None:
    assert derived_seed(0, "batches", 1) == derived_seed(0, "batches", 1)
    assert len({derived_seed(0, fold, epoch) for fold in range(9) for epoch in range(9)}) == 81


def test_training_only_corpora_are_never_tested(voices: Path) -> None:
    recipe = load("crnn-mel", (*QUICK, "training_only=[synthetic]"))
    utterances = parse_corpora([f"synthetic={voices}"])
    with pytest.raises(RunError, match="needs utterances of at least two emotions"):
        plan(recipe, utterances)


def test_the_evidence_of_a_card_may_lie_in_the_home_folder(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--corpus", f"synthetic={voices}", "--out", str(tmp_path / "out"), "--evidence", "loso=~/runs/loso"]
    result = CliRunner().invoke(app, ["train", "crnn-mel", *words])
    assert f"error: {tmp_path}/runs/loso: no summary.json here" in result.stderr


def test_a_disk_without_locks_is_not_taken_for_a_run_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(RunError, match="cannot be locked: No locks available; use an --out on another disk"):
        held(tmp_path / "run").__enter__()


@pytest.mark.parametrize(("changes", "said"), [((), True), (("--set", "name=mine"), False)])
def test_a_bundle_that_will_be_called_like_one_that_ships_is_remarked(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: tuple[str, ...], said: bool
) -> None:
    def trained(*_: object, **__: object) -> None:
        raise RunError("enough")

    monkeypatch.setattr("serotone.experiments.train.train", trained)
    command = ["train", "default", "--corpus", f"synthetic={voices}", "--set", "labels=null", "--out", str(tmp_path)]
    stderr = CliRunner().invoke(app, [*command, *changes]).stderr
    assert ("will be called default, like one that ships" in " ".join(stderr.split())) == said
    assert "enough" in stderr
