"""Multinomial logistic regression, fitted to convergence: vectors in, weights out.

The objective is scikit-learn's, with its C as ``strength``, plus what several corpora need: a weight per clip, and for
each clip the classes that it could have been given.

    J(W, b) = strength sum_i w_i (logsumexp_{j in P_i}(W_j x_i + b_j) - W_{y_i} x_i - b_{y_i}) + |W|^2 / 2

P_i are the classes that the corpus of clip i has: one that it lacks is no negative, since nobody could have chosen it.
J is convex, so where it ends does not depend on where it starts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from serotone.errors import RunError

Floats = NDArray[np.float64]

MAX_ITERATIONS = 2000
TOLERANCES: Mapping[str, tuple[float, float]] = {"float64": (1e-7, 1e-15), "float32": (1e-6, 1e-12)}
"""By precision: the largest component of the gradient of J / (strength sum w), and the relative step of it, at which it
has converged."""


ROUNDING = 100.0
"""How far above its tolerance the gradient may be where rounding allows no further step; of few clips, further by the
penalty's curvature, 1 / (strength sum w), since the distance from the minimum is the gradient over the curvature."""

STEEP = 48
"""Directions in which vectors vary most, and along which steps are shortened; a handful of them makes L-BFGS slow."""


class Linear(NamedTuple):
    """A fitted classifier: weight (C, D), bias (C,)."""

    weight: Floats
    bias: Floats

    def logits(self, vectors: NDArray[np.floating]) -> Floats:
        """Vectors (N, D) -> scores (N, C)."""
        scores: Floats = vectors @ self.weight.T + self.bias
        return scores


