"""What other tools are told of a training: all of it, once, and without a say in it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.loggers import Logger
from typer.testing import CliRunner

from serotone.cli import app
from serotone.cli.training import Log
from serotone.corpora import Utterance, parse_corpora, synthetic
from serotone.errors import MissingExtraError, RunError, SerotoneWarning
from serotone.experiments.crossval import crossval
from serotone.experiments.planning import gather, plan
from serotone.experiments.study import run_study
from serotone.experiments.train import train
from serotone.recipes import load
from serotone.runs.layout import CHECKPOINT
from serotone.studies import load_study
from serotone.training import answers, loggers
from serotone.training import fit as fitting
from serotone.training.fit import run_fold
from serotone.training.loggers import KINDS

QUICK = (
    "schedule=budget",
    "schedules.budget.precision=float32",  # bfloat16 is slow where a processor lacks it
    "schedules.budget={steps: 9, batch_size: 4, validate_every: 3, select_from: 2}",  # 4 batches an epoch
    "protocol=leave-one-speaker-out",
    "max_frames=80",
)
RECIPE = load("crnn-mel", QUICK)
COMPARED = ("predictions.csv", "validation.csv", "curves.csv", "selection.json")


class StoppedError(Exception):
    """In the place of a kill."""


def stop(*_: object) -> None:
    raise StoppedError


class Told(Logger):
    """A tool in memory: notes what it is told, by place, over all its lives."""

    notes: dict[Path, list[tuple[str, object]]]

    def __init__(self, place: Path, name: str, step: int) -> None:
        super().__init__()
        self.note = Told.notes.setdefault(place, [])
        self.note.append(("open", (name, step)))

    @property
    def name(self) -> str:
        return "told"

    @property
    def version(self) -> str:
        return "0"

    def log_hyperparams(self, params: dict[str, object]) -> None:
        self.note.append(("recipe", params))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.note.append(("scores", (step, metrics)))

    def finalize(self, status: str) -> None:
        self.note.append(("end", status))


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    root = tmp_path_factory.mktemp("corpora") / "synthetic"
    synthetic.make(root, speakers=3, seed=0, sentences=1)
    return parse_corpora([f"synthetic={root}"])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[Path, list[tuple[str, object]]]:
    """What the tool in memory noted, under the name of one that is installed everywhere."""
    monkeypatch.setattr(loggers, "KINDS", {"json": Told})
    Told.notes = {}
    return Told.notes


def run(voices: list[Utterance], folder: Path, *log: str, fold: int = 0) -> dict[str, bytes]:
    material, _ = gather(RECIPE, voices)
    run_fold(RECIPE, plan(RECIPE, voices)[fold], material, folder, log=log)
    return {name: (folder / name).read_bytes() for name in COMPARED}


def scores_of(notes: list[tuple[str, object]], key: str) -> list[tuple[int, float]]:
    found = []
    for kind, what in notes:
        if kind == "scores":
            step, scores = what  # type: ignore[misc]
            found += [(step, scores[key])] if key in scores else []
    return found


def curves_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "curves.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def unlogged(voices: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return run(voices, tmp_path_factory.mktemp("unlogged") / "fold-0-0")


def test_everything_is_told_and_nothing_changes(
    voices: list[Utterance], unlogged: dict[str, bytes], told: dict[Path, list[tuple[str, object]]], tmp_path: Path
) -> None:
    first, second = tmp_path / "fold-0-0", tmp_path / "fold-0-1"
    assert run(voices, first, "json") == unlogged
    run(voices, second, "json", fold=1)
    for folder in (first, second):
        notes = told[folder / "log"]
        assert notes[0] == ("open", (f"crnn-mel/{folder.name}", 0))
        values = dict(notes)["recipe"]
        assert isinstance(values, dict)
        assert values["schedules"]["budget"]["steps"] == 9
        assert values["fold"] == int(folder.name[-1])
        assert [step for step, _ in scores_of(notes, "train/loss")] == list(range(1, 10))
        assert {rate for _, rate in scores_of(notes, "learning_rate")} == {RECIPE.training.learning_rate}
        curves = curves_of(folder)
        for key in ("wa", "ua"):
            said = [(int(float(row["step"])), float(row[key])) for row in curves]
            assert scores_of(notes, f"validation/{key}") == said
        losses = dict(scores_of(notes, "train/loss"))
        assert float(curves[0]["loss"]) == pytest.approx(sum(losses[step] for step in (1, 2, 3)) / 3)
        test = json.loads((folder / "metrics.json").read_text())["test"]
        step = json.loads((folder / "selection.json").read_text())["step"]
        assert scores_of(notes, "test/ua") == [(step, test["ua"])]
        assert scores_of(notes, "test/wa") == [(step, test["wa"])]
        assert [what for kind, what in notes if kind == "end"] == ["success"]


def test_nothing_is_logged_unasked(
    voices: list[Utterance], told: dict[Path, list[tuple[str, object]]], tmp_path: Path
) -> None:
    run(voices, tmp_path / "fold")
    assert told == {}
    assert not list(tmp_path.glob("*/log"))


def test_a_stopped_training_goes_on_in_the_same_tensorboard_log(
    voices: list[Utterance], unlogged: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    folder = tmp_path / "fold-0-0"

    step = fitting.Training.training_step
    for last in (7, 8):  # in mid-epoch, and right after a checkpoint
        with monkeypatch.context() as patched:

            def stopping(module: fitting.Training, *rest: Any, last: int = last) -> Any:
                return stop() if module.global_step == last else step(module, *rest)

            patched.setattr(fitting.Training, "training_step", stopping)
            with pytest.raises(StoppedError):
                run(voices, folder, "tensorboard")
        assert (folder / CHECKPOINT).exists()
    assert run(voices, folder, "tensorboard") == unlogged
    events = tensorboard_scalars(folder / "log" / "tensorboard")
    curves = curves_of(folder)
    assert [step for step, _ in events["train/loss"]] == list(range(1, 10))
    assert [step for step, _ in events["validation/ua"]] == [3, 6, 9]
    assert [value for _, value in events["validation/ua"]] == pytest.approx([float(row["ua"]) for row in curves])
    test = json.loads((folder / "metrics.json").read_text())["test"]
    assert [value for _, value in events["test/wa"]] == pytest.approx([test["wa"]])
    assert "batch_size: 4" in (folder / "log" / "tensorboard" / "hparams.yaml").read_text()


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_a_training_that_only_misses_its_predictions_logs_them_too(
    voices: list[Utterance], told: dict[Path, list[tuple[str, object]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fold-0-0"

    with monkeypatch.context() as patched:
        patched.setattr(answers, "predict", stop)
        with pytest.raises(StoppedError):
            run(voices, folder, "json")
    notes = told[folder / "log"]
    assert notes[-1] == ("end", "failed")
    assert scores_of(notes, "test/ua") == []
    run(voices, folder, "json")
    assert notes[-1] == ("end", "success")
    assert len(scores_of(notes, "test/ua")) == 1
    # the checkpoint is that of the last whole epoch, of 4 steps each
    assert [step for step, _ in scores_of(notes, "train/loss")] in ([*range(1, 10)], [*range(1, 10), 9])


def test_a_tool_that_fails_is_dropped_and_the_training_goes_on(
    voices: list[Utterance],
    unlogged: dict[str, bytes],
    told: dict[Path, list[tuple[str, object]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = Told.log_metrics

    def fail(self: Told, metrics: dict[str, float], step: int | None = None) -> None:
        if step == 4:
            raise ConnectionError("no route to host")
        noted(self, metrics, step)

    monkeypatch.setattr(Told, "log_metrics", fail)
    with pytest.warns(SerotoneWarning, match="json failed, and the rest of this fold is not logged there"):
        assert run(voices, tmp_path / "fold", "json") == unlogged
    assert [step for step, _ in scores_of(told[tmp_path / "fold" / "log"], "train/loss")] == [1, 2, 3]


def test_a_tool_that_cannot_be_opened_is_an_error_before_the_first_step(
    voices: list[Utterance], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> Logger:
        raise ConnectionError("refused")

    monkeypatch.setattr(loggers, "KINDS", {"json": refuse})
    with pytest.raises(RunError, match=r"json cannot log to .*refused.*leave out --log json"):
        run(voices, tmp_path / "fold", "json")
    with (
        pytest.raises(RunError, match=r"json cannot log to .*refused"),
        loggers.logged(["json"], load("default"), plan(RECIPE, voices)[0], tmp_path / "solved"),
    ):
        pytest.fail("its head would be solved")


def test_a_missing_tool_names_its_install_command(voices: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'serotone\[no_such_tool\]'"):
        train(RECIPE, voices, tmp_path / "run", log=["no_such_tool"])
    assert not (tmp_path / "run").exists()


def test_a_solved_head_is_logged_too(
    voices: list[Utterance], told: dict[Path, list[tuple[str, object]]], tmp_path: Path
) -> None:
    split = plan(RECIPE, voices)[0]
    with loggers.logged(["json"], load("default"), split, tmp_path) as (log,):
        assert [what for what, _ in told[tmp_path / "log"]][:1] == ["open"]
        log.tested(wa=0.5, ua=0.25)
    notes = told[tmp_path / "log"]
    assert scores_of(notes, "test/ua") == [(0, 0.25)]
    assert notes[-1] == ("end", "success")


def test_the_command_line_and_the_loggers_know_the_same_tools() -> None:
    assert list(Log) == list(KINDS)


def test_ids_of_foreign_runs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow and W&B, with stand-ins in the place of their packages and of Lightning's loggers."""
    made: list[dict[str, object]] = []

    class Stand:
        run_id = "f00"

        def __init__(self, **options: object) -> None:
            made.append(options)

    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(loggers, "MLFlowLogger", Stand)
    monkeypatch.setattr(loggers, "WandbLogger", Stand)
    for _ in range(2):
        KINDS["mlflow"](tmp_path, "crnn-mel/fold-0-0", 0)
        KINDS["wandb"](tmp_path, "crnn-mel/fold-0-0", 0)
    first_mlflow, first_wandb, second_mlflow, second_wandb = made
    assert first_mlflow["run_id"] is None
    assert second_mlflow["run_id"] == "f00"
    assert first_wandb["id"] == second_wandb["id"]
    assert first_mlflow["tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert first_wandb["mode"] == "offline"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org")
    monkeypatch.setenv("WANDB_API_KEY", "0")
    KINDS["mlflow"](tmp_path, "", 0)
    KINDS["wandb"](tmp_path, "", 0)
    assert made[4]["tracking_uri"] == "http://example.org"
    assert made[5]["mode"] is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # their own
