"""Scoring a bundle: shared emotions only, what is not shared said, every figure from the predictions on disk."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from serotone import metrics
from serotone.cli import app
from serotone.corpora import Utterance, parse_corpora
from serotone.errors import CorpusError, SerotoneWarning
from serotone.evaluation import agree, evaluate, make_row
from serotone.recognition.recognizer import Recognizer
from test_predict_output import process_on_small_disk
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
    assert len(result.rows) == 7
    assert [row.failure for row in result.rows if row.answer is None] == ["digital silence"]
    assert len(heard) == 7


def test_scores_by_hand(recognizer, corpus):
    """Angry: two right, one sad, one happy, which falls back to the more probable of angry and sad. Sad: one of three.

    The third is silence, which gets no label, and so is wrong; left out, it is one of two.
    """
    result = evaluate(recognizer, utterances(corpus))
    fallback = toy_probabilities(BUZZ)[0] > toy_probabilities(BUZZ)[2]
    assert fallback
    scores = result.scores()
    assert scores["confusion"] == [[3, 1], [1, 1]]
    assert scores["no_answer"] == {"angry": 0, "sad": 1}
    assert scores["counts"] == {"angry": 4, "sad": 3}
    assert scores["wa"] == pytest.approx(4 / 7)
    assert scores["ua"] == pytest.approx((3 / 4 + 1 / 3) / 2)
    f1 = [2 * 3 / (2 * 3 + 1 + 1), 2 * 1 / (2 * 1 + 1 + 2)]  # 2 TP / (2 TP + FP + FN)
    assert scores["macro_f1"] == pytest.approx(sum(f1) / 2)
    assert scores["chance"] == 1 / 2
    free = result.unrestricted_scores()
    assert free["wa"] == pytest.approx(3 / 7)
    assert free["ua"] == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert free["recall"]["happy"] is None
    assert free["chance"] == pytest.approx(1 / 3)
    without = evaluate(recognizer, utterances(corpus), leave_out_failed=True)
    assert len(without.scored) == 6
    assert without.scores()["wa"] == pytest.approx(4 / 6)
    assert without.scores()["ua"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert without.to_dict()["failed_count_as"] == "left out"


def _best(labels, row):
    return max(labels, key=lambda label: float(row[f"p_{label}"])) if row["p_angry"] else ""


def test_every_score_comes_from_the_predictions_on_disk(recognizer, corpus, tmp_path):
    result = evaluate(recognizer, utterances(corpus))
    result.write(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(result.to_dict()))
    assert written["schema"] == 2
    with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["id", "truth", "prediction", "p_angry"]
    truth = [row["truth"] for row in rows]
    restricted = [_best(written["shared"], row) for row in rows]
    free = [_best(("angry", "happy", "sad"), row) for row in rows]
    assert restricted == [row["prediction"] for row in rows]
    assert free == [row["answer"] for row in rows]
    assert [row["failure"] for row in rows if not row["answer"]] == ["digital silence"]
    labels = [*written["shared"], ""]
    assert metrics.weighted_accuracy(truth, restricted, labels=labels) == written["restricted"]["wa"]
    assert metrics.unweighted_accuracy(truth, restricted, labels=labels) == written["restricted"]["ua"]
    with (tmp_path / "out" / "speakers.csv").open(encoding="utf-8", newline="") as file:
        (speaker,) = csv.DictReader(file)
    assert speaker["speaker"] == "folders/anna"
    assert float(speaker["ua"]) == pytest.approx(written["restricted"]["ua"], abs=1e-6)
    assert (speaker["utterances"], speaker["failed"]) == ("7", "1")


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
    with pytest.raises(CorpusError, match=r"0 could not be read, 2 got no label; the first: .*digital silence"):
        evaluate(recognizer, utterances(option))


def test_the_command_line(recognizer, corpus, tmp_path):
    bundle = str(recognizer.bundle.path)
    shown = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", corpus])
    assert shown.exit_code == 0
    assert "scored on the emotions that both have: angry, sad" in shown.stdout
    assert "classes of the bundle that are not scored: happy" in shown.stdout
    assert "emotions of the corpus that are not scored: bored (2), neutral (1)" in shown.stdout
    assert "counted as wrong answers: 1 without an answer (1 got no label, 0 could not be read)" in shown.stdout
    assert "among the shared emotions           57.14%  54.17%  50.00%" in shown.stdout
    assert "among all classes of the bundle     42.86%  41.67%  33.33%" in shown.stdout
    assert "sad        1      1          1   33.33%" in shown.stdout
    skipped = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", corpus, "--leave-out-failed"]).stdout
    assert "among the shared emotions           66.67%  62.50%  50.00%" in skipped
    assert "left out: 1 without an answer" in skipped
    out = tmp_path / "run"
    raw = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", corpus, "--format", "json", "--out", str(out)])
    assert json.loads(raw.stdout)["scored"] == 7
    for jobs in ("1", "4"):
        again = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", corpus, "--format", "json", "--jobs", jobs])
        assert again.stdout == raw.stdout
    files = {".lock", "metrics.json", "plain", "predictions.csv", "speakers.csv", "study.yaml"}
    assert {path.name for path in out.iterdir()} == files
    assert CliRunner().invoke(app, ["evaluate", bundle]).exit_code == 2
    wrong = CliRunner().invoke(app, ["evaluate", bundle, "--corpus", "nosuch=/tmp"])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("error: ")


def test_classes_that_nothing_is_left_of_are_no_column(recognizer, tmp_path):
    first = make_corpus(tmp_path / "a", {"a1": ("angry", LOUD), "s1": ("sad", QUIET)})
    make_corpus(tmp_path / "b", {"h1": ("happy", BUZZ), "a2": ("angry", LOUD)})
    for path in (tmp_path / "b").rglob("*.wav"):
        path.write_text("not audio", encoding="utf-8")
    (tmp_path / "b.csv").write_text("path,emotion\nb/happy/anna/h1.wav,happy\nb/angry/anna/a2.wav,angry\n")
    given = ["--corpus", first, "--corpus", f"b={tmp_path / 'b.csv'}", "--leave-out-failed"]
    result = CliRunner().invoke(app, ["evaluate", str(recognizer.bundle.path), *given])
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit), result.output
    assert [line.split() for line in result.stdout.splitlines()[-3:]] == [
        ["truth", "angry", "sad", "recall"],
        ["angry", "1", "0", "100.00%"],
        ["sad", "0", "1", "100.00%"],
    ]


def test_unreadable_files_are_named_and_the_rest_go_on(recognizer, corpus, tmp_path):
    (tmp_path / "corpus" / "sad" / "anna" / "s2.wav").write_text("not audio", encoding="utf-8")
    result = CliRunner().invoke(app, ["evaluate", str(recognizer.bundle.path), "--corpus", corpus])
    assert result.exit_code == 1
    assert "s2" in result.stderr
    assert "7 utterances" in result.stdout
    assert "2 without an answer (1 got no label, 1 could not be read)" in result.stdout


def test_a_synthetic_corpus_is_not_made_where_a_path_is_mistyped(recognizer, tmp_path):
    given = ["--corpus", f"synthetic={tmp_path / 'mistyped'}"]
    result = CliRunner().invoke(app, ["evaluate", str(recognizer.bundle.path), *given])
    assert (result.exit_code, list(tmp_path.glob("mis*"))) == (1, [])
    assert "mistyped: no such folder; check the path, or make it with serotone corpus make" in result.stderr


def test_a_row_without_its_file_counts_as_wrong(recognizer, tmp_path):
    make_corpus(tmp_path / "a", {"a1": ("angry", LOUD), "s1": ("sad", QUIET)})
    rows = "a/angry/anna/a1.wav,angry\na/sad/anna/s1.wav,sad\na/sad/anna/s2.wav,sad\n"
    (tmp_path / "clips.csv").write_text(f"path,emotion\n{rows}")
    given = ["evaluate", str(recognizer.bundle.path), "--corpus", f"mine={tmp_path / 'clips.csv'}"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 1
    assert "mine/s2: " in result.stderr
    assert "s2.wav: no such file" in result.stderr
    assert "1 without an answer (0 got no label, 1 could not be read)" in result.stdout
    assert "among the shared emotions           66.67%  75.00%" in result.stdout


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


def test_one_vocabulary_on_the_command_line(recognizer, tmp_path):
    """Calm counts as sad where it is said so, in the corpus and in the scores; labels narrow what is scored."""
    corpus = make_corpus(
        tmp_path / "corpus", {"c1": ("calm", QUIET), "c2": ("calm", LOUD), "a1": ("angry", LOUD), "h1": ("happy", BUZZ)}
    )
    command = ["evaluate", str(recognizer.bundle.path), "--corpus", corpus, "--format", "json"]

    def scored(*options):
        result = CliRunner().invoke(app, [*command, *options])
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    plain = scored()
    assert plain["shared"] == ["angry", "happy"]
    assert plain["corpus_only"] == {"calm": 2}
    merged = scored("--merge", "calm=sad")
    assert merged["shared"] == ["angry", "happy", "sad"]
    assert (merged["merge"], merged["merged"]) == ({"calm": "sad"}, {"calm as sad": 2})
    assert merged["restricted"]["recall"] == {"angry": 1.0, "happy": 1.0, "sad": 0.5}
    narrow = scored("--merge", "calm=sad", "--labels", "angry, sad")
    assert (narrow["shared"], narrow["scored"], narrow["bundle_only"]) == (["angry", "sad"], 3, ["happy"])
    assert narrow["restricted"]["chance"] == 0.5
    for options, status, said in [
        (["--merge", "calm"], 2, "expected A=B, such as calm=neutral"),
        (["--merge", "calm=neutrall"], 2, "'neutrall' is not a known emotion (did you mean neutral?)"),
        (["--labels", "angry,hapy"], 2, "toy does not answer 'hapy' (did you mean happy?)"),
        (["--labels", "angry"], 2, "names fewer than two emotions"),
        (["--labels", "angry,surprised"], 2, "toy does not answer 'surprised'"),
        (["--merge", "calm=sad", "--merge", "sad=calm"], 2, "is a circle"),
    ]:
        result = CliRunner().invoke(app, [*command, *options])
        assert result.exit_code == status
        assert said in " ".join(result.stderr.split())


def test_answers_are_merged_as_the_corpus_is(recognizer, tmp_path):
    """Happy and sad count as one class: their probabilities are added, and the free answer is called by its name."""
    corpus = make_corpus(tmp_path / "corpus", {"s1": ("sad", BUZZ), "a1": ("angry", LOUD), "h1": ("happy", QUIET)})
    result = evaluate(recognizer, utterances(corpus), merge={"happy": "sad"})
    assert result.terms.classes == ("angry", "sad")
    assert result.bundle_only == ()
    for row in result.rows:
        assert row.probabilities is not None
        total = result.terms.merged(row.probabilities)
        assert total == pytest.approx(
            {"angry": row.probabilities["angry"], "sad": row.probabilities["happy"] + row.probabilities["sad"]}
        )
    assert result.scores()["ua"] == result.unrestricted_scores()["ua"] == 1.0
    assert result.unrestricted_scores()["chance"] == 0.5


def test_merges_of_the_bundle_can_be_followed_and_undone(tmp_path):
    bundle = make_toy_bundle(tmp_path / "toy", merge={"calm": "sad"})
    held = [Utterance(e, tmp_path, e, "s", "c") for e in ("calm", "angry", "sad", "happy")]
    assert agree(bundle, held).merge == {"calm": "sad"}
    assert agree(bundle, held, merge={"sad": "angry"}).merge == {"calm": "angry", "sad": "angry"}
    undone = agree(bundle, held, merge={"calm": "calm"})
    assert undone.merge == {}
    assert [undone.takes(u) for u in held] == [False, True, True, True]


def test_the_free_answer_is_the_bundles_own_and_the_restricted_one_that_of_merged_probabilities(tmp_path):
    bundle = make_toy_bundle(tmp_path / "toy")
    held = [Utterance(e, tmp_path, e, "s", "c") for e in ("angry", "happy", "sad")]
    terms = agree(bundle, held, merge={"happy": "sad"})
    chances = {"angry": 0.4, "happy": 0.3, "sad": 0.3}
    row = make_row(terms, id="u", corpus="c", speaker=None, emotion="happy", probabilities=chances)
    assert (row.truth, row.answer, row.prediction) == ("sad", "angry", "sad")


def test_several_corpora_are_scored_together_alone_and_on_average(recognizer, tmp_path):
    """Each corpus gives what it alone would give; the mean counts each once, and all clips are pooled besides."""
    one = make_corpus(tmp_path / "one", {"a1": ("angry", LOUD), "a2": ("angry", QUIET), "s1": ("sad", QUIET)})
    for name, samples in (("a", LOUD), ("h", BUZZ), ("s", LOUD), ("x", SILENT)):
        soundfile.write(tmp_path / f"{name}.wav", samples, SAMPLE_RATE)
    (tmp_path / "m.csv").write_text(
        "path,emotion,speaker\na.wav,angry,bob\nh.wav,happy,bob\ns.wav,sad,eve\nx.wav,sad,eve\n", encoding="utf-8"
    )
    two = f"manifest={tmp_path / 'm.csv'}"
    both = evaluate(recognizer, parse_corpora([one, two]))
    alone = {name: evaluate(recognizer, utterances(option)) for name, option in (("folders", one), ("manifest", two))}
    assert both.shared == ("angry", "happy", "sad")
    found = both.by_corpus()
    for name, result in alone.items():
        assert found[name]["restricted"] == result.scores()
        assert found[name]["unrestricted"] == result.unrestricted_scores()
    assert found["folders"]["restricted"]["ua"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["manifest"]["restricted"]["ua"] == pytest.approx((1 + 1 + 0) / 3)
    assert (found["manifest"]["utterances"], found["manifest"]["failed"]) == (4, 1)
    mean = both.mean_of_corpora()["restricted"]
    assert mean["ua"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert mean["chance"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    pooled = both.scores()
    assert pooled["ua"] == pytest.approx((2 / 3 + 1 + 1 / 3) / 3)
    # Angry: two clips among two emotions, one among three; happy: one among three; sad: one among two, two among three.
    chances = [(1 / 2 + 1 / 2 + 1 / 3) / 3, 1 / 3, (1 / 2 + 1 / 3 + 1 / 3) / 3]
    assert pooled["chance"] == pytest.approx(sum(chances) / 3)
    speakers = both.by_speaker()
    assert {name: (s["utterances"], s["failed"], s["wa"], s["ua"]) for name, s in speakers.items()} == {
        "folders/anna": (3, 0, pytest.approx(2 / 3), pytest.approx(3 / 4)),
        "manifest/bob": (2, 0, 1.0, 1.0),
        "manifest/eve": (2, 1, 0.0, 0.0),
    }
    shown = (
        CliRunner()
        .invoke(app, ["evaluate", str(recognizer.bundle.path), "--corpus", one, "--corpus", two])
        .stdout.splitlines()
    )
    # Bundle and corpora have the same three emotions, but a clip of the first corpus may be answered with two of them.
    pooled_lines = [line.split() for line in shown if line.startswith("among ")]
    assert [line[-4:-2] for line in pooled_lines] == [["57.14%", "66.67%"], ["57.14%", "66.67%"]]
    assert [line[:-4] for line in pooled_lines] == [
        ["among", "the", "shared", "emotions"],
        ["among", "all", "classes", "of", "the", "bundle"],
    ]
    table = {line.split()[0]: line.split()[1:] for line in shown if line.startswith(("folders ", "manifest ", "mean"))}
    assert table["folders"] == ["3", "0", "66.67%", "75.00%", "50.00%", "66.67%", "75.00%", "33.33%"]
    assert table["manifest"] == ["4", "1", "50.00%", "66.67%", "33.33%", "50.00%", "66.67%", "33.33%"]
    assert table["mean"][2:5] == ["58.33%", "70.83%", "41.67%"]
    (speakers_line,) = [line for line in shown if line.startswith("speakers: ")]
    assert speakers_line == (
        "speakers: 3; UA 58.33% on average, SD 52.04 points, "
        "from 0.00% (manifest/eve, 2 clips) to 100.00% (manifest/bob, 2 clips)"
    )


def test_a_corpus_with_too_little_in_common_is_named(recognizer, tmp_path):
    one = make_corpus(tmp_path / "one", {"a1": ("angry", LOUD), "s1": ("sad", QUIET)})
    soundfile.write(tmp_path / "a.wav", LOUD, SAMPLE_RATE)
    (tmp_path / "m.csv").write_text("path,emotion,speaker\na.wav,angry,bob\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="manifest holds angry: fewer than two in common"):
        evaluate(recognizer, parse_corpora([one, f"manifest={tmp_path / 'm.csv'}"]))


def test_unknown_speakers_are_no_speaker(recognizer, tmp_path):
    for name, samples in (("a", LOUD), ("s", QUIET)):
        soundfile.write(tmp_path / f"{name}.wav", samples, SAMPLE_RATE)
    (tmp_path / "m.csv").write_text("path,emotion\na.wav,angry\ns.wav,sad\n", encoding="utf-8")
    with pytest.warns(SerotoneWarning, match="the speaker of 2 utterances .* is unknown"):
        result = evaluate(recognizer, utterances(f"manifest={tmp_path / 'm.csv'}"))
    assert result.by_speaker() == {}
    assert result.scores()["ua"] == 1.0
    result.write(tmp_path / "out")
    assert (tmp_path / "out" / "speakers.csv").read_text(encoding="utf-8") == ""
    printed = (
        CliRunner()
        .invoke(app, ["evaluate", str(recognizer.bundle.path), "--corpus", f"manifest={tmp_path / 'm.csv'}"])
        .stdout
    )
    assert "speakers: no corpus says who speaks" in printed


def test_rows_are_scored_wherever_they_come_from(recognizer, corpus):
    """Another answer to the same utterances, adapted for example, is other rows in the same evaluation."""
    heard = evaluate(recognizer, utterances(corpus))
    right = {"angry": (0.8, 0.1, 0.1), "sad": (0.1, 0.1, 0.8)}
    rows = tuple(
        make_row(
            heard.terms,
            id=row.id,
            corpus=row.corpus,
            speaker=row.speaker,
            emotion=row.truth,
            probabilities=dict(zip(("angry", "happy", "sad"), right[row.truth], strict=True)),
        )
        for row in heard.rows
    )
    other = replace(heard, rows=rows)
    assert other.scores()["ua"] == other.unrestricted_scores()["ua"] == 1.0
    assert other.unanswered == ()


def test_an_out_that_cannot_be_a_folder_is_refused_before_any_work(recognizer, corpus, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        result = CliRunner().invoke(
            app, ["evaluate", str(recognizer.bundle.path), "--corpus", corpus, "--out", str(out)]
        )
        assert result.exit_code == 2
        assert "is a file; give the name of a folder" in " ".join(result.stderr.split())
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_is_one_line(recognizer, corpus, tmp_path):
    """The scores are printed all the same, and the same command may be given again."""
    bundle, out = str(recognizer.bundle.path), tmp_path / "out"
    command = ["evaluate", bundle, "--corpus", corpus, "--out", out]
    shown = {}
    for size, name in {100: "study.yaml", 1500: "metrics.json"}.items():
        ended = process_on_small_disk(size, *command)
        assert ended.returncode == 1
        assert ended.stderr == f"error: {out / name}: File too large; free some space, or write to another place\n"
        assert not (out / name).exists()
        shown[size] = ended.stdout
    again = CliRunner().invoke(app, [str(word) for word in command])
    assert again.exit_code == 0, again.output
    assert (shown[100], shown[1500]) == (again.stdout, again.stdout)
