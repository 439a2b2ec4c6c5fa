"""What ``evaluate --out`` writes is what ``serotone report`` reads, and both give the same scores."""

import csv
import json

import pytest
import soundfile
from typer.testing import CliRunner

from serotone import metrics
from serotone.cli import app
from serotone.corpora import parse_corpora, synthetic
from serotone.errors import RunError, SerotoneWarning
from serotone.evaluation import evaluate
from serotone.evaluation.saving import check_folder, save
from serotone.recognition.recognizer import Recognizer
from serotone.reports import tables
from serotone.reports.analysis import analyse
from serotone.reports.cells import to_csv
from serotone.reports.collect import collect
from serotone.reports.write import rendered, tables_of
from serotone.runs.layout import RECIPE
from test_evaluation import CORPUS, make_corpus
from toy_bundle import SAMPLE_RATE, buzz, make_toy_bundle, tone


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    root = tmp_path_factory.mktemp("voices") / "synthetic"
    synthetic.make(root, speakers=6, seed=0, sentences=1)
    return f"synthetic={root}"


def numbers(analysis):
    """What ``tables.csv`` says of the scores: value by row and measure."""
    lines = csv.DictReader(to_csv([tables.scores(analysis)]).splitlines())
    return {(line["row"], line["measure"]): float(line["value"]) for line in lines}


def page_of(analysis):
    """The report without its figures, as ``tables.md``."""
    return rendered("page.md.j2", analysis, tables_of(analysis, []), {})


def test_a_report_of_two_corpora_has_the_scores_of_evaluate(adaptable, voices, tmp_path):
    """Plain and adapted answers are rows of one report, each corpus a fold; silence is a wrong answer in both."""
    out = tmp_path / "out"
    folders = make_corpus(tmp_path / "corpus")
    corpora = ["--corpus", voices, "--corpus", folders]
    command = ["evaluate", adaptable, *corpora, "--adapt", "--out", out, "--format", "json"]
    said = json.loads(run(*command).stdout)
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == said
    analysis = analyse(collect(out))
    shown = numbers(analysis)
    rows = {
        "toy, plain": said,
        "toy, adapted to the collection": said["adapted"]["collection"],
        "toy, adapted to the collection, then the speaker": said["adapted"]["speaker"],
    }
    assert len({scores["restricted"]["ua"] for scores in rows.values()}) > 1  # so that no row is taken for another
    for row, scores in rows.items():
        for key in ("ua", "wa"):
            name = key.upper()
            assert shown[row, f"{name} pooled"] == pytest.approx(100 * scores["restricted"][key])
            mean, sd = metrics.mean_and_sd(each["restricted"][key] for each in scores["by_corpus"].values())
            assert mean == scores["mean_of_corpora"]["restricted"][key]
            assert (shown[row, f"{name} mean"], shown[row, f"{name} SD"]) == pytest.approx((100 * mean, 100 * sd))
            assert shown[row, f"{name} interval low"] <= shown[row, f"{name} pooled"]
    page = page_of(analysis)
    assert "# toy 1 on folders, synthetic" in page
    assert "Clips without an answer: 1. They count as wrong" in page
    assert "**Did the test part choose the training step?** No: nothing was trained." in page
    assert "7 speakers" in page
    for pair in analysis.pairs:  # seven speakers are enough for a test
        assert pair.comparisons["ua"].p is not None
        assert len(pair.common) == said["scored"]


def test_a_second_evaluation_replaces_the_first(adaptable, voices, tmp_path):
    """The same folder may be given again, for other corpora or another way; no answer of the first is left over."""
    out = tmp_path / "out"
    folders = make_corpus(tmp_path / "corpus")
    run("evaluate", adaptable, "--corpus", voices, "--corpus", folders, "--adapt", "--out", out)
    second = run("evaluate", adaptable, "--corpus", folders, "--leave-out-failed", "--out", out, "--format", "json")
    assert second.exit_code == 0, second.output
    analysis = analyse(collect(out))
    (row,) = analysis.collection.rows
    assert (row.name, row.folds, row.whole) == ("plain", 1, True)
    found = analysis.results[row.name]
    assert found.labels == ("angry", "sad")  # no class for what got no answer, as that is left out
    assert found.scores["ua"].pooled == pytest.approx(json.loads(second.stdout)["restricted"]["ua"])
    assert sorted(path.name for path in (out / "plain" / "seed-0").glob("fold-*")) == ["fold-0-0"]
    assert [path.name for path in out.glob("predictions*.csv")] == ["predictions.csv"]


