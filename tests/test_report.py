"""Reports: every number from the predictions, against scikit-learn or a value by hand; what is missing is said."""

import csv
import hashlib
import json
import re
from collections import defaultdict
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from sklearn import metrics as witness
from typer.testing import CliRunner

from made_runs import EACH, LABELS, make_run, make_study, make_training
from serotone.cli import app
from serotone.errors import RunError, SerotoneWarning
from serotone.reports import circumstances, classes, comparisons, planes, tables
from serotone.reports.analysis import analyse, corrected
from serotone.reports.collect import collect
from serotone.reports.pictures import Picture, pictures
from serotone.reports.write import rendered, report, tables_of

EVIL = '<script>alert("x")</script>'


def better(speaker, item):
    """One mistake a speaker, a happy one called neutral."""
    return item == 1


def worse(speaker, item):
    """A second one, an angry one called happy; speaker 0 is misunderstood in a third."""
    return item in {0, 1} or (speaker == 0 and item == 2)


def cells_of(table):
    """Shown text by the first column, then by column."""
    return {
        row[0].text: {column: cell.text for column, cell in zip(table.columns, row, strict=True)} for row in table.rows
    }


def numbers_of(path):
    """Values by table, row, column and measure."""
    with path.open(encoding="utf-8", newline="") as lines:
        return {(r["table"], r["row"], r["column"], r["measure"]): float(r["value"]) for r in csv.DictReader(lines)}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two rows and one that was not run; the second lacks a fold."""
    folder = make_study(
        tmp_path_factory.mktemp("studies") / "study",
        rows=[
            {"name": "new", "label": f"New & {EVIL}", "published": {"wa": 90.0, "ua": 91.0}},
            {
                "name": "old",
                "label": "Old",
                "published": {"ua": 70.0, "confusion": {"labels": ["angry", "sad"], "percent": [[80, 20], [None, 60]]}},
            },
            {"name": "never", "label": "Never"},
        ],
        failures=[{"row": "old", "seed": 0, "repetition": 0, "fold": 2, "error": f"diverged {EVIL}"}],
        title=f"Toys {EVIL}",
        source="Someone 2019",
        published_on="iemocap",
        published_protocol="ten folds; speakers shared",
        published_classes=["sad", "angry"],
        compare=[
            {"a": "new", "b": "old", "question": "Is new better?"},
            {"a": "never", "b": "old", "question": "And never?"},
        ],
        literature=[{"system": "Quoted one", "wa": 60.0, "source": "Somebody 2015"}],
        notes=["Mind the toys."],
    )
    make_run(folder / "new" / "seed-0", wrong=better)
    make_run(folder / "old" / "seed-0", wrong=worse, folds=[0, 1, 3, 4, 5], sure=lambda s, i: 0.6 + 0.05 * s)
    return folder


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    """The report of the study; its figures are not drawn."""
    out = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picture, "save", lambda picture, folder: ("data:", 1))
        return report(study, out), out


def said_on(path):
    """A report in Markdown, without its figures."""
    found = analyse(collect(path))
    return rendered("page.md.j2", found, tables_of(found, planes.embedded(found.collection)), defaultdict(list))


@pytest.fixture(scope="module")
def analysis(study):
    return analyse(collect(study))


def read_answers(folder):
    paths = sorted(folder.glob("fold-*/predictions.csv"))
    rows = [row for path in paths for row in csv.DictReader(path.read_text().splitlines())]
    return [row["truth"] for row in rows], [row["prediction"] for row in rows], rows


# -------------------------------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize(("row", "label"), [("new", f"New & {EVIL}"), ("old", "Old")], ids=["new", "old"])
def test_scores_equal_those_of_scikit_learn(study, written, row, label):
    found = numbers_of(written[1] / "tables.csv")
    truth, prediction, rows = read_answers(study / row / "seed-0")
    by_fold = [truth[n : n + EACH] for n in range(0, len(truth), EACH)]
    by_fold = list(zip(by_fold, [prediction[n : n + EACH] for n in range(0, len(truth), EACH)], strict=True))
    for metric, score in (("WA", witness.accuracy_score), ("UA", witness.balanced_accuracy_score)):
        folds = [100 * score(t, p) for t, p in by_fold]
        at = ("scores", label, f"{metric}, mean ± SD of folds")
        assert found[(*at, f"{metric} mean")] == pytest.approx(np.mean(folds))
        assert found[(*at, f"{metric} SD")] == pytest.approx(np.std(folds, ddof=1))
        assert found["scores", label, f"{metric}, pooled", f"{metric} pooled"] == pytest.approx(
            100 * score(truth, prediction)
        )
    recalls = witness.recall_score(truth, prediction, labels=LABELS, average=None)
    matrix = witness.confusion_matrix(truth, prediction, labels=LABELS)
    for n, name in enumerate(LABELS):
        assert found["recall", label, name, "recall"] == pytest.approx(100 * recalls[n])
        for m, predicted in enumerate(LABELS):
            assert found[f"confusion-{row}", name, f"predicted {predicted}", "count"] == matrix[n, m]
    chances = np.array([[float(r[f"p_{name}"]) for name in LABELS] for r in rows])
    loss = witness.brier_score_loss(truth, chances, labels=LABELS, scale_by_half=False)
    assert found["calibration", label, "Brier score, 0 to 2", "Brier"] == pytest.approx(loss)


def test_scores_by_hand(analysis):
    """New: 5 of 6 everywhere, happy 1 of 2. Old: 4 of 6, speaker 0 3 of 6; 23 of 30 are not: 19."""
    shown = cells_of(tables.scores(analysis))
    assert shown["Old"]["WA, pooled"] == "63.3 %"
    assert shown["Old"]["WA, mean ± SD of folds"] == "63.3 ± 7.5 %"
    assert shown["Old"]["folds"] == "5 of 6"
    assert shown["Old"]["schedule"] == "budget, 20 steps"
    assert shown["Never"]["UA, pooled"] == "not run"
    assert shown["Never"]["folds"] == "not run"


def test_speakers_and_neutral_by_hand(analysis):
    ua, wa = classes.speakers(analysis)
    assert cells_of(ua)["toy/s2"]["Old"] == "not run"
    assert cells_of(wa)["toy/s0"]["Old"] == "50.0 %"
    assert cells_of(ua)["toy/s1"][f"New & {EVIL}"] == "83.3 %"
    assert cells_of(ua)["toy/s1"]["utterances"] == "6"
    neutral = cells_of(classes.neutral(analysis))["Old"]
    # Happy is called neutral once in two, angry never.
    assert (neutral["happy"], neutral["angry"], neutral["all other emotions"]) == ("50.0 %", "0.0 %", "25.0 %")


def test_a_corpus_that_names_no_speaker_has_no_interval(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}, {"name": "b"}], compare=[{"a": "a", "b": "b", "question": "?"}])
    for row in "ab":
        make_run(tmp_path / row / "seed-0", named=False, wrong=better)
    found = analyse(collect(tmp_path))
    assert cells_of(tables.scores(found))["a"]["UA, 95 % interval"] == "speakers not known"
    assert found.pairs[0].remark == "not compared: the corpus does not say who speaks"
    assert not any(table.rows for table in classes.speakers(found))


# --------------------------------------------------------------------------------------------------------- comparisons


def test_comparison_by_hand(analysis):
    """Over the five common speakers: 1/6 and for speaker 0 2/6 better; too few for a test."""
    line = comparisons.comparisons(analysis)[1].rows[0]
    assert line[1].numbers[0] == ("WA difference", pytest.approx(100 * (2 + 4 * 1) / 6 / 5), "points")
    assert line[3].text == "too few speakers for a test"
    assert "left out: 6 answers" in line[-1].text


def test_permutation_and_holm_by_hand(tmp_path):
    """All of six speakers favour a over b: p = 2/64, the smallest possible; c differs from a nowhere."""
    pairs = [{"a": "a", "b": "b", "question": "Better?"}, {"a": "a", "b": "c", "question": "Same?"}]
    make_study(tmp_path, rows=[{"name": name} for name in "abc"], compare=pairs)
    for name, wrong in (("a", better), ("b", worse), ("c", better)):
        make_run(tmp_path / name / "seed-0", name=name, wrong=wrong)
    found = analyse(collect(tmp_path))
    table = comparisons.comparisons(found)[0]
    first, second = table.rows
    column = table.columns.index
    assert first[column("p")].numbers[0][1] == pytest.approx(2 / 64)
    assert first[column("smallest p possible")].text == ".031"
    assert first[column("p after Holm")].numbers[0][1] == pytest.approx(2 * 2 / 64)
    assert second[column("p")].text == "1"
    mcnemar = comparisons.comparisons(found)[2].rows[0]
    assert [cell.text for cell in mcnemar[1:4]] == ["36", "7", "0"]
    assert mcnemar[4].numbers[0][1] == pytest.approx(2 / 2**7)
    assert "Of 2 comparisons that could be tested, none is significant" in said_on(tmp_path)


def test_each_metric_is_a_family_of_its_own_for_holm(analysis):
    paired, not_run = analysis.pairs
    of = paired.comparisons["ua"]
    made = [
        replace(paired, comparisons={"ua": replace(of, p=ua), "wa": replace(of, p=wa)})
        for ua, wa in ((0.01, 0.4), (0.03, 0.02))
    ]
    found = corrected([*made, not_run])
    assert [pair.holm["ua"] for pair in found] == [pytest.approx(0.02), pytest.approx(0.03), None]
    assert [pair.holm["wa"] for pair in found] == [pytest.approx(0.4), pytest.approx(0.04), None]


def test_chance_by_hand(analysis):
    """Of classes that were tested; of WA, what always naming the most frequent one gives."""
    of = replace(analysis.results["new"], confusion=np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    assert (of.chance("ua"), of.chance("wa")) == (1 / 2, 4 / 6)


def test_the_pooled_score_of_several_seeds_is_the_mean_of_theirs(tmp_path):
    """However many folds of each are finished."""
    make_study(tmp_path, rows=[{"name": "a"}], seeds=(0, 1))
    make_run(tmp_path / "a" / "seed-0")
    make_run(tmp_path / "a" / "seed-1", seed=1, folds=[0], wrong=lambda speaker, item: item < 3)
    for score in analyse(collect(tmp_path)).results["a"].scores.values():
        assert score.pooled == score.interval.estimate == pytest.approx((1 + 1 / 2) / 2)
        assert score.mean == pytest.approx((6 + 1 / 2) / 7)


def test_differences_in_recall_are_of_the_answers_that_both_rows_have(tmp_path):
    """Speaker 5, whom a alone was tested on, was misunderstood in everything."""
    make_study(tmp_path, rows=[{"name": "a"}, {"name": "b"}], compare=[{"a": "a", "b": "b", "question": "?"}])
    make_run(tmp_path / "a" / "seed-0", wrong=lambda speaker, item: speaker == 5)
    make_run(tmp_path / "b" / "seed-0", folds=range(5), wrong=lambda speaker, item: item == 0)
    (line,) = comparisons.recall_differences(analyse(collect(tmp_path))).rows
    assert [cell.text for cell in line[1:]] == ["+50.0 (+100 %)", "0.0 (0 %)", "0.0 (0 %)"]


@pytest.mark.parametrize(("pooled", "shown", "told"), [(-0.1, "−10.0", True), (-0.0004, "0.0", False)])
def test_a_pooled_difference_of_the_other_sign_is_told_where_the_table_shows_it(analysis, pooled, shown, told):
    paired = analysis.pairs[0]
    of = replace(paired.comparisons["wa"], pooled=pooled)
    cells = list(comparisons._tested("wa", replace(paired, comparisons={"wa": of})))
    assert cells[1].text == shown
    assert ("the pooled scores differ the other way" in cells[-1].text) is told


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"recipe": {"protocol": {"name": "ten-part"}}}, "not compared: the rows differ in protocol"),
        ({"speakers": 5}, ""),
        ({"seed": 1}, "not compared: no fold of one seed is finished in both rows"),
    ],
)
def test_only_like_is_compared_with_like(tmp_path, change, remark):
    make_study(tmp_path, rows=[{"name": "a"}, {"name": "b"}], compare=[{"a": "a", "b": "b", "question": "?"}])
    make_run(tmp_path / "a" / "seed-0")
    make_run(tmp_path / "b" / "seed-0", **change)
    if "speakers" in change:
        corpus = tmp_path / "b" / "seed-0" / "corpus.json"
        corpus.write_text(corpus.read_text().replace("ffffffff", "e"))
        remark = "not compared: the rows differ in corpus"
    assert analyse(collect(tmp_path)).pairs[0].remark == remark


def test_of_three_speakers_nothing_is_made_much(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}, {"name": "b"}], compare=[{"a": "a", "b": "b", "question": "?"}])
    make_run(tmp_path / "a" / "seed-0", speakers=3, wrong=better)
    make_run(tmp_path / "b" / "seed-0", speakers=3, wrong=worse)
    found = analyse(collect(tmp_path))
    assert "Intervals of fewer than 4 speakers were not simulated" in said_on(tmp_path)
    assert "contained the true score" not in said_on(tmp_path)
    (line,) = comparisons.comparisons(found)[0].rows
    p, after, effect = (line[place].text for place in (3, 5, 6))
    assert (p, after, effect) == ("too few speakers for a test", "too few speakers for a test", "too few speakers")


def test_loose_runs_are_rows_and_not_compared(tmp_path):
    make_run(tmp_path / "one" / "seed-0", wrong=better)
    make_run(tmp_path / "two", wrong=worse)
    found = analyse(collect(tmp_path))
    assert [row.name for row in found.collection.rows] == ["one/seed-0", "two"]
    assert not any(table.rows for table in comparisons.comparisons(found))
    assert "None: no study says which rows to compare" in said_on(tmp_path)


def test_one_training_is_a_row_of_one_fold(tmp_path):
    """Alone, and among runs of other kinds; each says that the other folds of its protocol were not trained."""
    training = make_training(tmp_path / "runs" / "trained", fold=3, wrong=better)
    make_run(tmp_path / "runs" / "crossed", wrong=better)
    said = said_on(training)
    assert "One training of toy, fold 0-3" in said
    assert "UA 83.3 %" in said
    assert "with no cross-validation: toy (fold 0-3 of leave-one-speaker-out)." in said
    found = collect(training)
    assert [(row.done, row.whole, row.finished[0][1].ids[0]) for row in found.rows] == [("1 of 1", True, "toy/s3u0")]
    together = {row.name: row.done for row in collect(training.parent).rows}
    assert together == {"crossed": "6 of 6", "trained": "1 of 1"}


def test_a_solved_head_has_no_steps(tmp_path):
    solver = {"solver": "convex", "strength": 0.0003}
    make_run(tmp_path / "run", recipe={"monitor": "none", "schedule": "solved", "schedules": {"solved": solver}})
    report(tmp_path / "run")
    text = (tmp_path / "run" / "report" / "tables.md").read_text()
    assert "solved, to convergence, strength 0.0003 | float64" in text
    assert "no step, as the head is the optimum" in text
    assert "None epochs" not in text
    assert "last step |" not in text


def test_a_training_without_a_test_part_has_nothing_to_report(tmp_path):
    make_training(tmp_path / "all", tested=False)
    with pytest.raises(RunError, match=r"all: this training has no test part \(protocol=all"):
        collect(tmp_path / "all")
    with pytest.raises(RunError, match="no finished run in or below"):
        collect(tmp_path)


# --------------------------------------------------------------------------------------------------- seeds and folds


def test_seeds_are_stacked_and_their_spread_told_apart(tmp_path):
    """Wrong answers 0 or 1 by fold, plus one under seed 1: fold and seed add up, nothing is left over."""
    make_study(tmp_path, rows=[{"name": "a"}], seeds=(0, 1, 2))
    for seed in (0, 1):
        make_run(
            tmp_path / "a" / f"seed-{seed}",
            seed=seed,
            wrong=lambda speaker, item, seed=seed: item < (speaker % 2) + seed,
            sure=lambda speaker, item, seed=seed: 0.6 + 0.1 * seed + 0.01 * speaker,
            recipe={"protocol": {"name": "leave-one-speaker-out", "seed": 0 if seed else None}},
        )
    found = analyse(collect(tmp_path))
    shown = cells_of(tables.scores(found))["a"]
    assert (shown["folds"], shown["seeds"]) == ("12 of 18", "0, 1 (not run: 2)")
    assert cells_of(circumstances.conditions(found))["a"]["protocol"] == "leave-one-speaker-out"
    spread = {m: v for cell in circumstances.spread(found).rows[0] for m, v, _ in cell.numbers}
    assert spread["WA SD seeds"] == pytest.approx(100 * np.std([0, 1 / 6], ddof=1))
    assert spread["WA SD folds"] == pytest.approx(100 * np.std([0, 1 / 6] * 3, ddof=1))
    assert spread["WA SD left over"] == pytest.approx(0, abs=1e-9)
    assert cells_of(circumstances.spread(found))["a"]["folds under another seed"] == "the same test parts"
    mistakes = classes.mistakes(found.results["a"])
    # Item 0 of speaker 5 is wrong under both seeds and counts once, at its surest: .6 + .1 + .05.
    assert [cell.text for cell in mistakes.rows[0]] == [
        *("s5u0.wav", "toy/s5u0", "angry", "happy", "75.0 %", "12.5 %", "2 of 2 runs")
    ]
    assert len({row[1].text for row in mistakes.rows}) == len(mistakes.rows) == 9
    assert "12 of 18 folds" in said_on(tmp_path)


def test_missing_folds_are_named(tmp_path):
    run = make_run(tmp_path / "run", folds=[0, 2])
    (run / "fold-0-4").mkdir()  # begun, not finished
    (line,) = circumstances.not_run(collect(run)).rows
    assert line[1].text == "seed 0: 4 of 6 folds: 0-1, 0-3, 0-4, 0-5"


def test_a_repetition_that_was_not_begun_is_named(tmp_path):
    run = make_run(tmp_path / "run", folds=[0], repetitions=1)
    for said in ({"repetitions": 3}, {}):
        (run / "summary.json").write_text(json.dumps({"folds_planned": 3, **said}))
        (line,) = circumstances.not_run(collect(run)).rows
        named = ": 1-0, 2-0" if said else ": 0-1, 0-2"  # an older serotone did not write how often it deals
        assert line[1].text == f"seed 0: 2 of 3 folds{named}"


def test_repetitions_of_a_row_that_a_later_call_for_others_added_are_missing(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}, {"name": "b"}], repetitions=2)
    for name, repetitions in (("a", 2), ("b", 1)):
        run = make_run(tmp_path / name / "seed-0", name=name, repetitions=repetitions)
        planned = {"folds_planned": 6 * repetitions, "repetitions": repetitions}
        (run / "summary.json").write_text(json.dumps(planned))
    (line,) = circumstances.not_run(collect(tmp_path)).rows
    assert [cell.text for cell in line] == ["b", "seed 0: 6 of 12 folds: 1-0, 1-1, 1-2, 1-3, 1-4, 1-5"]


def test_what_to_do_about_a_damaged_file_keeps_the_trainings(tmp_path):
    run = make_run(tmp_path / "run")
    again = "delete it, and run the same command again"
    for name, remedy in (
        ("summary.json", again),
        ("fold-0-0/metrics.json", "or remove its folder"),
        ("corpus.json", "restore the file$"),
    ):
        whole = (run / name).read_text()
        (run / name).write_text(whole[:9])
        with pytest.raises(RunError, match=f"{name}: expected JSON: .*{remedy}"):
            collect(run)
        (run / name).write_text(whole)


def test_without_a_summary_nobody_knows_how_many_folds(tmp_path):
    run = make_run(tmp_path / "run", folds=[0, 2])
    (run / "summary.json").unlink()
    assert cells_of(tables.scores(analyse(collect(run))))["toy"]["folds"] == "2 of ?"


# -------------------------------------------------------------------------------------------------------- what is said


def test_page_answers_on_top(written):
    page = (written[1] / "report.html").read_text(encoding="utf-8")
    top = " ".join(re.search(r'<div class="answer">(.*?)</div>', page, re.S)[1].split())
    for words in (
        "2 of 3 rows on toy (36 utterances)",
        "protocol: leave-one-speaker-out",
        "UA 83.3 % (no interval: its speakers do not differ)",
        "Chance: UA 33.3 %; WA 33.3 %",
        "Are the test speakers new to the system?</b> Yes",
        "No. The step that is used: highest validation UA from step 10 on (the validation part, of other speakers).",
        "1 comparison: too few speakers for a test",
        "1 comparison could not be made: not run: Never",
        "Not run: Never.",
        "Run in part: Old (5 of 6 folds)",
        "1 unit failed",
    ):
        assert words in top


@pytest.mark.parametrize(
    ("shared", "answer", "cell"),
    [
        (
            ["unknown"],
            "Not known: in 1 of 2 folds, speakers of the test part and of training have no names",
            "not known",
        ),
        (
            ["toy/s0", "unknown"],
            "No: in 1 of 2 folds, test speakers are also in training",
            "1: toy/s0, and unknown ones",
        ),
    ],
)
def test_speakers_whom_nobody_names_are_no_shared_speakers(tmp_path, shared, answer, cell):
    run = make_run(tmp_path / "run", folds=[0, 1])
    leaks = run / "fold-0-0" / "leaks.json"
    told = {"shared_speakers": shared, "validation_speakers_in_train": ["unknown"]}
    leaks.write_text(json.dumps(json.loads(leaks.read_text()) | told))
    report(run, tmp_path / "out")
    page = " ".join((tmp_path / "out" / "report.html").read_text(encoding="utf-8").split())
    assert f"Are the test speakers new to the system?</b> {answer}" in page
    assert f"{cell}</td>" in page
    assert "the validation part; whether its speakers are in training is not known" in page


def top_of(folder, out):
    report(folder, out)
    return " ".join(re.search(r'<div class="answer">(.*?)</div>', (out / "report.html").read_text(), re.S)[1].split())


def test_rows_with_other_classes_are_not_ranked_together(tmp_path):
    make_run(tmp_path / "a" / "all", name="all", wrong=better)
    two = make_run(tmp_path / "a" / "two", name="two")
    for path in two.glob("fold-*/predictions.csv"):
        kept = [line.split(",") for line in path.read_text().splitlines() if ",neutral," not in line]
        path.write_text("".join(",".join(line[:5]) + "\n" for line in kept).replace(".150000", ".300000"))
    top = top_of(tmp_path / "a", tmp_path / "out")
    assert "On toy, leave-one-speaker-out, angry, happy, neutral: all: UA 83.3 %" in top
    assert "On toy, leave-one-speaker-out, angry, happy: two: UA 100.0 %" in top
    assert "highest UA" not in top


def test_rows_that_share_the_highest_ua_have_a_wa_each(tmp_path):
    make_study(tmp_path / "a", rows=[{"name": "one", "label": "One"}, {"name": "two", "label": "Two"}])
    make_run(tmp_path / "a" / "one" / "seed-0", wrong=lambda speaker, item: item == 0)
    make_run(tmp_path / "a" / "two" / "seed-0", wrong=lambda speaker, item: item == 1)
    top = top_of(tmp_path / "a", tmp_path / "out")
    one, two = ("UA 83.3 % (no interval: its speakers do not differ) and WA 83.3 %" for _ in "12")
    assert f"One and Two share the highest UA: One: {one}; Two: {two}, all folds pooled." in top


@pytest.fixture
def uneven(tmp_path):
    """Row ``two`` has both seeds of the study and two mistakes a speaker, ``one`` the first alone and one mistake."""
    folder = make_study(
        tmp_path / "study",
        rows=[{"name": "one", "label": "One"}, {"name": "two", "label": "Two"}],
        seeds=(0, 1),
        compare=[{"a": "one", "b": "two", "question": "Is one better?"}],
    )
    make_run(folder / "one" / "seed-0", wrong=better)
    make_run(folder / "two" / "seed-0", wrong=worse)
    make_run(folder / "two" / "seed-1", seed=1, wrong=lambda speaker, item: item in {0, 2})
    return folder


def test_a_row_with_fewer_seeds_is_ranked_with_the_others(uneven, tmp_path):
    top = top_of(uneven, tmp_path / "out")
    ua = "UA 83.3 % (no interval: its speakers do not differ)"
    assert f"One has the highest UA: {ua} and WA 83.3 % (seed 0), all folds" in top
    assert "Run in part: One (6 of 12 folds)." in top


def test_a_row_with_a_seed_that_is_run_in_part_is_not(uneven, tmp_path):
    make_run(uneven / "one" / "seed-1", seed=1, wrong=better, folds=[0, 1])
    top = top_of(uneven, tmp_path / "out")
    assert "Two has the highest UA of the rows that have finished every seed they began: UA 65.3 %" in top
    assert "and WA 65.3 % (mean of seeds 0, 1), all folds pooled." in top


def test_a_comparison_says_over_which_seeds_it_is(uneven):
    shown = [table.rows[0][-1].text for table in comparisons.comparisons(analyse(collect(uneven)))]
    assert shown == [f"seed 0; left out: {6 * EACH} answers that only one row has"] * 3
    make_run(uneven / "one" / "seed-1", seed=1, wrong=better)
    shown = [table.rows[0][-1].text for table in comparisons.comparisons(analyse(collect(uneven)))]
    assert shown == ["seeds 0, 1"] * 3


def test_the_utterances_that_count_are_those_that_were_used(tmp_path):
    run = make_run(tmp_path / "run", folds=[0])
    split = json.loads((run / "fold-0-0" / "split.json").read_text())
    (run / "fold-0-0" / "split.json").write_text(json.dumps(split | {"train": split["train"][:6]}))
    assert "on toy (12 utterances)" in top_of(run, tmp_path / "out")
    said = cells_of(circumstances.conditions(analyse(collect(run))))["toy"]
    assert (said["utterances used"], said["speakers"]) == ("12", "2")


def test_without_a_mistake_there_is_no_list_of_them(tmp_path):
    report(make_run(tmp_path / "run"), tmp_path / "out")
    assert "mistakes" not in (tmp_path / "out" / "report.html").read_text()


def test_a_percentage_stays_on_one_line_of_the_page(written):
    page = (written[1] / "report.html").read_text(encoding="utf-8")
    assert "83.3\u00a0%" in page
    assert not re.findall(r"\d %", page)


def test_page_loads_nothing_and_escapes_everything(written):
    page = (written[1] / "report.html").read_text(encoding="utf-8")
    bare = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]*", "data:", page)
    assert set(re.findall(r'(?:src|href)="([^"#]*)', bare)) <= {"data:", ""}
    for loading in ("http", "url(", "<link", "@import", "<script", "<iframe", "srcset"):
        assert loading not in bare
    assert "&lt;script&gt;" in bare
    assert len(re.findall("<img", bare)) == 10


def test_every_section_is_in_the_contents(written):
    page = (written[1] / "report.html").read_text(encoding="utf-8")
    linked = re.findall(r'<li><a href="#([a-z]+)">', page)
    assert linked == re.findall(r'<section id="([a-z]+)">', page)
    assert {"scores", "published", "comparisons", "mistakes", "missing"} <= set(linked)


def test_markdown_says_what_differs_from_the_published(written):
    shown = (written[1] / "tables.md").read_text(encoding="utf-8")
    for line in (
        "| corpus | iemocap | toy | no |",
        "| schedule | paper, as far as stated | budget, 20 steps | no |",
        "| precision | not stated |",
        "| classes | angry, sad | angry, happy, neutral | no |",
        "| number of classes | 2 | 3 | no |",
        "| test speakers also in training | yes | no | no |",
        "| Old | 70.0 % | 63.3 ± 7.5 % | other corpus | not stated | 63.3 ± 7.5 % | – | – |",
        "| Quoted one | – | quoted | – | 60.0 % | quoted | – | Somebody 2015 |",
        "| Never | everything |",
        "Mind the toys.",
    ):
        assert line in shown
    assert EVIL not in shown
    assert "0 of 6 | none | 6 of 6 | 2: toy/0, toy/1" in shown
    assert "highest validation UA from step 10 on | the validation part, of other speakers" in shown


def test_command_line_and_the_same_runs_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("serotone.reports.write.pictures", lambda *given: islice(pictures(*given), 1))
    run = make_run(tmp_path / "run", wrong=better, speakers=4)

    def written():
        done = CliRunner().invoke(app, ["report", str(run)])  # the second time, its own report is no run
        assert done.exit_code == 0, done.output
        files = sorted(path for path in (run / "report").rglob("*") if path.is_file())
        return done.stdout, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    shown, files = written()
    assert re.search(r"toy +83\.3 % +\[no spread\]", shown)
    assert str(run / "report" / "report.html") in shown
    assert {*files} == {"report.html", "tables.csv", "tables.md", "scores-ua.png", "scores-ua.svg"}
    assert written() == (shown, files)


# ----------------------------------------------------------------------------------------------- sweeps and embeddings


def test_sweep(tmp_path):
    grid = {
        "recipe": "toy",
        "values": {"center.weight": [0.3, 0.03, 3], "center.alpha": [0.5]},
        "published": [{"at": {"center.weight": 0.3, "center.alpha": 0.5}, "ua": 66.9}],
    }
    make_study(tmp_path, rows=[], grid=grid, sweeps=[{"key": "center.weight", "rows": [], "log": True}])
    make_run(tmp_path / "weight=0.3+alpha=0.5" / "seed-0", wrong=better)
    make_run(tmp_path / "weight=0.03+alpha=0.5" / "seed-0", wrong=worse)
    analysis = analyse(collect(tmp_path))
    (curve,) = analysis.curves
    assert curve.numeric
    table = tables.sweep(analysis, curve)
    assert [row[0].text for row in table.rows] == ["0.03", "0.3", "3"]
    assert table.title == "Sweep of center.weight, alpha 0.5"
    assert [row[2].text for row in table.rows] == ["not stated", "66.9 %", "not stated"]
    assert table.rows[1][3].text.startswith("83.3 [no spread]")
    assert table.rows[2][3].text == "not run"


def test_embeddings_in_the_plane_of_the_training_part(tmp_path):
    run = make_run(tmp_path / "run", speakers=6, folds=[0, 1])
    train = np.array([[0, 0], [4, 0], [0, 1], [4, 1]])
    np.savez(
        run / "fold-0-0" / "embeddings.npz",
        part=np.array(["train"] * 4 + ["test"] * 2),
        truth=np.array(["angry", "happy"] * 3),
        embedding=np.array([*train, [2, 0.5], [2, 3.5]], dtype=np.float32),
    )
    (found,) = planes.embedded(collect(run))
    assert found.plane.explained == pytest.approx((16 / 17, 1 / 17))
    assert np.allclose(found.plane.points["test"], [[0, 0], [0, 3]])
    # Angry at x = 0, happy at x = 4, each half a unit above or below its centre.
    assert found.spreads["train"] == pytest.approx((0.25, 4.0))
    assert planes.spreads((found,)).rows[0][1].text == "94.1 %"


def test_umap_is_drawn_where_it_is_asked_for(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", speakers=6, folds=[0])
    points = np.random.default_rng(0).standard_normal((20, 3))
    np.savez(
        run / "fold-0-0" / "embeddings.npz",
        part=np.array(["train"] * 16 + ["test"] * 4),
        truth=np.array(["angry", "happy"] * 10),
        embedding=points,
    )
    assert planes.embedded(collect(run))[0].plane.umap is None
    monkeypatch.setattr(planes, "umap_plane", lambda given: given[:, :2] + 7)  # the library itself: test_embedding
    (found,) = planes.embedded(collect(run), umap=True)
    assert np.array_equal(found.plane.umap["train"], points[:16, :2] + 7)
    assert np.array_equal(found.plane.umap["test"], points[16:, :2] + 7)
    drawn = []
    monkeypatch.setattr(Picture, "save", lambda picture, _: (drawn.append(picture.stem) or "data:", 1))
    with pytest.warns(SerotoneWarning, match="no embeddings are kept here, so UMAP draws nothing"):
        report(make_run(tmp_path / "without", speakers=6, folds=[0]), tmp_path / "other", umap=True)
    report(run, tmp_path / "report", umap=True)
    assert "umap-toy" in drawn
    assert "UMAP, fitted on training and test part together" in (tmp_path / "report" / "report.html").read_text()


def test_collapsed_embeddings_have_no_plane(tmp_path):
    run = make_run(tmp_path / "run", folds=[0])
    parts = np.array(["train", "train", "test", "test"])
    truth = np.array(["angry", "happy"] * 2)
    np.savez(run / "fold-0-0" / "embeddings.npz", part=parts, truth=truth, embedding=np.ones((4, 3)))
    (found,) = planes.embedded(collect(run))
    assert found.plane is None
    assert planes.spreads((found,)).rows[0][1].text == "–"


def test_embeddings_of_a_foreign_class(tmp_path):
    run = make_run(tmp_path / "run", folds=[0])
    truth = np.array(["angry", "envious"])
    np.savez(run / "fold-0-0" / "embeddings.npz", part=np.array(["train"] * 2), truth=truth, embedding=np.eye(2))
    with pytest.raises(RunError, match=r"embeddings\.npz: .*with the classes angry"):
        planes.embedded(collect(run))


def test_damaged_embeddings(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "fold-0-0" / "embeddings.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(RunError, match=r"embeddings\.npz"):
        planes.embedded(collect(run))


def test_failures_that_are_none_are_named(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}], failures=[{}])
    with pytest.raises(RunError, match=r"failures\.json: expected a list of failures"):
        collect(tmp_path)


def test_failures_of_a_whole_row(tmp_path):
    make_study(tmp_path, rows=[{"name": "a"}], failures=[{"row": "a", "seed": 1, "error": "no such class"}])
    (line,) = circumstances.failures(collect(tmp_path)).rows
    assert [cell.text for cell in line] == ["a", "1", "all", "no such class"]
    assert "No row has a finished fold yet." in said_on(tmp_path)
