"""The weights that count: averages by hand, statistics against the data's own, frozen parts, no trace left."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from serotone.modeling.system import System
from serotone.recipes import load
from serotone.training.averaging import Average, counted, take_statistics
from serotone.training.build import build_system
from serotone.training.data import Clips, in_order
from serotone.training.fit import prepare, run_loop
from serotone.training.module import Training

FIXED = ("clip_seconds=0.8", "bundle={max_seconds: 0.8, window_seconds: 0.8, hop_seconds: 0.4}")
CPU = torch.device("cpu")


def clips() -> Clips:
    generator = np.random.default_rng(0)
    waveforms = {name: generator.standard_normal(16_000).astype(np.float32) * 0.1 for name in "abcd"}
    return Clips(list(waveforms), waveforms, {"a": 0, "b": 0, "c": 1, "d": 1})


def system_of(name: str = "dycnn-static-lstm") -> System:
    torch.manual_seed(3)
    return build_system(load(name, FIXED), 2)


def training(*changes: str) -> Training:
    changes = tuple(f"schedules.paper.{change}" for change in changes)
    return prepare(load("dycnn-static-lstm", [*FIXED, *changes]), clips(), ("angry", "sad"), seed=1)


def test_an_average_by_hand() -> None:
    system = system_of()
    bias = system.head.classifier.bias
    with torch.no_grad():
        bias.copy_(torch.tensor([1.0, 10.0]))
        average = Average(system, 0.15)
        bias.copy_(torch.tensor([2.0, 20.0]))
        average.update(system, 0)  # d = min(.15, 1 / 10)
        assert average.values["head.classifier.bias"].tolist() == pytest.approx([1.9, 19.0])
        bias.copy_(torch.tensor([3.0, 0.0]))
        average.update(system, 1)  # d = min(.15, 2 / 11)
    assert average.values["head.classifier.bias"].tolist() == pytest.approx([0.15 * 1.9 + 0.85 * 3, 0.15 * 19])


def test_what_counts_takes_the_averages_place_and_leaves_nothing_behind() -> None:
    system = system_of().train()
    average = Average(system, 0.9)
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.add_(1.0)
    before = {name: value.clone() for name, value in system.state_dict().items()}
    chance = torch.get_rng_state()
    with counted(system, average=average, batches=in_order(clips(), batch_size=2), device=CPU):
        inside = system.state_dict()
        assert all(torch.equal(inside[name], value) for name, value in average.values.items())
        assert all(not torch.equal(inside[name], before[name]) for name in before if "running" in name)
        assert all(module.training for module in system.modules())
    after = system.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), chance)


def test_statistics_are_those_of_the_training_part() -> None:
    system = system_of()
    (first,) = in_order(clips(), batch_size=4)
    frames, lengths = system.analyse(first.waveforms, first.lengths)
    maps = system.encoder.blocks[0].convolution(system.standardiser(frames, lengths)[:, None])
    take_statistics(system, [first], device=CPU)
    norm = system.encoder.blocks[0].norm
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_var, maps.var(dim=(0, 2, 3)), rtol=1e-4, atol=1e-4)
    assert norm.momentum == 0.1
    halves = list(in_order(clips(), batch_size=2))
    means = []
    for half in halves:
        take_statistics(system, [half], device=CPU)
        means.append(norm.running_mean.clone())
    take_statistics(system, halves, device=CPU)
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0))


def test_a_frozen_part_keeps_its_weights_its_statistics_and_its_mode() -> None:
    module = training("learning_rates={encoder: 0, head: 0.5}", "norm_statistics=re-estimated", "average=0.9").train()
    encoder = module.system.encoder
    assert not any(part.training for part in encoder.modules())
    assert module.system.head.training
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimiser = module.configure_optimizers()
    assert [group["lr"] for group in optimiser.param_groups] == [0.5]  # mean pooling and log-mel have no parameters
    (batch,) = in_order(clips(), batch_size=4)
    module.system(batch.waveforms, batch.lengths).logits.square().sum().backward()
    optimiser.step()
    with module.counting():
        pass
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert set(module.average.values) == {f"head.{name}" for name, _ in module.system.head.named_parameters()}


def test_rates_of_parts_follow_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    module = training("learning_rates={encoder: 0.1}", "learning_rate=0.4", "shape=linear", "warm_up_steps=2")
    optimiser = module.configure_optimizers()
    monkeypatch.setattr(module, "optimizers", lambda: optimiser)
    monkeypatch.setattr(Training, "global_step", 0)
    module.on_train_batch_start(None, 0)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.05, 0.2])
    monkeypatch.setattr(Training, "global_step", 2 + (module.steps - 2) // 2)
    module.on_train_batch_start(None, 0)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.05, 0.2])


def test_adamw_is_torchs() -> None:
    optimiser = training("optimiser=adamw", "weight_decay=0.03").configure_optimizers()
    assert type(optimiser) is torch.optim.AdamW
    assert optimiser.param_groups[0]["weight_decay"] == 0.03


def test_a_gradient_is_cut_to_the_norm_that_the_schedule_allows(tmp_path: Path) -> None:
    def norm(limit: str) -> float:
        module = training("steps=1", "epochs=null", "precision=float32", f"clip_norm={limit}")
        (tmp_path / limit).mkdir()
        run_loop(module, Clips([], {}, {}), tmp_path / limit)
        gradients = [p.grad.flatten() for p in module.system.parameters() if p.grad is not None]
        return float(torch.linalg.vector_norm(torch.cat(gradients)))

    assert norm("null") > 0.01
    assert norm("0.01") == pytest.approx(0.01, rel=0.01)


def test_a_system_without_norms_has_no_statistics_to_take() -> None:
    system = build_system(load("crnn-mel"), 2)
    before = {name: value.clone() for name, value in system.state_dict().items()}
    take_statistics(system, [], device=CPU)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in system.modules())
    assert all(torch.equal(value, before[name]) for name, value in system.state_dict().items())
