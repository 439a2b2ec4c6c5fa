"""What a recipe minimises: hand-made numbers for every loss, and what each may read of the training part."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from serotone.errors import RunError
from serotone.modeling.convolution import DynamicConv2d
from serotone.modeling.system import System
from serotone.recipes import load
from serotone.training.build import build_system
from serotone.training.convex import balance
from serotone.training.data import Clips, in_order
from serotone.training.fit import prepare
from serotone.training.material import Material
from serotone.training.module import Training
from serotone.training.objective import Mixture, Objective

FOUR = ("angry", "happy", "neutral", "sad")
COUNTS = (4, 1, 8, 2)
LOGITS = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 2.0, 0.0, 1.0]])
TARGETS = torch.tensor([0, 1, 3])
LENGTHS = torch.tensor([16_000, 32_000, 8_000])


def objective_of(
    name: str, *changes: str, labels: Sequence[str] = FOUR, counts: Sequence[int] = COUNTS, longest: int = 64_000
) -> Objective:
    recipe = load(name, changes)
    system = build_system(recipe, len(labels))
    return Objective(recipe, system, labels=labels, counts=counts, longest=longest)


def cross_entropies() -> list[float]:
    """-log p_y of the three clips, by hand."""
    return [
        math.log(math.e + 3) - 1,
        math.log(math.exp(3) + 3) - 0,
        math.log(math.exp(2) + math.e + 2) - 1,
    ]


def value(objective: Objective, logits: Tensor = LOGITS, step: int = 1000) -> float:
    width = len(objective.center.centers[0])
    return float(objective(logits, torch.ones(3, width), TARGETS, LENGTHS, step=step))


def test_cross_entropy_without_weights_is_the_mean() -> None:
    assert value(objective_of("cnn-blstm-attention")) == pytest.approx(sum(cross_entropies()) / 3, rel=1e-5)


def test_class_weights_are_those_of_the_inverse_counts() -> None:
    weights = [8 / 4.5, 8 / 1.5, 8 / 2.5]
    expected = sum(w * v for w, v in zip(weights, cross_entropies(), strict=True)) / sum(weights)
    assert value(objective_of("crnn-mel")) == pytest.approx(expected, rel=1e-5)


def test_length_weights_multiply_by_the_longest_training_clip_over_the_clip() -> None:
    weights = [8 / 4.5 * 4, 8 / 1.5 * 2, 8 / 2.5 * 8]
    expected = sum(w * v for w, v in zip(weights, cross_entropies(), strict=True)) / sum(weights)
    assert value(objective_of("vlcrnn-variable-length")) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_turns_easy_clips_down() -> None:
    expected = [(1 - math.exp(-v)) ** 2 * v for v in cross_entropies()]
    assert value(objective_of("resnet-mel-focal")) == pytest.approx(sum(expected) / 3, rel=1e-5)
    doubled = objective_of("cnn-blstm-attention-focal")
    assert value(doubled) == pytest.approx(2 * sum(expected) / 3, rel=1e-5)


def test_focal_alpha_of_the_training_part_is_per_class_and_not_divided_out() -> None:
    inverse = [1 / 4, 1 / 1, 1 / 8, 1 / 2]
    alpha = [2 * part / sum(inverse) for part in inverse]
    values = [(1 - math.exp(-v)) ** 2 * v for v in cross_entropies()]
    expected = (alpha[0] * values[0] + alpha[1] * values[1] + alpha[3] * values[2]) / 3
    assert value(objective_of("vlcrnn-focal")) == pytest.approx(expected, rel=1e-5)


def test_focal_alpha_of_the_paper_belongs_to_its_labels() -> None:
    recipe = load("vlcrnn-focal", corpora=["iemocap"])
    system = build_system(recipe, 4)
    objective = Objective(recipe, system, labels=FOUR, counts=COUNTS, longest=1)
    assert objective.alpha is not None
    assert objective.alpha.tolist() == pytest.approx([0.49, 0.78, 0.24, 0.48])
    with pytest.raises(RunError, match=r"loss\.alpha=inverse-frequency"):
        Objective(recipe, system, labels=("angry", "bored"), counts=(1, 1), longest=1)


def test_the_margin_is_taken_off_the_target_of_scaled_cosines() -> None:
    objective = objective_of("cnn-blstm-attention-ams")
    cosines = torch.tensor([[0.6, 0.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 1.0]])
    others = [[0.0, 0.0, 0.0], [0.1, 0.3, 0.4], [0.0, 0.0, 0.0]]
    expected = []
    for own, rest in zip((0.6, 0.2, 1.0), others, strict=True):
        target = 10 * (own - 0.4)
        expected.append(math.log(math.exp(target) + sum(math.exp(10 * other) for other in rest)) - target)
    assert value(objective, 10 * cosines) == pytest.approx(sum(expected) / 3, rel=1e-4)


def test_center_loss_waits_for_its_warm_up_and_then_reads_the_old_centers() -> None:
    objective = objective_of("crnn-center-mel", "loss.class_weights=null", "center={weight: 0.3, alpha: 0.5}")
    plain = sum(cross_entropies()) / 3
    assert value(objective, step=19) == pytest.approx(plain, rel=1e-5)  # weight 0 and alpha 1: centers are at z now
    centers = objective.center.centers
    assert centers[[0, 1, 3]].eq(1.0).all()
    assert centers[2].eq(0.0).all()  # no clip of it
    centers.zero_()
    assert value(objective, step=20) == pytest.approx(plain + 0.3 * 64, rel=1e-5)  # ||1 - 0||^2 over 64 features
    assert centers[0].eq(0.5).all()
    assert not any(parameter is centers for parameter in objective.parameters())


def mixed(weights: Sequence[float], values: Sequence[float]) -> float:
    """sum w v / sum w."""
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def stretched(objective: Objective) -> tuple[Tensor, list[float]]:
    """Embeddings of 1s, 2s and 3s, and their squared distances to centers at 0."""
    width = len(objective.center.centers[0])
    return torch.outer(torch.tensor([1.0, 2.0, 3.0]), torch.ones(width)), [width * 1.0, width * 4.0, width * 9.0]


def test_focal_and_center_loss_are_added_under_the_same_class_weights() -> None:
    objective = objective_of("crnn-center-mel", "loss.gamma=2.0", "center={weight: 0.3, warm_up_steps: 0}")
    embedding, distances = stretched(objective)
    weights = [8 / 4.5, 8 / 1.5, 8 / 2.5]
    focal = [(1 - math.exp(-v)) ** 2 * v for v in cross_entropies()]
    expected = mixed(weights, focal) + 0.3 * mixed(weights, distances)
    assert float(objective(LOGITS, embedding, TARGETS, LENGTHS, step=0)) == pytest.approx(expected, rel=1e-5)


def test_center_loss_has_no_margin() -> None:
    name = "cnn-blstm-attention-ams"
    objective = objective_of(name, "center={weight: 0.01, warm_up_steps: 0}")
    embedding, distances = stretched(objective)
    margin = []
    for own, rest in zip((1.0, 0.0, 1.0), ([0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 2.0, 0.0]), strict=True):
        target = own - 10 * 0.4
        margin.append(math.log(math.exp(target) + sum(math.exp(other) for other in rest)) - target)
    expected = sum(margin) / 3 + 0.01 * sum(distances) / 3
    assert float(objective(LOGITS, embedding, TARGETS, LENGTHS, step=0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("with_alpha", [False, True])
def test_focal_values_are_weighted_by_length_and_alpha_is_not_divided_out(with_alpha: bool) -> None:
    changes = ["loss.alpha={angry: 0.5, happy: 0.7, neutral: 0.2, sad: 0.6}"] if with_alpha else []
    alpha = [0.5, 0.7, 0.6] if with_alpha else [1.0, 1.0, 1.0]
    weights = [8 / 4.5 * 4, 8 / 1.5 * 2, 8 / 2.5 * 8]
    values = [a * (1 - math.exp(-v)) ** 2 * v for a, v in zip(alpha, cross_entropies(), strict=True)]
    objective = objective_of("vlcrnn-variable-length", "loss.gamma=2.0", *changes)
    assert value(objective) == pytest.approx(mixed(weights, values), rel=1e-5)


def clips(piece: int | None = None) -> Clips:
    generator = np.random.default_rng(0)
    lengths = {"a": 16_000, "b": 40_000, "c": 48_001, "d": 20_000}
    waveforms = {name: generator.standard_normal(n).astype(np.float32) * 0.1 for name, n in lengths.items()}
    return Clips(list(lengths), waveforms, {"a": 0, "b": 0, "c": 1, "d": 1}, piece=piece)


def training(name: str, *changes: str) -> Training:
    return prepare(load(name, changes), clips(), ("angry", "sad"), seed=1)


def test_pieces_are_items_and_utterances_are_counted() -> None:
    cut = clips(piece=16_000)
    assert len(cut) == 1 + 3 + 4 + 2
    assert cut.samples() == [16_000, 16_000, 16_000, 8_000, 16_000, 16_000, 16_000, 1, 16_000, 4_000]
    assert cut.counts(2) == [2, 2]
    waveform, target, name, _ = cut[3]
    assert (len(waveform), target, name) == (8_000, 0, "b")
    assert torch.equal(waveform, torch.from_numpy(cut.waveforms["b"][32_000:]))


def test_the_optimiser_is_the_recipes() -> None:
    published = training("dycnn-bilstm").configure_optimizers()
    assert type(published) is torch.optim.RMSprop
    (group,) = published.param_groups
    assert (group["lr"], group["alpha"], group["eps"], group["momentum"]) == (0.01, 0.9, 1e-7, 0)
    adam = training("cnn-blstm-attention").configure_optimizers()
    assert type(adam) is torch.optim.Adam
    assert (adam.param_groups[0]["lr"], adam.param_groups[0]["betas"]) == (1e-4, (0.9, 0.999))


def temperatures(system: System) -> set[float]:
    return {float(m.temperature) for m in system.modules() if isinstance(m, DynamicConv2d)}


def test_the_temperature_falls_over_a_tenth_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    module = training("dycnn-bilstm")  # 1,000 steps: 100 of them warm
    seen = {}
    for step in (0, 50, 100, 999):
        monkeypatch.setattr(Training, "global_step", step)
        module.on_train_batch_start(None, 0)  # type: ignore[arg-type]
        seen[step] = temperatures(module.system)
    assert seen == {0: {30.0}, 50: {15.5}, 100: {1.0}, 999: {1.0}}
    assert module.select_from == 100
    assert any("temperature" in name for name in module.system.state_dict())


def test_epochs_are_counted_in_batches_of_the_training_part() -> None:
    module = training("resnet-mel-softmax", "schedules.paper.batch_size=3")
    assert module.steps == 50 * 2
    assert training("crnn-mel").steps == 3520


def test_the_longest_clip_is_one_of_the_training_part() -> None:
    assert training("vlcrnn-variable-length").objective.longest == 48_001


# Several corpora --------------------------------------------------------------------------------------------------


MIXTURE = Mixture(
    counts=torch.tensor([[4, 1, 8, 0], [0, 2, 2, 1]]),
    possible=torch.tensor([[True, True, True, False], [False, True, True, True]]),
)


def objective_of_two(*changes: str) -> Objective:
    recipe = load("cnn-blstm-attention", changes)
    system = build_system(recipe, 4)
    return Objective(recipe, system, labels=FOUR, counts=(4, 3, 10, 1), longest=64_000, mixture=MIXTURE)


def test_a_class_that_a_corpus_lacks_is_masked_for_its_clips() -> None:
    objective = objective_of_two()
    logits = LOGITS.clone().requires_grad_()
    corpora = torch.tensor([0, 0, 1])
    embedding = torch.ones(3, len(objective.center.centers[0]))
    loss = objective(logits, embedding, TARGETS, LENGTHS, step=1000, corpora=corpora)
    by_hand = [math.log(math.e + 2) - 1, math.log(math.exp(3) + 2), math.log(math.exp(2) + math.e + 1) - 1]
    assert loss.item() == pytest.approx(sum(by_hand) / 3, rel=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 3] == logits.grad[1, 3] == logits.grad[2, 0] == 0.0  # never a negative
    assert bool((logits.grad[0, :3] != 0).all())


def test_corpora_that_have_every_class_mask_nothing() -> None:
    everything = MIXTURE._replace(possible=torch.ones(2, 4, dtype=torch.bool))
    recipe = load("cnn-blstm-attention")
    objective = Objective(
        recipe, build_system(recipe, 4), labels=FOUR, counts=COUNTS, longest=64_000, mixture=everything
    )
    assert objective.impossible is None
    assert value(objective) == value(objective_of("cnn-blstm-attention"))


def test_corpus_and_emotion_weights_by_hand() -> None:
    objective = objective_of_two("loss.class_weights=corpus-and-emotion")
    expected = torch.tensor([[18 / (2 * 3 * 4), 18 / 6, 18 / (6 * 8), 0], [0, 18 / (6 * 2), 18 / (6 * 2), 18 / 6]])
    torch.testing.assert_close(objective.weights, expected)
    clips = MIXTURE.counts.double()
    assert float((clips * expected).sum()) == pytest.approx(18)  # mean 1
    own = balance(
        [name for k, name in enumerate("ab") for n in MIXTURE.counts[k].tolist() for _ in range(n)],
        np.array([c for k in range(2) for c, n in enumerate(MIXTURE.counts[k].tolist()) for _ in range(n)]),
    )  # the convex head's, clip by clip
    rows = [float(expected[k, c]) for k in range(2) for c, n in enumerate(MIXTURE.counts[k].tolist()) for _ in range(n)]
    assert own.tolist() == pytest.approx(rows)


def test_center_loss_takes_the_same_weights_of_clips() -> None:
    objective = objective_of_two("loss.class_weights=corpus-and-emotion", "center={weight: 0.5, warm_up_steps: 0}")
    corpora = torch.tensor([0, 0, 1])
    embedding = torch.zeros(3, len(objective.center.centers[0]))
    embedding[:, 0] = torch.tensor([1.0, 2.0, 3.0])
    weights = [18 / 24, 3.0, 3.0]
    plain = objective_of_two("loss.class_weights=corpus-and-emotion")
    without = float(plain(LOGITS, embedding, TARGETS, LENGTHS, step=5, corpora=corpora))
    distance = sum(w * d for w, d in zip(weights, (1, 4, 9), strict=True)) / sum(weights)
    assert float(objective(LOGITS, embedding, TARGETS, LENGTHS, step=5, corpora=corpora)) == pytest.approx(
        without + 0.5 * distance, rel=1e-6
    )


def test_the_mixture_of_a_fold_counts_its_training_part_and_knows_the_whole_corpora() -> None:
    targets = {"a/1": 0, "a/2": 1, "a/3": 1, "b/1": 1, "b/2": 2, "b/3": 2}
    waveforms = {name: np.zeros(800, dtype=np.float32) for name in targets}
    material = Material(
        ("angry", "happy", "sad"), waveforms, targets, {name: name[0] for name in targets}, dict.fromkeys(targets, "x")
    )
    clips = material.clips(["a/1", "a/2", "b/1", "b/2"])
    mixture = material.mixture(clips)
    assert mixture.counts.tolist() == [[1, 1, 0], [0, 1, 1]]
    assert mixture.possible.tolist() == [[True, True, False], [False, True, True]]
    (batch,) = in_order(clips, batch_size=8)
    assert dict(zip(batch.ids, batch.corpora.tolist(), strict=True)) == {"a/1": 0, "a/2": 0, "b/1": 1, "b/2": 1}
