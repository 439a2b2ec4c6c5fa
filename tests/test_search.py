"""A search sees validation parts alone, survives what a trial may do, and ends where an unbroken one does."""

import csv
import errno
import json
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ray_nodes import until
from serotone.corpora import Utterance, parse_corpora, synthetic
from serotone.errors import RecipeError, RunError, WeightsError, reason
from serotone.recipes import Recipe, load
from serotone.splits import Split

optuna = pytest.importorskip("optuna")

from sqlalchemy import event  # noqa: E402
from sqlalchemy.engine import Engine  # noqa: E402

from serotone.cli import app  # noqa: E402
from serotone.experiments import search as searching  # noqa: E402
from serotone.experiments import units  # noqa: E402
from serotone.experiments.crossval import crossval  # noqa: E402
from serotone.experiments.search import SearchResult, search  # noqa: E402
from serotone.experiments.space import parse_tune, read_space  # noqa: E402
from serotone.experiments.units import Event, Unit  # noqa: E402
from serotone.training.material import Material  # noqa: E402
from started import serotone, start  # noqa: E402

QUICK = (
    "schedule=budget",
    "schedules.budget.precision=float32",  # bfloat16 is slow where a processor lacks it
    "schedules.budget={steps: 4, batch_size: 8, validate_every: 2, select_from: 2, precision: float32}",
    "protocol=leave-one-speaker-out",
    "max_frames=80",
    "frontend.num_mels=64",
)
RATE = "schedules.budget.learning_rate"


@pytest.fixture(scope="module", autouse=True)
def fast_disk() -> Iterator[None]:
    """Optuna's database waits for no disk: what a kill leaves behind is the same, and no test cuts the power."""

    def hasten(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", hasten)
    yield
    event.remove(Engine, "connect", hasten)


class StoppedError(BaseException):
    """In the place of a kill."""


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpora") / "synthetic"
    synthetic.make(root, speakers=3, seed=0, sentences=1)
    return root


@pytest.fixture(scope="module")
def utterances(voices: Path) -> list[Utterance]:
    return parse_corpora([f"synthetic={voices}"])


def look_for(
    utterances: list[Utterance], out: Path, *tune: str, recipe: str = "crnn-center-mel", trials: int = 3, **options: Any
) -> SearchResult:
    space = dict(map(parse_tune, tune))
    options = {"folds": [0], "changes": QUICK} | options
    return search(recipe, utterances, out, space, trials=trials, **options)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """Trainings that take no time, UA highest at center weight 0.5 and WA half of it; their recipes in order."""
    recipes: list[Recipe] = []

    def pretend(
        recipe: Recipe, split: Split, material: object, folder: Path, **_: object
    ) -> tuple[None, dict[str, Any]]:
        assert split.test == ()
        recipes.append(recipe)
        if recipe.training.learning_rate > 1:
            raise RunError("it\ndiverged")
        ua = 1 / (1 + abs(recipe.center.weight - 0.5)) - 0.1 * split.fold
        folder.mkdir(parents=True, exist_ok=True)
        results = {"validation": {"ua": ua, "wa": ua / 2}, "seconds": 1.0}
        (folder / "metrics.json").write_text(json.dumps(results))
        return None, results

    monkeypatch.setattr(units, "run_fold", pretend)
    return recipes


def rows_of(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "trials.csv").read_text().splitlines()))


# ---------------------------------------------------------------------------------------------------------- for real


def command(voices: Path, out: Path) -> list[str]:
    changes = [part for change in QUICK for part in ("--set", change)]
    tune = ["--tune", f"{RATE}=1e-4:1e-2:log", "--tune", "center.weight=0,0.3"]
    what = ["crnn-center-mel", "--corpus", f"synthetic={voices}", "--out", str(out), "--folds", "0"]
    return ["search", *what, "--trials", "2", "--threads", "1", *changes, *tune]


