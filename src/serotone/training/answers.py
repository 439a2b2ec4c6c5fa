"""What a trained system says of clips: probabilities and embeddings, and the files of a fold that hold them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from serotone.errors import RunError
from serotone.modeling.system import System
from serotone.recipes import Recipe
from serotone.runs import writing
from serotone.training.data import Clips, in_order
from serotone.training.material import Material
from serotone.training.solving import vectors_of

EMBEDDED_TOGETHER = 16
"""Clips in a batch whose embeddings are written."""


def predict(system: System, clips: Clips, *, batch_size: int = 32) -> dict[str, NDArray[np.float64]]:
    """Probabilities (C,) by utterance id, in float32 arithmetic.

    Raises:
        RunError: The system answers NaN or infinity.
    """
    system.eval()
    answers: dict[str, NDArray[np.float64]] = {}
    with torch.no_grad():
        for batch in in_order(clips, batch_size=batch_size):
            logits = system(batch.waveforms, batch.lengths).logits
            if not bool(torch.isfinite(logits).all()):
                raise RunError(
                    "the system answers NaN or infinity: its training diverged; lower the schedule's learning_rate, or"
                    " set its clip_norm"
                )
            for name, row in zip(batch.ids, torch.softmax(logits.double(), dim=1).numpy(), strict=True):
                answers[name] = row
    return answers


@torch.no_grad()
def _from_vectors(system: System, recipe: Recipe, clips: Clips, material: Material) -> dict[str, NDArray[np.float64]]:
    """Probabilities (C,) by utterance id, from the vectors that frozen parts made."""
    vectors = vectors_of(system, recipe, clips, material.vectors)
    logits = system.head(torch.from_numpy(np.stack(list(vectors.values()))))[0]
    return dict(zip(vectors, torch.softmax(logits.double(), dim=1).numpy(), strict=True))


def write_predictions(system: System, recipe: Recipe, clips: Clips, material: Material, path: Path) -> dict[str, Any]:
    """Answers beside the truth, as a table in ``path``; the scores of them."""
    labels = material.labels
    answers = predict(system, clips) if recipe.convex is None else _from_vectors(system, recipe, clips, material)
    truth = {name: labels[material.targets[name]] for name in answers}
    return writing.write_answers(path, labels, truth, answers)


def write_embeddings(system: System, parts: Mapping[str, Clips], labels: Sequence[str], folder: Path) -> None:
    """Embeddings of whole clips: ``part``, ``id`` and ``truth`` (N,), ``embedding`` (N, D) in float32."""
    system.eval()
    names: list[tuple[str, str, str]] = []
    vectors = []
    with torch.no_grad():
        for part, clips in parts.items():
            for batch in in_order(clips, batch_size=EMBEDDED_TOGETHER):
                answer = system(batch.waveforms, batch.lengths)
                vectors.append(answer.embedding.float().numpy())
                names += [(part, name, labels[clips.targets[name]]) for name in batch.ids]
    parts_of, ids, truth = (np.array(column) for column in zip(*names, strict=True))
    writing.write_embeddings(folder, part=parts_of, ids=ids, truth=truth, embedding=np.concatenate(vectors))
