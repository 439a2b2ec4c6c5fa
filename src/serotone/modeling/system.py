"""A system, whole: waveform in, class scores out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from serotone.modeling.encoders import Encoder
from serotone.modeling.exported import exported
from serotone.modeling.frontends import Frontend
from serotone.modeling.heads import Head
from serotone.modeling.lengths import zero_beyond
from serotone.modeling.pooling import Pooling
from serotone.modeling.standardiser import Standardiser


class Output(NamedTuple):
    """Class scores ``logits`` (B, C) and the vector ``embedding`` (B, D) that they were made from."""

    logits: Tensor
    embedding: Tensor


class System(nn.Module):
    """frontend -> standardiser -> encoder (:meth:`states`) -> pooling -> head (:meth:`classify`).

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
        speech_frames: Standardise over the frames of a clip's true length alone, and set those of the silence that
            fills it up to 0, the mean frame; otherwise that silence counts as frames like any other.
    """

    def __init__(
        self,
        frontend: Frontend,
        encoder: Encoder,
        pooling: Pooling,
        head: Head,
        *,
        clip_samples: int | None = None,
        segments: bool = False,
        speech_frames: bool = False,
    ) -> None:
        super().__init__()
        if segments and clip_samples is None:
            raise ValueError(
                "segments is True and clip_samples is None; set clip_samples to the length of a piece, in samples"
            )
        if speech_frames and clip_samples is None:
            raise ValueError(
                "speech_frames is True and clip_samples is None, but without a clip length no silence fills clips up;"
                " set speech_frames to False"
            )
        self.frontend = frontend
        self.standardiser = Standardiser(frontend.num_features, within=speech_frames)
        self.encoder = encoder
        self.pooling = pooling
        self.head = head
        self.clip_samples = clip_samples
        self.segments = segments
        self.speech_frames = speech_frames
        self.exported = False

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Output:
        """Waveforms (B, T) in float32 and their true lengths (B,) in samples, int64 -> :class:`Output`."""
        return self.classify(*self.states(waveforms, lengths))

    def states(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The first half: what the encoder makes of clips, states (B, T', D) and lengths (B,), to keep or to classify.

        With ``segments`` the pieces of a clip have an axis of their own, (B, S, T', D), and the lengths too, (B, S): 0
        where a clip has no such piece.
        """
        if not self.segments:
            return self._encoded(waveforms, lengths)  # (B, T', D), (B,)
        pieces, samples = self._pieces(waveforms, lengths.clamp_min(1))  # (B, S, clip_samples), (B, S)
        states, steps = self._encoded(pieces.flatten(0, 1), samples.clamp_min(1).flatten())
        states = states.reshape(*samples.shape, *states.shape[1:])  # (B, S, T', D)
        return states, torch.where(samples > 0, steps.reshape(samples.shape), 0)

    def classify(self, states: Tensor, lengths: Tensor) -> Output:
        """The second half: states and lengths as :meth:`states` gives them -> :class:`Output`."""
        if not self.segments:
            return Output(*self.head(self.pooling(states, lengths)))  # (B, C), (B, E)
        steps = lengths.clamp_min(1).flatten()  # of the pieces that a longer neighbour brings along: they count 0
        logits, embedding = self.head(self.pooling(states.flatten(0, 1), steps))
        log_p = torch.log_softmax(logits.float(), dim=1).reshape(*lengths.shape, -1)  # (B, S, C)
        embedding = embedding.reshape(*lengths.shape, -1)
        valid = (lengths > 0)[:, :, None]  # (B, S, 1)
        counts = valid.sum(dim=1)  # (B, 1)
        summed = torch.logsumexp(log_p.masked_fill(~valid, -torch.inf), dim=1)  # (B, C)
        mean = torch.where(valid, embedding, 0).sum(dim=1) / counts
        return Output(summed - torch.log(counts.to(summed.dtype)), mean)

    def _encoded(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Clips, or pieces of them, of any length -> states and their lengths."""
        frames, counts = self.analyse(waveforms, lengths)  # (B, T', F)
        frames = self.standardiser(frames, self.standardised(lengths, counts))  # (B, T', F)
        return self.encoder(frames, counts)  # type: ignore[no-any-return]

    def standardised(self, lengths: Tensor, counts: Tensor) -> Tensor:
        """Frames (B,) that are standardised, of clips with true lengths (B,) in samples and so many frames (B,)."""
        if not self.speech_frames:
            return counts
        return torch.minimum(self.frontend.frame_lengths(lengths), counts)

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
        shortest = self.frontend.minimum_samples()
        if self.exported or int(lengths.min()) >= shortest:  # who runs a graph refuses shorter clips
            return waveforms, lengths
        missing = max(0, shortest - waveforms.shape[1])
        waveforms = nn.functional.pad(zero_beyond(waveforms, lengths, dim=1), (0, missing))
        return waveforms, lengths.clamp_min(shortest)

    def _pieces(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Clips (B, T) of at least one sample -> pieces (B, S, clip_samples), and the clip's samples in each (B, S).

        Those are 0 in the pieces that a longer neighbour brings along.
        """
        assert self.clip_samples is not None
        size, clips = self.clip_samples, waveforms.shape[0]
        waveforms = torch.cat([zero_beyond(waveforms, lengths, dim=1), waveforms.new_zeros(clips, size - 1)], dim=1)
        pieces = waveforms[:, : waveforms.shape[1] // size * size].reshape(clips, -1, size)
        starts = torch.arange(pieces.shape[1], device=lengths.device) * size
        return pieces, (lengths[:, None] - starts).clamp(0, size)


class WholeClips(nn.Module):
    """A copy of a system as it is exported: clips of equal length, so a waveform alone says everything.

    The frontend's DFT becomes a matrix product and the recurrence runs unpacked, the two forms that an ONNX graph can
    hold. The system itself stays as it is.
    """

    def __init__(self, system: System, *, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; expected a number above 0")
        self.system = exported(system)
        self.temperature = temperature

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Waveform (B, T) -> logits (B, C), probabilities (B, C), embedding (B, D)."""
        # A product, for the graph: a length that is filled in would be a constant of it.
        lengths = torch.ones(waveform.shape[0], dtype=torch.int64, device=waveform.device) * waveform.shape[1]
        output = self.system(waveform, lengths)
        return output.logits, torch.softmax(output.logits / self.temperature, dim=1), output.embedding
