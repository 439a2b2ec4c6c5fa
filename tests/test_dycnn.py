"""The encoder dycnn: dynamic convolution by hand, batch norm by valid positions, and the laws of an encoder."""

import math
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from made_parts import made_encoder
from serotone.modeling import convolution
from serotone.modeling.convolution import DynamicConv2d, annealed
from serotone.modeling.encoders import dycnn
from serotone.modeling.encoders.dycnn import DyCNN
from serotone.modeling.normalisation import MaskedBatchNorm2d

BINS = 11
VARIANTS = {
    "dynamic": {},
    "first-static": {"first_static": True},
    "static": {"dynamic": False},
    "lstm": {"recurrence": "lstm"},
    "baseline": {"dynamic": False, "recurrence": "lstm"},
}
LENGTHS = [1, 7, 15, *range(16, 34), 50]  # below and around the shortest, and every remainder of 16


def encoder(variant: str = "dynamic") -> DyCNN:
    torch.manual_seed(5)
    network = made_encoder(DyCNN, BINS, filters=(4, 4, 6, 6), hidden=5, **VARIANTS[variant])
    for module in network.modules():  # as after training: no statistic is 0 or 1
        if isinstance(module, MaskedBatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.1, 0.5)
            nn.init.uniform_(module.weight, -1.0, 1.0)
            nn.init.uniform_(module.bias, -1.0, 1.0)
    return network


def clips(lengths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    loudness = torch.randn(len(lengths), generator=generator)  # clips differ in their mean, so their shares do
    return [torch.randn(length, BINS, generator=generator) + loudness[row] for row, length in enumerate(lengths)]


def padded(parts: list[Tensor], filler: float | None, extra: int = 0) -> tuple[Tensor, Tensor]:
    """One batch; beyond each clip stands the filler, or noise for None."""
    lengths = torch.tensor([len(part) for part in parts])
    shape = (len(parts), int(lengths.max()) + extra, parts[0].shape[1])
    generator = torch.Generator().manual_seed(2)
    frames = torch.randn(shape, generator=generator) * 9 if filler is None else torch.full(shape, filler)
    for row, part in enumerate(parts):
        frames[row, : len(part)] = part
    return frames, lengths


def set_exported(network: nn.Module, value: bool) -> None:
    for module in network.modules():
        if hasattr(module, "exported"):
            module.exported = value


# ------------------------------------------------------------------------------------------------ dynamic convolution


@pytest.mark.parametrize("form", ["grouped_convolution", "unfolded_convolution", "summed_convolutions"])
@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_each_clip_is_convolved_with_its_own_sum_of_kernels(form: str, inputs: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"maps": (3, inputs, 7, 6), "kernels": (4, 5, inputs, size, size), "biases": (4, 5)}
    leaves = {n: torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for n, s in shapes.items()}
    leaves["shares"] = torch.rand(3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.randn(3, 5, 7, 6, generator=generator, dtype=torch.float64)
    by_hand = torch.stack(
        [
            functional.conv2d(
                leaves["maps"][b],
                sum(leaves["shares"][b, k] * leaves["kernels"][k] for k in range(4)),
                sum(leaves["shares"][b, k] * leaves["biases"][k] for k in range(4)),
                padding="same",
            )
            for b in range(3)
        ]
    )
    got = getattr(convolution, form)(**leaves)
    torch.testing.assert_close(got, by_hand)
    expected = torch.autograd.grad((by_hand * weights).sum(), list(leaves.values()))
    for gradient, other in zip(
        torch.autograd.grad((got * weights).sum(), list(leaves.values())), expected, strict=True
    ):
        torch.testing.assert_close(gradient, other)


def test_one_kernel_is_a_plain_convolution() -> None:
    torch.manual_seed(0)
    dynamic, plain = DynamicConv2d(3, 5, kernels=1), nn.Conv2d(3, 5, 3, padding=1)
    with torch.no_grad():
        dynamic.kernels.copy_(plain.weight[None])
        dynamic.biases.copy_(plain.bias[None])
    maps = torch.randn(2, 3, 6, 4)
    torch.testing.assert_close(dynamic(maps), plain(maps))


def test_each_kernel_starts_as_that_of_a_plain_convolution() -> None:
    torch.manual_seed(0)
    dynamic, plain = DynamicConv2d(16, 64), nn.Conv2d(16, 64, 3)
    for kernel in dynamic.kernels:
        torch.testing.assert_close(kernel.std(), plain.weight.std(), rtol=0.03, atol=0)
    bound = 1 / math.sqrt(16 * 9)
    assert 0.99 * bound < float(dynamic.kernels.detach().abs().max()) <= bound
    assert float(dynamic.biases.detach().abs().max()) <= bound


def test_shares_are_a_softmax_of_the_mean_of_the_valid_positions() -> None:
    torch.manual_seed(0)
    module = DynamicConv2d(8, 5)
    first, _, second = module.attention
    assert (first.out_features, second.out_features) == (4, 4)  # max(8 // 4, 4)
    assert DynamicConv2d(128, 5).attention[0].out_features == 32
    module.temperature.fill_(2.5)
    maps = torch.randn(2, 8, 6, 3)
    maps[0, :, 4:] = 0
    for row, length in enumerate((4, 6)):
        mean = maps[row, :, :length].double().flatten(1).mean(dim=1)
        scores = second.double()(first.double()(mean).clamp_min(0)) / 2.5
        expected = (scores.exp() / scores.exp().sum()).float()
        module.float()
        torch.testing.assert_close(module.shares(maps, torch.tensor([4, 6]))[row], expected)
        torch.testing.assert_close(module.shares(maps[row : row + 1, :, :length])[0], expected)


def test_temperature_evens_the_shares_out_and_is_kept_with_the_weights() -> None:
    network = encoder()
    first = network.blocks[0].convolution
    maps = torch.randn(2, 1, 20, BINS) + 3
    assert first.temperature == 1.0
    network.set_temperature(1e6)
    torch.testing.assert_close(first.shares(maps), torch.full((2, 4), 0.25), atol=1e-4, rtol=0)
    network.set_temperature(1e-3)
    assert (first.shares(maps).amax(dim=1) > 0.99).all()
    network.set_temperature(17.0)
    state = network.state_dict()
    assert [float(v) for n, v in state.items() if n.endswith("temperature")] == [17.0] * 4
    network.train()(*padded(clips([20, 30]), 0.0))
    assert all(float(block.convolution.temperature) == 17.0 for block in network.blocks)  # forward never anneals
    fresh = encoder()
    fresh.load_state_dict(state)
    assert float(fresh.blocks[3].convolution.temperature) == 17.0
    encoder("static").set_temperature(17.0)  # which has none to set
    with pytest.raises(ValueError, match=r"temperature is 0\.0; expected a number above 0"):
        network.set_temperature(0.0)


def test_annealing_is_a_line_and_then_its_end() -> None:
    assert annealed(0, steps=30) == 30.0
    assert annealed(29, steps=30) == pytest.approx(30 - 29 * 29 / 30)
    assert annealed(30, steps=30) == annealed(10**6, steps=30) == 1.0
    assert annealed(1, start=4.0, end=2.0, steps=4) == 3.5
    assert annealed(0, steps=0) == 1.0


# --------------------------------------------------------------------------------------------------- masked batch norm


def norms(**options: float | bool | None) -> tuple[MaskedBatchNorm2d, nn.BatchNorm2d]:
    ours, witness = MaskedBatchNorm2d(3, **options), nn.BatchNorm2d(3, **options)
    for norm in (ours, witness):
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, -2.0, 1.5]))
            norm.bias.copy_(torch.tensor([1.0, 0.0, -3.0]))
    return ours, witness