@pytest.mark.parametrize("kind", ["mlflow", "wandb"])
def test_the_real_tool_hears_of_a_stopped_fold_and_of_the_next(
    kind: str, voices: list[Utterance], unlogged: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(kind)
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    first, second = tmp_path / "fold-0-0", tmp_path / "fold-0-1"
    with monkeypatch.context() as patched:
        patched.setattr(answers, "predict", stop)
        with pytest.raises(StoppedError):
            run(voices, first, kind)
    assert run(voices, first, kind) == unlogged
    run(voices, second, kind, fold=1)
    names = [json.loads((folder / "log" / "runs.json").read_text())[kind] for folder in (first, second)]
    assert names[0] != names[1]
    for name, folder in zip(names, (first, second), strict=True):
        if kind == "mlflow":
            from mlflow.tracking import MlflowClient

            client = MlflowClient(f"sqlite:///{folder}/log/mlflow.db")
            known = client.get_run(name)
            assert known.info.status == "FINISHED"
            assert known.data.params["encoder/name"] == "crnn"
            assert {point.step for point in client.get_metric_history(name, "train/loss")} == set(range(1, 10))
            test = json.loads((folder / "metrics.json").read_text())["test"]
            assert known.data.metrics["test/ua"] == pytest.approx(test["ua"])
        else:
            lives = list((folder / "log" / "wandb").glob(f"offline-run-*-{name}/run-{name}.wandb"))
            assert len(lives) == (2 if folder == first else 1)


def test_crossval_logs(voices: list[Utterance], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    root = voices[0].path.parent
    changes = [part for change in QUICK for part in ("--set", change)]
    result = CliRunner().invoke(
        app,
        [
            *("crossval", "crnn-mel", "--corpus", f"synthetic={root}", "--out", str(tmp_path), "--folds", "0"),
            *(*changes, "--log", "tensorboard"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert len(tensorboard_scalars(tmp_path / "fold-0-0" / "log" / "tensorboard")["test/ua"]) == 1


def test_every_unit_of_a_study_is_logged(voices: list[Utterance], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    root = voices[0].path.parent
    study = tmp_path / "trial.yaml"
    study.write_text("{schema: 1, title: a trial, description: a log each, rows: [crnn-mel, crnn-center-mel]}")
    changes = [part for change in QUICK for part in ("--set", change)]
    arguments = [*("study", str(study), "--corpus", f"synthetic={root}", "--out", str(tmp_path / "out")), *changes]
    result = CliRunner().invoke(app, [*arguments, "--folds", "0", "--log", "tensorboard"])
    assert result.exit_code == 0, result.output
    for row in ("crnn-mel", "crnn-center-mel"):
        scalars = tensorboard_scalars(tmp_path / "out" / row / "seed-0" / "fold-0-0" / "log" / "tensorboard")
        assert len(scalars["train/loss"]) == 9
        assert len(scalars["test/ua"]) == 1


def test_a_study_asks_for_a_missing_tool_before_it_makes_anything(voices: list[Utterance], tmp_path: Path) -> None:
    study = load_study("center-loss")
    with pytest.raises(MissingExtraError, match=r"serotone\[no_such_tool\]"):
        run_study(study, voices, tmp_path / "out", log=["no_such_tool"])
    with pytest.raises(MissingExtraError, match=r"serotone\[no_such_tool\]"):
        crossval(RECIPE, voices, tmp_path / "out", log=["no_such_tool"])
    assert not (tmp_path / "out").exists()
