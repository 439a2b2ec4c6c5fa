"""Losses, each derived a second time by hand."""

import math

import pytest
import torch
from torch.nn import functional

from made_parts import made_head
from serotone.modeling.heads import CosineHead
from serotone.modeling.losses import (
    CenterLoss,
    clip_weighted_mean,
    focal,
    inverse_frequency,
    length_weights,
    normalised_inverse,
    with_margin,
)
from serotone.modeling.standardiser import Standardiser


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """As the objective takes it, (B,)."""
    return focal(logits, targets, gamma=0.0)


def am_softmax(logits: torch.Tensor, targets: torch.Tensor, *, scale: float, margin: float) -> torch.Tensor:
    return cross_entropy(with_margin(logits, targets, scale=scale, margin=margin), targets).mean()


def test_inverse_frequency_by_hand() -> None:
    # max 4; 4 / 4.5, 4 / 1.5, 4 / .5
    assert inverse_frequency([4, 1, 0]).tolist() == pytest.approx([4 / 4.5, 4 / 1.5, 8.0])


@pytest.mark.parametrize("counts", [[], [3, -1]])
def test_inverse_frequency_refuses(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="count"):
        inverse_frequency(counts)


def test_cross_entropy_by_hand_with_and_without_class_weights() -> None:
    logits, targets = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]]), torch.tensor([0, 1])  # p(truth) = 3/4 and 1/2
    values = cross_entropy(logits, targets)
    assert values.tolist() == pytest.approx([math.log(4 / 3), math.log(2)])
    weighted = clip_weighted_mean(values, torch.tensor([1.0, 3.0])[targets])
    assert weighted.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(2)) / 4)


def test_weighted_cross_entropy_is_torchs_own() -> None:
    logits, targets, weights = torch.randn(9, 5), torch.arange(9) % 5, torch.rand(5) + 0.1
    torch.testing.assert_close(
        clip_weighted_mean(cross_entropy(logits, targets), weights[targets]),
        functional.cross_entropy(logits, targets, weight=weights),
    )


def test_length_weights_by_hand() -> None:
    # counts 6, 2: omega = 6 / 6.5, 6 / 2.5; T_max 8
    weights = length_weights(torch.tensor([0, 1, 1]), torch.tensor([8, 4, 16]), inverse_frequency([6, 2]), longest=8)
    assert weights.tolist() == pytest.approx([6 / 6.5, 6 / 2.5 * 2, 6 / 2.5 / 2])
    alone = length_weights(torch.tensor([0, 1]), torch.tensor([8, 5]), longest=8)
    assert alone.tolist() == pytest.approx([1.0, 1.6])


def test_clip_weights_of_the_classes_alone_are_the_weighted_cross_entropy() -> None:
    logits, targets, omega = torch.randn(9, 5), torch.arange(9) % 5, torch.rand(5) + 0.1
    weights = length_weights(targets, torch.full((9,), 7), omega, longest=21)  # all three times too long: cancels
    torch.testing.assert_close(
        clip_weighted_mean(cross_entropy(logits, targets), weights),
        functional.cross_entropy(logits, targets, weight=omega),
    )


def test_normalised_inverse_by_hand() -> None:
    # 1/2, 1/4, 1/4 of sum 1, times 3/2
    assert normalised_inverse([2, 4, 4]).tolist() == pytest.approx([0.75, 0.375, 0.375])
    # IEMOCAP's happy, sad, angry, neutral turns; the paper prints .78 .48 .49 .24
    assert normalised_inverse([595, 1084, 1103, 1708]).tolist() == pytest.approx([0.82, 0.45, 0.44, 0.29], abs=0.005)