class Problem:
    """What is fitted: vectors (N, D), targets (N,), and per clip its weight and the classes that it could have.

    Args:
        vectors: One row per clip, standardised: the penalty takes every column alike.
        targets: Class of each clip, from 0 to ``num_classes - 1``.
        num_classes: C.
        weights: (N,), brought to mean 1 here; None weighs all alike.
        possible: (N, C), true where a clip's corpus has a class; None: it has them all.
        precision: float64 for a head that is kept; float32 is several times as fast and does for one that is only
            compared with others: its scores are right to about a hundredth of the largest.

    Raises:
        ValueError: Shapes that do not fit, a value that is not finite, a class without a clip, or a clip whose own
            class it could not have.
    """

    def __init__(
        self,
        vectors: NDArray[np.floating],
        targets: NDArray[np.integer],
        *,
        num_classes: int,
        weights: NDArray[np.floating] | None = None,
        possible: NDArray[np.bool_] | None = None,
        precision: Literal["float64", "float32"] = "float64",
    ) -> None:
        count = len(vectors)
        weights = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
        possible = np.ones((count, num_classes), dtype=bool) if possible is None else possible
        if targets.shape != (count,) or weights.shape != (count,) or possible.shape != (count, num_classes):
            raise ValueError(
                f"{count} vectors with targets {targets.shape}, weights {weights.shape} and possible {possible.shape};"
                f" expected ({count},), ({count},) and ({count}, {num_classes})"
            )
        if not (np.isfinite(vectors).all() and np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("a vector or a weight is NaN, infinite or negative; expected finite vectors, weights >= 0")
        absent = np.flatnonzero(np.bincount(targets, weights, minlength=num_classes) == 0)
        if len(absent):
            raise ValueError(f"no clip of class {', '.join(map(str, absent))}; expected each to have one that counts")
        if not possible[np.arange(count), targets].all():
            raise ValueError("a clip has a class that is not among those possible for it")
        self.precision = precision
        self.vectors = np.ascontiguousarray(vectors, dtype=precision)
        self.targets = targets
        self.weights = weights / weights.mean()
        self.shape = (num_classes, vectors.shape[1])
        self._impossible = np.where(possible, 0.0, -np.inf)
        self._rows = np.arange(count)

    def value(self, point: Floats, strength: float) -> tuple[float, Floats]:
        """J / (strength sum w) and its gradient, where ``point`` is W row by row, then b."""
        classes, width = self.shape
        weight, bias = point[: classes * width].reshape(self.shape), point[classes * width :]
        scale = 1.0 / (strength * len(self.weights))
        scores = self.vectors @ weight.T.astype(self.precision) + bias + self._impossible  # (N, C), in float64
        scores -= scores.max(axis=1, keepdims=True)
        raised = np.exp(scores)
        totals = raised.sum(axis=1)
        losses = np.log(totals) - scores[self._rows, self.targets]
        slopes = raised / totals[:, None]  # p
        slopes[self._rows, self.targets] -= 1.0
        slopes *= (self.weights / len(self.weights))[:, None]
        value = float(self.weights @ losses) / len(self.weights) + 0.5 * scale * float(np.vdot(weight, weight))
        gradient = slopes.T.astype(self.precision) @ self.vectors + scale * weight
        return value, np.concatenate([gradient.ravel(), slopes.sum(axis=0)])

    def solve(self, strength: float, start: Linear | None = None) -> Linear:
        """The minimum for one strength; ``start`` saves steps and changes nothing.

        Raises:
            RunError: It did not converge.
            ValueError: A strength of 0 or less.
        """
        if not strength > 0:
            raise ValueError(f"strength {strength}; expected a number above 0, such as 0.001")
        classes, width = self.shape
        shorten, shortest = self._shorten(strength)

        def stretched(point: Floats) -> tuple[float, Floats]:
            """J as a function of u, where W = u T: as steep in every direction."""
            weight = shorten(point[: classes * width].reshape(self.shape), False)
            value, slope = self.value(np.concatenate([weight.ravel(), point[classes * width :]]), strength)
            return value, np.concatenate(
                [shorten(slope[: classes * width].reshape(self.shape), False).ravel(), slope[classes * width :]]
            )

        if start is None:
            first = np.zeros(classes * (width + 1))
        else:
            first = np.concatenate([shorten(start.weight, True).ravel(), start.bias])
        gradient, step = TOLERANCES[self.precision]
        found = minimize(
            stretched,
            first,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS, "maxcor": 20, "gtol": gradient * shortest, "ftol": step},
        )
        # Where rounding ends the search before the tolerance is reached, what is left of the gradient tells.
        steepest = float(np.abs(found.jac).max())
        allowed = ROUNDING * gradient * max(1.0, 1.0 / (strength * len(self.weights)))
        if not (np.isfinite(found.fun) and (found.success or steepest <= allowed)):
            raise RunError(
                f"the convex head did not converge at strength {strength}: {found.message} with a gradient of"
                f" {steepest:.1e}; standardise the vectors, or lower the strength"
            )
        point: Floats = found.x
        weight = shorten(point[: classes * width].reshape(self.shape), False)
        return Linear(weight, point[classes * width :])

    def _shorten(self, strength: float) -> tuple[Callable[[Floats, bool], Floats], float]:
        """The change of variables T, (C, D) -> (C, D), or its inverse, and how much it shortens at most.

        It moves no minimum, it saves steps. T = I + V (diag(s) - I) V^T: along the steepest directions V it divides by
        the root of the curvature there, as far as that exceeds the curvature of the next ones. A quarter is the largest
        slope of the softmax.
        """
        directions, variances = self._steep
        curvature = variances / 4 + 1.0 / (strength * len(self.weights))
        scales = np.sqrt(curvature.min(initial=np.inf) / curvature)

        def change(values: Floats, back: bool) -> Floats:
            factors = (1.0 / scales if back else scales) - 1.0
            changed: Floats = values + ((values @ directions) * factors) @ directions.T
            return changed

        return change, float(scales.min(initial=1.0))

    @cached_property
    def _steep(self) -> tuple[Floats, Floats]:
        """The directions (D, K) in which the weighted vectors vary most, and their variances (K,), falling."""
        return principal(self.vectors, self.weights, STEEP)

    def path(self, strengths: Sequence[float]) -> Iterator[tuple[float, Linear]]:
        """The minimum for each strength, the weakest first, each started from the one before."""
        last: Linear | None = None
        for strength in sorted(strengths):
            last = self.solve(strength, last)
            yield strength, last


