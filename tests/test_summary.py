"""The summary of a run, by hand from the files of its folds."""

import json
import math

import pytest

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.runs.layout import fold_folder
from serotone.runs.summary import summarise
from serotone.splits import Split

ABOUT = {"recipe": "toy", "protocol": "leave-one-speaker-out"}


def make_fold(run, fold, confusion, *, wa, ua, repetition=0, **leaks):
    """A finished fold; ``leaks`` are those that there are."""
    folder = fold_folder(run, repetition, fold)
    folder.mkdir(parents=True)
    test = {"labels": ["angry", "sad"], "wa": wa, "ua": ua, "confusion": confusion}
    (folder / "metrics.json").write_text(json.dumps({"fold": fold, "repetition": repetition, "test": test}))
    (folder / "selection.json").write_text(json.dumps({"step": 10 * fold, "monitor": "ua", "score": 0.5}))
    none = {"shared_speakers": [], "shared_sentences": [], "test_without_sentence": 0}
    (folder / "leaks.json").write_text(json.dumps(none | leaks))


def splits(count, repetitions=1):
    return [Split(fold, repetition, (), (), ()) for repetition in range(repetitions) for fold in range(count)]


def test_means_are_of_folds_and_pooled_scores_of_utterances(tmp_path):
    make_fold(tmp_path, 0, [[8, 2], [1, 1]], wa=9 / 12, ua=(8 / 10 + 1 / 2) / 2)
    make_fold(tmp_path, 1, [[0, 2], [0, 2]], wa=2 / 4, ua=1 / 2)
    found = summarise(tmp_path, splits(3), ABOUT)
    assert (found["recipe"], found["labels"]) == ("toy", ["angry", "sad"])
    assert (found["folds_planned"], found["folds_finished"], found["repetitions"]) == (3, 2, 1)
    assert [(fold["fold"], fold["clips"], fold["step"]) for fold in found["folds"]] == [(0, 12, 0), (1, 4, 10)]
    assert found["confusion_pooled"] == [[8, 4], [1, 3]]
    assert found["wa_pooled"] == pytest.approx(11 / 16)
    assert found["ua_pooled"] == pytest.approx((8 / 12 + 3 / 4) / 2)
    assert found["wa_mean_of_folds"] == pytest.approx((9 / 12 + 2 / 4) / 2)
    assert found["ua_mean_of_folds"] == pytest.approx((0.65 + 0.5) / 2)
    assert found["wa_sd_of_folds"] == pytest.approx(0.25 / math.sqrt(2))
    assert found["ua_sd_of_folds"] == pytest.approx(0.15 / math.sqrt(2))


def test_what_any_fold_shares_with_its_training_is_counted_once(tmp_path):
    more = {"wa": 1.0, "ua": 1.0}
    ann, bob, eve = "toy/ann", "toy/bob", "toy/eve"
    make_fold(tmp_path, 0, [[1, 0], [0, 1]], shared_speakers=[ann, bob], test_copies=["u1", "u3"], **more)
    make_fold(tmp_path, 1, [[1, 0], [0, 1]], shared_speakers=[bob], shared_sentences=["toy/1"], **more)
    make_fold(tmp_path, 0, [[1, 0], [0, 1]], repetition=1, shared_speakers=[eve], test_copies=["u1", "u2"], **more)
    found = summarise(tmp_path, splits(2, 2), ABOUT)
    assert (found["folds_finished"], found["repetitions"]) == (3, 2)
    assert (found["shared_speakers"], found["shared_sentences"], found["shared_recordings"]) == (3, 1, 3)
    assert (found["unknown_speakers"], found["unknown_sentences"]) == (False, False)
    unknown = {"shared_speakers": [UNKNOWN_SPEAKER], "test_without_sentence": 2}
    make_fold(tmp_path, 1, [[1, 0], [0, 1]], repetition=1, **unknown, **more)
    found = summarise(tmp_path, splits(2, 2), ABOUT)
    assert (found["unknown_speakers"], found["unknown_sentences"]) == (True, True)


def test_before_the_first_fold_there_is_no_score(tmp_path):
    found = summarise(tmp_path, splits(2), ABOUT)
    assert (found["folds_finished"], found["folds"]) == (0, [])
    assert not any(key.startswith(("wa_", "ua_")) for key in found)
