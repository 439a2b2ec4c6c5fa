"""A system, whole: waveform in, class scores out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from serotone.modeling.standardiser import Standardiser


class Output(NamedTuple):
    """Class scores ``logits`` (B, C) and the vector ``embedding`` (B, D) that they were made from."""

    logits: Tensor
    embedding: Tensor


class System(nn.Module):
    """frontend -> standardiser -> encoder -> pooling -> head.

    Whatever stands beyond a clip's true length in a batch changes nothing.
    """

    def __init__(self, frontend: nn.Module, encoder: nn.Module, pooling: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.standardiser = Standardiser(int(frontend.num_features))  # type: ignore[arg-type]
        self.encoder = encoder
        self.pooling = pooling
        self.head = head

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Output:
        """Waveforms (B, T) in float32 and their true lengths (B,) in samples, int64 -> :class:`Output`."""
        frames, lengths = self.analyse(waveforms, lengths)  # (B, T', F)
        frames = self.standardiser(frames, lengths)  # (B, T', F)
        states, lengths = self.encoder(frames, lengths)  # (B, T'', D)
        vectors = self.pooling(states, lengths)  # (B, D)
        return Output(*self.head(vectors))  # (B, C), (B, E)

    def analyse(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The frontend alone, always in float32: decibels do not survive 8 bits of mantissa."""
        with torch.autocast(waveforms.device.type, enabled=False):
            frames, lengths = self.frontend(waveforms, lengths)
        return frames, lengths


class WholeClips(nn.Module):
    """The system as it is exported: clips of equal length, so a waveform alone says everything.

    Shares the system's weights; the frontend's DFT becomes a matrix product and the recurrence runs unpacked, the two
    forms that an ONNX graph can hold. :meth:`restore` gives the system back as it was.
    """

    def __init__(self, system: System, *, temperature: float = 1.0) -> None:
        super().__init__()
        self.system = system
        self.temperature = temperature
        self._engine = system.frontend.engine
        self._packed = system.encoder.packed
        system.frontend.engine = "matmul"  # type: ignore[assignment]
        system.encoder.packed = False  # type: ignore[assignment]

    def restore(self) -> None:
        """Give the system its training forms back."""
        self.system.frontend.engine = self._engine
        self.system.encoder.packed = self._packed

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Waveform (B, T) -> logits (B, C), probabilities (B, C), embedding (B, D)."""
        # Counted, not read from the shape: a shape read here would be a constant of the exported graph.
        lengths = torch.ones_like(waveform, dtype=torch.int64).sum(dim=1)
        output = self.system(waveform, lengths)
        return output.logits, torch.softmax(output.logits / self.temperature, dim=1), output.embedding
