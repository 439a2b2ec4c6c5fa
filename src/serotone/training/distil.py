"""A small encoder learns what a large frozen one makes of clips: distillation, before a head is solved on it.

The teacher is another recipe's frozen encoder and pooling; its vectors are computed once and kept, as for that recipe's
own head. Its lesson is their first principal components, each corpus standardised by its own statistics. The student
(encoder and pooling of a system, with two linear maps that are thrown away afterwards) gives those components back,
and the emotion too, from augmented crops of a clip's frames (:mod:`serotone.training.augment`).

An epoch's randomness is derived from the seed and the epoch, and the checkpoint is written after each: a training that
was killed ends as an unbroken one would.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from serotone.errors import RecipeError, RunError
from serotone.files import write_bytes, write_json
from serotone.modeling.frontends.steps import LOUDEST
from serotone.modeling.system import System
from serotone.recipes import Recipe, load
from serotone.recipes.parts import Distil
from serotone.runs.layout import DISTIL_CHECKPOINT, STUDENT, TEACHER
from serotone.runs.reading import check_beginning
from serotone.training.augment import augmented
from serotone.training.checkpoint import read_checkpoint
from serotone.training.convex import subspace
from serotone.training.data import Clips, GroupedByLength, derived_seed, in_order
from serotone.training.pretrained import Loaded
from serotone.training.rates import rate
from serotone.training.solving import frozen_system, table_of, vectors_of
from serotone.training.states import fingerprint
from serotone.training.strangers import Shrinkage, Table, at_level

LARGEST = 5.0
"""SDs beyond which a column of a teacher's vector is cut."""

POOL_BATCHES = 8
FEWEST_FRAMES = 24
BATCH_CLIPS = 16


class Lessons(NamedTuple):
    """What a student is taught of N clips: components (N, K), classes (N,), and which each could have (N, C)."""

    components: Tensor
    targets: Tensor
    possible: Tensor


def distil(
    system: System, recipe: Recipe, clips: Clips, table: Callable[[], Table], folder: Path, *, seed: int
) -> list[dict[str, float]]:
    """Train the system's encoder, in place, on these clips and nothing else; the curve, one point per epoch.

    Leaves ``student.safetensors`` and a checkpoint in ``folder``, which the same call takes up again. A training that
    is finished is read back, and its teacher not asked.

    Args:
        system: With the weights to start from.
        recipe: Whose ``distil`` says how; its bundle's speech detector cuts clips as the teacher's does.
        clips: The training part.
        table: Makes the teacher's vectors of these clips, in their order, as :func:`taught` does.
        folder: The run folder.
        seed: Of everything random.

    Raises:
        RunError: The loss is NaN or infinite.
    """
    choice = recipe.distil
    assert choice is not None
    curve = _finished(system, folder, choice)
    if curve is None:
        taught_by = table()
        lessons = lessons_of(taught_by, choice)
        torch.manual_seed(seed)
        student = Student(system, choice, components=lessons.components.shape[1], classes=len(taught_by.labels))
        curve = _trained(student, frames_of(system, clips), lessons, choice, recipe, folder, seed=seed)
    weights = {name: value.detach().cpu().contiguous() for name, value in system.encoder.state_dict().items()}
    write_bytes(folder / STUDENT, save(weights))
    return curve


def _kept(folder: Path, network: nn.Module) -> dict[str, Any]:
    """What the last whole epoch left, of a network or of more than that.

    Raises:
        RunError: It is damaged, or of another network.
    """
    return read_checkpoint(folder / DISTIL_CHECKPOINT, network, under="student", beside=("optimiser", "curve"))


def _finished(system: System, folder: Path, choice: Distil) -> list[dict[str, float]] | None:
    """The curve of a training that has all its epochs, whose weights the system takes; None where some are missing."""
    if not (folder / DISTIL_CHECKPOINT).is_file():
        return None
    taught = nn.ModuleDict({"encoder": system.encoder, "pooling": system.pooling})
    kept = _kept(folder, taught)
    curve: list[dict[str, float]] = kept["curve"]
    if len(curve) < choice.epochs:
        return None
    taught.load_state_dict({name: kept["student"][name] for name in taught.state_dict()})
    return curve


def teacher_of(choice: Distil) -> tuple[System, Recipe, Loaded]:
    """The teacher's system as its bundle computes, its recipe, and where its weights are from.

    Raises:
        RecipeError: The teacher's recipe has no pretrained weights: it would teach what is in its random start.
    """
    changes = [] if choice.teacher_weights is None else [f"weights.source={choice.teacher_weights}"]
    recipe = load(choice.teacher, changes)
    system, loaded = frozen_system(recipe)
    if loaded is None:
        raise RecipeError(
            f"distil.teacher is {recipe.name}, a recipe without pretrained weights; name one with weights,"
            " such as default"
        )
    return system, recipe, loaded