def test_what_the_bundle_was_trained_on_and_who_speaks_is_said(tmp_path):
    """A corpus without speakers gets no interval, and a corpus that trained the bundle a note."""
    make_toy_bundle(tmp_path / "toy", data=[{"name": "manifest", "licence": "CC0-1.0", "utterances": 3}])
    for name, samples in {"a": tone(1, 0.9), "b": tone(1, 0.002), "c": buzz(1, 0.2)}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, SAMPLE_RATE)
    table = tmp_path / "m.csv"
    table.write_text("path,emotion\na.wav,angry\nb.wav,sad\nc.wav,sad\n", encoding="utf-8")
    with pytest.warns(SerotoneWarning, match="the speaker of 3 utterances .* is unknown"):
        utterances = parse_corpora([f"manifest={table}"])
    result = evaluate(Recognizer(tmp_path / "toy"), utterances)
    save(tmp_path / "out", result, utterances)
    analysis = analyse(collect(tmp_path / "out"))
    (of,) = analysis.results.values()
    assert of.scores["ua"].interval is None
    assert not of.speakers_known
    assert of.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    page = page_of(analysis)
    assert "toy was trained on manifest: these are not figures for unseen speakers." in page
    assert "speakers not known" in page


def test_the_folder_of_something_else_is_refused_before_any_work(adaptable, tmp_path):
    """Neither a run nor a study is written over; where the words are ours, what lies there is ours."""
    corpus = make_corpus(tmp_path / "corpus", {name: CORPUS[name] for name in ("a1", "s1")})
    for name, text in {RECIPE: "name: mine\n", "study.yaml": "name: evaluation\nschema: 1\n"}.items():
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text, encoding="utf-8")
        refused = run("evaluate", adaptable, "--corpus", corpus, "--out", folder)
        assert refused.exit_code == 1
        assert "holds a training, a cross-validation or a study" in " ".join(refused.stderr.split())
        with pytest.raises(RunError, match="give another folder"):
            check_folder(folder)
        assert [path.name for path in folder.iterdir()] == [name]
    mine = tmp_path / "mine" / "predictions.csv"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    refused = run("evaluate", adaptable, "--corpus", corpus, "--out", mine.parent)
    assert (refused.exit_code, mine.read_text(encoding="utf-8")) == (1, "mine")
    assert "holds a predictions.csv that serotone evaluate did not write" in " ".join(refused.stderr.split())


@pytest.mark.parametrize("name", ["speakers.csv", "predictions-speaker.csv", "speaker/anna.wav"])
def test_files_that_only_share_a_name_with_ours_are_not_written_over(adaptable, tmp_path, name):
    """A list of speakers, or recordings in a folder called speaker, may lie where somebody evaluates."""
    corpus = make_corpus(tmp_path / "corpus", {name: CORPUS[name] for name in ("a1", "s1")})
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", encoding="utf-8")
    refused = run("evaluate", adaptable, "--corpus", corpus, "--out", tmp_path / "mine")
    assert (refused.exit_code, mine.read_text(encoding="utf-8")) == (1, "mine")
    assert f"holds a {name.partition('/')[0]} that serotone evaluate did not write" in " ".join(refused.stderr.split())


def test_a_second_evaluation_leaves_what_others_put_next_to_its_runs(adaptable, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", {name: CORPUS[name] for name in ("a1", "s1")})
    command = ["evaluate", adaptable, "--corpus", corpus, "--out", tmp_path / "out"]
    assert run(*command).exit_code == 0
    mine = tmp_path / "out" / "speaker" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    assert run(*command).exit_code == 0
    assert mine.read_text(encoding="utf-8") == "mine"
