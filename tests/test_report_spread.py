"""Spread between folds and seeds where the protocol is dealt several times: a repetition is no seed."""

import numpy as np
import pytest

from made_runs import EACH, answer, make_fold, make_run, make_study
from serotone.reports import circumstances
from serotone.reports.analysis import analyse
from serotone.reports.collect import collect


def make_repeated(folder, *, seed=0, repetitions=5, folds=5, wrong):
    """A run whose answers depend on repetition and fold; ``wrong`` says how many of a fold's are."""
    make_run(folder, seed=seed, folds=[], speakers=folds, repetitions=repetitions)
    for repetition in range(repetitions):
        for fold in range(folds):
            rows = [answer(fold, item, item < wrong(repetition, fold)) for item in range(EACH)]
            make_fold(folder / f"fold-{repetition}-{fold}", fold, rows)


def spread_of(folder):
    table = circumstances.spread(analyse(collect(folder)))
    (row,) = table.rows
    shown = {column: cell.text for column, cell in zip(table.columns, row, strict=True)}
    return shown, {measure: value for cell in row for measure, value, _ in cell.numbers}


def test_repetitions_are_no_seeds(tmp_path):
    """Wrong answers by repetition and fold, under both seeds the same."""

    def wrong(repetition, fold):
        return (repetition + fold) % 3

    make_study(tmp_path, rows=[{"name": "a"}], seeds=(0, 1), repetitions=5)
    for seed in (0, 1):
        make_repeated(tmp_path / "a" / f"seed-{seed}", seed=seed, wrong=wrong)
    shown, numbers = spread_of(tmp_path)
    scores = [100 * (1 - wrong(r, f) / EACH) for r in range(5) for f in range(5)]
    assert numbers["WA SD seeds"] == 0
    assert numbers["WA SD folds"] == pytest.approx(np.std(scores, ddof=1))
    assert numbers["WA SD left over"] == pytest.approx(0, abs=1e-9)
    assert shown["folds under another seed"] == "the same test parts"


def test_what_a_seed_does_is_found_among_repetitions(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}], seeds=(0, 1), repetitions=3)
    for seed in (0, 1):
        folder = tmp_path / "a" / f"seed-{seed}"
        make_repeated(folder, seed=seed, repetitions=3, wrong=lambda r, f, seed=seed: (r + f) % 3 + seed)
    _, numbers = spread_of(tmp_path)
    assert numbers["WA SD seeds"] == pytest.approx(100 * np.std([0, 1 / EACH], ddof=1))


def test_of_one_seed_nothing_is_said_about_seeds(tmp_path):
    """One holdout, dealt five times: 0 to 4 of six wrong."""
    make_study(tmp_path, rows=[{"name": "a"}], repetitions=5)
    make_repeated(tmp_path / "a" / "seed-0", folds=1, wrong=lambda repetition, fold: repetition)
    shown, numbers = spread_of(tmp_path)
    assert shown["WA: SD between seeds (points)"] == "one seed"
    assert shown["WA: SD left over (points)"] == "not told apart"
    assert shown["folds under another seed"] == "one seed"
    assert numbers["WA SD folds"] == pytest.approx(100 * np.std(np.arange(5) / EACH, ddof=1))


def test_a_repetition_that_one_seed_lacks_does_not_count(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}], seeds=(0, 1), repetitions=2)
    make_repeated(tmp_path / "a" / "seed-0", repetitions=2, wrong=lambda repetition, fold: repetition * fold)
    make_repeated(tmp_path / "a" / "seed-1", seed=1, repetitions=1, wrong=lambda repetition, fold: 0)
    _, numbers = spread_of(tmp_path)
    assert numbers["WA SD folds"] == 0
