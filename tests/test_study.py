"""Studies: what a study file may say, and that running one loses nothing and mixes nothing up."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from serotone.cli import app
from serotone.corpora import fingerprint, parse_corpora, synthetic
from serotone.errors import RunError
from serotone.experiments.estimate import Estimate, estimate, hours
from serotone.experiments.executors import Place
from serotone.experiments.study import lay_out, resolve, run_study, units_of
from serotone.experiments.units import Event, Materials, material_key
from serotone.recipes import load
from serotone.runs.layout import CHECKPOINT
from serotone.studies import load_study
from serotone.training import fit

QUICK = [
    "schedule=budget",
    "schedules.budget.precision=float32",  # bfloat16 is slow where a processor lacks it
    "schedules.budget.steps=4",
    "schedules.budget.validate_every=2",
    "schedules.budget.select_from=0",
    "schedules.budget.batch_size=8",
    "encoder.hidden=8",
    "frontend.num_mels=64",
    "max_frames=80",
    "protocol=speakers-out",
    "protocol.folds=2",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.make(folder, speakers=4, sentences=1, seed=0)
    return folder


@pytest.fixture(scope="module")
def utterances(root):
    return parse_corpora([f"synthetic={root}"])


def written(folder, **changes):
    """A study file with two rows, and keys changed."""
    tree = {
        "schema": 1,
        "title": "a trial",
        "description": "does it run?",
        "rows": ["crnn-mel", {"recipe": "crnn-mel", "name": "center", "set": ["center.weight=0.3"]}],
        "compare": [{"a": "center", "b": "crnn-mel", "question": "Does it help?"}],
    } | changes
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def predictions(out):
    return {str(path.relative_to(out)): path.read_text() for path in sorted(out.rglob("predictions.csv"))}


# ----------------------------------------------------------------------------------------------------------- the schema


def test_a_number_without_a_point_is_a_number(tmp_path):
    path = tmp_path / "grid.yaml"
    values = "center.weight: [1e-3, .1, 2E2, -1e3]"
    path.write_text(f"schema: 1\ntitle: t\ndescription: d\ngrid: {{recipe: crnn-center-mel, values: {{{values}}}}}\n")
    assert load_study(path).grid.values["center.weight"] == (0.001, 0.1, 200.0, -1000.0)


def test_a_grid_is_the_product_of_its_values(tmp_path):
    path = written(
        tmp_path,
        rows=[],
        compare=[],
        grid={
            "recipe": "crnn-center-mel",
            "values": {"center.weight": [0.03, 0.3], "center.alpha": [0.1, 0.5]},
            "published": [{"at": {"center.weight": 0.3, "center.alpha": 0.5}, "ua": 66.9}],
        },
    )
    table = load_study(path).table
    assert [row.name for row in table] == [
        "weight=0.03+alpha=0.1",
        "weight=0.03+alpha=0.5",
        "weight=0.3+alpha=0.1",
        "weight=0.3+alpha=0.5",
    ]
    assert [row.published and row.published.ua for row in table] == [None, None, None, 66.9]
    study = load_study(path)
    assert resolve(study, table[2], 0, {"emodb"}).center.weight == 0.3
    assert resolve(study, table[2], 0, {"emodb"}).center.alpha == 0.1


def test_a_grid_may_vary_lists_and_paths(tmp_path):
    grid = {"recipe": "vlcrnn-focal", "values": {"encoder.filters": [[8, 16], [16, 32]], "weights.source": ["a/b.bin"]}}
    path = written(tmp_path, rows=[], compare=[], grid=grid)
    table = load_study(path).table
    assert [row.name for row in table] == ["filters=8-16+source=a-b.bin", "filters=16-32+source=a-b.bin"]
    assert table[0].set_ == ("encoder.filters=[8, 16]", "weights.source=a/b.bin")
    path = written(tmp_path, rows=[], compare=[], grid={"recipe": "default", "values": {"frontend.level": [-1.5, 1.5]}})
    assert [row.name for row in load_study(path).table] == ["level=-1.5", "level=1.5"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": []}, "the study has no rows; give rows, or a grid"),
        (
            {"rows": [{"recipe": "crnn-mel", "label": "x"}, {"recipe": "crnn-stft", "label": "x"}], "compare": []},
            "several rows have the label x",
        ),
        ({"rows": ["crnn-mel", "crnn-mel"], "compare": []}, "several rows have the name crnn-mel"),
        (
            {"compare": [{"a": "centre", "b": "crnn-mel", "question": "?"}]},
            r"no row 'centre' \(did you mean center\?\); the rows are crnn-mel, center",
        ),
        ({"rows": [{"recipe": "crnn-mel", "name": "../x"}], "compare": []}, "letters, digits"),
        ({"colour": "red"}, "unknown key 'colour'; expected one of schema, name, title"),
        ({"sweps": []}, r"unknown key 'sweps' \(did you mean sweeps\?\)"),
        ({"compare": [{"a": "center", "b": "crnn-mel", "qestion": "?"}]}, "compare.0.question is missing; add it"),
        ({"repetitions": True}, "repetitions is true, which is also how YAML reads yes, .*; expected a number"),
        ({"seeds": [0, True]}, "seeds.1 is true, .*; expected a number"),
        ({"seeds": [1, 1]}, "seeds are 1, 1; expected different whole numbers"),
        ({"schema": 2}, "schema is 2; expected 1"),
        ({"set": "schedule=budget"}, "set is schedule=budget; expected a list"),
        ({"set": 5}, "set is 5; expected a list"),
        (
            {"rows": [{"recipe": "crnn-mel", "published": {"confusion": {"labels": ["a", "b"], "percent": [[1, 2]]}}}]},
            "2 rows of 2 figures",
        ),
        (
            {"grid": {"recipe": "crnn-mel", "values": {"seed": [1]}, "published": [{"at": {"seed": 2}, "ua": 1}]}},
            r"figures at \{seed: 2\}, where the grid has no cell; its values are seed: 1",
        ),
    ],
)
def test_a_study_that_is_not_valid_says_why(tmp_path, changes, words):
    with pytest.raises(RunError, match=words):
        load_study(written(tmp_path, **changes))


def test_recipes_next_to_the_study_come_before_those_in_the_current_folder(tmp_path, utterances, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, hidden in (("mine", 8), ("elsewhere", 16)):
        (tmp_path / folder).mkdir()
        for name in ("ours.yaml", "cells.yaml"):
            (tmp_path / folder / name).write_text(f"extends: crnn-mel\nencoder: {{hidden: {hidden}}}\n")
    (tmp_path / "elsewhere" / "only-here.yaml").write_text("extends: crnn-mel\nencoder: {hidden: 24}\n")
    rows = ["crnn-mel", "ours.yaml", {"recipe": "ours.yaml", "name": "again"}, "only-here.yaml"]
    grid = {"recipe": "cells.yaml", "values": {"center.weight": [0.1]}}
    written(tmp_path / "mine", rows=rows, grid=grid, compare=[])
    changes = [change for change in QUICK if "hidden" not in change]
    monkeypatch.chdir(tmp_path / "elsewhere")
    for _ in range(2):  # the second call reads what the first one kept
        study = load_study("../mine/trial.yaml", changes)
        assert [row.name for row in study.table] == ["crnn-mel", "ours", "again", "only-here", "weight=0.1"]
        outcome = run_study(study, utterances, Path("out"), more=lambda: False)
        assert (outcome.failures, outcome.planned) == ([], 10)
        kept = load_study("out/study.yaml")
        assert [row.recipe for row in kept.table] == [row.recipe for row in study.table]
        hidden = [resolve(kept, row, 0, {"emodb"}).encoder.hidden for row in kept.table]
        assert hidden[1:] == [8, 8, 24, 8]


def test_an_unknown_study_names_those_that_ship():
    with pytest.raises(RunError, match=r"no study 'nought'; choose one of .*center-loss"):
        load_study("nought")
    with pytest.raises(RunError, match=r"no study 'centre-loss' \(did you mean center-loss\?\)"):
        load_study("centre-loss")


def test_a_rows_own_overrides_have_the_last_word(tmp_path):
    study = load_study(written(tmp_path, set=["center.weight=0.1"]), ["center.alpha=0.9"])
    recipes = [resolve(study, row, 0, {"emodb"}) for row in study.table]
    assert [recipe.center.weight for recipe in recipes] == [0.1, 0.3]
    assert [recipe.center.alpha for recipe in recipes] == [0.9, 0.9]


def test_another_seed_trains_on_the_same_folds(tmp_path, utterances):
    study = load_study(written(tmp_path), QUICK, seeds=[0, 5])
    runs, failures = lay_out(study, utterances, tmp_path / "out")
    assert not failures
    by_seed = {run.recipe.seed: run for run in runs if run.row == "center"}
    assert by_seed[0].splits == by_seed[5].splits
    alone, _ = lay_out(load_study(written(tmp_path), QUICK, seeds=[5]), utterances, tmp_path / "out")
    assert alone[0].splits != by_seed[5].splits  # so it is the study that holds them fixed


def test_seeds_share_the_folds_that_the_recipe_deals(tmp_path, utterances):
    dealt = [*QUICK, "protocol.seed=7"]
    both, _ = lay_out(load_study(written(tmp_path), dealt, seeds=[0, 5]), utterances, tmp_path / "out")
    (alone, *_), _ = lay_out(load_study(written(tmp_path), QUICK, seeds=[7]), utterances, tmp_path / "out")
    assert len(both) == 4
    assert all(run.splits == alone.splits for run in both)


def test_rows_go_forward_together(tmp_path, utterances):
    study = load_study(written(tmp_path), QUICK, seeds=[3, 1])
    runs, _ = lay_out(study, utterances, tmp_path)
    assert [(u.seed, u.split.fold, u.row) for u in units_of(study, runs, utterances)] == [
        (seed, fold, row) for seed in (3, 1) for fold in (0, 1) for row in ("crnn-mel", "center")
    ]


# ---------------------------------------------------------------------------------------------------------- running one


@pytest.fixture(scope="module")
def whole(tmp_path_factory, utterances):
    """A study with a row that cannot run, run in one go; its folder, its outcome and its events."""
    folder = tmp_path_factory.mktemp("whole")
    path = written(
        folder,
        rows=[
            "crnn-mel",
            {"recipe": "crnn-mel", "name": "center", "set": ["center.weight=0.3"]},
            {"recipe": "crnn-mel", "name": "foreign", "set": ["labels=[angry, contempt]"]},
            {"recipe": "crnn-mel", "name": "wild", "set": ["schedules.budget.learning_rate=1.0e+30"]},
        ],
        embeddings=True,
    )
    events = []
    study = load_study(path, QUICK)
    out = folder / "out"
    outcome = run_study(study, utterances, out, place=Place(threads=1), on_event=events.append)  # as the command does
    return study, out, outcome, events


def test_a_failed_row_is_reported_and_the_rest_go_on(whole):
    _, out, outcome, events = whole
    assert (outcome.chosen, outcome.before, outcome.finished, outcome.left) == (6, 0, 4, 0)
    assert [event.kind for event in events].count("finished") == 4
    failures = json.loads((out / "failures.json").read_text())
    assert [(failure["row"], failure.get("fold")) for failure in failures] == [
        ("foreign", None),
        ("wild", 0),
        ("wild", 1),
    ]
    assert "contempt" in failures[0]["error"]
    assert "diverged" in failures[1]["error"]


def test_each_run_is_a_run_folder_that_a_report_can_read(whole):
    _, out, _, _ = whole
    for row in ("crnn-mel", "center"):
        run = out / row / "seed-0"
        assert json.loads((run / "summary.json").read_text())["folds_finished"] == 2
        head, first, *_ = (run / "utterances.csv").read_text().splitlines()
        assert head == "id,corpus,speaker,gender,session,sentence,file"
        assert first.startswith("synthetic/syn00_angry_00,synthetic,synthetic/")
        names = {path.name for path in (run / "fold-0-0").iterdir()}
        assert {"predictions.csv", "validation.csv", "curves.csv", "leaks.json", "embeddings.npz"} <= names
        assert "last.ckpt" not in names


def test_embeddings_are_of_the_training_and_the_test_part(whole):
    import numpy as np

    _, out, _, _ = whole
    fold = out / "center" / "seed-0" / "fold-0-0"
    split = json.loads((fold / "split.json").read_text())
    kept = np.load(fold / "embeddings.npz", allow_pickle=False)
    assert sorted(kept["id"][kept["part"] == "test"]) == sorted(split["test"])
    assert sorted(kept["id"][kept["part"] == "train"]) == sorted(split["train"])
    assert kept["embedding"].shape == (len(split["test"]) + len(split["train"]), 64)
    assert np.isfinite(kept["embedding"]).all()


def test_finished_units_are_skipped(whole, utterances):
    study, out, _, _ = whole
    before = predictions(out)
    left_over = out / "center" / "seed-0" / "fold-0-0" / CHECKPOINT
    left_over.write_bytes(b"")  # where a kill comes right after metrics.json
    events = []
    outcome = run_study(study, utterances, out, rows=["center"], on_event=events.append)
    assert (outcome.chosen, outcome.before, outcome.finished) == (2, 2, 0)
    assert not events
    assert not left_over.exists()
    assert predictions(out) == before
    failures = json.loads((out / "failures.json").read_text())
    assert {failure["row"] for failure in failures} == {"foreign", "wild"}  # not asked for, so not forgotten


def test_time_up_stops_between_units_and_the_same_command_goes_on(whole, tmp_path, utterances):
    study, out, _, _ = whole
    left = iter([True, False])
    rows = ["crnn-mel", "center"]
    first = run_study(study, utterances, tmp_path / "out", more=lambda: next(left), rows=rows)
    assert (first.finished, first.left) == (1, 3)
    second = run_study(study, utterances, tmp_path / "out", rows=rows)
    assert (second.before, second.finished, second.left) == (1, 3, 0)
    assert predictions(tmp_path / "out") == predictions(out)


class StoppedError(BaseException):
    """In the place of a kill."""


def test_stopped_in_a_unit_it_goes_on_and_ends_with_the_same_predictions(whole, tmp_path, utterances, monkeypatch):
    _, out, _, _ = whole
    study = load_study(written(tmp_path), QUICK)
    write = fit.write_whole

    def write_and_stop(path, *rest):
        write(path, *rest)
        if path.name == CHECKPOINT and "center" in path.parts:
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(fit, "write_whole", write_and_stop)
        with pytest.raises(StoppedError):
            run_study(study, utterances, tmp_path / "out", place=Place(threads=1))
    assert len(predictions(tmp_path / "out")) == 1
    again = run_study(study, utterances, tmp_path / "out", place=Place(threads=1))
    assert (again.before, again.finished) == (1, 3)
    assert predictions(tmp_path / "out") == predictions(out)


def test_a_full_disk_ends_the_study_in_words_and_the_same_command_goes_on(whole, tmp_path, utterances, monkeypatch):
    _, out, _, _ = whole
    study = load_study(written(tmp_path), QUICK)
    write = fit.write_whole

    def full(path, *rest):
        if path.name == CHECKPOINT and "center" in path.parts:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(fit, "write_whole", full)
        words = r"center, seed 0, fold 0-0: .*last.ckpt: No space left on device; make sure that the disk has room"
        with pytest.raises(RunError, match=words):
            run_study(study, utterances, tmp_path / "out", place=Place(threads=1))
    again = run_study(study, utterances, tmp_path / "out", place=Place(threads=1))
    assert (again.before, again.finished) == (1, 3)
    assert predictions(tmp_path / "out") == predictions(out)


def test_a_later_call_may_add_seeds_but_not_change_overrides(whole, tmp_path, utterances):
    _study, out, _, _ = whole
    path = tmp_path / "again.yaml"
    path.write_text((out / "study.yaml").read_text())
    added = load_study(path, seeds=[7])
    outcome = run_study(added, utterances, out, rows=["center"], folds=[0])
    assert (outcome.chosen, outcome.before, outcome.finished) == (1, 0, 1)
    assert load_study(out / "study.yaml").seeds == (0, 7)
    tree = yaml.safe_load(path.read_text())
    others = [change for change in tree["set"] if change != "max_frames=80"]
    path.write_text(yaml.safe_dump(tree | {"set": ["max_frames=80", *others]}))  # where it is typed is no matter
    assert run_study(load_study(path), utterances, out, rows=["center"], folds=[0]).before == 1
    with pytest.raises(RunError, match=r"has the overrides .*, but this one has .*; use another --out"):
        run_study(load_study(path, ["center.alpha=0.9"]), utterances, out)


def test_a_later_call_may_ask_for_fewer_or_more_repetitions(whole, tmp_path, utterances):
    _, out, _, _ = whole
    path = tmp_path / "again.yaml"
    path.write_text((out / "study.yaml").read_text())
    waiting = []

    def plan(runs, units):
        waiting.append(sorted({(unit.seed, unit.split.repetition) for unit in units if not unit.finished}))

    for repetitions in (2, 1, 3):
        study = load_study(path, seeds=[0], repetitions=repetitions)
        run_study(study, utterances, out, more=lambda: False, rows=["center"], on_plan=plan)
    assert waiting == [[(0, 1)], [], [(0, 1), (0, 2)]]
    assert load_study(out / "study.yaml").repetitions == 3


def test_a_later_call_may_add_questions_but_drops_none(whole, tmp_path, utterances):
    _, out, _, _ = whole
    path = tmp_path / "again.yaml"
    path.write_text((out / "study.yaml").read_text())
    tree = yaml.safe_load(path.read_text())
    before = tree["compare"]
    added = {"a": before[0]["b"], "b": before[0]["a"], "question": "The other way round?"}
    path.write_text(yaml.safe_dump(tree | {"compare": [added]}))
    run_study(load_study(path), utterances, out, more=lambda: False)
    assert yaml.safe_load((out / "study.yaml").read_text())["compare"] == [added, *before]
    path.write_text(yaml.safe_dump(tree | {"compare": before}))


def test_the_study_in_the_folder_keeps_its_comments_where_a_call_adds_nothing(whole, utterances):
    _, out, _, _ = whole
    path = out / "study.yaml"
    path.write_text(path.read_text() + "# mine\n")
    run_study(load_study(path), utterances, out, more=lambda: False)
    assert path.read_text().endswith("# mine\n")


def test_another_corpus_is_refused_before_anything_is_made(whole, tmp_path, utterances):
    _, out, _, _ = whole
    path = tmp_path / "again.yaml"
    path.write_text((out / "study.yaml").read_text())
    before = sorted(out.rglob("*"))
    with pytest.raises(RunError, match=r"the runs in this folder are of another corpus \(see .*corpus\.json\)"):
        run_study(load_study(path, seeds=[8]), utterances[:-1], out)
    assert sorted(out.rglob("*")) == before


def test_a_corpus_that_nothing_was_trained_on_pins_nothing_down(tmp_path, utterances):
    study, out = load_study(written(tmp_path), QUICK), tmp_path / "out"
    for mine in ([replace(u, id=f"{u.id}_b") for u in utterances], utterances):
        run_study(study, mine, out, more=lambda: False)
    kept = [json.loads(path.read_text())["fingerprint"] for path in out.glob("*/seed-0/corpus.json")]
    assert kept == [fingerprint(utterances)] * 2


def test_a_study_may_be_named_from_another_folder(tmp_path, utterances, monkeypatch):
    (tmp_path / "mine.yaml").write_text("extends: crnn-mel\n")
    written(tmp_path, rows=["mine.yaml"], compare=[])
    for place, path in ((tmp_path, "trial.yaml"), (tmp_path.parent, f"{tmp_path.name}/trial.yaml")):
        monkeypatch.chdir(place)
        assert run_study(load_study(path, QUICK), utterances, tmp_path / "out", more=lambda: False).failures == []
    written(tmp_path, rows=[{"recipe": "crnn-mel", "name": "mine"}], compare=[])
    with pytest.raises(RunError, match="the row mine was started with another recipe"):
        run_study(load_study(tmp_path / "trial.yaml", QUICK), utterances, tmp_path / "out", more=lambda: False)


def test_a_damaged_list_of_failures_may_be_deleted(whole, utterances):
    _, out, _, _ = whole
    path = out / "failures.json"
    before = path.read_text()
    path.write_text(before[:-9])
    with pytest.raises(RunError, match=r"damaged: .*; delete it, and the same command writes it again"):
        run_study(load_study(out / "study.yaml"), utterances, out, more=lambda: False)
    path.unlink()
    run_study(load_study(out / "study.yaml"), utterances, out, more=lambda: False)
    assert path.is_file()
    path.write_text(before)


def test_a_mistake_in_every_row_pins_nothing_down(tmp_path, utterances):
    study = load_study(written(tmp_path), [*QUICK, "schedules.budget.steeps=4"])
    outcome = run_study(study, utterances, tmp_path / "out")
    assert len(outcome.failures) == 2
    with pytest.raises(RunError, match="no fold 9"):
        run_study(load_study(written(tmp_path), QUICK), utterances, tmp_path / "out", folds=[9])
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_a_run_is_no_study_and_a_fold_must_exist(whole, tmp_path, utterances):
    study, out, _, _ = whole
    with pytest.raises(RunError, match="folder of a single run"):
        run_study(study, utterances, out / "center" / "seed-0")
    with pytest.raises(RunError, match=r"no fold 9; the rows of this study have the folds 0 to 1"):
        run_study(study, utterances, tmp_path / "out", folds=[9])
    with pytest.raises(RunError, match="no row 'nought'; the rows are"):
        run_study(study, utterances, tmp_path / "out", rows=["nought"])


def test_an_event_says_how_it_went(whole):
    _, _, _, events = whole
    finished = next(event for event in events if event.kind == "finished")
    assert isinstance(finished, Event)
    assert finished.unit.name == "crnn-mel, seed 0, fold 0-0"
    assert finished.results is not None
    assert 0 <= finished.results["test"]["ua"] <= 1


# ----------------------------------------------------------------------------------------------------- the command line


def command(*words):
    return CliRunner().invoke(app, ["study", *map(str, words)])


def sets():
    return [word for change in QUICK for word in ("--set", change)]


def test_estimate_prints_hours_and_writes_nothing(tmp_path, root):
    path = written(tmp_path)
    done = command(path, "--corpus", f"synthetic={root}", "--out", tmp_path / "out", *sets(), "--estimate")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["row", "units", "left", "s/step", "steps", "min/unit", "hours"]
    assert [line.split()[:2] for line in lines[1:3]] == [["crnn-mel", "2"], ["center", "2"]]
    assert "hours for 4 units" in lines[-1]
    assert not (tmp_path / "out").exists()


def test_an_estimate_of_several_corpora(tmp_path, utterances):
    """Each corpus has clip weights of its own."""
    other = [replace(u, id=f"b/{u.id}", speaker=f"b/{u.speaker}", corpus="b") for u in utterances]
    runs, _ = lay_out(load_study(written(tmp_path), QUICK), [*utterances, *other], tmp_path / "out")
    unit = runs[0].units([*utterances, *other])[0]
    assert unit.recipe.loss.class_weights is not None
    assert estimate(unit, Materials([*utterances, *other])).seconds > 0


def test_an_estimate_counts_the_statistics_that_are_taken_anew(tmp_path, utterances, monkeypatch):
    taken = []
    monkeypatch.setattr("serotone.training.averaging.take_statistics", lambda *args, **more: taken.append(args))
    for kind in ("running", "re-estimated"):
        study = load_study(written(tmp_path), [*QUICK, f"schedules.budget.norm_statistics={kind}"])
        runs, _ = lay_out(study, utterances, tmp_path / "out")
        estimate(runs[0].units(utterances)[0], Materials(utterances))
    assert len(taken) == 1


def test_an_estimate_lists_convex_rows_without_a_time(tmp_path, root):
    solved = {
        "extends": "crnn-mel",
        "head": "standardised-linear",
        "pooling": "mean",
        "monitor": "none",
        "schedules": {"solved": {"solver": "convex", "strength": 0.03}},
    }
    (tmp_path / "solved.yaml").write_text(yaml.safe_dump(solved))
    row = {"recipe": "solved.yaml", "set": ["schedule=solved"]}
    path = written(tmp_path, rows=["crnn-mel", row], compare=[])
    base = [path, "--corpus", f"synthetic={root}", *sets(), "--estimate"]
    done = command(*base)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[1].split()[:2] == ["crnn-mel", "2"]
    assert lines[2].split(maxsplit=2) == ["solved", "2", "not timed: its head is solved, not trained in steps"]
    assert "hours for 2 units with 1 at a time, without the 2 that are not timed, 0 finished before" in lines[-1]
    alone = command(*base, "--rows", "solved")
    assert alone.exit_code == 0, alone.output
    assert "0.0 hours for 0 units with 1 at a time, without the 2 that are not timed" in alone.stdout


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--folds", "9"], "no fold 9; the rows of this study have the folds 0 to 1"),
        (["--set", "protocol=session-out"], "cannot run: center"),
    ],
)
def test_an_estimate_of_what_cannot_run_fails(tmp_path, root, more, says):
    done = command(written(tmp_path), "--corpus", f"synthetic={root}", *sets(), "--estimate", *more)
    assert done.exit_code == 1
    assert says in done.output
    assert "hours for" not in done.output


def test_an_estimate_goes_on_after_a_row_that_cannot_be_timed(tmp_path, root):
    change = "schedules.budget={steps: null, epochs: 1, warm_up_steps: 9999}"
    rows = ["crnn-mel", {"name": "long", "recipe": "crnn-mel", "set": [change]}]
    done = command(written(tmp_path, rows=rows, compare=[]), "--corpus", f"synthetic={root}", *sets(), "--estimate")
    assert done.exit_code == 1
    assert "cannot run: long: schedules.budget.warm_up_steps is 9999" in done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:2]] == [["crnn-mel", "2"]]
    assert "hours for 2 units" in done.stdout


def test_a_shipped_study_needs_a_corpus_and_a_folder():
    for given, says in (
        ((), "--corpus: none; give NAME=ROOT"),
        (("--corpus", "emodb=."), "--out: none; give a folder"),
    ):
        done = command("center-loss", *given)
        assert (done.exit_code, says in " ".join(done.stderr.split())) == (2, True)
    listed = command("list")
    assert listed.exit_code == 0
    assert {line.split()[0] for line in listed.stdout.splitlines()} == {
        path.stem for path in (Path(__file__).parent.parent / "src" / "serotone" / "studies").glob("*.yaml")
    }


def test_an_option_of_ray_without_ray_is_an_error(tmp_path, root):
    done = command("center-loss", "--corpus", f"synthetic={root}", "--out", tmp_path / "out", "--address", "auto")
    assert done.exit_code == 2
    assert "--address: works only with Ray; add --executor ray" in done.output


def test_a_study_is_shown_and_a_wrong_word_is_taken_for_a_study():
    shown = command("show", "center-loss")
    assert shown.exit_code == 0
    row = next(line for line in shown.output.splitlines() if line.lstrip().startswith("crnn-center-mel"))
    assert row.split() == ["crnn-center-mel", "65.4", "66.86", "crnn-center-mel"]
    assert "Does center loss help, on mel?" in shown.output
    wrong = command("mine")
    assert wrong.exit_code == 1
    assert "no study 'mine'; choose one of center-loss" in wrong.stderr
    assert "run" in command("--help").output


def test_a_study_is_shown_only_if_the_recipes_of_its_rows_are_valid(tmp_path):
    refused = command("show", "center-loss", "--set", "schedule=budget", "--set", "center.wieght=1")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--set: center-loss, row crnn-mel: crnn-mel: " in refused.stderr
    assert "did you mean weight?" in refused.stderr
    rows = ["crnn-mel", {"name": "b", "recipe": "crnn-mel", "set": ["schedule=bugdet"]}]
    path = written(tmp_path, rows=rows, compare=[])
    wrong = command("show", path, "--set", "seed=1")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(f"error: {path}, row b: crnn-mel: schedule 'bugdet' is not in this recipe")


def test_a_change_that_no_row_can_have_is_refused_at_once(tmp_path, root):
    mine = written(tmp_path, rows=["crnn-mel", "resnet-mel-softmax"], compare=[])
    command = ["study", "run", str(mine), "--corpus", f"synthetic={root}", "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(app, [*command, "--set", "encodr.hidden=8"])
    assert told.exit_code == 2
    assert "unknown key 'encodr' (did you mean encoder?); nor can 1 other row be run" in told.stderr
    assert not (tmp_path / "out").exists()
    quick = [part for change in QUICK for part in ("--set", change)]  # encoder.hidden is none of a ResNet
    told = CliRunner().invoke(app, [*command, "--rows", "resnet-mel-softmax", *quick])
    assert (told.exit_code, "--set: row resnet-mel-softmax" in told.stderr) == (2, True)


def test_a_study_of_the_users_own_is_not_replaced(tmp_path, root):
    (tmp_path / "study.yaml").write_text(written(tmp_path).read_text() + "# mine\n")
    done = command(tmp_path / "study.yaml", "--corpus", f"synthetic={root}", "--out", tmp_path, "--max-hours", "0")
    assert done.exit_code == 1
    assert "study.yaml: serotone study did not write this file and would replace it" in done.stderr
    assert "# mine" in (tmp_path / "study.yaml").read_text()


def test_a_row_under_another_name_may_keep_its_label(tmp_path, utterances):
    row = {"recipe": "crnn-mel", "name": "a", "label": "Mel"}
    renamed = row | {"name": "b", "set": ["center.weight=0.3"]}
    for rows in ([row], [renamed], [renamed]):
        study = load_study(written(tmp_path, rows=rows, compare=[]), QUICK)
        run_study(study, utterances, tmp_path / "out", more=lambda: False)
    kept = load_study(tmp_path / "out" / "study.yaml")
    assert [(row.name, row.label) for row in kept.table] == [("b", "Mel"), ("a", "a")]
    clash = load_study(written(tmp_path, rows=[renamed, row | {"name": "c", "label": "a"}], compare=[]), QUICK)
    with pytest.raises(RunError, match=r"do not fit together: several rows have the label a; .*; use another --out"):
        run_study(clash, utterances, tmp_path / "out", more=lambda: False)


def test_where_no_row_can_run_no_report_is_promised(tmp_path, root):
    words = ["--corpus", f"synthetic={root}", "--out", tmp_path / "out", "--set", "protocol=session-out"]
    done = command(written(tmp_path), *words)
    assert done.exit_code == 1
    assert "serotone report" not in done.stdout


@pytest.mark.parametrize("seeds", ["-1", "0,-1", "3,3"])
def test_seeds_that_cannot_be_are_the_mistake_of_the_option(tmp_path, seeds):
    done = command(written(tmp_path), "--seeds", seeds)
    assert done.exit_code == 2
    assert f"--seeds: '{seeds}': expected different whole numbers of at least 0, such as 0,1" in done.stderr


def test_run_is_the_sub_command_that_need_not_be_typed():
    assert command("center-loss").stderr == command("run", "center-loss").stderr
    assert "--corpus: none; give NAME=ROOT" in command("center-loss").stderr


def test_what_every_row_says_of_the_corpus_is_said_once(tmp_path, root):
    words = ["--corpus", f"synthetic={root}", "--out", str(tmp_path / "out"), *sets(), "--set", "protocol=ten-part"]
    done = command(written(tmp_path), *words, "--repetitions", "2", "--max-hours", "0")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("fewer than 10 utterances of angry") == 1


def test_a_value_of_a_schedule_that_nobody_trains_by_is_named(tmp_path, root):
    idle = ["--set", "schedules.paper.batch_size=3", "--set", "schedules.budget.learning_rate=0.01"]
    words = ["--corpus", f"synthetic={root}", "--out", str(tmp_path / "out"), *sets(), *idle]
    note = (
        "note: --set schedules.paper.batch_size=3 changes nothing: the schedule in use is budget; add --set"
        " schedule=paper to use the other one\n"
    )
    done = command(written(tmp_path), *words, "--max-hours", "0")
    assert done.exit_code == 0, done.output
    assert note in done.stderr
    assert done.stderr.count("changes nothing") == 1
    assert note in CliRunner().invoke(app, ["crossval", "crnn-mel", *words, "--folds", "9"]).stderr


@pytest.mark.parametrize(("word", "says"), [("lsit", "did you mean list?"), ("shw", "did you mean show?")])
def test_a_misspelt_sub_command_is_no_study(word: str, says: str) -> None:
    result = CliRunner().invoke(app, ["study", word])
    assert result.exit_code == 2
    assert says in result.stderr


def test_only_recipes_of_the_same_samples_and_labels_share_decoded_audio():
    base = material_key(load("crnn-mel"))
    others = (
        "sample_rate=8000",
        "labels=[angry, sad]",
        "merge={calm: neutral}",
        "styles=[scripted]",
        "training_only=[esd]",
        "held_out_speakers=[emodb/03]",
        "max_frames=80",
        "bundle={speech: silero}",
    )
    assert len({base, *(material_key(load("crnn-mel", [change])) for change in others)}) == 1 + len(others)
    for change in ("seed=3", "encoder.hidden=8", "protocol=leave-one-speaker-out", "monitor=wa"):
        assert material_key(load("crnn-mel", [change])) == base
    hops = [f"frontend.hop_seconds={hop}" for hop in (0.01, 0.02)]  # so many frames are twice as many samples
    assert len({material_key(load("crnn-mel", [change, "max_frames=80"])) for change in hops}) == 2


def test_hours_are_those_of_the_units_that_wait_shared_by_the_jobs():
    costs = {"a": Estimate(0.5, 100, 5.0, 4, at_most=False), "b": Estimate(2.0, 10, 0.0, 0, at_most=True)}
    assert (costs["a"].seconds, costs["b"].seconds) == (70.0, 20.0)
    units = [SimpleNamespace(row=row) for row in "aab"]
    assert hours(costs, units) == pytest.approx(160 / 3600)
    assert hours(costs, units, jobs=4) == pytest.approx(40 / 3600)
