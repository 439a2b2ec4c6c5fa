"""Laws of a system: padding is invisible, one system has many drivers, every parameter learns."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from serotone.modeling.system import System, WholeClips
from serotone.training.build import build_system
from serotone.training.export import check_graph, probabilities, write_graph
from serotone.training.recipe import load, shipped

PARAMETERS = {"crnn-mel": 630_740, "crnn-center-mel": 630_740, "crnn-stft": 2_473_940, "crnn-center-stft": 2_473_940}


def system_of(recipe: str, classes: int = 4) -> System:
    torch.manual_seed(7)
    system = build_system(load(recipe), classes)
    # As after training: a standardiser that is not the identity.
    system.standardiser.mean.fill_(-40.0)
    system.standardiser.deviation.fill_(15.0)
    return system.eval()


def voices(lengths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, generator=generator) * 0.1 for length in lengths]


def padded(clips: list[Tensor], filler: float, extra: int = 0) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    waveforms = torch.full((len(clips), int(lengths.max()) + extra), filler)
    for row, clip in enumerate(clips):
        waveforms[row, : len(clip)] = clip
    return waveforms, lengths


@pytest.mark.parametrize("recipe", sorted(PARAMETERS))
def test_parameter_count_is_that_of_the_specification(recipe: str) -> None:
    assert sum(p.numel() for p in system_of(recipe).parameters()) == PARAMETERS[recipe]


@pytest.mark.parametrize("recipe", shipped())
@pytest.mark.parametrize("filler", [0.0, 3.0, float("nan"), float("inf")])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_padding_is_invisible(recipe: str, filler: float, mode: str) -> None:
    system = system_of(recipe).train(mode == "train")
    # Around the shortest input, 49 frames, and over every remainder of 16.
    clips = voices([160 * (frames - 1) for frames in (2, 40, 48, 49, 50, *range(65, 81))])
    with torch.no_grad():
        batch = system(*padded(clips, filler, extra=1234))
        for row, clip in enumerate(clips):
            alone = system(clip[None], torch.tensor([len(clip)]))
            torch.testing.assert_close(batch.logits[row : row + 1], alone.logits, atol=1e-5, rtol=0)
            torch.testing.assert_close(batch.embedding[row : row + 1], alone.embedding, atol=1e-5, rtol=1e-5)


def test_padding_takes_no_part_in_the_gradient() -> None:
    system = system_of("crnn-mel").train()
    clips = voices([12000, 20000])
    gradients = []
    for filler in (0.0, float("nan")):
        system.zero_grad()
        system(*padded(clips, filler)).logits.square().sum().backward()
        gradients.append([p.grad.clone() for p in system.parameters() if p.grad is not None])
    for clean, dirty in zip(*gradients, strict=True):
        torch.testing.assert_close(clean, dirty, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("recipe", ["crnn-mel", "crnn-stft"])
def test_every_parameter_receives_a_gradient(recipe: str) -> None:
    system = system_of(recipe).train()
    logits, embedding = system(*padded(voices([16000, 24000, 32000]), 0.0))
    (logits.square().sum() + embedding.square().sum()).backward()
    silent = [n for n, p in system.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("recipe", ["crnn-center-mel", "crnn-center-stft"])
def test_graph_agrees_with_system(recipe: str, tmp_path) -> None:
    system = system_of(recipe)
    path = tmp_path / "model.onnx"
    write_graph(system, path, load(recipe))
    assert check_graph(system, path, load(recipe)) <= 1e-4
    assert system.frontend.engine == "fft"
    assert system.encoder.packed


def test_graph_answers_any_batch_as_one_by_one(tmp_path) -> None:
    system = system_of("crnn-mel")
    path = tmp_path / "model.onnx"
    write_graph(system, path, load("crnn-mel"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    waveforms = torch.stack(voices([23456] * 5)).numpy()
    whole = session.run(["probabilities"], {"waveform": waveforms})[0]
    single = np.concatenate([session.run(["probabilities"], {"waveform": row[None]})[0] for row in waveforms])
    np.testing.assert_allclose(whole, single, atol=1e-5)
    np.testing.assert_allclose(whole, probabilities(system, waveforms), atol=1e-4)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0, atol=1e-5)


def test_temperature_is_a_constant_of_the_exported_form() -> None:
    system = system_of("crnn-mel")
    whole = WholeClips(system, temperature=2.0)
    logits, answer, _ = whole(torch.stack(voices([16000, 16000])))
    whole.restore()
    torch.testing.assert_close(answer, torch.softmax(logits / 2.0, dim=1))


def test_a_handful_of_clips_can_be_learned_by_heart() -> None:
    torch.manual_seed(0)
    system = build_system(load("crnn-mel"), 3).train()
    clips = voices([9000, 12000, 10000, 14000, 9500, 11000])
    waveforms, lengths = padded(clips, 0.0)
    frames, frame_lengths = system.analyse(waveforms, lengths)
    system.standardiser.fit([(frames, frame_lengths)])
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    optimiser = torch.optim.Adam(system.parameters(), lr=1e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(system(waveforms, lengths).logits, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
