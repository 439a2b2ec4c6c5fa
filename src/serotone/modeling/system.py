"""A system, whole: waveform in, class scores out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from serotone.modeling.lengths import mask, zero_beyond
from serotone.modeling.standardiser import Standardiser


class Output(NamedTuple):
    """Class scores ``logits`` (B, C) and the vector ``embedding`` (B, D) that they were made from."""

    logits: Tensor
    embedding: Tensor


class System(nn.Module):
    """frontend -> standardiser -> encoder -> pooling -> head.

    Whatever stands beyond a clip's true length in a batch changes nothing.

    Args:
        frontend: Waveforms -> frames.
        encoder: Frames -> states.
        pooling: States -> one vector per clip.
        head: Vectors -> class scores and embedding.
        clip_samples: Cut every clip to its first so many samples, or zero-pad it to them; from there on every frame
            counts. None leaves clips as long as they are.
        segments: Cut clips into pieces of ``clip_samples`` instead, the last one zero-padded, and answer with the
            mean of the pieces' probabilities; the logits are then its logarithm.
    """

    def __init__(
        self,
        frontend: nn.Module,
        encoder: nn.Module,
        pooling: nn.Module,
        head: nn.Module,
        *,
        clip_samples: int | None = None,
        segments: bool = False,
    ) -> None:
        super().__init__()
        if segments and clip_samples is None:
            raise ValueError("segments=True with clip_samples=None; expected the length of a piece in samples")
        self.frontend = frontend
        self.standardiser = Standardiser(int(frontend.num_features))  # type: ignore[arg-type]
        self.encoder = encoder
        self.pooling = pooling
        self.head = head
        self.clip_samples = clip_samples
        self.segments = segments
        self.exported = False

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Output:
        """Waveforms (B, T) in float32 and their true lengths (B,) in samples, int64 -> :class:`Output`."""
        return self._by_segments(waveforms, lengths) if self.segments else self._classified(waveforms, lengths)

    def _classified(self, waveforms: Tensor, lengths: Tensor) -> Output:
        """The pipeline."""
        frames, lengths = self.analyse(waveforms, lengths)  # (B, T', F)
        frames = self.standardiser(frames, lengths)  # (B, T', F)
        states, lengths = self.encoder(frames, lengths)  # (B, T'', D)
        vectors = self.pooling(states, lengths)  # (B, D)
        return Output(*self.head(vectors))  # (B, C), (B, E)

    def analyse(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms of the length they are classified at -> frames; in float32: decibels do not survive bfloat16."""
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms, lengths = self._fitted(waveforms, lengths)
            frames, lengths = self.frontend(waveforms, lengths)
        return frames, lengths

    def _fitted(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Bring clips to ``clip_samples``, or those of less than one frame to one frame of silence at their end."""
        if self.clip_samples is not None:
            silence = waveforms.new_zeros(waveforms.shape[0], self.clip_samples)
            waveforms = torch.cat([zero_beyond(waveforms, lengths, dim=1), silence], dim=1)[:, : self.clip_samples]
            return waveforms, torch.full_like(lengths, self.clip_samples)
        shortest = self.frontend.minimum_samples()  # type: ignore[operator]
        if self.exported or int(lengths.min()) >= shortest:  # who runs a graph refuses shorter clips
            return waveforms, lengths
        missing = max(0, shortest - waveforms.shape[1])
        waveforms = nn.functional.pad(zero_beyond(waveforms, lengths, dim=1), (0, missing))
        return waveforms, lengths.clamp_min(shortest)

    def _by_segments(self, waveforms: Tensor, lengths: Tensor) -> Output:
        """The mean answer over the pieces of each clip; the pieces that a longer neighbour brings along count 0."""
        assert self.clip_samples is not None
        size, clips = self.clip_samples, waveforms.shape[0]
        lengths = lengths.clamp_min(1)
        waveforms = torch.cat([zero_beyond(waveforms, lengths, dim=1), waveforms.new_zeros(clips, size - 1)], dim=1)
        pieces = waveforms[:, : waveforms.shape[1] // size * size].reshape(-1, size)  # (B * S, size)
        output = self._classified(pieces, torch.ones_like(pieces, dtype=torch.int64).sum(dim=1))
        counts = (lengths + (size - 1)) // size
        log_p = torch.log_softmax(output.logits.float(), dim=1).reshape(clips, -1, output.logits.shape[1])  # (B, S, C)
        embedding = output.embedding.reshape(clips, -1, output.embedding.shape[1])
        valid = mask(counts, log_p.shape[1])[:, :, None]  # (B, S, 1)
        summed = torch.logsumexp(log_p.masked_fill(~valid, -torch.inf), dim=1)  # (B, C)
        mean = torch.where(valid, embedding, 0).sum(dim=1) / counts[:, None]
        return Output(summed - torch.log(counts[:, None].to(summed.dtype)), mean)


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
        system.frontend.engine = "matmul"  # type: ignore[assignment]
        _set_exported(system, True)

    def restore(self) -> None:
        """Give the system its training forms back."""
        self.system.frontend.engine = self._engine
        _set_exported(self.system, False)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Waveform (B, T) -> logits (B, C), probabilities (B, C), embedding (B, D)."""
        # A product, for the graph: a length that is filled in would be a constant of it.
        lengths = torch.ones(waveform.shape[0], dtype=torch.int64) * waveform.shape[1]
        output = self.system(waveform, lengths)
        return output.logits, torch.softmax(output.logits / self.temperature, dim=1), output.embedding


def _set_exported(system: System, value: bool) -> None:
    """Tell every stage that has two forms which one to take."""
    for module in system.modules():
        if hasattr(module, "exported"):
            module.exported = value  # type: ignore[assignment]
