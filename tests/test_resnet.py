"""The encoder resnet18: its size, its arithmetic against a second walk through the weights, its graph."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from made_parts import lengths_of, made_encoder, made_head, made_pooling, trained_norms
from serotone.modeling.encoders.resnet import Block, ResNet18, VariableResNet18
from serotone.modeling.heads import LinearHead
from serotone.modeling.pooling import Mean

SMALL = (4, 6, 8, 10)


def small(features: int = 20) -> ResNet18:
    """A narrow one whose batch norms are not the identity."""
    torch.manual_seed(3)
    return trained_norms(made_encoder(ResNet18, features, filters=SMALL))


def test_parameter_count_is_that_of_the_specification() -> None:
    def norm(width: int) -> int:
        return 2 * width

    expected = 7 * 7 * 64 + norm(64)  # stem
    for inputs, width in itertools.pairwise((64, 64, 128, 256, 512)):
        expected += 9 * inputs * width + 3 * 9 * width * width + 4 * norm(width)  # two blocks of two layers
        expected += inputs * width + norm(width) if inputs != width else 0  # projection
    expected += 512 * 4 + 4  # classifier
    assert expected == 11_172_292
    system = nn.ModuleList([made_encoder(ResNet18, 128), made_pooling(Mean, 512), made_head(LinearHead, 512, 4)])
    assert sum(p.numel() for p in system.parameters()) == 11_172_292


def test_it_has_eighteen_layers_and_no_convolution_bias() -> None:
    convolutions = [m for m in made_encoder(ResNet18, 128, filters=SMALL).modules() if isinstance(m, nn.Conv2d)]
    projections = [m for m in convolutions if m.kernel_size == (1, 1)]
    assert len(convolutions) - len(projections) + 1 == 18  # and the linear layer of the head
    assert len(projections) == 3
    assert all(m.bias is None for m in convolutions)


@pytest.mark.parametrize("features", [128, 40])
def test_six_seconds_become_nine_states(features: int) -> None:
    # 259 -> 130 (stem) -> 65 (pool) -> 65 -> 33 -> 17 -> 9
    frames = torch.randn(2, 259, features)
    states, lengths = made_encoder(ResNet18, features, filters=SMALL).eval()(frames, lengths_of(frames))
    assert states.shape == (2, 9, SMALL[-1])
    assert lengths.tolist() == [9, 9]


@pytest.mark.parametrize("length", range(1, 70))
def test_lengths_are_those_of_the_states(length: int) -> None:
    frames = torch.randn(1, length, 8)
    states, lengths = small(8)(frames, lengths_of(frames))
    assert states.shape[1] == lengths.item()


def walk(weights: Iterator[Tensor], maps: Tensor) -> Tensor:
    """The maps before the average, from the state dictionary's tensors in order, in plain layout."""

    def layer(maps: Tensor, stride: int, padding: int) -> Tensor:
        maps = functional.conv2d(maps, next(weights).contiguous(), stride=stride, padding=padding)
        scale, shift, mean, variance = itertools.islice(weights, 4)
        next(weights)  # batches seen
        columns = (slice(None), None, None)
        return (maps - mean[columns]) / torch.sqrt(variance[columns] + 1e-5) * scale[columns] + shift[columns]

    maps = functional.max_pool2d(layer(maps, 2, 3).clamp_min(0), 3, 2, padding=1)
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            residual = layer(layer(maps, stride, 1).clamp_min(0), 1, 1)
            shortcut = layer(maps, stride, 0) if stride == 2 else maps
            maps = (residual + shortcut).clamp_min(0)
    assert next(weights, None) is None
    return maps


