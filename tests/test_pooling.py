"""Poolings: by hand, against torch's own attention, with padding, one step and constant segments."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from made_parts import made_pooling
from serotone.modeling.pooling import POOLINGS, AttentiveMean, AttentiveMeanDeviation, Ends, Mean


def made(name: str, width: int = 6) -> nn.Module:
    torch.manual_seed(5)
    return made_pooling(POOLINGS[name], width)


def test_ends_reads_forward_at_the_last_and_backward_at_the_first_step() -> None:
    gru = nn.GRU(3, 2, batch_first=True, bidirectional=True)
    states, final = gru(torch.randn(2, 5, 3))
    torch.testing.assert_close(
        made_pooling(Ends, 4)(states, torch.tensor([5, 5])), torch.cat([final[0], final[1]], dim=1)
    )
    states = torch.arange(24.0).reshape(2, 3, 4)
    assert made_pooling(Ends, 4)(states, torch.tensor([3, 2])).tolist() == [[8, 9, 2, 3], [16, 17, 14, 15]]


def test_ends_of_one_direction_takes_the_last_valid_step() -> None:
    states = torch.arange(18.0).reshape(2, 3, 3)
    assert made_pooling(Ends, 3, directions=1)(states, torch.tensor([3, 2])).tolist() == [[6, 7, 8], [12, 13, 14]]


@pytest.mark.parametrize(("width", "directions"), [(4, 3), (5, 2), (4, 0)])
def test_ends_refuses(width: int, directions: int) -> None:
    with pytest.raises(ValueError, match=f"the encoder has {directions} directions"):
        made_pooling(Ends, width, directions=directions)


def test_mean_counts_valid_steps_only() -> None:
    states = torch.tensor([[[1.0], [2.0], [6.0]], [[1.0], [2.0], [6.0]]])
    assert made_pooling(Mean, 1)(states, torch.tensor([3, 2])).tolist() == [[3.0], [1.5]]


def test_mean_of_many_half_precise_states_is_precise() -> None:
    states = torch.ones(1, 1000, 1, dtype=torch.bfloat16)
    assert made_pooling(Mean, 1)(states, torch.tensor([1000])).item() == 1.0


def attended() -> tuple[Tensor, Tensor, Tensor]:
    """States, lengths and W of the worked example.

    h_1 = (1, 2), h_2 = (3, 4), q = (forward last, backward first) = (3, 2). With W = (ln 3 / 6) e_1 e_2^T,
    e_t = q_1 (ln 3 / 6) h_t2 = ln 3 / 2 h_t2: e_2 - e_1 = ln 3, so alpha = (1/4, 3/4).
    """
    states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, -9.0]]])
    return states, torch.tensor([2]), torch.tensor([[0.0, math.log(3) / 6], [0.0, 0.0]])


def test_attentive_mean_by_hand() -> None:
    states, lengths, matrix = attended()
    pooling = made_pooling(AttentiveMean, 2)
    with torch.no_grad():
        pooling.matrix.copy_(matrix)
        torch.testing.assert_close(pooling.weights(states, lengths), torch.tensor([[0.25, 0.75, 0.0]]))
        torch.testing.assert_close(pooling(states, lengths), torch.tensor([[2.5, 3.5]]))


def test_attentive_deviation_by_hand() -> None:
    states, lengths, matrix = attended()
    pooling = made_pooling(AttentiveMeanDeviation, 2)
    with torch.no_grad():
        pooling.matrix.copy_(matrix)
        # 1/4 + 3/4 * 9 - 2.5^2 = .75 = 1/4 * 4 + 3/4 * 16 - 3.5^2
        expected = torch.tensor([[2.5, 3.5, math.sqrt(0.75), math.sqrt(0.75)]])
        torch.testing.assert_close(pooling(states, lengths), expected)


def test_attention_is_torchs_own() -> None:
    pooling, states, lengths = made("attentive-mean-sd"), torch.randn(4, 9, 6), torch.tensor([9, 5, 1, 7])
    query = torch.stack([torch.cat([row[n - 1, :3], row[0, 3:]]) for row, n in zip(states, lengths.tolist())])
    valid = torch.stack([torch.arange(9) < n for n in lengths.tolist()])[:, None]
    mean, square = (
        functional.scaled_dot_product_attention(
            (query @ pooling.matrix)[:, None], states, values, attn_mask=valid, scale=1.0
        )[:, 0]
        for values in (states, states**2)
    )
    expected = torch.cat([mean, torch.sqrt(torch.clamp(square - mean**2, min=1e-6))], dim=1)
    torch.testing.assert_close(pooling(states, lengths), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(POOLINGS))
@pytest.mark.parametrize("filler", [0.0, 50.0, float("nan"), float("inf")])
def test_padding_is_invisible(name: str, filler: float) -> None:
    pooling = made(name)
    lengths = [7, 1, 4]
    clips = [torch.randn(length, 6) for length in lengths]
    states = torch.full((3, 11, 6), filler)
    for row, clip in enumerate(clips):
        states[row, : len(clip)] = clip
    states.requires_grad_()
    batch = pooling(states, torch.tensor(lengths))
    batch.square().sum().backward()
    for row, clip in enumerate(clips):
        alone = clip[None].clone().requires_grad_()
        answer = pooling(alone, torch.tensor([len(clip)]))
        answer.square().sum().backward()
        torch.testing.assert_close(batch[row], answer[0])
        torch.testing.assert_close(states.grad[row, : len(clip)], alone.grad[0])
        assert (states.grad[row, len(clip) :] == 0).all()


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_one_step_is_that_step(name: str) -> None:
    states = torch.randn(2, 1, 6)
    vectors = made(name)(states, torch.tensor([1, 1]))
    if name == "loud-mean-sd":
        vectors, again = vectors[:, :10], vectors[:, 10:]
        assert torch.equal(vectors, again)
        states = states[:, :, :5]
    width = states.shape[2]
    torch.testing.assert_close(vectors[:, :width], states[:, 0])
    assert vectors[:, width:].tolist() == [pytest.approx([1e-3] * (vectors.shape[1] - width))] * 2


@pytest.mark.parametrize("name", sorted(POOLINGS))
@pytest.mark.parametrize("value", [0.0, 0.3, -1.0])
def test_a_constant_segment_has_finite_gradients(name: str, value: float) -> None:
    pooling = made(name)
    states = torch.full((2, 23, 6), value, requires_grad=True)
    vectors = pooling(states, torch.tensor([23, 9]))
    torch.testing.assert_close(vectors[:, :5], torch.full((2, 5), value))
    vectors.square().sum().backward()
    gradients = [states.grad, *(parameter.grad for parameter in pooling.parameters())]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_width_is_as_announced_and_gradients_are_those_of_differences(name: str) -> None:
    pooling = made(name).double()
    states = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([4, 3])
    assert pooling(states, lengths).shape == (2, pooling.num_outputs)
    parameters = tuple(pooling.parameters())
    assert torch.autograd.gradcheck(lambda values, *_: pooling(values, lengths), (states, *parameters))


def test_loud_steps_weigh_more_by_hand() -> None:
    states = torch.tensor([[[1.0, 1.0], [4.0, 3.0], [torch.nan, torch.nan]], [[2.0, 0.0], [8.0, -1.0], [5.0, 2.0]]])
    vectors = made("loud-mean-sd", 2)(states, torch.tensor([2, 3]))
    first = [2.5, 1.5, 0.25 * 1 + 0.75 * 4, math.sqrt(0.25 * 2.25**2 + 0.75 * 0.75**2)]
    second = [5.0, math.sqrt(6), 5.0, 3e-3]
    torch.testing.assert_close(vectors[0], torch.tensor(first), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(vectors[1, :3], torch.tensor(second[:3]), atol=1e-5, rtol=1e-5)
    assert 0 < vectors[1, 3] < 5e-3


def test_loudness_alone_is_no_state_to_pool() -> None:
    with pytest.raises(ValueError, match="a state has 1 values; the pooling loud-mean-sd takes at least 2"):
        made("loud-mean-sd", 1)


def test_strong_scores_neither_overflow_nor_spread() -> None:
    pooling = made_pooling(AttentiveMean, 2)
    with torch.no_grad():
        pooling.matrix.copy_(1e4 * torch.eye(2))
        # q = (1, 0): e = 1e4 h_t1
        weights = pooling.weights(torch.tensor([[[-1.0, 0.0], [0.5, 0.0], [1.0, 0.0]]]), torch.tensor([3]))
    assert weights.tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_mixed_precision_is_left_at_the_door(name: str) -> None:
    pooling, states, lengths = made(name), torch.randn(3, 8, 6), torch.tensor([8, 5, 2])
    plain = pooling(states, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pooling(states, lengths), plain)