@pytest.mark.parametrize("counts", [[], [3, 0]])
def test_normalised_inverse_refuses(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        normalised_inverse(counts)


def test_focal_by_hand() -> None:
    logits = torch.tensor([[math.log(4.0), 0.0], [0.0, math.log(4.0)]])  # p(truth) = .8 and .2
    targets = torch.tensor([0, 0])
    easy, hard = math.log(1 / 0.8), math.log(1 / 0.2)
    # The worked example of Tripathi et al.: at p = .8, gamma 2 leaves 4 % of the cross-entropy.
    assert focal(logits, targets, gamma=2.0).tolist() == pytest.approx([0.04 * easy, 0.64 * hard])
    assert focal(logits, targets, gamma=0.5).tolist() == pytest.approx([0.2**0.5 * easy, 0.8**0.5 * hard])
    assert focal(logits, targets, gamma=2.0, alpha=4.0).tolist() == pytest.approx([0.16 * easy, 2.56 * hard])
    each = focal(logits, torch.tensor([0, 1]), gamma=1.0, alpha=torch.tensor([3.0, 5.0]))
    assert each.tolist() == pytest.approx([3 * 0.2 * easy, 5 * 0.2 * easy])


@pytest.mark.parametrize("alpha", [None, 1.0, torch.ones(5)])
def test_focal_of_gamma_0_and_alpha_1_is_cross_entropy(alpha: torch.Tensor | float | None) -> None:
    logits, targets = torch.randn(9, 5) * 4, torch.arange(9) % 5
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, witness = focal(ours, targets, gamma=0.0, alpha=alpha).mean(), functional.cross_entropy(theirs, targets)
    torch.testing.assert_close(loss, witness)
    loss.backward()
    witness.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_focal_is_not_divided_by_the_sum_of_alpha() -> None:
    logits, targets = torch.randn(9, 5), torch.arange(9) % 5
    torch.testing.assert_close(
        focal(logits, targets, gamma=2.0, alpha=torch.full((5,), 2.0)).mean(),
        2 * focal(logits, targets, gamma=2.0).mean(),
    )


@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.5, 1.0, 2.0, 5.0])
def test_focal_has_a_finite_gradient_at_certainty(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0], [17.0, 0.0], [5.0, 0.0]], requires_grad=True)
    values = focal(logits, torch.tensor([0, 0, 0, 0]), gamma=gamma)
    values.sum().backward()
    assert logits.grad.isfinite().all()
    assert values[0].item() == 0.0
    assert values[1].item() == pytest.approx(400.0)  # sure and wrong: (1 - 0)^gamma * 400
    assert logits.grad[0].abs().max() < 1e-6
    torch.testing.assert_close(logits.grad[1], torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_focal_gradient_is_that_of_differences(gamma: float) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 0])
    alpha = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: focal(values, targets, gamma=gamma, alpha=alpha), logits)


def test_focal_refuses_a_negative_gamma() -> None:
    with pytest.raises(ValueError, match="gamma is -1"):
        focal(torch.zeros(1, 2), torch.tensor([0]), gamma=-1.0)


def angled(*degrees: float) -> torch.Tensor:
    """Vectors of length 1, 2, 3, ... at these angles in the plane."""
    radians = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([torch.cos(radians), torch.sin(radians)], dim=1) * torch.arange(1, len(degrees) + 1)[:, None]


def test_am_softmax_from_angles() -> None:
    head = made_head(CosineHead, 2, 3, scale=10.0)
    with torch.no_grad():
        head.weight.copy_(angled(0.0, 90.0, 180.0))
    # A vector at 60 degrees stands 60, 30 and 120 degrees from the classes; one at 90 degrees 90, 0 and 90.
    logits, _ = head(angled(60.0, 90.0))
    half, side = 10 * 0.5, 10 * math.sqrt(3) / 2
    first = math.exp(half - 4) / (math.exp(half - 4) + math.exp(side) + math.exp(-half))
    second = math.exp(10 - 4) / (math.exp(10 - 4) + 2 * math.exp(0))
    loss = am_softmax(logits, torch.tensor([0, 1]), scale=10.0, margin=0.4)
    assert loss.item() == pytest.approx(-(math.log(first) + math.log(second)) / 2, rel=1e-5)


def test_am_softmax_is_torchs_cross_entropy_but_for_the_targets_margin() -> None:
    cosines, targets = torch.rand(7, 4) * 2 - 1, torch.arange(7) % 4
    moved = 30 * cosines
    for row, target in enumerate(targets.tolist()):
        moved[row, target] = 30 * (cosines[row, target] - 0.1)
    torch.testing.assert_close(with_margin(30 * cosines, targets, scale=30.0, margin=0.1), moved)
    torch.testing.assert_close(
        am_softmax(30 * cosines, targets, scale=30.0, margin=0.1), functional.cross_entropy(moved, targets)
    )
    torch.testing.assert_close(
        am_softmax(30 * cosines, targets, scale=30.0, margin=0.0), functional.cross_entropy(30 * cosines, targets)
    )


