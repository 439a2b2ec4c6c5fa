"""What every encoder is: frames in, states out, and what the rest of a system must know of it."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from serotone.modeling.lengths import zero_beyond
from serotone.options.encoders import EncoderOptions


class Encoder(nn.Module):
    """Base of the encoders: ``Encoder(options, num_features=...)``, then :meth:`forward`.

    ``forward(frames, lengths)`` takes frames (B, T, F), standardised and 0 beyond each length (B,), and gives states
    (B, T', D) and lengths (B,).
    """

    options_type: ClassVar[type[EncoderOptions]]
    """What a recipe may say of it."""

    aliases: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Endings of its tensors' names, each with another one that a checkpoint may have in its place."""

    minimum_frames: int = 1
    """The fewest frames that its layers can read."""

    maximum_frames: int | None = None
    """The most frames that it can read; None for any number."""

    directions: int = 1
    """2 where a state is the forward and the backward half of a recurrence, side by side."""

    num_outputs: int
    """Width D of a state."""

    def fill_up(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), or samples (B, T), 0 beyond each length and filled up with zeros to ``minimum_frames``.

        Lengths (B,) are then at least that many. Not for an exported graph, which is never given shorter clips.
        """
        missing = max(0, self.minimum_frames - frames.shape[1])
        padding = (0, 0) * (frames.ndim - 2) + (0, missing)
        return functional.pad(zero_beyond(frames, lengths, dim=1), padding), lengths.clamp_min(self.minimum_frames)

    def require_features(self, num_features: int, least: int) -> None:
        """Nothing, or ValueError: a frame holds fewer values than the encoder's layers can read."""
        if num_features < least:
            raise ValueError(
                f"the frontend gives {num_features} values a frame, but the encoder {self.options_type.name} takes at"
                f" least {least}; give the frontend more bands"
            )
