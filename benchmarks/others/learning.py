"""What the alternatives learn: unweighted accuracy on speakers and corpora that trained nothing.

A fit takes a training and a test `Table`, with the number of each clip as its only "vector", and gives scores (N, C) of
the test clips. What it standardises by, and its strength, come from the training table; at the level ``speaker`` or
``collection`` clips are also standardised by their own speaker or corpus, without labels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from network import Network, one_thread
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from serotone.training.convex import balance
from serotone.training.held_out import accuracy_among
from serotone.training.strangers import Level, Shrinkage, Table, at_level

Fit = Callable[[Table, Table], Any]

COSTS = (0.1, 1.0, 10.0, 100.0)
"""C of the support vector machine, of which the training speakers or corpora choose."""

INNER_FOLDS = 3

EPOCHS, BATCH, LEARNING_RATE, CROP_FRAMES = 20, 16, 2e-3, 131
"""Ours, set before any test fold was seen; 131 frames are 2.1 s, as `light` is trained on."""


def held_out(fit: Fit, table: Table, groups: Any) -> Any:
    """Scores (N, C) of every clip by a fit that saw nothing of its group."""
    scores = np.zeros((len(table.targets), len(table.labels)))
    for group in np.unique(groups):
        own = groups == group
        scores[own] = fit(table.part(~own), table.part(own))
    return scores


def accuracies(table: Table, scores: Any, groups: Any) -> dict[str, Any]:
    """UA of each group, among the classes that it has, and their mean."""
    found = {str(g): accuracy_among(table.targets[groups == g], scores[groups == g]) for g in np.unique(groups)}
    return found | {"mean": float(np.mean(list(found.values())))}


def support_vectors(features: Any, level: Level) -> Fit:
    """A linear support vector machine on rows of features (N, D), each kernel divided by D."""

    def kernels(training: Table, test: Table) -> tuple[Any, Any]:
        first, second = (features[part.vectors[:, 0]] for part in (training, test))
        known = Table(training.labels, first, training.targets, training.corpora, training.speakers)
        standard = known.standard()
        first, second = (
            at_level(standard.apply(rows), part.corpora, part.speakers, level=level, shrinkage=Shrinkage())
            for rows, part in ((first, training), (second, test))
        )
        return first @ first.T / first.shape[1], second @ first.T / first.shape[1]

    def fit(training: Table, test: Table) -> Any:
        inner, outer = kernels(training, test)
        several = len(np.unique(training.corpora)) > 1
        groups = training.corpora if several else training.speakers
        worth = dict.fromkeys(COSTS, 0.0)
        for some, others in GroupKFold(INNER_FOLDS).split(inner, groups=groups):
            part = training.part(np.isin(np.arange(len(groups)), some))
            for cost in COSTS:
                scores = _scores(part, inner[np.ix_(some, some)], inner[np.ix_(others, some)], cost)
                worth[cost] += accuracy_among(training.targets[others], scores)
        return _scores(training, inner, outer, max(COSTS, key=lambda cost: worth[cost]))

    return fit


def _scores(training: Table, inner: Any, outer: Any, cost: float) -> Any:
    machine = SVC(kernel="precomputed", C=cost)
    machine.fit(inner, training.targets, sample_weight=balance(training.corpora.tolist(), training.targets))
    scores = np.full((len(outer), len(training.labels)), -1e4)
    scores[:, machine.classes_] = machine.decision_function(outer)
    return scores


def network(frames: list[Any], seed: int) -> Fit:
    """The network of `light`, trained from chance on frames (T, 64) of each clip; no teacher, no other clips."""
    one_thread()

    def fit(training: Table, test: Table) -> Any:
        torch.manual_seed(seed)
        dice = np.random.default_rng(seed)
        model = Network(len(training.labels)).train()
        steps = EPOCHS * -(-len(training.targets) // BATCH)
        optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.02)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
        weights = balance(training.corpora.tolist(), training.targets).astype(np.float32)
        for _ in range(EPOCHS):
            for batch in np.array_split(dice.permutation(len(training.targets)), steps // EPOCHS):
                cut = [_crop(frames[training.vectors[k, 0]], dice) for k in batch]
                losses = functional.cross_entropy(
                    model(*_padded(cut)), torch.from_numpy(training.targets[batch]), reduction="none"
                )
                optimiser.zero_grad()
                (losses * torch.from_numpy(weights[batch])).mean().backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
                optimiser.step()
                rate.step()
        model.eval()
        with torch.inference_mode():
            return np.concatenate([model(*_padded([frames[k]])).numpy() for k in test.vectors[:, 0]])

    return fit


def _crop(frames: Any, dice: np.random.Generator) -> Any:
    start = int(dice.integers(0, max(1, len(frames) - CROP_FRAMES + 1)))
    return frames[start : start + CROP_FRAMES]


def _padded(frames: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (B, T, 64) and their lengths (B,)."""
    rows = [torch.from_numpy(np.asarray(f, np.float32)) for f in frames]
    return pad_sequence(rows, batch_first=True), torch.tensor([len(f) for f in rows])
