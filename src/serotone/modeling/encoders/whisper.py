"""The lower layers of Whisper's encoder, for weights that were trained to recognise speech.

Radford et al., "Robust speech recognition via large-scale weak supervision", 2022. The code is ours. Tensors are named
as under ``model.encoder`` in the ``transformers`` checkpoints of the same model, so that a checkpoint loads with that
prefix taken off. Its table of positions is not among them: positions are computed, and a clip of T steps sees the
first T. Clips need not be filled up to 30 s, and no clip may be longer.

Parameters of a layer, and of the convolutions: base (width 512) 3.15 M and 0.91 M, tiny (384) 1.77 M and 0.54 M.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.lengths import Length, conv_length, mask, zero_beyond
from serotone.options.encoders import WhisperOptions

MAXIMUM_FRAMES = 3000
"""Frames in 30 s, the longest clip that Whisper was trained on."""

LONGEST_PERIOD = 10000
"""Steps over 2 pi of the slowest sinusoid among the positions."""


class Whisper(Encoder):
    """Two convolutions, the second of which halves the rate, positions, then pre-norm transformer layers.

    The exporter sets ``exported``: every clip then fills its batch, and nothing is masked.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.encoders.WhisperOptions`.
        num_features: Bins of the input frames: 80 mel bands, 128 from large-v3 on.
    """

    options_type = WhisperOptions
    minimum_frames = 1
    maximum_frames = MAXIMUM_FRAMES

    rates: Tensor

    def __init__(self, options: WhisperOptions, *, num_features: int) -> None:
        super().__init__()
        width = options.width
        self.returned, self.heads = options.layers, options.heads
        self.conv1 = nn.Conv1d(num_features, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.layers = nn.ModuleList(Layer(width, options.heads) for _ in range(options.depth))
        self.register_buffer("rates", rates(width), persistent=False)
        self.loudness = options.loudness
        self.num_outputs = width * len(options.layers) + options.loudness
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) of at least 1 -> states (B, T', D), lengths (B,), T' half of T rounded up.

        Raises:
            ValueError: T is over 3,000 frames, 30 s.
        """
        if not self.exported and frames.shape[1] > self.maximum_frames:
            raise ValueError(
                f"a clip has {frames.shape[1]} frames, but Whisper's encoder takes at most {self.maximum_frames}, which"
                " are 30 s; crop clips with max_frames, or cut them into windows"
            )
        padded = not self.exported and bool((lengths < frames.shape[1]).any())
        frames = zero_beyond(frames, lengths, dim=1) if padded else frames
        loud = loudness(frames, lengths) if self.loudness else None
        states = self._convolved(frames, lengths if padded else None)  # (B, T', W)
        lengths = halved(lengths)
        visible = mask(lengths, states.shape[1])[:, None, None, :] if padded else None  # (B, 1, 1, T')
        states = states + self.positions(states.shape[1]).to(states.dtype)
        kept = [states] if 0 in self.returned else []
        for number, layer in enumerate(self.layers, start=1):
            states = layer(states, visible)
            if number in self.returned:
                kept.append(states)
        if loud is not None:
            kept.append(loud)
        return torch.cat(kept, dim=2) if len(kept) > 1 else kept[0], lengths

    def positions(self, size: int | Tensor) -> Tensor:
        """Sines, then cosines, of the first ``size`` positions: (size, width)."""
        steps = torch.arange(size, device=self.rates.device)  # type: ignore[arg-type]
        angles = steps[:, None].to(self.rates.dtype) * self.rates  # (size, width / 2)
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def _convolved(self, frames: Tensor, lengths: Tensor | None) -> Tensor:
        """Frames (B, T, F), 0 beyond their lengths -> (B, T', W). The second convolution sees zeros there, too."""
        maps = functional.gelu(self.conv1(frames.transpose(1, 2)))  # (B, W, T)
        if lengths is not None:
            maps = zero_beyond(maps, lengths, dim=2)
        return functional.gelu(self.conv2(maps)).transpose(1, 2)  # (B, T', W)


class Layer(nn.Module):
    """x + attention(norm(x)), then x + fc2(GELU(fc1(norm(x))))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, states: Tensor, visible: Tensor | None) -> Tensor:
        """States (B, T, W), which of them count (B, 1, 1, T), None for all -> states (B, T, W)."""
        states = states + self.self_attn(self.self_attn_layer_norm(states), visible)
        inner = functional.gelu(self.fc1(self.final_layer_norm(states)))  # (B, T, 4 W)
        summed: Tensor = states + self.fc2(inner)
        return summed


class Attention(nn.Module):
    """Scaled dot-product self-attention; keys have no bias, as in the checkpoints.

    The exporter sets ``exported``: attention is then written as products and a softmax.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, math.sqrt(width // heads)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.exported = False

    def forward(self, states: Tensor, visible: Tensor | None) -> Tensor:
        """States (B, T, W), which of them count (B, 1, 1, T), None for all -> (B, T, W)."""
        query, key, value = (
            projection(states).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, T, W / H)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        if self.exported:
            scores = (query / self.scale) @ key.transpose(2, 3)  # (B, H, T, T)
            mixed = torch.softmax(scores, dim=3) @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        joined: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return joined


def rates(width: int) -> Tensor:
    """Radians a step of each sinusoid, (width / 2,) in float32: geometric, from 1 down to 1 / 10,000."""
    count = width // 2
    return torch.exp(-math.log(LONGEST_PERIOD) / max(1, count - 1) * torch.arange(count))


def loudness(frames: Tensor, lengths: Tensor) -> Tensor:
    """How loud each step of a clip is: (B, T', 1), the mean over time is 1; for frames (B, T, F) of Whisper's log-mel.

    That is the root of the power in all bands of the frame in a step's middle; what lies beyond the lengths (B,) is 0.
    """
    steps = halved(lengths)
    decades = 4 * frames[:, ::2].float() - 4  # of power: Whisper's compression taken back
    root = decades.mul(math.log(10)).exp().sum(dim=2, keepdim=True).sqrt()  # (B, T', 1)
    root = zero_beyond(root, steps, dim=1)
    mean = root.sum(dim=1, keepdim=True) / steps.view(-1, 1, 1)
    return (root / mean).to(frames.dtype)


def halved(length: Length) -> Length:
    """Steps of so many frames: half of them, rounded up."""
    return conv_length(length, kernel=3, stride=2, padding=1)