def test_am_softmax_gradient_reaches_vectors_and_weights() -> None:
    torch.manual_seed(0)
    head = made_head(CosineHead, 3, 4, scale=10.0).double()
    targets = torch.tensor([0, 1, 2, 3, 0])

    def loss(vectors: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        logits = torch.func.functional_call(head, {"weight": weight}, vectors)[0]
        return am_softmax(logits, targets, scale=10.0, margin=0.4)

    vectors = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (vectors, torch.randn(4, 3, dtype=torch.float64, requires_grad=True)))


def test_focal_over_a_margin_by_hand() -> None:
    # s 10: cosines .9 and .5, minus .4 on the target: equal, so p = 1/2.
    logits, targets = torch.tensor([[9.0, 5.0]]), torch.tensor([0])
    values = focal(with_margin(logits, targets, scale=10.0, margin=0.4), targets, gamma=2.0, alpha=2.0)
    assert values.item() == pytest.approx(2 * 0.25 * math.log(2))


def test_centers_are_not_rounded_by_mixed_precision() -> None:
    embedding = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    plain, mixed = CenterLoss(2, 3), CenterLoss(2, 3)
    targets = torch.tensor([0, 1, 0, 1, 0, 0])
    plain.update(embedding, targets, alpha=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        mixed.update(embedding, targets, alpha=0.5)
    assert torch.equal(mixed.centers, plain.centers)
    assert plain.centers.abs().sum() > 0


def test_center_loss_has_no_factor_one_half() -> None:
    loss = CenterLoss(2, 2)
    loss.centers.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    embedding = torch.tensor([[4.0, 4.0], [0.0, 2.0]])  # squared distances 25 and 4
    assert loss(embedding, torch.tensor([0, 1]), torch.tensor([1.0, 2.0])).item() == pytest.approx((25 + 2 * 4) / 3)


def test_center_update_moves_to_the_batch_mean_step_by_step() -> None:
    loss = CenterLoss(3, 1)
    embedding, targets = torch.tensor([[2.0], [4.0], [10.0]]), torch.tensor([0, 0, 1])
    loss.update(embedding, targets, alpha=0.5)
    assert loss.centers.flatten().tolist() == [1.5, 5.0, 0.0]  # class 2 is absent and stays
    loss.update(embedding, targets, alpha=0.5)
    assert loss.centers.flatten().tolist() == [2.25, 7.5, 0.0]
    loss.update(embedding, targets, alpha=1.0)
    assert loss.centers.flatten().tolist() == [3.0, 10.0, 0.0]


def test_center_update_of_the_authors_code() -> None:
    loss = CenterLoss(2, 1)
    loss.centers.copy_(torch.tensor([[1.0], [7.0]]))
    # c - alpha * ((1 - 2) + (1 - 4)) / (1 + 2) = 1 + .5 * 4 / 3
    loss.update(torch.tensor([[2.0], [4.0]]), torch.tensor([0, 0]), alpha=0.5, rule="authors-code")
    assert loss.centers.flatten().tolist() == pytest.approx([1 + 0.5 * 4 / 3, 7.0])


def test_centers_are_saved_and_out_of_the_optimisers_reach() -> None:
    loss = CenterLoss(2, 3)
    assert list(loss.parameters()) == []
    assert list(loss.state_dict()) == ["centers"]
    embedding = torch.randn(4, 3, requires_grad=True)
    loss(embedding, torch.tensor([0, 1, 0, 1]), torch.ones(4)).backward()
    assert not loss.centers.requires_grad
    torch.testing.assert_close(embedding.grad, 2 * embedding.detach() / 4)


def test_standardiser_sees_valid_frames_only() -> None:
    frames = torch.randn(3, 7, 4) * 5 + 2
    lengths = torch.tensor([7, 3, 5])
    valid = torch.cat([frames[row, :length] for row, length in enumerate(lengths.tolist())])
    for row, length in enumerate(lengths.tolist()):
        frames[row, length:] = float("nan")
    standardiser = Standardiser(4)
    standardiser.fit([(frames[:2], lengths[:2]), (frames[2:], lengths[2:])])
    torch.testing.assert_close(standardiser.mean, valid.mean(dim=0))
    torch.testing.assert_close(standardiser.deviation, valid.std(dim=0, correction=0))
    assert standardiser(frames, lengths)[1, 3:].abs().max() == 0


def test_a_constant_bin_is_centred_and_left_unscaled() -> None:
    standardiser = Standardiser(1)
    standardiser.fit([(torch.full((1, 4, 1), -100.0), torch.tensor([4]))])
    assert standardiser.deviation.item() == 1.0