def subspace(vectors: NDArray[np.floating], size: int, *, rounds: int, weights: Floats | float = 1.0) -> Floats:
    """An orthonormal basis (D, size) of about the directions in which weighted vectors (N, D) spread most about 0.

    Rounds of subspace iteration from a fixed start (Halko, Martinsson and Tropp 2011, algorithm 4.4). Weights are (N,
    1), or one for all; the dtype is the vectors'.
    """
    start = np.random.default_rng(0).standard_normal((vectors.shape[1], size))
    basis: Floats = np.linalg.qr(start)[0].astype(vectors.dtype)
    for _ in range(rounds):
        basis = np.linalg.qr(vectors.T @ (weights * (vectors @ basis)))[0]
    return basis


def principal(vectors: NDArray[np.floating], weights: Floats, count: int) -> tuple[Floats, Floats]:
    """Directions (D, K) in which weighted vectors (N, D) spread most about 0, and their mean squares (K,), falling.

    K is ``count``, or D where that is less.
    """
    weighted = (weights / weights.sum())[:, None].astype(vectors.dtype)
    basis = subspace(vectors, min(count, vectors.shape[1]), rounds=2, weights=weighted)
    projected = (vectors @ basis).astype(np.float64)
    variances, rotation = np.linalg.eigh(projected.T @ (weighted * projected))
    return basis.astype(np.float64) @ rotation[:, ::-1], variances[::-1]


class Emphasis:
    """A stretching of vectors that lets a penalty spare the directions in which they vary most.

    Along direction k, of standard deviation s_k, it multiplies by (s_k / s_1)^power, along those beyond the first
    ``DIRECTIONS`` as along the last of them; then all by one factor that brings the total variance back. A head fitted
    on stretched vectors is brought back by :meth:`undo` and reads vectors as they were.
    """

    DIRECTIONS = 256

    def __init__(self, vectors: NDArray[np.floating], weights: Floats, power: float) -> None:
        self._basis, variances = principal(vectors.astype(np.float32), weights, self.DIRECTIONS)
        variances = np.maximum(variances, 1e-12)
        gains = (variances / variances[0]) ** (power / 2)
        total = float((weights / weights.sum()) @ np.einsum("ij,ij->i", vectors, vectors))
        rest = max(total - float(variances.sum()), 0.0)
        factor = np.sqrt(total / (float(variances @ gains**2) + rest * gains[-1] ** 2))
        self._gains, self._rest = factor * gains, factor * gains[-1]

    def apply(self, vectors: NDArray[np.floating]) -> Floats:
        """Vectors (N, D) -> stretched ones."""
        stretched: Floats = vectors * self._rest
        stretched += ((vectors @ self._basis) * (self._gains - self._rest)) @ self._basis.T
        return stretched

    def undo(self, linear: Linear) -> Linear:
        """The head of vectors that gives them the scores which ``linear`` gives them stretched."""
        return Linear(self.apply(linear.weight), linear.bias)


def balance(corpora: Sequence[str], targets: NDArray[np.integer]) -> Floats:
    """Weights (N,) of mean 1 that let every corpus count alike and, within it, every emotion that it has.

    A clip of corpus k and class c weighs 1 / (K C_k n_kc): K corpora, C_k classes in k, n_kc clips of c in k.

    >>> balance(["a", "a", "a", "b"], np.array([0, 0, 1, 1])).tolist()
    [0.5, 0.5, 1.0, 2.0]
    """
    weights: Floats = np.zeros(len(targets))
    names = np.asarray(corpora)
    for corpus in np.unique(names):
        own = names == corpus
        classes, numbers, counts = np.unique(targets[own], return_inverse=True, return_counts=True)
        weights[own] = 1.0 / (len(classes) * counts[numbers])
    weights /= weights.mean()
    return weights


def possible_classes(
    corpora: Sequence[str], targets: NDArray[np.integer], *, num_classes: int
) -> dict[str, NDArray[np.bool_]]:
    """Which classes (C,) each corpus has, from the clips of all of them: (N,) names and classes."""
    found: dict[str, NDArray[np.bool_]] = {}
    names = np.asarray(corpora)
    for corpus in np.unique(names):
        found[str(corpus)] = np.bincount(targets[names == corpus], minlength=num_classes) > 0
    return found