def assert_same_state(ours: nn.Module, witness: nn.Module) -> None:
    for (name, value), other in zip(ours.state_dict().items(), witness.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, msg=name)


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("told", ["full lengths", "no lengths"])
def test_batch_norm_of_full_lengths_is_that_of_torch(momentum: float | None, told: str) -> None:
    ours, witness = norms(momentum=momentum)
    for seed in range(3):
        maps = torch.randn(4, 3, 6, 5, generator=torch.Generator().manual_seed(seed)) * 3 + 2
        lengths = torch.full((4,), 6) if told == "full lengths" else None
        torch.testing.assert_close(ours(maps, lengths), witness(maps))
        assert_same_state(ours, witness)
    torch.testing.assert_close(ours.eval()(maps, lengths), witness.eval()(maps))


@pytest.mark.parametrize("filler", [0.0, 1e4, float("nan")])
@pytest.mark.parametrize("channels_last", [False, True])
def test_batch_norm_counts_valid_positions_only(filler: float, channels_last: bool) -> None:
    ours, witness = norms()
    lengths = [6, 1, 4]
    parts = [torch.randn(3, n, 5, generator=torch.Generator().manual_seed(n)) * (n + 1) + n for n in lengths]
    maps = torch.full((3, 3, 7, 5), filler)
    for row, part in enumerate(parts):
        maps[row, :, : lengths[row]] = part
    maps = maps.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    maps.requires_grad_()
    together = torch.cat(parts, dim=1)[None].requires_grad_()  # every valid position, and nothing else
    normalised, expected = ours(maps, torch.tensor(lengths)), witness(together)
    got = torch.cat([normalised[row, :, :n] for row, n in enumerate(lengths)], dim=1)[None]
    torch.testing.assert_close(got, expected)
    assert_same_state(ours, witness)
    weights = torch.randn(expected.shape)
    (got * weights).sum().backward()
    (expected * weights).sum().backward()
    gradient = torch.cat([maps.grad[row, :, :n] for row, n in enumerate(lengths)], dim=1)[None]
    torch.testing.assert_close(gradient, together.grad, atol=1e-5, rtol=1e-5)
    assert maps.grad.count_nonzero() <= gradient.numel()  # none reaches the padding
    torch.testing.assert_close(ours.weight.grad, witness.weight.grad)
    torch.testing.assert_close(ours.bias.grad, witness.bias.grad)


