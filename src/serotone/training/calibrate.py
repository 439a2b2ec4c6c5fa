"""The temperature that makes a system's confidence honest, fitted on answers to clips that trained nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from serotone.errors import RunError
from serotone.metrics import expected_calibration_error

LOWEST, HIGHEST = 0.05, 20.0
"""Between which a temperature is looked for: clips that are all answered right would ask for 0."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, what it was fitted on, and what it changed there.

    ``nll`` is the mean negative log-likelihood in nats, ``ece`` the expected calibration error in [0, 1]; both at
    temperature 1 (``before``) and at the one that is stated (``after``).
    """

    temperature: float
    clips: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def fit_temperature(logits: ArrayLike, truth: Sequence[int] | NDArray[np.int64], *, factor: float = 1.0) -> Calibration:
    """The temperature T between 0.05 and 20 of least mean negative log-likelihood of softmax(logits / T), times factor.

    Reference: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2. The likelihood is convex
    in 1 / T, so that a search over one number finds it.

    Args:
        logits: (N, C), of clips that trained nothing; logarithms of probabilities do as well.
        truth: N class indices.
        factor: How many times the best temperature is stated, for answers that are surer here than they will be later.

    Raises:
        RunError: Nothing to fit on, shapes that do not fit each other, or logits that are not finite.

    >>> fit_temperature([[2.0, 0.0]] * 4, [0, 0, 0, 1]).temperature  # right three times in four: log 3 apart, not 2
    1.82...
    """
    values = np.asarray(logits, dtype=np.float64)
    targets = np.asarray(truth, dtype=np.int64)
    if values.ndim != 2 or targets.shape != values.shape[:1] or len(targets) == 0 or values.shape[1] < 2:
        raise RunError(
            f"logits of shape {values.shape} and {targets.size} truths; a temperature is fitted on one row of at least"
            " two logits for each of at least one clip"
        )
    if targets.min() < 0 or targets.max() >= values.shape[1]:
        raise RunError(f"class indices from {targets.min()} to {targets.max()}; expected 0 to {values.shape[1] - 1}")
    if not np.isfinite(values).all():
        raise RunError("some logits are NaN or infinite, so the training diverged; lower the schedule's learning_rate")

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(values / np.exp(log_temperature), axis=1)
        return -float(np.take_along_axis(log_p, targets[:, None], axis=1).mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-6})
    temperature = float(np.exp(found.x)) * factor
    labels = range(values.shape[1])
    before, after = (
        expected_calibration_error(softmax(values / t, axis=1), targets.tolist(), labels=labels)
        for t in (1.0, temperature)
    )
    return Calibration(temperature, len(targets), loss(0.0), loss(float(np.log(temperature))), before, after)
