"""What a reader is told next to the numbers: how much of a row was run, and why a figure has a gap."""

import json

import numpy as np
import pytest

from made_runs import make_run, make_study
from serotone.reports import comparisons, planes
from serotone.reports.analysis import analyse
from serotone.reports.collect import collect
from serotone.reports.pictures import pictures

PARTLY = "Old (5\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}6\N{NO-BREAK SPACE}folds)"


def pictures_of(folder):
    """Every figure by its name, not drawn."""
    found = analyse(collect(folder))
    return {picture.stem: picture for picture in pictures(found, planes.embedded(found.collection))}


def make(folder, **said):
    """New is right about all but one happy one a speaker; old misses both happy ones, and lacks speaker 2."""
    make_study(
        folder,
        rows=[{"name": "new", "label": "New", "published": {"ua": 91.0}}, {"name": "old", "label": "Old"}],
        compare=[{"a": "new", "b": "old", "question": "Is new better?"}],
        **said,
    )
    make_run(folder / "new" / "seed-0", wrong=lambda speaker, item: item == 1)
    make_run(folder / "old" / "seed-0", wrong=lambda speaker, item: item in {0, 1, 4}, folds=[0, 1, 3, 4, 5])
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make(tmp_path_factory.mktemp("studies") / "study", published_on="toy")


def test_a_row_of_which_not_every_fold_was_run_says_so_and_chance_is_marked(study):
    (lines,) = pictures_of(study)["scores-ua"].draw.args
    assert [(line.label, line.published, line.chance) for line in lines] == [
        ("New", 0.91, pytest.approx(1 / 3)),
        (PARTLY, None, pytest.approx(1 / 3)),
    ]
    (rows,) = pictures_of(study)["reliability"].draw.args
    assert [*rows] == ["New", PARTLY]


def test_a_comparison_counts_the_folds_that_both_rows_have(study):
    (lines,) = pictures_of(study)["differences-ua"].draw.args
    assert [line.label for line in lines] == [f"New − {PARTLY}"]


def test_published_figures_of_another_corpus_are_not_drawn_next_to_ours(study, tmp_path):
    assert pictures_of(study)["scores-ua"].about == "UA. Diamonds: published, on toy."
    other = pictures_of(make(tmp_path, published_on="iemocap"))["scores-ua"]
    assert other.about == "UA."
    assert [line.published for line in other.draw.args[0]] == [None, None]


def test_a_sweep_draws_the_published_score_of_a_value_that_was_not_run(tmp_path):
    grid = {"recipe": "toy", "values": {"center.weight": [3, 0.3]}}
    grid["published"] = [{"at": {"center.weight": 3}, "ua": 66.9}]
    make_study(tmp_path, rows=[], grid=grid, sweeps=[{"key": "center.weight", "log": True}], published_on="toy")
    make_run(tmp_path / "weight=0.3" / "seed-0")
    (axes,) = pictures_of(tmp_path)["sweep-0-center.weight-ua"].draw().axes
    ours, theirs = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    np.testing.assert_allclose(ours.get_xydata(), [[0.3, 100], [3, np.nan]])
    np.testing.assert_allclose(theirs.get_xydata(), [[3, 66.9]])


def test_a_sweep_over_named_rows_is_drawn_without_the_one_that_was_not_run(tmp_path):
    rows = [{"name": name, "label": name.title()} for name in ("weak", "strong", "never")]
    make_study(tmp_path, rows=rows, sweeps=[{"key": "center.weight", "rows": ["weak", "strong", "never"]}])
    for name, weight in (("weak", 0.3), ("strong", 3.0)):
        make_run(tmp_path / name / "seed-0", recipe={"center": {"weight": weight}})
    picture = pictures_of(tmp_path)["sweep-0-center.weight-ua"]
    assert picture.about == "UA over center.weight. Not run: Never"
    (axes,) = picture.draw().axes
    (ours,) = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(ours.get_xydata(), [[0.3, 100], [3, 100]])


def test_without_a_validation_part_the_loss_is_drawn_and_the_reason_given(tmp_path):
    run = make_run(tmp_path / "run")
    for fold in run.glob("fold-*"):
        (fold / "curves.csv").write_text("step,epoch,loss\n10,0,2\n20,1,1\n")
        (fold / "selection.json").write_text(json.dumps({"step": 20, "monitor": "ua", "score": None}))
        told = json.loads((fold / "metrics.json").read_text())
        (fold / "metrics.json").write_text(json.dumps(told | {"clips": {"train": 30}}))
    curves = pictures_of(run)["curves-toy"]
    assert curves.about == "toy: loss in training; there is no score, because the protocol has no validation part"
    (axes,) = curves.draw().axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[10, 2], [20, 1]])


def test_differences_in_recall_by_hand(study):
    """Of the five speakers that both have: angry 10 of 10 and 5, happy 5 and 0, neutral 10 and 10."""
    table = comparisons.recall_differences(analyse(collect(study)))
    assert table.columns == ("question", "angry", "happy", "neutral")
    assert [cell.text for cell in table.rows[0]] == [
        "Is new better? (a: New; b: Old)",
        "+50.0 (+100 %)",
        "+50.0 (b: 0)",
        "0.0 (0 %)",
    ]
    numbers = [(measure, pytest.approx(value), unit) for measure, value, unit in table.rows[0][1].numbers]
    assert numbers == [("recall difference", 50, "points"), ("recall difference, relative", 100, "percent")]