def test_batch_norm_without_running_statistics_masks_in_eval_mode_too() -> None:
    ours, witness = norms(track_running_stats=False)
    maps = torch.randn(1, 3, 6, 5)
    expected = witness.eval()(maps[:, :, :4])
    torch.testing.assert_close(ours.eval()(maps, torch.tensor([4]))[:, :, :4], expected)


# -------------------------------------------------------------------------------------------------------------- encoder


def counted(*, dynamic: bool, first_static: bool, lstm: int) -> int:
    """Parameters with 40 bins, by hand; ``lstm`` is those of the recurrence."""
    total, inputs = lstm, 1
    for block, outputs in enumerate((64, 64, 128, 128)):
        between = max(inputs // 4, 4)
        if dynamic and (block > 0 or not first_static):
            total += 4 * (inputs * outputs * 9 + outputs) + (inputs * between + between) + (between * 4 + 4)
        else:
            total += inputs * outputs * 9
        total += 2 * outputs  # batch norm
        inputs = outputs
    return total


def test_parameters_are_those_of_the_docstring() -> None:
    bilstm, lstm = 2 * 4 * 128 * (640 + 128 + 2), 4 * 256 * (640 + 256 + 2)
    table = [line.split() for line in str(dycnn.__doc__).splitlines() if re.search(r"\d,\d{3}$", line)]
    rows = {" ".join(cells[:-2]): [int(cell.replace(",", "")) for cell in cells[-2:]] for cells in table}
    for name, dynamic, first_static in (
        ("dynamic", True, False),
        ("first static", True, True),
        ("static", False, False),
    ):
        options = {"dynamic": dynamic, "first_static": first_static}
        both = (made_encoder(DyCNN, 40, **options), made_encoder(DyCNN, 40, recurrence="lstm", hidden=256, **options))
        counts = [sum(p.numel() for p in network.parameters()) for network in both]
        assert counts == [counted(**options, lstm=bilstm), counted(**options, lstm=lstm)]
        assert rows[name] == counts


@pytest.mark.parametrize(("frames", "steps"), [(265, 16), (532, 33), (16, 1), (31, 1), (32, 2)])
def test_published_clips_leave_the_published_steps(frames: int, steps: int) -> None:
    network = encoder().eval()
    with torch.no_grad():
        states, lengths = network(torch.zeros(1, frames, BINS), torch.tensor([frames]))
    assert lengths.tolist() == [steps]
    assert states.shape == (1, steps, 10)
    assert network.minimum_frames == 16
    assert made_encoder(DyCNN, 40).recurrence.input_size == 640


@pytest.mark.parametrize(("recurrence", "directions"), [("bilstm", 2), ("lstm", 1)])
def test_an_lstm_has_one_direction(recurrence: str, directions: int) -> None:
    network = made_encoder(DyCNN, 40, recurrence=recurrence, hidden=7)
    assert (network.directions, network.num_outputs) == (directions, 7 * directions)
    assert network.recurrence.bidirectional == (directions == 2)


def by_hand(network: DyCNN, clip: Tensor) -> Tensor:
    """One clip without padding, in eval mode, in the paper's order: convolution, batch norm, ELU, max-pool."""
    maps = clip[None, None]
    for block, pool in zip(network.blocks, ((2, 2), (2, 2), (2, 2), (2, 1)), strict=True):
        layer, norm = block.convolution, block.norm
        if isinstance(layer, DynamicConv2d):
            shares = torch.softmax(layer.attention(maps.mean(dim=(2, 3))) / layer.temperature, dim=1)[0]
            kernel = (shares[:, None, None, None, None] * layer.kernels).sum(dim=0)
            maps = functional.conv2d(maps, kernel, (shares[:, None] * layer.biases).sum(dim=0), padding=1)
        else:
            maps = functional.conv2d(maps, layer.weight, padding=1)
        scale = norm.weight / (norm.running_var + 1e-5).sqrt()
        maps = (maps - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
        maps = functional.max_pool2d(functional.elu(maps), pool)
    return network.recurrence(maps.permute(0, 2, 3, 1).flatten(2))[0]


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("filler", [0.0, None, float("nan"), float("inf")])
def test_padding_is_invisible(variant: str, filler: float | None) -> None:
    network = encoder(variant).eval()
    parts = clips(LENGTHS)
    with torch.no_grad():
        states, lengths = network(*padded(parts, filler, extra=21))
        for row, part in enumerate(parts):
            part = functional.pad(part, (0, 0, 0, max(0, 16 - len(part))))  # the shortest input is 16 frames
            expected = by_hand(network, part)
            assert int(lengths[row]) == len(part) // 16
            torch.testing.assert_close(states[row, : len(part) // 16], expected[0], atol=1e-5, rtol=1e-5)
            assert (states[row, len(part) // 16 :] == 0).all()


@pytest.mark.parametrize("variant", ["dynamic", "baseline"])
@pytest.mark.parametrize("length", [9, 16, 17, 31, 40])
def test_padding_is_invisible_in_training_too(variant: str, length: int) -> None:
    """A batch of one clip: its batch statistics are its own."""
    results = []
    for filler, extra in ((0.0, 0), (None, 1), (float("nan"), 30)):
        network = encoder(variant).train()
        states, lengths = network(*padded(clips([length]), filler, extra))
        states.square().sum().backward()
        results.append(
            [
                states[:, : int(lengths[0])].detach(),
                *(buffer.clone() for buffer in network.buffers()),
                *(p.grad.clone() for p in network.parameters() if p.grad is not None),
            ]
        )
    for result in results[1:]:
        for value, expected in zip(result, results[0], strict=True):
            torch.testing.assert_close(value, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_what_stands_in_the_padding_changes_nothing_in_training(variant: str) -> None:
    results = []
    for filler, extra in ((0.0, 0), (None, 1), (float("nan"), 40)):
        network = encoder(variant).train()
        states, lengths = network(*padded(clips(LENGTHS), filler, extra))
        states.square().sum().backward()
        valid = [states[row, :length].detach() for row, length in enumerate(lengths.tolist())]
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        results.append([torch.cat(valid), *(buffer.clone() for buffer in network.buffers()), *gradients])
    for result in results[1:]:
        for value, expected in zip(result, results[0], strict=True):
            torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)


def test_equal_lengths_are_the_same_function_with_and_without_masks() -> None:
    """Without padding nothing is masked and torch's own batch norm runs; one more frame of padding and all is."""
    results = []
    for extra in (0, 1):
        network = encoder().train()
        states, _ = network(*padded(clips([33, 33, 33]), None, extra))
        states.square().sum().backward()
        results.append([states.detach()[:, :2], *network.buffers(), *(p.grad for p in network.parameters())])
    for value, expected in zip(*results, strict=True):
        torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("lengths", [[40, 40, 40], [20, 40, 64]])
def test_every_parameter_receives_a_gradient(variant: str, lengths: list[int]) -> None:
    network = encoder(variant).train()
    network(*padded(clips(lengths), 0.0))[0].square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-6]
    assert silent == []


def test_exported_form_agrees_in_value_and_gradient() -> None:
    results = []
    for exported in (False, True):
        network = encoder().eval()
        network.set_temperature(0.5)
        set_exported(network, exported)
        states, lengths = network(*padded(clips([37, 37, 37]), 0.0))
        states.square().sum().backward()
        results.append([states.detach(), lengths, *(p.grad for p in network.parameters())])
    for value, expected in zip(*results, strict=True):
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", ["dynamic", "static"])
@pytest.mark.parametrize("lengths", [[40, 40, 40], [20, 40, 64]])
def test_mixed_precision_stays_near_and_learns(variant: str, lengths: list[int]) -> None:
    network = encoder(variant).train()
    batch = padded(clips(lengths), None)
    with torch.autocast("cpu", torch.bfloat16):
        states, _ = network(*batch)
    states.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    torch.testing.assert_close(states, network(*batch)[0], atol=0.05, rtol=0.05)


def test_same_input_gives_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        network = encoder().train()
        states, _ = network(*padded(clips([20, 40, 64]), None))
        states.square().sum().backward()
        runs.append([states.detach(), *network.buffers(), *(p.grad for p in network.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="gives 7 values a frame, but the encoder dycnn takes at least 8"):
        made_encoder(DyCNN, 7)
    with pytest.raises(ValueError, match="recurrence is 'gru'; expected one of"):
        made_encoder(DyCNN, 40, recurrence="gru")
    with pytest.raises(ValueError, match="kernels is 0"):
        DynamicConv2d(3, 5, kernels=0)
    with pytest.raises(ValueError, match="odd kernel_size"):
        DynamicConv2d(3, 5, kernel_size=2)
