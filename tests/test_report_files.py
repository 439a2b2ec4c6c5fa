"""What a report reads and writes: damaged and foreign files are named, and text stays text."""

import shutil

import pytest
import yaml

from made_runs import make_fold, make_run
from serotone.errors import RunError
from serotone.reports import circumstances
from serotone.reports.cells import Cell, Table, marked, signed, text, to_csv
from serotone.reports.collect import collect
from serotone.reports.write import report


def edit(path, old, new):
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "utterances.csv").unlink(), r"run the same command again"),
        (lambda run: edit(run / "corpus.json", '{"', ""), r"corpus\.json: expected JSON"),
        (lambda run: edit(run / "recipe.yaml", "name: toy", "name: [toy"), r"recipe\.yaml: not YAML"),
        (lambda run: (run / "recipe.yaml").write_text("a: 1\n"), r"recipe\.yaml: name is None"),
        (lambda run: (run / "recipe.yaml").write_bytes(b"\xff"), r"recipe\.yaml"),
        (lambda run: edit(run / "fold-0-1/predictions.csv", "neutral,0", "bored,0"), r"fold-0-1/predictions\.csv"),
        (
            lambda run: edit(run / "fold-0-1/predictions.csv", "0.700000", "nan"),
            r"some probabilities are negative, are NaN",
        ),
        (
            lambda run: edit(run / "fold-0-1/predictions.csv", "s1u1", "s1u0"),
            r"an utterance has two lines",
        ),
        (lambda run: edit(run / "fold-0-1/predictions.csv", "s1u1", "zz"), r"toy/zz is not in utterances\.csv"),
        (
            lambda run: edit(run / "fold-0-1/predictions.csv", "p_happy", "happy"),
            r"it has the columns .* and 6 lines",
        ),
        (lambda run: (run / "fold-0-1/predictions.csv").unlink(), r"predictions\.csv"),
        (lambda run: edit(run / "fold-0-1/predictions.csv", "toy/s1u5,", ""), r"predictions\.csv: line 7"),
        (lambda run: edit(run / "fold-0-1/curves.csv", "10.0", "ten"), r"curves\.csv"),
        (lambda run: (run / "fold-0-1/selection.json").write_text("[]"), r"selection\.json: expected keys"),
        (lambda run: edit(run / "fold-0-1/leaks.json", '"shared_speakers": []', '"a": 1'), r"leaks\.json"),
        (lambda run: (run / "fold-0-1/split.json").unlink(), r"fold-0-1/split\.json"),
        (lambda run: (run / "fold-0-1/versions.json").write_text("[1]"), r"versions\.json: expected keys"),
        (lambda run: shutil.copytree(run / "fold-0-1", run / "fold-0-9"), r"test the same utterance"),
    ],
)
def test_damaged_files_are_named(tmp_path, damage, message):
    run = make_run(tmp_path / "run")
    damage(run)
    with pytest.raises(RunError, match=message):
        collect(tmp_path)


def test_what_computed_a_fold_is_told_by_the_fold(tmp_path):
    run = make_run(tmp_path / "run", folds=[0, 1, 2])
    (run / "fold-0-1/versions.json").write_text('[{"torch": "2.13.0"}, {"torch": "2.14.0"}]')
    (run / "fold-0-2/versions.json").write_text('[{"torch": "2.14.0"}]')
    told = [line[1].text for line in circumstances.versions(collect(tmp_path)).rows]
    # Of a run that is older than that, the file beside its folds.
    assert told == ["python 3.11.7, torch 2.13.0", "torch 2.13.0; then torch 2.14.0", "torch 2.14.0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(yaml.safe_dump({"title": "a", "seeds": "x", "rows": []}).encode(), ".*seeds"), (b"\xff", "not a text file")],
)
def test_a_foreign_study_is_named(tmp_path, content, message):
    (tmp_path / "study.yaml").write_bytes(content)
    with pytest.raises(RunError, match=rf"study\.yaml: {message}"):
        collect(tmp_path)


@pytest.mark.parametrize("name", ["report.html", "tables.md", "tables.csv"])
def test_what_serotone_report_did_not_write_stays(tmp_path, name):
    run = make_run(tmp_path / "run", folds=[0])
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / name).write_text("mine\n")
    with pytest.raises(RunError, match=rf"page/{name}: serotone report did not write this file and would replace it"):
        report(run, tmp_path / "page")
    assert [path.read_text() for path in (tmp_path / "page").iterdir()] == ["mine\n"]


def test_folds_of_other_labels_are_refused(tmp_path):
    run = make_run(tmp_path / "run", folds=[0])
    rows = [{"id": "toy/s1u0", "truth": "sad", "prediction": "sad", "p_sad": "0.6", "p_calm": "0.4"}]
    make_fold(run / "fold-0-1", 1, rows)
    with pytest.raises(RunError, match=r"its labels are sad, calm, but those of .* are angry"):
        collect(run)


def test_no_run_anywhere(tmp_path):
    with pytest.raises(RunError, match="no finished run in or below"):
        collect(tmp_path)
    with pytest.raises(RunError, match="no such folder"):
        collect(tmp_path / "nowhere")
    (tmp_path / "table.csv").touch()
    with pytest.raises(RunError, match="is a file; give the folder"):
        collect(tmp_path / "table.csv")


# --------------------------------------------------------------------------------------------------------------- cells


def test_text_stays_text():
    table = Table("t", "A | b", ("x", "y"), ((text("=1+1"), Cell("a|b <i> [l](u) _x_ d_z\nq", (("m", 1.0, "u"),))),))
    assert marked(table.rows[0][1].text) == "a\\|b &lt;i&gt; [l\\](u) \\_x\\_ d_z q"
    assert to_csv([table]).splitlines()[1] == "t,'=1+1,y,m,1,u"


def test_signs():
    assert [signed(value) for value in (1.25, -1.25, 0.01, -0.01)] == ["+1.2", "−1.2", "0.0", "0.0"]
