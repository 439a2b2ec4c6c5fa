"""What a reader is told beside the numbers: how much of a row was run, on what corpus, and why a figure has a gap."""

import json

import numpy as np
import pytest

from made_runs import make_run, make_study
from serotone.reports import figures, recall
from serotone.reports.analysis import analyse
from serotone.reports.collect import collect
from serotone.reports.sections import Picture, sections

PARTLY = "Old (5\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}6\N{NO-BREAK SPACE}folds)"


def pictures(folder):
    """Every figure by its name, not drawn."""
    blocks = [block for part in sections(analyse(collect(folder))) for block in part.blocks]
    return {block.stem: block for block in blocks if isinstance(block, Picture)}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """New is right about all but one happy one a speaker; old misses both happy ones, and lacks speaker 2."""
    folder = make_study(
        tmp_path_factory.mktemp("studies") / "study",
        rows=[{"name": "new", "label": "New", "published": {"ua": 91.0}}, {"name": "old", "label": "Old"}],
        published_on="iemocap",
        compare=[{"a": "new", "b": "old", "question": "Is new better?"}],
    )
    make_run(folder / "new" / "seed-0", wrong=lambda speaker, item: item == 1)
    make_run(folder / "old" / "seed-0", wrong=lambda speaker, item: item in {0, 1, 4}, folds=[0, 1, 3, 4, 5])
    return folder


@pytest.mark.parametrize("stem", ["scores-ua", "recall", "neutral", "speakers-ua", "reliability"])
def test_a_row_of_which_not_every_fold_was_run_says_so(study, stem, monkeypatch):
    given = []
    names = ("intervals", "recall_bars", "neutral_share", "speaker_scores", "reliability")
    for name in names:
        monkeypatch.setattr(figures, name, lambda rows, *_, **__: given.extend(rows))
    found = analyse(collect(study))
    blocks = [block for part in sections(found) for block in part.blocks if isinstance(block, Picture)]
    next(block for block in blocks if block.stem == stem).draw()
    assert [row[0] if isinstance(row, tuple) else row for row in given] == ["New", PARTLY]


def test_a_comparison_counts_the_folds_that_both_rows_have(study):
    drawn = pictures(study)["differences-ua"].draw()
    labels = [label.get_text().replace("\n", " ") for label in drawn.axes[0].get_yticklabels()]
    assert labels == [f"New − {PARTLY}"]


def test_published_figures_are_named_with_their_corpus(study):
    made = pictures(study)
    assert made["scores-ua"].caption.endswith(
        "on toy: pooled, with its 95 % interval. Diamonds: published, on iemocap."
    )
    assert "published" not in made["scores-wa"].caption
    (legend,) = made["scores-ua"].draw().legends
    assert "published, on iemocap" in [text.get_text() for text in legend.get_texts()]


def test_a_speaker_to_come_is_told_from_one_without_a_clip(tmp_path, monkeypatch):
    """Old has not run speaker 2, and its corpus has no speaker 5."""
    study = make_study(tmp_path, rows=[{"name": "new", "label": "New"}, {"name": "old", "label": "Old"}])
    make_run(tmp_path / "new" / "seed-0")
    make_run(tmp_path / "old" / "seed-0", speakers=5, folds=[0, 1, 3, 4])
    given = []
    monkeypatch.setattr(figures, "speaker_scores", lambda scores, **_: given.append(scores))
    pictures(study)["speakers-ua"].draw()
    new, old = given[0].values()
    assert list(new) == [f"toy/s{n}" for n in range(6)]
    assert "toy/s2" not in old
    assert np.isnan(old["toy/s5"])
    assert {name for name, score in old.items() if score == 1} == {f"toy/s{n}" for n in (0, 1, 3, 4)}


def test_without_a_validation_part_the_loss_is_drawn_and_the_reason_given(tmp_path):
    run = make_run(tmp_path / "run")
    for fold in run.glob("fold-*"):
        (fold / "curves.csv").write_text("step,epoch,loss\n10,0,2\n20,1,1\n")
        (fold / "selection.json").write_text(json.dumps({"step": 20, "monitor": "ua", "score": None}))
        told = json.loads((fold / "metrics.json").read_text())
        (fold / "metrics.json").write_text(json.dumps(told | {"clips": {"train": 30}}))
    (curves,) = [picture for stem, picture in pictures(run).items() if stem.startswith("curves-")]
    assert curves.caption == "toy: loss in training, one line a fold; no score, as the protocol has no validation part."
    (axes,) = curves.draw().axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[10, 2], [20, 1]])


def test_differences_in_recall_by_hand(study):
    """Of the five speakers that both have: angry 10 of 10 and 5, happy 5 and 0, neutral 10 and 10."""
    table = recall.differences(analyse(collect(study)))
    assert table.columns == ("question", "angry", "happy", "neutral")
    assert [cell.text for cell in table.rows[0]] == [
        "Is new better? (a: New; b: Old)",
        "+50.0 (+100 %)",
        "+50.0 (b: 0)",
        "0.0 (0 %)",
    ]
    numbers = [(measure, pytest.approx(value), unit) for measure, value, unit in table.rows[0][1].numbers]
    assert numbers == [("recall difference", 50, "points"), ("recall difference, relative", 100, "percent")]


def test_where_nothing_is_compared_there_are_no_differences(tmp_path):
    assert recall.differences(analyse(collect(make_run(tmp_path / "run")))) is None
