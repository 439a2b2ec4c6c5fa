"""Whisper's encoder against ``transformers``, on a tiny random model; nothing is downloaded."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from serotone.modeling.encoders import Whisper
from serotone.modeling.encoders.whisper import loudness
from serotone.modeling.lengths import zero_beyond
from serotone.options.encoders import WhisperOptions

MELS, WIDTH, DEPTH = 6, 16, 3
EVERY_LAYER = tuple(range(DEPTH + 1))


def published(steps: int = 1500) -> WhisperEncoder:
    """A random encoder for clips of exactly so many steps, its biases and norms random too."""
    config = WhisperConfig(
        num_mel_bins=MELS,
        d_model=WIDTH,
        encoder_layers=DEPTH,
        encoder_attention_heads=4,
        encoder_ffn_dim=4 * WIDTH,
        max_source_positions=steps,
    )
    generator = torch.Generator().manual_seed(0)
    encoder = WhisperEncoder(config).eval()
    for name, parameter in encoder.named_parameters():
        if name != "embed_positions.weight":
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return encoder


def ours(reference: WhisperEncoder, layers: tuple[int, ...] = EVERY_LAYER) -> Whisper:
    """Our encoder with the weights of the published one, which may have more layers."""
    encoder = Whisper(WhisperOptions(width=WIDTH, heads=4, layers=layers), num_features=MELS).eval()
    weights = reference.state_dict()
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    return encoder


def states_of(reference: WhisperEncoder, frames: Tensor) -> list[Tensor]:
    """What goes into the first layer and what comes out of each, for frames (B, T, F)."""
    kept: list[Tensor] = []
    layers: list[nn.Module] = list(reference.layers)
    hooks = [layers[0].register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))]
    hooks += [
        layer.register_forward_hook(
            lambda _, __, output: kept.append(output[0] if isinstance(output, tuple) else output)
        )
        for layer in layers
    ]
    with torch.no_grad():
        reference(frames.transpose(1, 2))
    for hook in hooks:
        hook.remove()
    return kept


def frames_of(*lengths: int) -> tuple[Tensor, Tensor]:
    """Random frames (B, T, F), not a number beyond each clip's length, and the lengths (B,)."""
    frames = torch.randn(len(lengths), max(lengths), MELS, generator=torch.Generator().manual_seed(1))
    counts = torch.tensor(lengths)
    return torch.where(zero_beyond(torch.ones_like(frames), counts, dim=1) > 0, frames, torch.nan), counts


@pytest.fixture
def exact() -> Iterator[None]:
    """Float64 throughout, so that a difference is a mistake and not a rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("steps", [1, 2, 37, 1500])
def test_states_of_every_layer_are_those_of_transformers(exact: None, steps: int) -> None:
    reference = published(steps)
    frames, lengths = frames_of(2 * steps, 2 * steps)
    with torch.no_grad():
        states, counts = ours(reference)(frames, lengths)
    assert counts.tolist() == [steps, steps]
    for index, expected in enumerate(states_of(reference, frames)):
        torch.testing.assert_close(
            states[:, :, index * WIDTH : (index + 1) * WIDTH], expected, rtol=0, atol=2e-5, msg=f"layer {index}"
        )


def test_positions_are_the_checkpoints_table() -> None:
    reference = published()
    positions = ours(reference).positions(1500)
    torch.testing.assert_close(positions, reference.embed_positions.weight.data, rtol=0, atol=1e-6)
    half = WIDTH // 2
    assert positions[0].tolist() == [0.0] * half + [1.0] * half
    assert positions[1, 0].item() == pytest.approx(np.sin(1.0))  # the fastest goes one radian a step
    assert positions[1000, half - 1].item() == pytest.approx(np.sin(0.1))  # the slowest 10,000 times as slow


def test_layers_above_the_highest_that_is_asked_for_are_left_out() -> None:
    reference = published()
    frames, lengths = frames_of(40)
    lower, every = ours(reference, (0, 2)), ours(reference)
    assert {name.split(".")[1] for name in lower.state_dict() if name.startswith("layers.")} == {"0", "1"}
    with torch.no_grad():
        states, all_states = lower(frames, lengths)[0], every(frames, lengths)[0]
    assert lower.num_outputs == 2 * WIDTH == states.shape[2]
    torch.testing.assert_close(states, torch.cat([all_states[:, :, :WIDTH], all_states[:, :, 32:48]], dim=2))


@pytest.mark.parametrize("training", [False, True])
def test_padding_is_invisible_whatever_it_holds(training: bool) -> None:
    encoder = ours(published()).train(training)
    frames, lengths = frames_of(1, 30, 31, 64)
    with torch.no_grad():
        together, counts = encoder(frames, lengths)
        assert counts.tolist() == [1, 15, 16, 32]
        for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
            alone, _ = encoder(frames[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(together[row, :count], alone[0], rtol=1e-5, atol=1e-5)


def test_the_last_state_is_how_loud_a_step_is() -> None:
    power = torch.tensor([[4.0, 9.0, 16.0, 1.0, 0.0, 5.0], [9.0, 0.0, 36.0, 0.0, torch.nan, torch.nan]])
    bands = torch.tensor([0.25, 0.75])
    frames = (torch.log10(power[:, :, None] * bands).clamp_min(-8) + 4) / 4  # as Whisper compresses power
    found = loudness(frames, torch.tensor([6, 4]))
    expected = [[2 / 2, 4 / 2, 0], [3 / 4.5, 6 / 4.5, 0]]
    torch.testing.assert_close(found[:, :, 0], torch.tensor(expected), rtol=1e-5, atol=1e-3)
    encoder = Whisper(WhisperOptions(width=16, heads=2, layers=(0, 1), loudness=True), num_features=2)
    states, _ = encoder(frames, torch.tensor([6, 4]))
    assert encoder.num_outputs == states.shape[2] == 33
    assert torch.equal(states[:, :, -1:], found)


def test_gradients_of_a_padded_batch_are_finite_and_reach_the_first_convolution() -> None:
    encoder = ours(published()).train()
    frames, lengths = frames_of(3, 20)
    states, counts = encoder(frames, lengths)
    zero_beyond(states, counts, dim=1).square().mean().backward()
    gradients = [parameter.grad for parameter in encoder.parameters()]
    assert all(gradient is not None and bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert float(encoder.conv1.weight.grad.abs().sum()) > 0  # type: ignore[union-attr]


def test_a_clip_of_more_than_thirty_seconds_is_refused_with_what_to_do() -> None:
    encoder = ours(published(), (1,))
    frames = torch.zeros(1, 3001, MELS)
    with pytest.raises(ValueError, match=r"3001 frames.*at most 3000.*30 s.*max_frames"):
        encoder(frames, torch.tensor([3001]))
    assert encoder(frames[:, :3000], torch.tensor([3000]))[0].shape == (1, 1500, WIDTH)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"width": 18, "heads": 4}, "width is 18 and heads is 4"),
        ({"layers": ()}, r"layers is \[\]"),
        ({"layers": (2, 1)}, r"layers is \[2, 1\].*rising"),
        ({"layers": (1, 1)}, r"layers is \[1, 1\].*rising"),
        ({"layers": (-1, 2)}, r"layers is \[-1, 2\].*at least 0"),
    ],
)
def test_options_that_make_no_encoder_are_refused(choices: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WhisperOptions(**choices)  # type: ignore[arg-type]
