"""The convex head: against scikit-learn where that knows the objective, by its gradient where it does not."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from serotone.training.convex import Emphasis, Linear, Problem, balance, possible_classes


def made(
    count: int = 240, width: int = 12, classes: int = 4, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, targets and weights; the classes overlap."""
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    centers = generator.standard_normal((classes, width))
    vectors = centers[targets] + 1.5 * generator.standard_normal((count, width))
    return vectors, targets, generator.uniform(0.2, 3.0, count)


@pytest.mark.parametrize("strength", [0.001, 0.03, 1.0])
def test_it_is_scikit_learns_logistic_regression(strength: float) -> None:
    vectors, targets, weights = made()
    ours = Problem(vectors, targets, num_classes=4, weights=weights).solve(strength)
    witness = LogisticRegression(C=strength, tol=1e-10, max_iter=10000)
    witness.fit(vectors, targets, sample_weight=weights / weights.mean())
    np.testing.assert_allclose(ours.weight, witness.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.bias - ours.bias.mean(), witness.intercept_ - witness.intercept_.mean(), atol=1e-6)
    np.testing.assert_allclose(ours.logits(vectors), vectors @ ours.weight.T + ours.bias)


def test_the_gradient_is_that_of_the_value_with_masks() -> None:
    vectors, targets, weights = made(60, 5, 3)
    possible = np.ones((60, 3), dtype=bool)
    possible[:20, 2] = targets[:20] == 2
    problem = Problem(vectors, targets, num_classes=3, weights=weights, possible=possible)
    point = np.random.default_rng(1).standard_normal(3 * 6)
    error = check_grad(lambda v: problem.value(v, 0.1)[0], lambda v: problem.value(v, 0.1)[1], point)
    assert error < 1e-6


def test_the_value_by_hand() -> None:
    """Two clips, one number each; class 2 is impossible for the first, so its softmax runs over two scores."""
    vectors, targets = np.array([[1.0], [-2.0]]), np.array([0, 2])
    possible = np.array([[True, True, False], [True, True, True]])
    # class 1 needs a clip that counts: a third one, of weight next to nothing
    vectors, targets = np.vstack([vectors, [[0.0]]]), np.append(targets, 1)
    possible = np.vstack([possible, [[True, True, True]]])
    problem = Problem(vectors, targets, num_classes=3, weights=np.array([1.0, 2.0, 1e-12]), possible=possible)
    weight, bias = np.array([0.5, -0.25, 1.0]), np.array([0.1, 0.2, -0.3])
    one = np.log(np.exp(0.6) + np.exp(-0.05)) - 0.6
    two = np.log(np.exp(-0.9) + np.exp(0.7) + np.exp(-2.3)) + 2.3
    total = 0.01 * (1.0 * one + 2.0 * two) + 0.5 * (0.25 + 0.0625 + 1.0) * (3.0 + 1e-12) / 3.0
    value, _ = problem.value(np.concatenate([weight, bias]), 0.01)
    assert value == pytest.approx(total / (0.01 * 3.0), rel=1e-9)


def test_an_emotion_that_a_corpus_lacks_is_no_negative_there() -> None:
    """Corpus b never has class 2 and lies where it lives: without a mask it would push the class away."""
    generator = np.random.default_rng(3)
    targets = np.array([0, 1, 2] * 40 + [0, 1] * 60)
    corpora = ["a"] * 120 + ["b"] * 120
    centers = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]])
    vectors = centers[targets] + 0.5 * generator.standard_normal((240, 2))
    vectors[120:, 1] += 2.0  # the room of corpus b sounds like class 2
    found = possible_classes(corpora, targets, num_classes=3)
    possible = np.stack([found[corpus] for corpus in corpora])
    assert {name: classes.tolist() for name, classes in found.items()} == {"a": [True] * 3, "b": [True, True, False]}
    weights = balance(corpora, targets)
    masked = Problem(vectors, targets, num_classes=3, weights=weights, possible=possible).solve(1.0)
    plain = Problem(vectors, targets, num_classes=3, weights=weights).solve(1.0)
    assert masked.weight[2, 1] > plain.weight[2, 1] + 1.0
    # and b says nothing of class 2 at all: without b's share in it, the slope of J there is that of a alone
    slopes = Problem(vectors, targets, num_classes=3, weights=weights, possible=possible)
    _, gradient = slopes.value(np.zeros(9), 1.0)
    alone = (weights[:120, None] * (1 / 3 - (targets[:120] == 2)[:, None]) * vectors[:120]).sum(axis=0) / 240
    np.testing.assert_allclose(gradient[:6].reshape(3, 2)[2], alone)


def test_single_precision_gives_about_the_same_scores() -> None:
    vectors, targets, weights = made(600, 40)
    for strength in (0.001, 0.1, 1.0):
        double, single = (
            Problem(vectors, targets, num_classes=4, weights=weights, precision=p).solve(strength).logits(vectors)
            for p in ("float64", "float32")
        )
        assert np.abs(double - single).max() < 0.01 * np.abs(double).max()