def taught(
    recipe: Recipe,
    clips: Clips,
    folder: Path,
    *,
    labels: Sequence[str],
    corpora: Mapping[str, str],
    speakers: Mapping[str, str],
) -> Table:
    """The teacher's vectors of clips, and what is known of them; ``distil.json`` says who it was.

    Raises:
        RunError: The teacher hears another sample rate, its clips are cut by another speech detector, or it is another
            than that of the folds before.
    """
    assert recipe.distil is not None
    system, teacher, loaded = teacher_of(recipe.distil)
    own, its = ((r.sample_rate, r.bundle.speech) for r in (recipe, teacher))
    if own != its:
        raise RunError(
            f"recipe {recipe.name} has sample_rate {own[0]} and bundle.speech {own[1]}, and its teacher"
            f" {teacher.name} has {its[0]} and {its[1]}; both must use the same audio, so set those of the recipe to"
            " the teacher's"
        )
    who = {"teacher": teacher.name, "weights": loaded.to_dict(), "vectors": fingerprint(system, teacher)}
    check_beginning(folder, TEACHER, who)
    vectors = vectors_of(system, teacher, clips, {})
    write_json(folder / TEACHER, {**who, "clips": len(vectors)})
    return table_of(vectors, labels=labels, targets=clips.targets, corpora=corpora, speakers=speakers)


def lessons_of(table: Table, choice: Distil) -> Lessons:
    """Principal components of the teacher's vectors, and the emotions, with those that a corpus has at all."""
    values = table.standard().apply(table.vectors)
    values = at_level(values, table.corpora, table.speakers, level="collection", shrinkage=Shrinkage(0.0, 0.0))
    components = principal_components(
        np.clip(values, -LARGEST, LARGEST), count=choice.components, whitening=choice.whitening
    )
    possible = np.zeros((len(values), len(table.labels)), dtype=bool)
    for corpus in np.unique(table.corpora):
        own = table.corpora == corpus
        possible[np.ix_(own, np.unique(table.targets[own]))] = True
    return Lessons(
        torch.from_numpy(components.astype(np.float32)), torch.from_numpy(table.targets), torch.from_numpy(possible)
    )


def principal_components(values: NDArray[np.float64], *, count: int, whitening: float) -> NDArray[np.float64]:
    """Vectors (N, D) -> their ``count`` first principal components (N, K), divided by SD^whitening, of mean square 1.

    With whitening 0 a component counts by its variance, with 1 all count alike. There are as many as min(N, D) where
    that is fewer.
    """
    centred = values - values.mean(axis=0)
    count = min(count, *centred.shape)
    basis = subspace(centred, min(2 * count, centred.shape[1]), rounds=4)
    _, _, rotation = np.linalg.svd(centred @ basis, full_matrices=False)
    components: NDArray[np.float64] = centred @ (basis @ rotation[:count].T)
    deviations = components.std(axis=0)
    components /= np.where(deviations > 0, deviations, 1.0) ** whitening
    components /= max(float(np.sqrt(np.square(components).mean())), 1e-12)
    return components


