"""States over time -> one vector per clip.

``POOLINGS`` holds them by the names that recipes use. Every pooling says in ``num_outputs`` how wide its vectors are.
What stands beyond a clip's length changes nothing. Sums over time are taken in float32.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from serotone.modeling.lengths import mask, zero_beyond
from serotone.options import by_name
from serotone.options.base import Options
from serotone.options.poolings import (
    AttentiveMeanDeviationOptions,
    AttentiveMeanOptions,
    EndsOptions,
    LoudMeanDeviationOptions,
    MeanDeviationOptions,
    MeanOptions,
)


class Pooling(nn.Module):
    """Base of the poolings: states (B, T, D) with lengths (B,) of at least 1 -> vectors (B, num_outputs).

    Args:
        options: What a recipe says of it.
        num_inputs: Width D of a state.
        directions: 2 where the halves of a state are a recurrence forward and backward; 1 where a state is one whole.
    """

    options_type: ClassVar[type[Options]]

    def __init__(self, options: Options, *, num_inputs: int, directions: int) -> None:
        super().__init__()
        self.num_outputs = num_inputs


class Ends(Pooling):
    """What each direction of a recurrence has read when through: forward at the last step, backward at the first.

    Of one direction, the last step, whole.
    """

    options_type = EndsOptions

    def __init__(self, options: Options, *, num_inputs: int, directions: int) -> None:
        super().__init__(options, num_inputs=num_inputs, directions=directions)
        if directions not in (1, 2) or num_inputs % directions:
            raise ValueError(
                f"the encoder has {directions} directions and {num_inputs} values a state; expected 1 direction,"
                " or 2 and an even number of values"
            )
        self.forward_width = num_inputs // directions

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, D), lengths (B,) of at least 1 -> (B, D)."""
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, self.forward_width)
        forward = states[:, :, : self.forward_width].gather(1, last).squeeze(1)
        return torch.cat([forward, states[:, 0, self.forward_width :]], dim=1)


class Mean(Pooling):
    """The mean over a clip's states: the global average pool."""

    options_type = MeanOptions

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, D), lengths (B,) of at least 1 -> (B, D)."""
        return zero_beyond(_precise(states), lengths, dim=1).sum(dim=1) / lengths.unsqueeze(1)


class MeanDeviation(Pooling):
    """(mu, sigma) over a clip's states, each of them counting alike; sigma^2 divides by T and is at least 1e-6.

    The deviations are taken from the mean that was found first: the difference of two large sums would lose the small
    ones. A clip of one step has none, and the floor gives the root a gradient there.
    """

    options_type = MeanDeviationOptions

    def __init__(self, options: Options, *, num_inputs: int, directions: int) -> None:
        super().__init__(options, num_inputs=num_inputs, directions=directions)
        self.num_outputs = 2 * num_inputs

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, D), lengths (B,) of at least 1 -> mu and sigma (B, 2 D)."""
        # What lies beyond is cleared before it is squared: a NaN there would still have a gradient.
        states, count = zero_beyond(_precise(states), lengths, dim=1), lengths.unsqueeze(1)
        mean = states.sum(dim=1) / count
        squares = zero_beyond((states - mean.unsqueeze(1)).square(), lengths, dim=1)
        return torch.cat([mean, (squares.sum(dim=1) / count).clamp_min(1e-6).sqrt()], dim=1)