def test_states_are_those_of_a_second_walk_and_their_mean_the_global_average_pool() -> None:
    encoder = small()
    frames = torch.randn(3, 75, 20)
    with torch.no_grad():
        states, lengths = encoder(frames, lengths_of(frames))
        maps = walk(iter(encoder.state_dict().values()), frames[:, None])
        pooled = made_pooling(Mean, SMALL[-1])(states, lengths)
    torch.testing.assert_close(states, maps.mean(dim=3).transpose(1, 2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pooled, functional.adaptive_avg_pool2d(maps, 1).flatten(1), atol=1e-5, rtol=1e-5)


def test_a_block_whose_residual_is_silent_is_its_shortcut() -> None:
    maps = torch.randn(2, 4, 5, 7)
    block = Block(4, 4, stride=1).eval()
    nn.init.zeros_(block.norm2.weight)
    torch.testing.assert_close(block(maps), maps.clamp_min(0))
    # A projection of weight 3 on the diagonal; every second row and column is read.
    block = Block(4, 4, stride=2).eval()
    nn.init.zeros_(block.norm2.weight)
    with torch.no_grad():
        block.shortcut[0].weight.copy_(3 * torch.eye(4)[:, :, None, None])
    torch.testing.assert_close(block(maps), 3 * maps[:, :, ::2, ::2].clamp_min(0), atol=1e-4, rtol=1e-4)


def test_states_keep_the_order_of_time() -> None:
    # What happens at the clip's end moves the last state and, 217 frames being as far as a state sees, not the first.
    encoder = small(64)
    frames = torch.zeros(1, 640, 64)
    louder = frames.clone()
    louder[:, 600:] = 5.0
    with torch.no_grad():
        before, after = (encoder(clip, lengths_of(clip))[0] for clip in (frames, louder))
    changed = (before - after).abs().amax(dim=(0, 2)) > 1e-4
    assert changed[-1]
    assert not changed[0]


def test_every_parameter_receives_a_gradient() -> None:
    encoder = small().train()
    frames = torch.randn(4, 70, 20)
    encoder(frames, lengths_of(frames))[0].square().sum().backward()
    silent = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_evaluation_knows_no_neighbours_and_no_chance() -> None:
    encoder = small()
    frames = torch.randn(4, 70, 20)
    with torch.no_grad():
        whole = encoder(frames, lengths_of(frames))[0]
        alone = torch.cat([encoder(clip[None], torch.tensor([70]))[0] for clip in frames])
        again = encoder(frames, lengths_of(frames))[0]
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)
    assert torch.equal(whole, again)


def test_mixed_precision_trains() -> None:
    encoder = small().train()
    pooling, head = made_pooling(Mean, SMALL[-1]), made_head(LinearHead, SMALL[-1], 4)
    frames = torch.randn(4, 70, 20)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = pooling(*encoder(frames, lengths_of(frames)))
        logits = head(pooled)[0]
    assert pooled.dtype == torch.float32
    logits.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_refuses_what_is_no_network() -> None:
    with pytest.raises(ValueError, match="gives 0 values a frame, but the encoder resnet18 takes at least 1"):
        made_encoder(ResNet18, 0)


WIDE = (16, 16, 16, 32)


def test_the_variable_one_is_the_same_function_of_clips_of_one_length() -> None:
    fixed, variable = (made_encoder(cls, 20, filters=WIDE).eval() for cls in (ResNet18, VariableResNet18))
    variable.load_state_dict(fixed.state_dict())
    frames = torch.randn(2, 75, 20)
    with torch.no_grad():
        expected, found = fixed(frames, lengths_of(frames))[0], variable(frames, lengths_of(frames))[0]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 64, 74])
def test_a_clip_among_longer_ones_has_the_states_that_it_has_alone(length: int) -> None:
    torch.manual_seed(5)
    encoder = made_encoder(VariableResNet18, 20, filters=WIDE).eval()
    frames, lengths = torch.randn(2, 75, 20), torch.tensor([75, length])
    padded = frames.clone()
    padded[1, length:] = torch.nan
    with torch.no_grad():
        states, counts = encoder(padded, lengths)
        alone, count = encoder(frames[1:, :length], lengths[1:])
    assert counts[1] == count[0]
    torch.testing.assert_close(states[1, : counts[1]], alone[0], atol=1e-4, rtol=1e-4)


def test_statistics_of_a_batch_are_those_of_what_is_no_padding() -> None:
    torch.manual_seed(5)
    first, second = (made_encoder(VariableResNet18, 20, filters=WIDE).train() for _ in range(2))
    second.load_state_dict(first.state_dict())
    frames = torch.randn(2, 96, 20)
    noisy = torch.cat([frames, 1e4 * torch.randn(2, 64, 20)], dim=1)
    first(frames, lengths_of(frames))
    second(noisy, lengths_of(frames))
    for (name, expected), found in zip(first.named_buffers(), second.buffers(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4, msg=name)
