"""Training as other tools show it - TensorBoard, MLflow, Weights & Biases - through Lightning's loggers.

``curves.csv`` is always written; these are beside it. What they are told never reaches the training: it draws no
random number, and a tool that fails midway is dropped with a warning. A training that is taken up again goes on in the
same log.
"""

import json
import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from serotone.errors import MissingExtraError, RunError, SerotoneWarning
from serotone.files import write_json
from serotone.recipes import Recipe
from serotone.runs.layout import LOGGED
from serotone.splits import Split

FOLDER = "log"
"""Where a fold's log lies, below the fold's own folder."""

PROJECT = "serotone"
"""W&B project and MLflow experiment, unless the tools' own variables name another."""


def require(kinds: Sequence[str]) -> None:
    """Nothing, or MissingExtraError: the package of one of them is not installed."""
    for kind in kinds:
        spec = find_spec(kind)
        if spec is None or spec.origin is None:  # a mere folder of that name is found too, and W&B makes one
            raise MissingExtraError(f"logging to {kind}", kind)


@contextmanager
def logged(kinds: Sequence[str], recipe: Recipe, split: Split, folder: Path) -> Iterator[list["FoldLog"]]:
    """The callbacks that log a fold to these tools, which are told in the end how the statement ended.

    Args:
        kinds: Keys of `KINDS`; for none there is no callback.
        recipe: What is trained.
        split: On what.
        folder: Of the fold; the logs lie below it.

    Raises:
        MissingExtraError: The package of one of them is not installed.
    """
    if not kinds:
        yield []
        return
    require(kinds)
    log = FoldLog(tuple(dict.fromkeys(kinds)), recipe, split, folder)
    try:
        if recipe.convex is not None:
            log.open(0)  # no step begins a head that is solved
        yield [log]
    except BaseException:
        log.close("failed")
        raise
    log.close("success")


class FoldLog(pl.Callback):
    """One fold, told to its loggers: recipe, loss and rate at every step, validation scores, in the end test scores.

    Step n is the state after n updates of the weights.
    """

    def __init__(self, kinds: Sequence[str], recipe: Recipe, split: Split, folder: Path) -> None:
        self.kinds = kinds
        self.recipe = recipe
        self.folder = folder
        self.values = recipe.model_dump(mode="json", by_alias=True) | {
            "fold": split.fold,
            "repetition": split.repetition,
        }
        self.loggers: dict[str, Logger] | None = None
        self.step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the log: a new one, or the old one where an interrupted training is taken up."""
        self.open(trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: object) -> None:
        """Log the loss of the batch and the learning rate."""
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self._log({"train/loss": float(outputs["loss"]), "learning_rate": float(rate)}, trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the scores of the validation part."""
        last = pl_module.curves[-1]
        self._log({f"validation/{key}": last[key] for key in ("wa", "ua")}, trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note which step counts."""
        self.step = trainer.global_step if pl_module.kept is None else int(pl_module.kept_step)

    def tested(self, wa: float, ua: float) -> None:
        """Log the WA and UA of the test part, at the step that counts."""
        if self.loggers is None:  # nothing was left to train when the fold was taken up
            self.open(self.step)
        self._each(lambda logger: _finish(logger, self.values, {"test/wa": wa, "test/ua": ua}, self.step))

    def close(self, status: str) -> None:
        """End the log."""
        self._each(lambda logger: _end(logger, status))

    def open(self, step: int) -> None:
        """Make the loggers, of which each goes on with what it was told up to ``step`` before.

        Raises RunError: a tool cannot be opened.
        """
        place = self.folder / FOLDER
        self.loggers = {}
        for kind in self.kinds:
            try:
                self.loggers[kind] = KINDS[kind](place, f"{self.recipe.name}/{self.folder.name}", step)
                self.loggers[kind].log_hyperparams(self.values)
                self.loggers[kind].save()
            except Exception as error:  # whatever a foreign tool raises
                raise RunError(
                    f"{kind} cannot log to {place}: {error}; repair it, or leave out --log {kind}"
                ) from error

    def _log(self, scores: Mapping[str, float], step: int) -> None:
        self._each(lambda logger: logger.log_metrics(dict(scores), step=step))

    def _each(self, tell: Callable[[Logger], object]) -> None:
        """Tell every logger; one that fails is told nothing more, and the training goes on."""
        for kind, logger in list((self.loggers or {}).items()):
            try:
                tell(logger)
            except Exception as error:  # whatever a foreign tool raises
                assert self.loggers is not None
                del self.loggers[kind]
                warnings.warn(
                    f"{self.folder}: {kind} failed, and the rest of this fold is not logged there: {error}",
                    SerotoneWarning,
                    stacklevel=2,
                )


# ---------------------------------------------------------------------------------------------------- the three tools


def _tensorboard(place: Path, name: str, step: int) -> Logger:
    """Event files; what an interrupted training had logged after ``step`` is marked as void."""
    void = {"purge_step": step + 1} if step else {}
    return TensorBoardLogger(place, name="", version="tensorboard", default_hp_metric=False, **void)


def _mlflow(place: Path, name: str, step: int) -> Logger:
    """A run on the server that MLFLOW_TRACKING_URI names, else in a SQLite file."""
    server = os.environ.get("MLFLOW_TRACKING_URI")
    place.mkdir(parents=True, exist_ok=True)
    logger = MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
        run_name=name,
        tracking_uri=server or f"sqlite:///{(place / 'mlflow.db').resolve()}",
        artifact_location=None if server else (place / "mlflow").resolve().as_uri(),
        run_id=_known(place, "mlflow"),
    )
    _remember(place, "mlflow", logger.run_id)
    if server is None:  # MLflow sets it by itself, and the next fold must not take it for the user's
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return logger


def _wandb(place: Path, name: str, step: int) -> Logger:
    """A run that is kept on disk, and sent where WANDB_MODE or WANDB_API_KEY say that it may be."""
    own = "WANDB_MODE" in os.environ or "WANDB_API_KEY" in os.environ
    place.mkdir(parents=True, exist_ok=True)
    identity = _known(place, "wandb") or uuid.uuid4().hex[:12]
    _remember(place, "wandb", identity)
    return WandbLogger(
        name=name,
        save_dir=place,
        id=identity,
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        mode=None if own else "offline",
        settings={"console": "off"},
    )


KINDS: Mapping[str, Callable[[Path, str, int], Logger]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}
"""Folder, name of the run, steps done -> logger, by the name of the package that it needs."""


def _finish(logger: Logger, values: dict[str, Any], scores: dict[str, float], step: int) -> None:
    """The last scores; TensorBoard's table of hyper-parameters wants both in one call."""
    if isinstance(logger, TensorBoardLogger):
        logger.log_hyperparams(values, scores, step=step)
    else:
        logger.log_metrics(scores, step=step)


def _end(logger: Logger, status: str) -> None:
    logger.finalize(status)
    if isinstance(logger, WandbLogger):
        logger.experiment.finish(exit_code=int(status != "success"))


def _known(place: Path, kind: str) -> str | None:
    """The tool's own name of the run that was begun here."""
    path = place / LOGGED
    return json.loads(path.read_text(encoding="utf-8")).get(kind) if path.is_file() else None


def _remember(place: Path, kind: str, identity: str) -> None:
    path = place / LOGGED
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, known | {kind: identity})