def test_single_precision_converges_on_a_few_wide_vectors() -> None:
    """The penalty of a few clips is steep: with this seed, rounding ends the search while the gradient looks large."""
    generator = np.random.default_rng(39)
    vectors = generator.standard_normal((20, 3072))
    vectors += 2 * generator.standard_normal((1, 3072)) * generator.standard_normal((20, 1))
    vectors = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    double, single = (
        Problem(vectors, np.arange(20) % 5, num_classes=5, precision=p).solve(1e-3).logits(vectors)
        for p in ("float64", "float32")
    )
    assert np.abs(double - single).max() < 0.01 * np.abs(double).max()


def test_where_it_starts_and_what_a_weight_of_two_means_do_not_matter() -> None:
    vectors, targets, weights = made(120)
    problem = Problem(vectors, targets, num_classes=4, weights=weights)
    by_path = dict(problem.path([0.3, 0.01, 0.1]))
    assert list(by_path) == [0.01, 0.1, 0.3]
    for strength, linear in by_path.items():
        np.testing.assert_allclose(linear.weight, problem.solve(strength).weight, atol=1e-5)
    twice = np.repeat(np.arange(120), 1 + (targets == 1))
    doubled = Problem(vectors[twice], targets[twice], num_classes=4).solve(0.1)
    # scikit-learn's C multiplies a sum: more clips of weight 1 are a larger sum, which mean weights of 1 take out
    weighed = Problem(vectors, targets, num_classes=4, weights=1.0 + (targets == 1)).solve(0.1 * len(twice) / 120)
    np.testing.assert_allclose(weighed.weight, doubled.weight, atol=1e-5)


def test_every_corpus_and_every_emotion_in_it_counts_alike() -> None:
    generator = np.random.default_rng(0)
    corpora = np.array(["a"] * 50 + ["b"] * 500 + ["c"] * 7)
    targets = generator.integers(0, 4, 557)
    targets[550:] = [1, 1, 1, 1, 1, 2, 2]
    weights = balance(corpora.tolist(), targets)
    assert weights.mean() == pytest.approx(1.0)
    sums = {name: weights[corpora == name].sum() for name in "abc"}
    assert sums["a"] == pytest.approx(sums["b"]) == pytest.approx(sums["c"])
    for name in "abc":
        own = corpora == name
        by_class = [weights[own & (targets == k)].sum() for k in np.unique(targets[own])]
        assert by_class == pytest.approx([by_class[0]] * len(by_class))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 5}, "no clip of class 4"),
        ({"weights": np.ones(3)}, r"weights \(3,\)"),
        ({"weights": np.full(240, np.nan)}, "NaN, infinite or negative"),
        ({"possible": np.zeros((240, 4), dtype=bool)}, "not among those possible"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change: dict[str, object], message: str) -> None:
    vectors, targets, _ = made()
    with pytest.raises(ValueError, match=message):
        Problem(vectors, targets, **{"num_classes": 4, **change})
    with pytest.raises(ValueError, match="strength 0; expected a number above 0"):
        Problem(vectors, targets, num_classes=4).solve(0)


def test_logits_are_of_any_vectors() -> None:
    linear = Linear(np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0.5, 0.0]))
    np.testing.assert_allclose(linear.logits(np.array([[1.0, 1.0]], dtype=np.float32)), [[3.5, -1.0]])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_emphasis_raises_the_spread_of_each_principal_direction_and_keeps_the_whole(power: float) -> None:
    generator = np.random.default_rng(0)
    spreads = np.array([9.0, 4.0, 2.0, 1.0, 0.5])
    vectors = (generator.standard_normal((4000, 5)) * spreads) @ np.linalg.qr(generator.standard_normal((5, 5)))[0]
    weights = generator.uniform(0.5, 2.0, 4000)
    found = Emphasis(vectors, weights, power).apply(vectors)

    def deviations(rows: np.ndarray) -> np.ndarray:
        return np.sqrt(np.linalg.eigvalsh(rows.T @ (weights[:, None] / weights.sum() * rows))[::-1])

    before, after = deviations(vectors), deviations(found)
    np.testing.assert_allclose(after / after[0], (before / before[0]) ** (1 + power), rtol=1e-3)
    assert np.square(after).sum() == pytest.approx(np.square(before).sum(), rel=1e-4)


def test_a_head_of_stretched_vectors_is_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Emphasis, "DIRECTIONS", 3)
    vectors, targets, weights = made()
    emphasis = Emphasis(vectors, weights, 0.5)
    stretched = emphasis.apply(vectors)
    head = Problem(stretched, targets, num_classes=4, weights=weights).solve(0.1)
    np.testing.assert_allclose(emphasis.undo(head).logits(vectors), head.logits(stretched), atol=1e-8)
    plain = Problem(vectors, targets, num_classes=4, weights=weights).solve(0.1)
    assert np.abs(emphasis.undo(head).weight - plain.weight).max() > 1e-3
