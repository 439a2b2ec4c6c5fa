"""What Lightning needs to know of a system: its step, its validation, which weights to keep."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, get_args

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import Parameter

from serotone.errors import RunError
from serotone.metrics import SCORES
from serotone.modeling.convolution import annealed
from serotone.modeling.system import System
from serotone.recipes import Recipe
from serotone.recipes.schedules import PartName
from serotone.training.averaging import Average, counted, tensors
from serotone.training.data import Batch, Batches, derived_seed
from serotone.training.objective import Objective
from serotone.training.rates import rate

PARTS: tuple[PartName, ...] = get_args(PartName)


class Training(pl.LightningModule):
    """A system in training: its objective, its optimiser, and the weights that validated best.

    The kept weights and the learning curve travel in the checkpoint, so that a run resumed at an epoch's end knows
    exactly what the unbroken run knew there.
    """

    def __init__(
        self,
        system: System,
        recipe: Recipe,
        *,
        labels: tuple[str, ...],
        objective: Objective,
        batches: Callable[[int], Batches],
        part: Callable[[], Batches],
        steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.system = system
        self.recipe = recipe
        self.labels = labels
        self.objective = objective
        self.batches = batches
        self.part = part
        self.steps = steps
        self.seed = seed
        self.curves: list[dict[str, float]] = []
        self.kept: dict[str, Tensor] | None = None
        self.kept_score = -1.0
        self.kept_step = 0
        self.without_better = 0
        self.seconds_before = 0.0
        self._resumed = False  # until the first epoch after a checkpoint has begun
        for name in recipe.training.frozen:
            system.get_submodule(name).requires_grad_(False)
        self.average: Average | None = None
        self.begin_average()
        self._weights = ExitStack()  # the training weights, while those that count are in their place
        self._begun = time.perf_counter()
        self._losses: list[float] = []
        self._truth: list[str] = []
        self._prediction: list[str] = []

    def begin_average(self) -> None:
        """Let the average, where the recipe has one, begin with the weights that the system has now."""
        decay = self.recipe.training.average
        self.average = None if decay is None else Average(self.system, decay)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimiser over the system's parameters; centers are a buffer and stay out.

        Where the recipe names rates of parts, each part is a group of its own.
        """
        schedule = self.recipe.training
        parameters: list[Parameter] | list[dict[str, Any]] = list(self.system.parameters())
        if schedule.learning_rates:
            rates = {part: schedule.learning_rates.get(part, schedule.learning_rate) for part in PARTS}
            groups = {part: list(self.system.get_submodule(part).parameters()) for part in PARTS}
            parameters = [
                {"params": members, "lr": rates[part], "full_rate": rates[part]}
                for part, members in groups.items()
                if members and rates[part] > 0
            ]
        if schedule.optimiser == "rmsprop":
            return torch.optim.RMSprop(
                parameters, lr=schedule.learning_rate, alpha=schedule.decay, eps=schedule.epsilon
            )
        if schedule.optimiser == "adamw":
            return torch.optim.AdamW(
                parameters, lr=schedule.learning_rate, eps=schedule.epsilon, weight_decay=schedule.weight_decay
            )
        return torch.optim.Adam(parameters, lr=schedule.learning_rate, eps=schedule.epsilon)

    @property
    def annealing_steps(self) -> int:
        """Steps over which the temperature of dynamic convolution falls."""
        choice = self.recipe.annealing
        return 0 if choice is None else round(choice.share * self.steps)

    @property
    def select_from(self) -> int:
        """First step whose validation counts: none before dynamic convolution has cooled down."""
        return max(self.recipe.training.select_from, self.annealing_steps)

    def on_train_start(self) -> None:
        """A run resumed after patience ran out is at its end."""
        self._stop_if_impatient()

    def train_dataloader(self) -> Batches:
        """The batches of the current epoch; Lightning asks anew for each."""
        return self.batches(self.trainer.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Re-seed: what is random in an epoch depends on the run's seed and the epoch alone.

        Lightning makes the iterator over an epoch's batches after this, and it draws a number; in a run that is taken
        up again, it has made the first one before.
        """
        torch.manual_seed(derived_seed(self.seed, "epoch", self.trainer.current_epoch))
        if self._resumed:
            self._resumed = False
            torch.empty((), dtype=torch.int64).random_()

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Set the learning rates and the temperature of dynamic convolution, functions of the step alone."""
        schedule = self.recipe.training
        if schedule.shape != "constant" or schedule.warm_up_steps:
            share = rate(self.global_step, steps=self.steps, shape=schedule.shape, warm_up_steps=schedule.warm_up_steps)
            for group in self.optimizers().param_groups:
                group["lr"] = share * group.get("full_rate", schedule.learning_rate)
        choice = self.recipe.annealing
        if choice is not None:
            tau = annealed(self.global_step, start=choice.start, end=choice.end, steps=self.annealing_steps)
            self.system.encoder.set_temperature(tau)  # type: ignore[operator]

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The objective of one batch.

        Raises:
            RunError: It is NaN or infinite.
        """
        logits, embedding = self.system(batch.waveforms, batch.lengths)
        loss: Tensor = self.objective(
            logits.float(),
            embedding.float(),
            batch.targets,
            batch.lengths,
            step=self.global_step,
            corpora=batch.corpora,
        )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise RunError(
                f"recipe {self.recipe.name} diverged: the loss of step {self.global_step + 1} is {value};"
                " lower the schedule's learning_rate, or set its clip_norm"
            )
        self._losses.append(value)
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, index: int) -> None:
        """Take the step into the average."""
        if self.average is not None:
            self.average.update(self.system, self.global_step - 1)

    def train(self, mode: bool = True) -> "Training":
        """Parts that are frozen stay in evaluation mode."""
        super().train(mode)
        for name in self.recipe.training.frozen:
            self.system.get_submodule(name).eval()
        return self

    def counting(self) -> AbstractContextManager[None]:
        """The system with the weights that validation, testing and export see."""
        again = self.recipe.training.norm_statistics == "re-estimated"
        if self.average is None and not again:
            return nullcontext()
        device = self.system.standardiser.mean.device
        return counted(self.system, average=self.average, batches=self.part() if again else None, device=device)

    def on_validation_start(self) -> None:
        """Put the weights that count in their place."""
        self._weights.enter_context(self.counting())

    def on_validation_end(self) -> None:
        """Put the training weights back."""
        self._weights.close()

    def end_epoch(self) -> None:
        """Where nothing is validated, an epoch's mean loss is all there is to a curve."""
        if not self.trainer.enable_validation:
            self.curves.append(self._point())

    def _point(self) -> dict[str, float]:
        """Step, epoch, and the mean loss since the last point of the curve."""
        losses, self._losses = self._losses, []
        return {
            "step": float(self.global_step),
            "epoch": float(self.trainer.current_epoch),
            "loss": sum(losses) / max(1, len(losses)),
        }

    def validation_step(self, batch: Batch, index: int) -> None:
        """Collect truth and prediction."""
        predictions = self.system(batch.waveforms, batch.lengths).logits.argmax(dim=1)
        self._truth += [self.labels[target] for target in batch.targets.tolist()]
        self._prediction += [self.labels[target] for target in predictions.tolist()]

    def on_validation_epoch_end(self) -> None:
        """Score the validation part; keep the weights if they are the best that may count."""
        step = self.global_step
        point = self._point()
        scores = {key: score(self._truth, self._prediction, labels=self.labels) for key, score in SCORES.items()}
        self.curves.append(point | scores)
        self._truth, self._prediction = [], []
        if self.recipe.monitor == "none" or step < self.select_from:
            return
        self.without_better += 1
        if scores[self.recipe.monitor] > self.kept_score:
            self.kept_score, self.kept_step, self.without_better = scores[self.recipe.monitor], step, 0
            self.kept = tensors(self.system)
        self._stop_if_impatient()

    def _stop_if_impatient(self) -> None:
        patience = self.recipe.training.patience
        if patience is not None and self.without_better >= patience:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the resumed run must know."""
        checkpoint["serotone"] = {
            "curves": self.curves,
            "losses": self._losses,
            "kept": self.kept,
            "kept_score": self.kept_score,
            "kept_step": self.kept_step,
            "without_better": self.without_better,
            "average": None if self.average is None else self.average.values,
            "seconds": self.seconds_before + time.perf_counter() - self._begun,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again, at the start of the next epoch: Lightning saved before it counted this one as completed."""
        loop = checkpoint["loops"]["fit_loop"]
        for part in ("total", "current"):
            loop["epoch_progress"][part]["completed"] = loop["epoch_progress"][part]["processed"]
        batches = loop["epoch_loop.batch_progress"]
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
        self._resumed = True
        state = checkpoint["serotone"]
        self.curves, self._losses = state["curves"], state["losses"]
        self.kept, self.kept_score, self.kept_step = state["kept"], state["kept_score"], state["kept_step"]
        self.without_better = state["without_better"]
        if self.average is not None:
            self.average.values = state["average"]
        self.seconds_before = state.get("seconds", 0.0)  # not in checkpoints from before 2026-11-21

    def finish(self) -> System:
        """The system with the weights that count: the best on validation, or the last where nothing selected."""
        if self.kept is not None:
            self.system.load_state_dict(self.kept)
        else:
            self.kept_step = self.global_step
            with self.counting():
                last = tensors(self.system)
            self.system.load_state_dict(last)
        return self.system.eval()