class Student(nn.Module):
    """Encoder and pooling of a system, which it trains; and two maps for training, to components and to emotions."""

    def __init__(self, system: System, choice: Distil, *, components: int, classes: int) -> None:
        super().__init__()
        self.encoder, self.pooling = system.encoder, system.pooling
        width = system.pooling.num_outputs
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.dropout = nn.Dropout(choice.dropout)
        self.to_components = nn.Linear(width, components)
        self.to_emotions = nn.Linear(width, classes)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F) of clips of one length -> components (B, K), scores of emotions (B, C)."""
        lengths = torch.full((len(frames),), frames.shape[1], dtype=torch.int64, device=frames.device)
        vectors = self.dropout(self.norm(self.pooling(*self.encoder(frames, lengths))))
        return self.to_components(vectors), self.to_emotions(vectors)


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, possible: Tensor, *, smoothing: float) -> Tensor:
    """Mean cross-entropy of logits (B, C) and targets (B,), over the classes possible (B, C) for each clip.

    A target's probability is 1 - smoothing; the smoothing is spread evenly over all that is possible, it too.
    """
    log_p = functional.log_softmax(logits.masked_fill(~possible, -torch.inf), dim=1)
    own = log_p.gather(1, targets[:, None])[:, 0]
    mean = log_p.masked_fill(~possible, 0).sum(dim=1) / possible.sum(dim=1)
    return -((1 - smoothing) * own + smoothing * mean).mean()


@torch.no_grad()
def frames_of(system: System, clips: Clips) -> list[Tensor]:
    """Frames (T, F) of every clip in order, in float16, before the standardiser."""
    found: dict[str, Tensor] = {}
    for batch in in_order(clips, batch_size=BATCH_CLIPS):
        frames, lengths = system.analyse(batch.waveforms, batch.lengths)
        for name, clip, length in zip(batch.ids, frames.half(), lengths.tolist(), strict=True):
            found[name] = clip[:length].clone()
    return [found[name] for name in clips.utterances]


def crops(frames: Sequence[Tensor], *, batch_size: int, longest: int, seed: int) -> Iterator[tuple[list[int], Tensor]]:
    """One epoch: clips' numbers (B,) and crops (B, T, F) of them, in float32, of one length in each batch.

    Clips of like length come together. A crop takes 80 to 100 % of the shortest, or all of it, and at most
    60 to 100 % of ``longest``. A last batch of one clip is left out: it has no deviation.
    """
    lengths = [len(clip) for clip in frames]
    generator = np.random.default_rng(derived_seed(seed, "crops"))
    sampler = GroupedByLength(lengths, batch_size=batch_size, pool_batches=POOL_BATCHES, seed=seed)
    for members in sampler:
        if len(members) < 2:
            continue
        shortest = min(lengths[member] for member in members)
        share = generator.uniform(0.8, 1.0) if generator.random() < 0.7 else 1.0
        size = min(int(share * shortest), int(generator.uniform(0.6, 1.0) * longest))
        size = min(max(size, FEWEST_FRAMES), shortest)
        starts = [int(generator.random() * (lengths[member] - size + 1)) for member in members]
        pieces = [frames[member][start : start + size] for member, start in zip(members, starts, strict=True)]
        yield members, torch.stack(pieces).float()


def _trained(
    student: Student,
    frames: Sequence[Tensor],
    lessons: Lessons,
    choice: Distil,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int,
) -> list[dict[str, float]]:
    """Train, from the checkpoint where there is one."""
    matrices = [p for p in student.parameters() if p.ndim > 1]
    others = [p for p in student.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": choice.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=choice.learning_rate)
    longest = round(choice.crop_seconds * recipe.sample_rate / recipe.frontend.hop(recipe.sample_rate))
    per_epoch = -(-len(frames) // choice.batch_size)
    curve: list[dict[str, float]] = []
    path = folder / DISTIL_CHECKPOINT
    if path.is_file():
        kept = _kept(folder, student)
        student.load_state_dict(kept["student"])
        optimiser.load_state_dict(kept["optimiser"])
        curve = kept["curve"]
    student.train()
    for epoch in range(len(curve), choice.epochs):
        own = derived_seed(seed, "distil", epoch)
        torch.manual_seed(own)
        generator = torch.Generator().manual_seed(own)
        losses = []
        batches = crops(frames, batch_size=choice.batch_size, longest=longest, seed=own)
        for number, (members, values) in enumerate(batches):
            share = rate(
                epoch * per_epoch + number,
                steps=choice.epochs * per_epoch,
                shape="one-cycle",
                warm_up_steps=round(choice.warm_up * choice.epochs * per_epoch),
            )
            for group in optimiser.param_groups:
                group["lr"] = share * choice.learning_rate
            components, scores = student(heard(values, generator, strength=choice.augmentation))
            taught = functional.mse_loss(components, lessons.components[members])
            named = smoothed_cross_entropy(
                scores, lessons.targets[members], lessons.possible[members], smoothing=choice.label_smoothing
            )
            loss = taught + choice.emotion_weight * named
            if not bool(torch.isfinite(loss)):
                raise RunError(
                    f"recipe {recipe.name} diverged: the loss of epoch {epoch + 1} is {float(loss)}; lower"
                    " distil.learning_rate"
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), choice.clip_norm)
            optimiser.step()
            losses.append((float(taught.detach()), float(named.detach())))
        teacher, emotion = np.mean(losses, axis=0).tolist()
        curve.append({"epoch": epoch + 1.0, "loss_teacher": teacher, "loss_emotion": emotion})
        state = {"student": student.state_dict(), "optimiser": optimiser.state_dict(), "curve": curve}
        content = io.BytesIO()
        torch.save(state, content)
        write_bytes(path, content.getvalue())
    student.eval()
    return curve


def heard(frames: Tensor, generator: torch.Generator, *, strength: float) -> Tensor:
    """Relative frames (B, T, F) as a frontend makes them, augmented: in decades in between."""
    if strength == 0:
        return frames
    shift = LOUDEST + 4.0
    return (augmented(4.0 * frames - shift, generator, strength=strength) + shift) / 4.0
