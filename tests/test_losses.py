"""Losses, each derived a second time by hand."""

import math

import pytest
import torch
from torch.nn import functional

from serotone.modeling.losses import CenterLoss, inverse_frequency, weighted_cross_entropy
from serotone.modeling.pooling import Ends
from serotone.modeling.standardiser import Standardiser


def test_inverse_frequency_by_hand() -> None:
    # max 4; 4 / 4.5, 4 / 1.5, 4 / .5
    assert inverse_frequency([4, 1, 0]).tolist() == pytest.approx([4 / 4.5, 4 / 1.5, 8.0])


@pytest.mark.parametrize("counts", [[], [3, -1]])
def test_inverse_frequency_refuses(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="count"):
        inverse_frequency(counts)


def test_weighted_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # p(truth) = 3/4 and 1/2
    loss = weighted_cross_entropy(logits, torch.tensor([0, 1]), torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(2)) / 4)


def test_weighted_cross_entropy_is_torchs_own() -> None:
    logits, targets, weights = torch.randn(9, 5), torch.arange(9) % 5, torch.rand(5) + 0.1
    torch.testing.assert_close(
        weighted_cross_entropy(logits, targets, weights), functional.cross_entropy(logits, targets, weight=weights)
    )


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
    loss(embedding, torch.tensor([0, 1, 0, 1]), torch.ones(2)).backward()
    assert not loss.centers.requires_grad
    torch.testing.assert_close(embedding.grad, 2 * embedding.detach() / 4)


def test_ends_reads_forward_at_the_last_and_backward_at_the_first_step() -> None:
    gru = torch.nn.GRU(3, 2, batch_first=True, bidirectional=True)
    steps = torch.randn(2, 5, 3)
    states, final = gru(steps)
    torch.testing.assert_close(Ends()(states, torch.tensor([5, 5])), torch.cat([final[0], final[1]], dim=1))
    one = Ends()(states[:, :1], torch.tensor([1, 1]))
    torch.testing.assert_close(one, states[:, 0])


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
