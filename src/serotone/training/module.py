"""What Lightning needs to know of a system: its step, its validation, which weights to keep."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from serotone.metrics import unweighted_accuracy, weighted_accuracy
from serotone.modeling.losses import CenterLoss, weighted_cross_entropy
from serotone.modeling.system import System
from serotone.training.data import Batch, Batches, derived_seed
from serotone.training.recipe import Recipe

SCORES = {"ua": unweighted_accuracy, "wa": weighted_accuracy}


class Training(pl.LightningModule):
    """A system in training: weighted softmax and center loss, Adam, and the weights that validated best.

    The kept weights and the learning curve travel in the checkpoint, so that a run resumed at an epoch's end knows
    exactly what the unbroken run knew there.
    """

    class_weights: Tensor

    def __init__(
        self,
        system: System,
        recipe: Recipe,
        *,
        labels: tuple[str, ...],
        class_weights: Tensor,
        batches: Callable[[int], Batches],
        seed: int,
    ) -> None:
        super().__init__()
        self.system = system
        self.recipe = recipe
        self.labels = labels
        self.center = CenterLoss(len(labels), recipe.head.features)
        self.register_buffer("class_weights", class_weights)
        self.batches = batches
        self.seed = seed
        self.curves: list[dict[str, float]] = []
        self.kept: dict[str, Tensor] | None = None
        self.kept_score = -1.0
        self.kept_step = 0
        self._losses: list[float] = []
        self._truth: list[str] = []
        self._prediction: list[str] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam at a constant rate over the system's parameters; the centers are a buffer and stay out."""
        return torch.optim.Adam(self.system.parameters(), lr=self.recipe.training.learning_rate)

    def train_dataloader(self) -> Batches:
        """The batches of the current epoch; Lightning asks anew for each."""
        return self.batches(self.trainer.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Re-seed: what is random in an epoch depends on the run's seed and the epoch alone."""
        torch.manual_seed(derived_seed(self.seed, "epoch", self.trainer.current_epoch))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """L = L_s + lambda L_c with the old centers, which then move toward this batch."""
        logits, embedding = self.system(batch.waveforms, batch.lengths)
        logits, embedding = logits.float(), embedding.float()
        loss = weighted_cross_entropy(logits, batch.targets, self.class_weights)
        choice = self.recipe.center
        if choice.weight > 0:
            warming = self.global_step < choice.warm_up_steps
            if not warming:
                loss = loss + choice.weight * self.center(embedding, batch.targets, self.class_weights)
            alpha = 1.0 if warming else choice.alpha
            self.center.update(embedding, batch.targets, alpha=alpha, rule=choice.update)
        self._losses.append(float(loss.detach()))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Collect truth and prediction."""
        predictions = self.system(batch.waveforms, batch.lengths).logits.argmax(dim=1)
        self._truth += [self.labels[target] for target in batch.targets.tolist()]
        self._prediction += [self.labels[target] for target in predictions.tolist()]

    def on_validation_epoch_end(self) -> None:
        """Score the validation part; keep the weights if they are the best that may count."""
        step = self.global_step
        point = {"step": float(step), "epoch": float(self.trainer.current_epoch)}
        point["loss"] = sum(self._losses) / max(1, len(self._losses))
        scores = {key: score(self._truth, self._prediction, labels=self.labels) for key, score in SCORES.items()}
        self.curves.append(point | scores)
        self._losses, self._truth, self._prediction = [], [], []
        if self.recipe.monitor == "none" or step < self.recipe.training.select_from:
            return
        if scores[self.recipe.monitor] > self.kept_score:
            self.kept_score, self.kept_step = scores[self.recipe.monitor], step
            self.kept = {name: value.clone() for name, value in self.system.state_dict().items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the resumed run must know."""
        checkpoint["serotone"] = {
            "curves": self.curves,
            "losses": self._losses,
            "kept": self.kept,
            "kept_score": self.kept_score,
            "kept_step": self.kept_step,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again."""
        state = checkpoint["serotone"]
        self.curves, self._losses = state["curves"], state["losses"]
        self.kept, self.kept_score, self.kept_step = state["kept"], state["kept_score"], state["kept_step"]

    def finish(self) -> System:
        """The system with the weights that count: the best on validation, or the last where nothing selected."""
        if self.kept is not None:
            self.system.load_state_dict(self.kept)
        else:
            self.kept_step = self.global_step
        return self.system.eval()
