"""Rows are compared on folds with the same training, validation and test parts; the rest is left out, and said."""

import json

import pytest

from made_runs import EACH, make_run, make_study, name_of
from serotone.errors import RunError
from serotone.reports import comparisons
from serotone.reports.analysis import analyse
from serotone.reports.collect import collect

SPEAKERS = 7
UNLIKE = "answers of folds whose parts differ between the rows"


def of_speaker(speaker):
    return [name_of(speaker, item) for item in range(EACH)]


def write_parts(run, *, validates=lambda fold: (fold + 1) % SPEAKERS, folds=range(SPEAKERS)):
    """``split.json`` of a leave-one-speaker-out run; ``validates`` names the speaker of the validation part."""
    for fold in folds:
        rest = [speaker for speaker in range(SPEAKERS) if speaker not in {fold, validates(fold)}]
        parts = {
            "train": [name for speaker in rest for name in of_speaker(speaker)],
            "validation": of_speaker(validates(fold)),
            "test": of_speaker(fold),
        }
        split = {"fold": fold, "repetition": 0, **parts}
        (run / f"fold-0-{fold}" / "split.json").write_text(json.dumps(split), encoding="utf-8")


@pytest.fixture
def runs(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}, {"name": "b"}], compare=[{"a": "a", "b": "b", "question": "?"}])
    return [
        make_run(tmp_path / name / "seed-0", speakers=SPEAKERS, wrong=lambda speaker, item, n=n: item < n)
        for n, name in enumerate("ab")
    ]


def compared(runs):
    found = analyse(collect(runs[0].parent.parent))
    (pair,) = found.pairs
    return pair, [table.rows[0][-1].text for table in comparisons.comparisons(found)]


def test_equal_parts_are_compared_whole(runs):
    for run in runs:
        write_parts(run)
    pair, remarks = compared(runs)
    assert (len(pair.common), pair.other_parts) == (SPEAKERS * EACH, 0)
    assert set(remarks) == {"–"}


def test_the_order_of_ids_does_not_matter(runs):
    for run in runs:
        write_parts(run)
    path = runs[1] / "fold-0-0" / "split.json"
    split = json.loads(path.read_text())
    path.write_text(json.dumps({key: ids[::-1] if isinstance(ids, list) else ids for key, ids in split.items()}))
    assert compared(runs)[0].other_parts == 0


def test_another_deal_of_training_and_validation_is_not_compared(runs):
    """Every fold tests the same speaker in both rows, as another ``protocol.seed`` does."""
    write_parts(runs[0])
    write_parts(runs[1], validates=lambda fold: (fold + 2) % SPEAKERS)
    pair, remarks = compared(runs)
    assert not pair.comparisons
    assert set(remarks) == {"not compared: the rows were not trained, validated and tested on the same parts"}


def test_single_folds_with_other_parts_are_left_out(runs):
    write_parts(runs[0])
    write_parts(runs[1], validates=lambda fold: (fold + 1 + (fold == 3)) % SPEAKERS)
    pair, remarks = compared(runs)
    assert len(pair.common) == (SPEAKERS - 1) * EACH
    assert pair.comparisons["ua"].speakers == SPEAKERS - 1
    assert remarks == [f"left out: {EACH} {UNLIKE}"] * 3


@pytest.mark.parametrize("text", ['{"train": [], "test": []}', "[]", '{"train": 1, "validation": [], "test": []}', "{"])
def test_damaged_parts_are_named(runs, text):
    for run in runs:
        write_parts(run)
    (runs[1] / "fold-0-2" / "split.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"fold-0-2/split\.json: expected"):
        compared(runs)
