"""Temperature: by hand, against a second optimiser, and what it refuses."""

import math

import numpy as np
import pytest
import torch

from serotone.errors import RunError
from serotone.training.calibrate import HIGHEST, LOWEST, fit_temperature


@pytest.mark.parametrize(("gap", "right"), [(2.0, 3), (0.5, 3), (1.0, 9)])
def test_confidence_becomes_the_share_of_right_answers(gap: float, right: int) -> None:
    # Every answer is (gap, 0); `right` of them are right for each that is wrong: log(right) = gap / T.
    found = fit_temperature([[gap, 0.0]] * (right + 1), [0] * right + [1])
    assert found.temperature == pytest.approx(gap / math.log(right), rel=1e-4)
    share = right / (right + 1)
    assert found.ece_after == pytest.approx(0.0, abs=1e-4)
    assert found.ece_before == pytest.approx(abs(1 / (1 + math.exp(-gap)) - share), abs=1e-6)
    assert found.nll_after == pytest.approx(-share * math.log(share) - (1 - share) * math.log(1 - share), rel=1e-5)
    assert found.clips == right + 1


def test_it_is_what_gradient_descent_finds_and_scaling_is_undone() -> None:
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((400, 5))
    truth = np.array([generator.choice(5, p=np.exp(row) / np.exp(row).sum()) for row in logits])
    found = fit_temperature(7 * logits, truth)
    assert found.temperature == pytest.approx(7, rel=0.15)
    assert found.temperature == pytest.approx(7 * fit_temperature(logits, truth).temperature, rel=1e-4)
    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([inverse], max_iter=100, line_search_fn="strong_wolfe")
    rows, targets = torch.from_numpy(7 * logits), torch.from_numpy(truth)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(rows * inverse, targets)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert found.temperature == pytest.approx(1 / inverse.item(), rel=1e-3)
    assert found.nll_after < found.nll_before
    assert found.ece_after < found.ece_before


def test_a_factor_moves_the_temperature_and_the_errors_are_those_there() -> None:
    logits, truth = [[2.0, 0.0]] * 4, [0, 0, 0, 1]
    best, raised = fit_temperature(logits, truth), fit_temperature(logits, truth, factor=1.5)
    assert raised.temperature == pytest.approx(1.5 * best.temperature)
    p = 1 / (1 + math.exp(-2.0 / raised.temperature))
    assert raised.ece_after == pytest.approx(0.75 - p, abs=1e-6)
    assert raised.nll_after == pytest.approx(-0.75 * math.log(p) - 0.25 * math.log(1 - p), rel=1e-6)


def test_answers_that_are_all_right_or_all_wrong_stop_at_the_bounds() -> None:
    right = fit_temperature([[5.0, 0.0]] * 3, [0] * 3)  # from some point on, certainty is 1 to the last bit
    assert LOWEST <= right.temperature < 0.2
    assert right.nll_after == pytest.approx(0.0, abs=1e-12)
    assert fit_temperature([[5.0, 0.0]] * 3, [1] * 3).temperature == pytest.approx(HIGHEST, rel=1e-2)


@pytest.mark.parametrize(
    ("logits", "truth", "words"),
    [
        ([], [], "at least one clip"),
        ([[1.0, 2.0]], [0, 1], "2 truths"),
        ([[1.0]], [0], "two logits"),
        ([[1.0, 2.0]], [2], "expected 0 to 1"),
        ([[1.0, float("nan")]], [0], "NaN or infinite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(logits: list, truth: list, words: str) -> None:
    with pytest.raises(RunError, match=words):
        fit_temperature(logits, truth)
