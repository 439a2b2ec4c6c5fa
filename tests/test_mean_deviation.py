"""Mean and standard deviation over time: by hand, and where float32 is nearly not enough."""

import math

import pytest
import torch

from serotone.modeling.pooling import MeanDeviation
from serotone.options.poolings import MeanDeviationOptions


def test_mean_and_deviation_by_hand() -> None:
    states = torch.tensor([[[1.0, 5.0], [3.0, 5.0], [torch.nan, 9.0]], [[1.0, 2.0], [2.0, 4.0], [6.0, 12.0]]])
    vectors = MeanDeviation(MeanDeviationOptions(), num_inputs=2, directions=1)(states, torch.tensor([2, 3]))
    expected = [[2.0, 5.0, 1.0, 1e-3], [3.0, 6.0, math.sqrt(14 / 3), 2 * math.sqrt(14 / 3)]]  # 1e-3: the floor's root
    torch.testing.assert_close(vectors, torch.tensor(expected))


def test_a_small_deviation_about_a_large_mean_survives_float32() -> None:
    wave = torch.sin(torch.arange(1000.0))
    states = (1000 + 0.1 * wave).view(1, -1, 1)
    vectors = MeanDeviation(MeanDeviationOptions(), num_inputs=1, directions=1)(states, torch.tensor([1000]))
    assert vectors[0, 1].item() == pytest.approx(states.double().std(correction=0).item(), rel=1e-3)