def test_a_killed_search_goes_on_and_what_it_finds_is_what_crossval_trains(
    voices: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    process = start(serotone, *command(voices, broken))
    until(lambda: not process.is_alive() or (broken / "trial-0001").exists())
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, "the blow came too late to test anything"
    assert len(rows_of(broken)) == 1
    # Which of the two goes on in worker processes makes no difference.
    results = [
        CliRunner().invoke(app, [*command(voices, out), *jobs])
        for out, jobs in ((broken, ["--jobs", "2"]), (unbroken, []))
    ]
    assert [result.exit_code for result in results] == [0, 0], results[0].output
    first, second = (
        [{key: value for key, value in row.items() if key != "seconds"} for row in rows_of(out)]
        for out in (broken, unbroken)
    )
    assert first == second
    assert len(first) == 2
    assert results[0].stdout.replace("broken", "unbroken") == results[1].stdout
    best = max(first, key=lambda row: float(row["validation_ua"]))
    assert f"{best['trial']}" in results[0].stdout.splitlines()[1].split()
    assert "2 trials: 2 complete, 0 pruned, 0 failed" in results[0].stdout

    assert not list(tmp_path.rglob("predictions.csv"))
    assert not list(tmp_path.rglob("last.ckpt"))
    recipe = load(broken / "best.yaml", corpora=["synthetic"])
    assert recipe.training.learning_rate == pytest.approx(float(best[RATE]))
    assert recipe.training.steps == 4
    crossval(recipe, utterances, tmp_path / "run", only=[0])
    metrics = json.loads((tmp_path / "run" / "fold-0-0" / "metrics.json").read_text())
    assert metrics["validation"]["ua"] == float(best["validation_ua"])
    validation = f"trial-000{best['trial']}/fold-0-0/validation.csv"
    assert (tmp_path / "run" / "fold-0-0" / "validation.csv").read_bytes() == (broken / validation).read_bytes()


def test_what_the_test_part_holds_changes_nothing(utterances: list[Utterance], tmp_path: Path) -> None:
    (split,) = (s for s in searching.plan(load("crnn-center-mel", QUICK), utterances) if s.fold == 0)
    emotions = {u.id: u.emotion for u in utterances if u.id in split.test}
    turned = dict(zip(emotions, [*list(emotions.values())[1:], next(iter(emotions.values()))], strict=True))
    others = [replace(u, emotion=turned.get(u.id, u.emotion)) for u in utterances]
    assert sum(a.emotion != b.emotion for a, b in zip(utterances, others, strict=True)) == len(split.test)
    tune = f"{RATE}=1e-3,1e-2"
    found = [look_for(us, tmp_path / str(k), tune, trials=1) for k, us in enumerate((utterances, others))]
    assert [t.folds for t in found[0].trials] == [t.folds for t in found[1].trials]
    for name in ("trial-0000/fold-0-0/validation.csv", "trial-0000/fold-0-0/curves.csv"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
    kept = json.loads((tmp_path / "0" / "trial-0000" / "fold-0-0" / "split.json").read_text())
    assert kept["test"] == []
    assert not list(tmp_path.rglob("predictions.csv"))


# ---------------------------------------------------------------------------------------------- with pretended training


def test_stopped_anywhere_it_ends_as_an_unbroken_one(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # more trials than the ten that Optuna draws at random, before it looks at scores
    tune = ("center.weight=0.01:10:log", "encoder.hidden=16:64", "loss.margin=0,0.2")
    look_for(utterances, tmp_path / "unbroken", *tune, trials=14, folds=[0, 1])
    stops: list[str] = []
    chance = random.Random(1)

    def stopping(name: str, whole: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any, **options: Any) -> object:
            if chance.random() < 0.2:
                stops.append(name)
                raise StoppedError
            return whole(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for owner, name in ((units, "run_fold"), (optuna.Study, "tell"), (searching, "write_table")):
            patched.setattr(owner, name, stopping(name, getattr(owner, name)))
        for _ in range(40):
            try:
                look_for(utterances, tmp_path / "broken", *tune, trials=14, folds=[0, 1])
                break
            except StoppedError:
                pass
    assert set(stops) == {"run_fold", "tell", "write_table"}
    for file in ("trials.csv", "best.yaml"):
        assert (tmp_path / "broken" / file).read_bytes() == (tmp_path / "unbroken" / file).read_bytes()
    rows = rows_of(tmp_path / "broken")
    assert [row["trial"] for row in rows] == [str(k) for k in range(14)]
    assert {row["state"] for row in rows} == {"complete", "pruned"}


def side_by_side(jobs: int) -> Callable[..., Iterator[Event]]:
    """An executor in whose place the unit that starts last ends first."""

    def run(waiting: Iterator[Unit], work: object, place: object) -> Iterator[Event]:
        running: list[Unit] = []
        while True:
            while len(running) < jobs and (unit := next(waiting, None)):
                running.append(unit)
                yield Event("started", unit)
            if not running:
                return
            unit = running.pop()
            try:
                yield Event("finished", unit, results=units.run_unit(unit, Material((), {}, {}, {}, {})))
            except RunError as error:
                yield Event("failed", unit, text=reason(error))

    return run


def test_trials_side_by_side_are_those_of_one_after_the_other_while_they_are_drawn_at_random(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = ("center.weight=0.5,1.5,2.5", f"{RATE}=0.01,10")
    alone = look_for(utterances, tmp_path / "alone", *tune, trials=10, folds=[0, 1])
    together = []
    for jobs in (2, 7):
        monkeypatch.setattr(searching, "execute", side_by_side(jobs))
        del trained[:]
        together.append(look_for(utterances, tmp_path / str(jobs), *tune, trials=10, folds=[0, 1]))
        assert max(Counter(recipe.to_yaml() for recipe in trained).values()) <= 2  # once a fold
    for found in together:
        for one, other in zip(alone.trials, found.trials, strict=True):
            assert one == replace(other, same_as=one.same_as, reason=one.reason)
            assert (one.same_as is None) == (other.same_as is None)
    assert {trial.state for trial in alone.trials} == {"complete", "failed"}
    assert any(trial.same_as is not None for trial in alone.trials)


def test_stopped_with_several_under_way_only_those_go_on(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = ("center.weight=0.01:10:log", "encoder.hidden=16:64")
    whole = look_for(utterances, tmp_path / "whole", *tune, trials=8)
    monkeypatch.setattr(searching, "execute", side_by_side(3))
    ended = 0

    def stop(line: str) -> None:
        nonlocal ended
        ended += 1
        if ended == 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        look_for(utterances, tmp_path / "broken", *tune, trials=8, tell=stop)
    before = len(trained)
    found = look_for(utterances, tmp_path / "broken", *tune, trials=8)
    assert len(trained) - before == 4
    assert found.trials == whole.trials


def test_a_full_disk_ends_the_search_and_uses_up_no_trial(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look_for(utterances, tmp_path / "whole", "center.weight=0.01:10:log")
    pretend = units.run_fold
    before = len(trained)

    def full(*given: Any, **named: Any) -> object:
        if len(trained) > before:
            raise OSError(errno.ENOSPC, "No space left on device", "last.ckpt")
        return pretend(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(units, "run_fold", full)
        words = "trial 1, seed 0, fold 0-0: last.ckpt: No space left on device; make sure that the disk has room"
        with pytest.raises(RunError, match=words):
            look_for(utterances, tmp_path / "broken", "center.weight=0.01:10:log")
    assert [row["state"] for row in rows_of(tmp_path / "broken")] == ["complete"]
    assert look_for(utterances, tmp_path / "broken", "center.weight=0.01:10:log").trials == whole.trials


def test_choices_of_which_none_can_be_are_refused_before_a_trial(utterances: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"loss.margin is 0\.1, but the head feature takes no margin"):
        look_for(utterances, tmp_path / "out", "loss.margin=0.1,0.2")
    assert not (tmp_path / "out").exists()


def test_invalid_and_diverging_trials_are_told_and_the_rest_go_on(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path
) -> None:
    lines: list[str] = []
    tune = ("loss.margin=0,0.2", f"{RATE}=0.01,10", "frontend.num_mels=8,64", "center.weight=0.1:0.4")
    found = look_for(utterances, tmp_path, *tune, trials=16, tell=lines.append)
    rows = rows_of(tmp_path)
    assert len(rows) == len(found.trials) == len([line for line in lines if line.startswith("trial ")]) == 16
    seen = set()
    for row in rows:
        expected = ("complete", "")
        if row["loss.margin"] == "0.2":
            expected = ("pruned", "takes no margin; set head to cosine")
        elif row["frontend.num_mels"] == "8":
            expected = ("pruned", "the frontend gives 8 values a frame, but the encoder crnn takes at least 49")
        elif row[RATE] == "10":
            expected = ("failed", "fold 0: it diverged")
        assert row["state"] == expected[0]
        assert expected[1] in row["reason"]
        assert (row["validation_ua"] == "") == (row["state"] != "complete")
        seen.add(expected)
    assert len(seen) == 4
    best = max((row for row in rows if row["state"] == "complete"), key=lambda row: float(row["center.weight"]))
    assert found.best.number == int(best["trial"])
    assert found.best.score == pytest.approx(1 / (1.5 - float(best["center.weight"])))
    again = look_for(utterances, tmp_path, *tune, trials=16)  # all are counted
    assert again.trials == found.trials
    assert len(trained) == sum(row["state"] != "pruned" for row in rows)


def test_a_trial_that_memory_does_not_hold_has_failed(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = searching.build_system

    def limited(recipe: Recipe, classes: int) -> object:
        if recipe.encoder.hidden == 4096:
            raise RuntimeError("not enough memory")
        return build(recipe, classes)

    monkeypatch.setattr(searching, "build_system", limited)
    found = look_for(utterances, tmp_path, "encoder.hidden=8,4096", trials=4)
    assert {(trial.values["encoder.hidden"], trial.state, trial.reason) for trial in found.trials} == {
        (8, "complete", ""),
        (4096, "failed", "not enough memory"),
    }


def test_the_score_is_the_mean_over_folds_of_what_the_recipe_monitors(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path
) -> None:
    tune = "center.weight=0.5,1.5"
    for monitor, share in (("ua", 1.0), ("wa", 0.5), ("none", 1.0)):
        changes = (*QUICK, f"monitor={monitor}")
        found = look_for(utterances, tmp_path / monitor, tune, folds=None, changes=changes)
        assert found.score == ("wa" if monitor == "wa" else "ua")
        assert found.best.values == {"center.weight": 0.5}
        assert found.best.folds == pytest.approx({"0-0": share, "0-1": 0.9 * share, "0-2": 0.8 * share})
        assert found.best.score == pytest.approx(0.9 * share)


def test_values_that_were_tried_are_not_trained_again(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path
) -> None:
    found = look_for(utterances, tmp_path, "center.weight=0.5,1.5", trials=9)
    assert len(trained) == 2
    scores = {trial.values["center.weight"]: trial.score for trial in found.trials}
    assert all(trial.score == scores[trial.values["center.weight"]] for trial in found.trials)
    first = {trial.values["center.weight"]: trial.number for trial in reversed(found.trials)}
    for trial in found.trials:
        original = first[trial.values["center.weight"]]
        assert trial.same_as == (None if trial.number == original else original)


def test_a_trial_begun_with_other_values_is_begun_anew(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path
) -> None:
    old = tmp_path / "trial-0000"
    (old / "fold-0-0").mkdir(parents=True)
    (old / "recipe.yaml").write_text(load("crnn-mel", QUICK).to_yaml())
    (old / "fold-0-0" / "metrics.json").write_text('{"validation": {"ua": 9}, "seconds": 0}')
    assert look_for(utterances, tmp_path, "center.weight=0.5,1.5", trials=1).best.score in (1.0, 0.5)


def test_the_best_recipe_says_its_difference_even_where_the_original_is_special(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path
) -> None:
    original = tmp_path / "mine" / "special.yaml"
    original.parent.mkdir()
    special = {"center": {"weight": 4.0}, "seed": 5}
    mine = {"schema": 1, "extends": "crnn-center-mel", "description": "special", "on": {"synthetic": special}}
    original.write_text(yaml.safe_dump(mine))
    tune = ("center.weight=0.5,0.6", "frontend={name: mfcc, num_coefficients: 30},{name: log-mel, num_mels: 64}")
    found = look_for(utterances, tmp_path / "out", *tune, recipe=str(original), trials=5)
    written = yaml.safe_load(found.recipe.read_text())
    assert written["extends"] == "../mine/special.yaml"
    assert written["protocol"] == {"name": "leave-one-speaker-out"}
    tuned = load(found.recipe, corpora=["synthetic"])
    assert tuned.seed == 5
    assert tuned.center.weight == found.best.values["center.weight"]
    assert tuned.frontend.name == found.best.values["frontend"]["name"]
    assert tuned.model_copy(update={"name": "special", "description": "special"}) in trained
    assert load(found.recipe, corpora=["emodb"]).center.weight == tuned.center.weight
    for line in found.recipe.read_text().splitlines()[4:]:
        assert line.endswith((":", "# ours: given to serotone search, or found by it"))


def test_another_space_or_other_folds_are_another_search(
    utterances: list[Utterance], trained: list[Recipe], tmp_path: Path
) -> None:
    look_for(utterances, tmp_path, "center.weight=0.5,1.5", trials=1)
    with pytest.raises(RunError, match="started with another space"):
        look_for(utterances, tmp_path, "center.weight=0.5,1.4", trials=2)
    with pytest.raises(RunError, match=r"started with another choice of folds, \[0\]"):
        look_for(utterances, tmp_path, "center.weight=0.5,1.5", trials=2, folds=[1])
    with pytest.raises(RunError, match="another recipe"):
        look_for(utterances, tmp_path, "center.weight=0.5,1.5", trials=2, recipe="crnn-mel")


@pytest.mark.parametrize(
    ("protocol", "remedy"),
    [
        ("{name: stratified-holdout, test_share: 0.4}", r"--set protocol\.validation_share=0\.1"),
        ("{name: leave-one-speaker-out, validation_speakers: 0}", r"--set protocol\.validation_speakers=1"),
        ("all", "--set protocol=leave-one-speaker-out"),
    ],
)
def test_without_a_validation_part_it_says_what_to_set(
    protocol: str, remedy: str, utterances: list[Utterance], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=f"no validation part.*{remedy}"):
        look_for(utterances, tmp_path, "center.weight=0,1", changes=(*QUICK, f"protocol={protocol}"))
    assert not (tmp_path / "search.db").exists()


def test_what_cannot_be_searched_is_refused(utterances: list[Utterance], trained: list[Recipe], tmp_path: Path) -> None:
    for key in ("protocol.validation_speakers", "labels", "seed", "held_out_speakers"):
        with pytest.raises(RecipeError, match=f"a search cannot tune {key}: .*set them with --set"):
            look_for(utterances, tmp_path, f"{key}=1,2")
    with pytest.raises(RunError, match=r"no fold 7; protocol leave-one-speaker-out has the folds 0 to 2"):
        look_for(utterances, tmp_path, "center.weight=0,1", folds=[0, 7])
    with pytest.raises(RecipeError, match=r"schedules\.paper\.steps changes nothing: the schedule in use is budget"):
        look_for(utterances, tmp_path, "schedules.paper.steps=4,5")
    with pytest.raises(RecipeError, match=r"unknown key 'center.wait' \(did you mean weight\?\)"):
        look_for(utterances, tmp_path, "center.wait=0:1", trials=2)
    with pytest.raises(RecipeError, match=r"unknown key 'learning_rate'"):
        look_for(utterances, tmp_path, "learning_rate=1e-4:1e-2:log", trials=2)
    with pytest.raises(
        RunError, match=r"none of 2 trials has a score; trial 0 was pruned: .*unknown key 'pooling.heads'"
    ):
        look_for(utterances, tmp_path, "pooling=mean,ends", "pooling.heads=1:2", trials=2)
    whisper = "{name: whisper, width: 16, heads: 4, layers: [2]}"
    gone = (
        *("weights={source: gone.safetensors, licence: MIT}", "standardise=null", f"encoder={whisper}"),
        *("pooling=mean-sd", "frontend={name: whisper-log-mel, num_mels: 8}"),
    )
    with pytest.raises(WeightsError, match=r"gone\.safetensors: no such file"):
        look_for(utterances, tmp_path / "new", "center.weight=0,1", changes=(*QUICK, *gone))
    assert trained == []
    assert not (tmp_path / "new").exists()


# ------------------------------------------------------------------------------------------------------------- spaces


def test_spaces_read_from_a_file_and_from_options_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "schedules.budget.learning_rate: {low: 1e-4, high: 1e-2, log: true}\n"
        "encoder.hidden: {low: 16, high: 64}\n"
        "center.weight: {low: 0.0, high: 1}\n"
        "pooling: [ends, mean]\n"
        "frontend: [{name: mfcc, num_coefficients: 40}, {name: log-mel}]\n"
        "annealing: [null, {share: 0.1}]\n"
    )
    options = [
        "schedules.budget.learning_rate=1e-4:1e-2:log",
        "encoder.hidden=16:64",
        "center.weight=0.0:1",
        "pooling=ends,mean",
        "frontend={name: mfcc, num_coefficients: 40},{name: log-mel}",
        "annealing=null,{share: 0.1}",
    ]
    space = read_space(path)
    assert space == dict(map(parse_tune, options))
    rate = space["schedules.budget.learning_rate"]
    assert (rate.low, rate.high, rate.log) == (1e-4, 1e-2, True)
    assert isinstance(space["encoder.hidden"], optuna.distributions.IntDistribution)
    assert isinstance(space["center.weight"], optuna.distributions.FloatDistribution)
    path.write_text("encoder.hidden: {low: 16, high: 64, step: 16}")
    assert read_space(path)["encoder.hidden"].step == 16


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("center.weight", "expected key=low:high"),
        ("=1:2", "expected key=low:high"),
        ("center.weight=1", "two or more different choices"),
        ("center.weight=1,1", "two or more different choices"),
        ("center.weight=", "two or more different choices, got none"),
        ("center.weight=2:1", "not a range from a low to a high number"),
        ("center.weight=0.0:1:log", "not a range from a low to a high number"),
        ("center.weight=a:b", "not a range from a low to a high number: a is not a number"),
        ("encoder.hidden=8:nan", "not a range from a low to a high number: nan is not a finite number"),
        ("center.weight=0:1e400", "not a range from a low to a high number: 1e400 is not a finite number"),
        ("center.weight=[1,2", "not YAML"),
    ],
)
def test_a_wrong_option_says_what_was_expected(text: str, match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        parse_tune(text)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "expected keys of a recipe"),
        ("- a", "expected keys of a recipe"),
        ("a: {low: 1}", "a: expected a list of choices, or low and high"),
        ("a: {low: 1, high: 2, steps: 3}", "or low and high"),
        ("a: [", "cannot be read"),
        ("a: [1, 2]\na: [3, 4]", "line 2: the key 'a' is given twice; correct it"),
        ("a: 3", "expected a list of choices"),
        ("a: {low: 1, high: .inf}", "a: not a range from a low to a high number: inf is not a finite number"),
        ("a: {low: .nan, high: 2, log: true}", "nan is not a finite number"),
        ("a: {low: 1, high: 2, step: [1]}", r"a: not a range .*: \[1\] is not a number"),
        (
            "a: {low: 1, high: 9, step: 1.5}",
            "the step 1.5 is not a whole number, but low and high are; give a whole one, or write low as 1.0",
        ),
        ("a: {low: 1, high: 9, step: 0}", "a: not a range"),
        (f"a: {{low: 1.5, high: 1{'0' * 400}}}", "is not a finite number"),
    ],
)
def test_a_wrong_file_says_what_was_expected(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=match):
        read_space(path)
    with pytest.raises(RecipeError, match="no such file; give a YAML file"):
        read_space(tmp_path / "none.yaml")


def test_the_command_wants_something_to_tune_once(voices: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("center.weight: [0, 1]")
    base = ["search", "crnn-mel", "--corpus", f"synthetic={voices}", "--out", str(tmp_path)]
    for more, words in (
        ([], "nothing to tune"),
        (
            ["--space", str(tmp_path / "space.yaml"), "--tune", "center.weight=1:2"],
            "center.weight is tuned twice",
        ),
    ):
        result = CliRunner().invoke(app, [*base, *more])
        assert result.exit_code == 2
        assert words in result.output


@pytest.mark.parametrize(
    ("tune", "is_idle"), [("center.weight=0,1", True), ("schedule=paper,budget", False)], ids=["idle", "tuned"]
)
def test_the_command_says_what_changes_nothing(
    tune: str, is_idle: bool, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise RunError("far enough")

    monkeypatch.setattr(searching, "search", stop)
    base = ["search", "crnn-mel", "--corpus", f"synthetic={voices}", "--out", str(tmp_path), "--tune", tune]
    result = CliRunner().invoke(app, [*base, "--set", "schedule=budget", "--set", "schedules.paper.steps=3000"])
    assert "far enough" in result.output
    assert ("--set schedules.paper.steps=3000 changes nothing" in result.output) == is_idle
