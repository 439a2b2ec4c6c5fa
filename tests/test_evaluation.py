"""Scoring a bundle: shared emotions only, what is not shared said, every figure from the predictions on disk."""

import csv
import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from serotone import metrics
from serotone.cli import app
from serotone.errors import CorpusError
from serotone.evaluation import evaluate
from serotone.recognition.recognizer import Recognizer
from toy_bundle import SAMPLE_RATE, buzz, make_toy_bundle, tone, toy_probabilities

LOUD, QUIET, BUZZ, SILENT = tone(1, 0.9), tone(1, 0.002), buzz(1, 0.2), np.zeros(16000)
CORPUS = {  # name: (emotion, samples); the toy recogniser knows angry, happy and sad
    "a1": ("angry", LOUD),
    "a2": ("angry", LOUD),
    "a3": ("angry", QUIET),
    "a4": ("angry", BUZZ),
    "s1": ("sad", QUIET),
    "s2": ("sad", LOUD),
    "b1": ("bored", QUIET),
    "b2": ("bored", LOUD),
    "n1": ("neutral", QUIET),
    "x1": ("sad", SILENT),
}


def make_corpus(root, corpus=CORPUS):
    for name, (emotion, samples) in corpus.items():
        (root / emotion / "anna").mkdir(parents=True, exist_ok=True)
        soundfile.write(root / emotion / "anna" / f"{name}.wav", samples, SAMPLE_RATE)
    return f"folders={root}"


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def recognizer(tmp_path):
    make_toy_bundle(tmp_path / "toy")
    return Recognizer(tmp_path / "toy")


def utterances(option):
    from serotone.corpora import parse_corpora

    return parse_corpora([option])


def test_shared_emotions_only(recognizer, corpus):
    heard = []
    result = evaluate(recognizer, utterances(corpus), on_utterance=lambda: heard.append(1))
    assert result.shared == ("angry", "sad")
    assert result.bundle_only == ("happy",)
    assert result.corpus_only == {"bored": 2, "neutral": 1}
    assert len(result.unanswered) == 1
    assert "x1" in result.unanswered[0]
    assert result.failed == ()
    assert len(result.rows) == 6
    assert len(heard) == 7


def test_scores_by_hand(recognizer, corpus):
    """Angry: two right, one sad, one happy, which falls back to the more probable of angry and sad. Sad: one of two."""
    result = evaluate(recognizer, utterances(corpus))
    fallback = toy_probabilities(BUZZ)[0] > toy_probabilities(BUZZ)[2]
    assert fallback
    scores = result.scores()
    assert scores["confusion"] == [[3, 1], [1, 1]]
    assert scores["wa"] == pytest.approx(4 / 6)
    assert scores["ua"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    free = result.unrestricted_scores()
    assert free["wa"] == pytest.approx(3 / 6)
    assert free["ua"] == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert free["recall"]["happy"] is None


def test_every_score_comes_from_the_predictions_on_disk(recognizer, corpus, tmp_path):
    result = evaluate(recognizer, utterances(corpus))
    result.write(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(result.to_dict()))
    assert written["schema"] == 1
    with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["id", "truth", "prediction", "p_angry"]
    truth = [row["truth"] for row in rows]
    restricted = [max(written["shared"], key=lambda label, row=row: float(row[f"p_{label}"])) for row in rows]
    free = [max(("angry", "happy", "sad"), key=lambda label, row=row: float(row[f"p_{label}"])) for row in rows]
    assert restricted == [row["prediction"] for row in rows]
    assert free == [row["answer"] for row in rows]
    assert metrics.summary(truth, restricted, labels=written["shared"]) == written["restricted"]


def test_a_bundle_on_its_own_data_says_so(tmp_path, corpus):
    make_toy_bundle(tmp_path / "own", data=[{"name": "folders", "licence": "none", "utterances": 3}])
    result = evaluate(Recognizer(tmp_path / "own"), utterances(corpus))
    assert result.trained_on == ("folders",)
    shown = CliRunner().invoke(app, ["evaluate", str(tmp_path / "own"), "--corpus", corpus]).stdout
    assert "NOTE: toy was trained on folders" in shown


def test_nothing_in_common_is_an_error(recognizer, tmp_path):
    option = make_corpus(tmp_path / "other", {"a": ("bored", LOUD), "b": ("angry", LOUD)})
    with pytest.raises(CorpusError, match=r"recognises angry, happy, sad.*holds angry, bored.*fewer than two"):
        evaluate(recognizer, utterances(option))


def test_nothing_scored_is_an_error(recognizer, tmp_path):
    option = make_corpus(tmp_path / "other", {"a": ("sad", SILENT), "b": ("angry", SILENT)})
    with pytest.raises(CorpusError, match="2 hold no speech"):
        evaluate(recognizer, utterances(option))


def test_the_command_line(recognizer, corpus, tmp_path):
    bundle = str(recognizer.bundle.path)
    shown = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", corpus])
    assert shown.exit_code == 0
    assert "scored on the emotions that both have: angry, sad" in shown.stdout
    assert "classes of the bundle that the corpus lacks: happy" in shown.stdout
    assert "emotions that the bundle lacks, left out: bored (2), neutral (1)" in shown.stdout
    assert "among the shared emotions           66.67%  62.50%" in shown.stdout
    out = tmp_path / "run"
    raw = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", corpus, "--format", "json", "--out", str(out)])
    assert json.loads(raw.stdout)["scored"] == 6
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "predictions.csv"]
    assert CliRunner().invoke(app, ["evaluate", bundle]).exit_code == 2
    wrong = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", "nosuch=/tmp"])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("error: ")


def test_unreadable_files_are_named_and_the_rest_go_on(recognizer, corpus, tmp_path):
    (tmp_path / "corpus" / "sad" / "anna" / "s2.wav").write_text("not audio", encoding="utf-8")
    result = CliRunner().invoke(app, ["evaluate", str(recognizer.bundle.path), "--corpus", corpus])
    assert result.exit_code == 1
    assert "s2" in result.stderr
    assert "5 utterances" in result.stdout


def test_emotions_merged_in_training_are_merged_again(tmp_path):
    make_toy_bundle(tmp_path / "merging", merge={"excited": "happy"})
    corpus = make_corpus(
        tmp_path / "corpus", {"e1": ("excited", BUZZ), "e2": ("excited", QUIET), "a1": ("angry", LOUD)}
    )
    result = evaluate(Recognizer(tmp_path / "merging"), utterances(corpus))
    assert set(result.shared) == {"angry", "happy"}
    assert result.corpus_only == {}
    assert dict(result.merged) == {"excited as happy": 2}
    assert sorted((row.truth, row.answer) for row in result.rows) == [
        ("angry", "angry"),
        ("happy", "happy"),
        ("happy", "sad"),
    ]
    printed = CliRunner().invoke(app, ["evaluate", str(tmp_path / "merging"), "--corpus", corpus]).stdout
    assert "excited as happy (2)" in printed
