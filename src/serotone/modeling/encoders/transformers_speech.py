"""wav2vec 2.0, HuBERT and WavLM, up to the highest layer that is asked for; the layers are those of ``transformers``.

Baevski et al., "wav2vec 2.0", 2020; Hsu et al., "HuBERT", 2021; Chen et al., "WavLM", 2022. Seven convolutions over the
waveform, 20 ms a step, then a transformer whose positions are a convolution (in WavLM, distances too). The architecture
is said by a few options, so that nothing is fetched to build one; weights are the recipe's affair.

Run as published, they see padding: the first group norm of the smaller models takes its statistics over the whole batch
row. Here they are those of a clip's own steps, as where it is alone, and attention is given a mask.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from serotone.errors import MissingExtraError
from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.lengths import conv_length, mask, zero_beyond
from serotone.options.encoders import TransformersSpeechOptions

KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
"""Of the convolutions, in every published model of the three families."""


class TransformersSpeech(Encoder):
    """Convolutions over samples, a projection, then post-norm or pre-norm transformer layers.

    A state is what a layer gives, before the norm that pre-norm models have after their last one. The exporter sets
    ``exported``: every clip then fills its batch, and nothing is masked.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.encoders.TransformersSpeechOptions`.
        num_features: 1, the waveform.

    Raises:
        MissingExtraError: ``transformers`` is not installed.
    """

    options_type = TransformersSpeechOptions
    aliases = (("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v"))

    def __init__(self, options: TransformersSpeechOptions, *, num_features: int) -> None:
        super().__init__()
        if num_features != 1:
            raise ValueError(
                f"the encoder {options.name} reads the waveform itself, and this frontend gives {num_features} values a"
                " frame; set frontend to waveform"
            )
        model = build(options)
        self.feature_extractor, self.feature_projection = model.feature_extractor, model.feature_projection
        self.encoder = model.encoder
        self.options = options
        self.pre_norm = options.norm == "layer"
        self.heads = options.heads
        self.minimum_frames = fewest_samples()
        self.num_outputs = options.width * len(options.layers)
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, 1), lengths (B,) of at least 1 -> states (B, T', D), lengths (B,): one state each 320 samples.

        A clip of fewer than 400 samples is taken as zero-padded to 400.
        """
        waveforms = frames.squeeze(2)
        if not self.exported:
            waveforms, lengths = self.fill_up(waveforms, lengths)
        padded = not self.exported and bool((lengths < waveforms.shape[1]).any())
        maps, lengths = self._convolved(waveforms, lengths, padded=padded)  # (B, C, T')
        states = self.feature_projection(maps.transpose(1, 2))
        states = (
            states[0] if isinstance(states, tuple) else states
        )  # (B, T', W); wav2vec 2.0 gives what it projects too
        if padded:
            states = zero_beyond(states, lengths, dim=1)
        states = states + self.encoder.pos_conv_embed(states)
        if not self.pre_norm:
            states = self.encoder.layer_norm(states)
        visible = mask(lengths, states.shape[1]) if padded else None  # (B, T')
        kept = [value for number, value in enumerate(self._layers(states, visible)) if number in self.options.layers]
        return torch.cat(kept, dim=2) if len(kept) > 1 else kept[0], lengths

    def _convolved(self, waveforms: Tensor, lengths: Tensor, *, padded: bool) -> tuple[Tensor, Tensor]:
        """Waveforms (B, T), lengths (B,) -> maps (B, C, T'), lengths (B,). No window reaches beyond a length."""
        maps = waveforms[:, None]
        for layer, kernel, stride in zip(self.feature_extractor.conv_layers, KERNELS, STRIDES, strict=True):
            lengths = conv_length(lengths, kernel=kernel, stride=stride)
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                maps = layer.activation(clip_norm(layer.conv(maps), lengths if padded else None, norm))
            else:
                maps = layer(maps)
        return maps, lengths

    def _layers(self, states: Tensor, visible: Tensor | None) -> Iterator[Tensor]:
        """What goes into the first layer (B, T', W), then what comes out of each."""
        yield states
        if self.options.family == "wavlm":
            size = states.shape[1]
            bias = None
            for layer in self.encoder.layers:
                if bias is None:  # the first layer's, for all of them
                    bias = layer.attention.compute_bias(size, size)
                states = gated_layer(layer, states, bias, visible, pre_norm=self.pre_norm)
                yield states
            return
        hidden = None
        if visible is not None:
            hidden = torch.zeros_like(visible, dtype=states.dtype).masked_fill(~visible, -torch.inf)[:, None, None]
        for layer in self.encoder.layers:
            states = layer(states, attention_mask=hidden)
            yield states


def build(options: TransformersSpeechOptions) -> Any:
    """The model of ``transformers``, with as many layers as are needed, nothing random in training, plain attention."""
    try:
        from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model, WavLMConfig, WavLMModel
    except ImportError:
        raise MissingExtraError(f"encoder {options.name!r}", "pretrained") from None
    config_class, model_class = {
        "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
        "hubert": (HubertConfig, HubertModel),
        "wavlm": (WavLMConfig, WavLMModel),
    }[options.family]
    config = config_class(
        hidden_size=options.width,
        num_attention_heads=options.heads,
        intermediate_size=4 * options.width,
        num_hidden_layers=options.layers[-1],
        conv_dim=(options.filters,) * len(KERNELS),
        conv_kernel=KERNELS,
        conv_stride=STRIDES,
        conv_bias=options.norm == "layer" and options.family != "wavlm",
        feat_extract_norm=options.norm,
        do_stable_layer_norm=options.norm == "layer",
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.0,
        attn_implementation="eager",
    )
    model = model_class(config)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, nn.Identity())
    return model


def gated_layer(layer: Any, states: Tensor, bias: Tensor, visible: Tensor | None, *, pre_norm: bool) -> Tensor:
    """A layer of WavLM, by its parameters: ``transformers`` asks PyTorch for an attention that no graph can hold.

    Args:
        layer: Theirs.
        states: (B, T, W).
        bias: Of each distance between two steps, (H, T, T), the same in every layer.
        visible: Steps that count (B, T); None for all.
        pre_norm: Whether the norms come first.
    """
    attended = gated_attention(layer.attention, layer.layer_norm(states) if pre_norm else states, bias, visible)
    states = states + attended
    if pre_norm:
        return states + layer.feed_forward(layer.final_layer_norm(states))  # type: ignore[no-any-return]
    states = layer.layer_norm(states)
    return layer.final_layer_norm(states + layer.feed_forward(states))  # type: ignore[no-any-return]


def gated_attention(attention: Any, states: Tensor, bias: Tensor, visible: Tensor | None) -> Tensor:
    """Attention whose bias by distance is gated by each query (Chen et al. 2022, equations 4 to 8); (B, T, W)."""
    query, key, value, gating = (
        values.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)  # (B, H, T, W / H)
        for values in (attention.q_proj(states), attention.k_proj(states), attention.v_proj(states), states)
    )
    gates = torch.sigmoid(attention.gru_rel_pos_linear(gating).unflatten(3, (2, 4)).sum(dim=4))  # (B, H, T, 2)
    gate = gates[..., :1] * (gates[..., 1:] * attention.gru_rel_pos_const - 1.0) + 2.0  # (B, H, T, 1)
    scores = (query * attention.scaling) @ key.transpose(2, 3) + gate * bias  # (B, H, T, T)
    if visible is not None:
        scores = scores.masked_fill(~visible[:, None, None], -torch.inf)
    mixed = torch.softmax(scores, dim=3) @ value
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def clip_norm(maps: Tensor, lengths: Tensor | None, norm: nn.GroupNorm) -> Tensor:
    """A group norm with one channel a group, over each clip's own steps: maps (B, C, T), lengths (B,) -> (B, C, T).

    Lengths None: all of them are full.
    """
    if lengths is None:
        centred = maps - maps.mean(dim=2, keepdim=True)
        variance = centred.square().mean(dim=2, keepdim=True)
    else:
        counts = lengths[:, None, None]
        mean = zero_beyond(maps, lengths, dim=2).sum(dim=2, keepdim=True) / counts
        centred = zero_beyond(maps - mean, lengths, dim=2)
        variance = centred.square().sum(dim=2, keepdim=True) / counts
    return centred / torch.sqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]


def fewest_samples() -> int:
    """Samples that make one state."""
    count = 1
    for kernel, stride in zip(reversed(KERNELS), reversed(STRIDES), strict=True):
        count = (count - 1) * stride + kernel
    return count
