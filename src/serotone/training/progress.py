"""How far a training is, on a terminal."""

import sys

import pytorch_lightning as pl
from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class _Bar(pl.Callback):
    """Steps done, time left and the last validation, on standard error."""

    def __init__(self, name: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.progress.add_task(name)
        self.name = name

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.progress.update(self.task, total=trainer.max_steps, completed=trainer.global_step)
        self.progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self.progress.update(self.task, completed=trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        last = pl_module.curves[-1]
        self.progress.update(
            self.task, description=f"{self.name}  loss {last['loss']:.2f}  validation UA {last['ua']:.1%}"
        )

    def on_train_end(self, *_: object) -> None:
        self.progress.stop()

    def on_exception(self, *_: object) -> None:
        self.progress.stop()


def bars(name: str) -> list[pl.Callback]:
    """A bar on a terminal, unless something else is drawn there, such as the table of a study."""
    return [_Bar(name)] if sys.stderr.isatty() and not isinstance(sys.stderr, FileProxy) else []
