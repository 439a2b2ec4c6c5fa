"""The encoder vlcrnn: a clip comes out the same with padding and without, whatever its length."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from made_parts import made_encoder
from serotone.modeling.encoders import vlcrnn
from serotone.modeling.encoders.vlcrnn import VLCRNN

BINS = 11  # odd, and odd again after one pool of 2: 11 -> 6 -> 3
EVERY_REMAINDER = [*range(1, 10), 14, 21]


def encoder(bins: int = BINS) -> VLCRNN:
    torch.manual_seed(3)
    return made_encoder(VLCRNN, bins, filters=(4, 6), hidden=5)


def clips(lengths: list[int], bins: int = BINS) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, bins, generator=generator) for length in lengths]


def padded(parts: list[Tensor], filler: float | None, extra: int = 0) -> tuple[Tensor, Tensor]:
    """One batch; beyond each clip stands the filler, or noise for None."""
    lengths = torch.tensor([len(part) for part in parts])
    shape = (len(parts), int(lengths.max()) + extra, parts[0].shape[1])
    generator = torch.Generator().manual_seed(2)
    frames = torch.randn(shape, generator=generator) * 9 if filler is None else torch.full(shape, filler)
    for row, part in enumerate(parts):
        frames[row, : len(part)] = part
    return frames, lengths


def by_hand(network: VLCRNN, clip: Tensor) -> Tensor:
    """The paper's own order on one clip without padding: convolution, ReLU, then the largest of what a window holds."""
    maps = clip[None, None]
    for convolution in network.convolutions:
        maps = functional.conv2d(maps, convolution.weight, convolution.bias, padding=1).relu()
        steps = [maps[:, :, t : t + 2].amax(dim=2) for t in range(0, maps.shape[2], 2)]
        maps = torch.stack(steps, dim=2)
        maps = torch.stack([maps[..., f : f + 2].amax(dim=3) for f in range(0, maps.shape[3], 2)], dim=3)
    steps_of_clip = maps.permute(0, 2, 3, 1).flatten(2)
    return network.recurrence(steps_of_clip)[0]


def test_parameters_are_those_of_the_specification_and_of_the_docstring() -> None:
    network = made_encoder(VLCRNN, 400)
    convolutions = [1 * 16 * 9 + 16, 16 * 32 * 9 + 32]
    gru = 2 * (3 * 128 * (100 * 32) + 3 * 128 * 128 + 2 * 3 * 128)
    assert [sum(p.numel() for p in part.parameters()) for part in network.convolutions] == convolutions
    total = sum(p.numel() for p in network.parameters())
    assert total == sum(convolutions) + gru == 2_562_240
    assert total + 256 * 4 + 4 == 2_563_268  # a linear layer to 4 classes
    for count in (*convolutions, gru, total, 2_563_268):
        assert f"{count:,}" in str(vlcrnn.__doc__)


@pytest.mark.parametrize("bins", [400, 40, 7, 1])
def test_lengths_and_bins_are_halved_upwards(bins: int) -> None:
    lengths = torch.tensor(EVERY_REMAINDER)
    network = encoder(bins)
    states, left = network(torch.zeros(len(lengths), 21, bins), lengths)
    assert left.tolist() == [math.ceil(math.ceil(length / 2) / 2) for length in EVERY_REMAINDER]
    assert left.dtype == torch.int64
    assert states.shape == (len(lengths), 6, 10)
    assert network.recurrence.input_size == 6 * math.ceil(math.ceil(bins / 2) / 2)
    assert (network.num_outputs, network.directions, network.minimum_frames) == (10, 2, 1)


def test_padded_batch_is_what_the_paper_says_of_each_clip() -> None:
    network = encoder()
    parts = clips(EVERY_REMAINDER)
    with torch.no_grad():
        states, lengths = network(*padded(parts, None, extra=5))
        for row, part in enumerate(parts):
            torch.testing.assert_close(
                states[row, : int(lengths[row])], by_hand(network, part)[0], atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize("filler", [0.0, None, float("nan"), float("inf")])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_padding_is_invisible(filler: float | None, mode: str) -> None:
    network = encoder().train(mode == "train")
    parts = clips(EVERY_REMAINDER)
    with torch.no_grad():
        for extra in (0, 1, 6):
            states, lengths = network(*padded(parts, filler, extra))
            for row, part in enumerate(parts):
                alone, left = network(part[None], torch.tensor([len(part)]))
                assert int(lengths[row]) == int(left)
                torch.testing.assert_close(states[row, : int(left)], alone[0], atol=1e-5, rtol=1e-5)
                assert (states[row, int(left) :] == 0).all()


@pytest.mark.parametrize("filler", [0.0, None, float("nan")])
def test_gradient_of_a_batch_is_the_sum_of_its_clips(filler: float | None) -> None:
    network = encoder()
    parts = clips(EVERY_REMAINDER)
    for part in parts:
        by_hand(network, part).square().sum().backward()
    expected = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    states, _ = network(*padded(parts, filler, extra=3))
    states.square().sum().backward()
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-4, rtol=1e-4)


def test_no_gradient_reaches_the_padding() -> None:
    frames, lengths = padded(clips([5, 8]), None, extra=2)
    frames.requires_grad_()
    encoder()(frames, lengths)[0].square().sum().backward()
    assert frames.grad is not None
    assert (frames.grad[0, 5:] == 0).all()
    assert (frames.grad[1, 8:] == 0).all()
    assert (frames.grad[0, :5].abs().sum(dim=1) > 0).all()  # the last frame of an odd length too


def test_a_pool_keeps_a_negative_last_step_beside_padding() -> None:
    """The paper's example: of [y_V, padding] with y_V < 0 the pool answers y_V, not 0."""
    maps = torch.tensor([-5.0, -4.0, -3.0, -2.0, -1.0]).view(1, 1, 5, 1).repeat(2, 1, 1, 1)
    vlcrnn.hide_beyond(maps, torch.tensor([3, 5]))
    assert maps[0].flatten().tolist() == [-5.0, -4.0, -3.0, -math.inf, -math.inf]
    pooled = functional.max_pool2d(maps, (2, 1), ceil_mode=True).flatten(1)
    assert pooled.tolist() == [[-4.0, -3.0, -math.inf], [-4.0, -2.0, -1.0]]


def test_a_clip_of_no_frames_counts_as_one_of_zeros() -> None:
    network = encoder()
    with torch.no_grad():
        states, lengths = network(torch.full((1, 0, BINS), 7.0), torch.tensor([0]))
        assert lengths.tolist() == [1]
        torch.testing.assert_close(states, by_hand(network, torch.zeros(1, BINS)))
        states, _ = network(*padded([torch.zeros(0, BINS), *clips([6])], None))
        torch.testing.assert_close(states[:1, :1], by_hand(network, torch.zeros(1, BINS)))


def test_mixed_precision_stays_near_and_learns() -> None:
    network = encoder()
    batch = padded(clips([9, 16, 30]), None)
    with torch.autocast("cpu", torch.bfloat16):
        states, _ = network(*batch)
    states.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    torch.testing.assert_close(states, network(*batch)[0], atol=0.03, rtol=0.03)


def test_same_input_gives_the_same_bits() -> None:
    network = encoder()
    batch = padded(clips([9, 16, 30]), None)
    first, second = [], []
    for kept in (first, second):
        network.zero_grad()
        states, _ = network(*batch)
        states.square().sum().backward()
        kept += [states.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="gives 0 values a frame, but the encoder vlcrnn takes at least 1"):
        made_encoder(VLCRNN, 0)