class LoudMeanDeviation(Pooling):
    """(mu, sigma) over a clip's states, each counting alike, then (mu, sigma) weighted by how loud each step is.

    How loud is the last of the states, which an encoder gives with ``loudness``; a value below 0 counts 0. Vowels weigh
    more than pauses and noise in the second pair, so that it depends less on where a clip was cut and on its room.
    """

    options_type = LoudMeanDeviationOptions

    def __init__(self, options: Options, *, num_inputs: int, directions: int) -> None:
        super().__init__(options, num_inputs=num_inputs, directions=directions)
        if num_inputs < 2:
            raise ValueError(
                f"a state has {num_inputs} values; the pooling loud-mean-sd takes at least 2, of which the last is the"
                " loudness; set encoder.loudness to true"
            )
        self.num_outputs = 4 * (num_inputs - 1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, D), lengths (B,) of at least 1 -> (B, 4 (D - 1))."""
        states = zero_beyond(_precise(states), lengths, dim=1)
        states, loud = states[:, :, :-1], states[:, :, -1:].clamp_min(0)
        alike = zero_beyond(torch.ones_like(loud), lengths, dim=1)
        vectors: list[Tensor] = []
        for weights in (alike, loud + 1e-6 * alike):
            vectors += _mean_deviation(states, weights / weights.sum(dim=1, keepdim=True))
        return torch.cat(vectors, dim=1)


class AttentiveMean(Pooling):
    """mu = sum_t alpha_t h_t with alpha = softmax(e) (Zhou and Liu 2020, equation 4).

    The paper scores "in Luong's multiplicative style"; the general form e_t = q^T W h_t without bias and the query
    q = (forward state at the last step, backward state at the first) are ours, and so is W's start (Glorot).
    """

    options_type: ClassVar[type[Options]] = AttentiveMeanOptions

    def __init__(self, options: Options, *, num_inputs: int, directions: int) -> None:
        super().__init__(options, num_inputs=num_inputs, directions=directions)
        self.matrix = nn.Parameter(torch.empty(num_inputs, num_inputs))
        nn.init.xavier_uniform_(self.matrix)
        self.query = Ends(EndsOptions(), num_inputs=num_inputs, directions=directions)

    def weights(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Attention alpha (B, T), of sum 1, for states (B, T, D) with lengths (B,) of at least 1; 0 beyond them."""
        states = zero_beyond(_precise(states), lengths, dim=1)
        with torch.autocast(states.device.type, enabled=False):
            query = self.query(states, lengths) @ self.matrix  # (B, D): q^T W
            scores = (states @ query.unsqueeze(2)).squeeze(2)  # (B, T)
        scores = scores.masked_fill(~mask(lengths, states.shape[1]), -torch.inf)
        return torch.softmax(scores, dim=1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, D), lengths (B,) of at least 1 -> mu (B, D)."""
        weights = self.weights(states, lengths).unsqueeze(2)  # (B, T, 1)
        return (weights * zero_beyond(_precise(states), lengths, dim=1)).sum(dim=1)


class AttentiveMeanDeviation(AttentiveMean):
    """(mu, sigma), sigma = sqrt(sum_t alpha_t h_t h_t - mu mu): combined pooling (Zhou and Liu 2020, equation 5).

    The difference is taken before squaring, which is the same number without cancellation. The paper keeps it at 0 or
    above; ours at 1e-6, where the root still has a gradient.
    """

    options_type = AttentiveMeanDeviationOptions

    def __init__(self, options: Options, *, num_inputs: int, directions: int) -> None:
        super().__init__(options, num_inputs=num_inputs, directions=directions)
        self.num_outputs = 2 * num_inputs

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, D), lengths (B,) of at least 1 -> mu and sigma (B, 2 D)."""
        weights = self.weights(states, lengths).unsqueeze(2)  # (B, T, 1)
        states = zero_beyond(_precise(states), lengths, dim=1)
        return torch.cat(_mean_deviation(states, weights), dim=1)


POOLINGS: Mapping[str, type[Pooling]] = by_name(
    Ends,
    Mean,
    MeanDeviation,
    LoudMeanDeviation,
    AttentiveMean,
    AttentiveMeanDeviation,
)


def _mean_deviation(states: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and SD (B, D) of states (B, T, D) with weights (B, T, 1) of sum 1; variances are at least 1e-6."""
    mean = (weights * states).sum(dim=1)
    variance = (weights * (states - mean.unsqueeze(1)).square()).sum(dim=1)
    return mean, variance.clamp_min(1e-6).sqrt()


def _precise(values: Tensor) -> Tensor:
    """At least float32: a sum over time does not survive 8 bits of mantissa."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
