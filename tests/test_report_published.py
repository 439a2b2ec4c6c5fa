"""In what ours and the published figures differ, and the scores that a study prints."""

import json
from pathlib import Path

import pytest

from made_runs import make_run, make_study
from serotone.cli.study import summary
from serotone.experiments.study import Outcome, Run
from serotone.recipes import load
from serotone.reports import published
from serotone.reports.analysis import analyse
from serotone.reports.collect import collect


def differences(folder, *, shares=(), **said):
    make_study(folder, rows=[{"name": "a", "published": {"ua": 70.0, "recall": {"angry": 96.0}}}], **said)
    run = make_run(folder / "a" / "seed-0", folds=[0])
    leaks = run / "fold-0-0" / "leaks.json"
    told = json.loads(leaks.read_text()) | ({"shared_speakers": list(shares)})
    leaks.write_text(json.dumps(told))
    table = published.differences(analyse(collect(folder)))
    return {row[0].text: tuple(cell.text for cell in row[1:]) for row in table.rows}


@pytest.mark.parametrize(
    ("classes", "told", "same"),
    [
        (["neutral", "happy", "angry"], "angry, happy, neutral", "yes"),
        (["angry", "happy", "sad", "neutral"], "angry, happy, neutral, sad", "no"),
        (["angry", "happy", "sad"], "angry, happy, sad", "no"),
        ([], "not stated", "not stated"),  # the classes whose recall is published are not all
    ],
)
def test_classes(tmp_path, classes, told, same):
    found = differences(tmp_path, published_classes=classes)
    assert found["classes"] == (told, "angry, happy, neutral", same)


@pytest.mark.parametrize(
    ("protocol", "shares", "expected"),
    [
        ("five folds; speakers shared", ["toy/s0"], ("yes", "yes", "yes")),
        ("five folds; speakers shared", [], ("yes", "no", "no")),
        ("speakers apart; five folds", ["toy/s0"], ("no", "yes", "no")),
        ("speakers apart; five folds", ["unknown"], ("no", "not known", "read both")),
        ("speakers apart; five folds", ["toy/s0", "unknown"], ("no", "yes", "no")),
        ("five folds", ["toy/s0"], ("see the protocol", "yes", "read both")),
        ("not stated; ours is a random 80/20; speakers shared", ["toy/s0"], ("see the protocol", "yes", "read both")),
        ("not stated", ["toy/s0"], ("not stated", "yes", "not stated")),
        ("", ["toy/s0"], ("not stated", "yes", "not stated")),
    ],
)
def test_speakers_heard_in_training(tmp_path, protocol, shares, expected):
    found = differences(tmp_path, shares=shares, published_protocol=protocol)
    assert found["test speakers also in training"] == expected


def test_rows_of_one_letter_leave_the_columns_apart(tmp_path):
    run = Run("a", load("crnn-mel"), Path(tmp_path), (), "ten-part")
    (tmp_path / "summary.json").write_text(json.dumps({"folds_finished": 0, "folds_planned": 6}))
    header, line, *_ = summary([run], Outcome()).splitlines()
    assert header.split()[:2] == ["row", "seed"]
    assert line.split()[:3] == ["a", "0", "0/6"]
    assert header.index("seed") + 3 == line.index("0")
