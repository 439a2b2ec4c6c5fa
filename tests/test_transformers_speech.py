"""Encoders over the waveform, against ``transformers``, on tiny random models; nothing is downloaded."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from serotone.errors import MissingExtraError
from serotone.modeling.encoders import TransformersSpeech
from serotone.modeling.frontends import Waveform
from serotone.options.encoders import TransformersSpeechOptions
from serotone.options.frontends import WaveformOptions
from serotone.recipes import load
from serotone.recipes.parts import Weights
from serotone.training.build import build_system
from serotone.training.export import check_graph, write_graph
from serotone.training.pretrained import load_pretrained

WIDTH, DEPTH = 32, 3
PUBLISHED: dict[str, tuple[type, type]] = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
}
KINDS = [(family, norm) for family in PUBLISHED for norm in ("group", "layer")]


def published(family: str, norm: str) -> Any:
    """A random model as it is published: base with group norm, large with layer norm and pre-norm layers."""
    config_class, model_class = PUBLISHED[family]
    torch.manual_seed(0)
    config = config_class(
        hidden_size=WIDTH,
        num_attention_heads=4,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=DEPTH,
        conv_dim=[8] * 7,
        conv_bias=norm == "layer" and family != "wavlm",
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
    )
    model = model_class(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return model


def ours(family: str, norm: str, layers: tuple[int, ...] = tuple(range(DEPTH + 1))) -> TransformersSpeech:
    options = TransformersSpeechOptions(
        family=family,
        norm=norm,
        width=WIDTH,
        heads=4,
        filters=8,
        layers=layers,  # type: ignore[arg-type]
    )
    return TransformersSpeech(options, num_features=1).eval()


def loaded(family: str, norm: str, folder: Path, layers: tuple[int, ...] = tuple(range(DEPTH + 1))) -> Any:
    """The published model, and ours with the weights of its checkpoint under the names that older ones have."""
    model = published(family, norm)
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = {}
    for name, value in model.state_dict().items():
        for new, before in old.items():
            name = name.replace(new, before)
        tensors[f"{family}.{name}"] = value.contiguous()
    save_file(tensors, folder / "model.safetensors")
    encoder = ours(family, norm, layers)
    load_pretrained(encoder, Weights(source=str(folder), licence="none"))  # type: ignore[call-arg]
    return model, encoder


def voices(*lengths: int) -> tuple[Tensor, Tensor]:
    """Random frames (B, T, 1), not a number beyond each clip's length, and the lengths (B,)."""
    frames = torch.full((len(lengths), max(lengths), 1), torch.nan)
    generator = torch.Generator().manual_seed(1)
    for row, length in enumerate(lengths):
        frames[row, :length, 0] = torch.randn(length, generator=generator)
    return frames, torch.tensor(lengths)


@pytest.mark.parametrize(("family", "norm"), KINDS)
def test_states_of_every_layer_are_those_of_the_published_model(family: str, norm: str, tmp_path: Path) -> None:
    model, encoder = loaded(family, norm, tmp_path)
    frames, lengths = voices(9000, 9000)
    with torch.no_grad():
        states, counts = encoder(frames, lengths)
        expected = model(frames.squeeze(2), output_hidden_states=True)
    assert counts.tolist() == [expected.last_hidden_state.shape[1]] * 2 == [27, 27]
    last = model.encoder.layer_norm(states[:, :, -WIDTH:]) if norm == "layer" else states[:, :, -WIDTH:]
    torch.testing.assert_close(last, expected.last_hidden_state, rtol=1e-4, atol=1e-4)
    for index in range(DEPTH):
        layer = states[:, :, index * WIDTH : (index + 1) * WIDTH]
        torch.testing.assert_close(layer, expected.hidden_states[index], rtol=1e-4, atol=1e-4, msg=f"layer {index}")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("family", "norm"), KINDS)
def test_padding_is_invisible_whatever_it_holds(family: str, norm: str, training: bool, tmp_path: Path) -> None:
    _, encoder = loaded(family, norm, tmp_path)
    encoder.train(training)
    frames, lengths = voices(1, 399, 400, 719, 720, 5000, 9001)
    with torch.no_grad():
        together, counts = encoder(frames, lengths)
        assert counts.tolist() == [1, 1, 1, 1, 2, 15, 27]
        for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
            alone, _ = encoder(frames[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(together[row, :count], alone[0], rtol=1e-5, atol=1e-5)


def test_layers_above_the_highest_are_left_out(tmp_path: Path) -> None:
    _, every = loaded("hubert", "layer", tmp_path)
    _, lower = loaded("hubert", "layer", tmp_path, (0, 2))
    assert len(lower.encoder.layers) == 2
    frames, lengths = voices(3000)
    with torch.no_grad():
        states, all_states = lower(frames, lengths)[0], every(frames, lengths)[0]
    assert lower.num_outputs == states.shape[2] == 2 * WIDTH
    expected = torch.cat([all_states[:, :, :WIDTH], all_states[:, :, 2 * WIDTH : 3 * WIDTH]], dim=2)
    torch.testing.assert_close(states, expected)


@pytest.mark.parametrize(("family", "norm"), [("hubert", "layer"), ("wavlm", "group"), ("wavlm", "layer")])
def test_the_graph_agrees_at_any_length_and_batch_size(family: str, norm: str, tmp_path: Path) -> None:
    options = (
        f"{{name: transformers-speech, family: {family}, norm: {norm}, width: 32, heads: 4, filters: 8, layers: [2]}}"
    )
    changes = ("frontend={name: waveform}", "standardise=null", f"encoder={options}", "pooling=mean-sd")
    recipe = load("vlcrnn-variable-length", [*changes, "head={name: linear}"])
    torch.manual_seed(2)
    system = build_system(recipe, 4).eval()
    write_graph(system, tmp_path / "model.onnx", recipe)
    assert check_graph(system, tmp_path / "model.onnx", recipe) <= 1e-5


def test_a_normalised_waveform_is_that_of_the_published_feature_extractor() -> None:
    clips = [(0.3 + 0.1 * np.random.default_rng(k).standard_normal(900 + k)).astype(np.float32) for k in range(3)]
    frontend = Waveform(WaveformOptions(), sample_rate=16000)
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(clip) for clip in clips], batch_first=True)
    padded[0, 900:], padded[1, 901:] = torch.nan, torch.inf
    frames, lengths = frontend(padded, torch.tensor([900, 901, 902]))
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    for row, clip in enumerate(clips):
        expected = extractor(clip, sampling_rate=16000).input_values[0]
        np.testing.assert_allclose(frames[row, : len(clip), 0].numpy(), expected, rtol=1e-4, atol=1e-5)
        assert frames[row, len(clip) :].abs().sum() == 0
    assert lengths.tolist() == [900, 901, 902]


def test_as_it_is_a_waveform_is_only_cleared_beyond_its_end() -> None:
    frontend = Waveform(WaveformOptions(normalise=False), sample_rate=16000)
    frames, _ = frontend(torch.tensor([[0.5, -0.25, torch.nan]]), torch.tensor([2]))
    assert frames[0, :, 0].tolist() == [0.5, -0.25, 0.0]


def test_other_frames_than_the_waveform_are_refused() -> None:
    with pytest.raises(ValueError, match="reads the waveform itself, and this frontend gives 80 values"):
        TransformersSpeech(TransformersSpeechOptions(), num_features=80)


def test_without_transformers_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'serotone\[pretrained\]'"):
        ours("wavlm", "group")
