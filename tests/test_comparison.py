"""Paired comparison, effect size and Holm: by hand, against scipy and statsmodels, and under the null."""

import itertools
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_witness
from statsmodels.stats.multitest import multipletests

from made_answers import answers, drawn, only
from serotone.errors import MetricError
from serotone.statistics import (
    TOO_FEW_SPEAKERS,
    compare,
    holm,
    speaker_scores,
)
from serotone.statistics.comparison import effect_size, sign_flip_p

# Comparison


def pair(seed, speakers=10, *, runs=1, better=0.4):
    generator = np.random.default_rng(seed)
    effects = generator.standard_normal(speakers)
    a = drawn(generator, speakers, runs=runs, effects=effects + better)
    return a, drawn(generator, speakers, runs=runs, effects=effects)


@pytest.mark.parametrize("metric", ["wa", "ua"])
def test_a_comparison_against_scipy_and_statsmodels(metric):
    a, b = pair(1)
    found = compare(a, b, metric)
    scores = [list(speaker_scores(each, metric).values()) for each in (a, b)]
    differences = np.subtract(*scores)
    t = stats.ttest_rel(*scores)
    low, high = t.confidence_interval(0.95)
    assert found.difference.estimate == pytest.approx(differences.mean(), abs=1e-12)
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high), abs=1e-12)
    permuted = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p == pytest.approx(permuted.pvalue, abs=1e-12)
    assert found.exact
    assert found.effect == pytest.approx(t.statistic / math.sqrt(10), abs=1e-12)
    right_a, right_b = a.prediction == a.truth, b.prediction == b.truth
    table = [[(right_a & right_b).sum(), (right_a & ~right_b).sum()], [(~right_a & right_b).sum(), 0]]
    assert (found.mcnemar.only_a, found.mcnemar.only_b) == (table[0][1], table[1][0])
    assert found.mcnemar.p == pytest.approx(mcnemar_witness(table, exact=True).pvalue, abs=1e-12)
    assert (found.speakers, found.remark) == (10, "")


def test_a_comparison_the_other_way_round_has_the_signs_turned():
    a, b = pair(2)
    there, back = compare(a, b, "ua"), compare(b, a, "ua")
    assert back.difference.estimate == -there.difference.estimate
    assert (back.difference.low, back.difference.high) == pytest.approx(
        (-there.difference.high, -there.difference.low), abs=1e-12
    )
    assert back.p == there.p
    assert back.effect == -there.effect
    assert back.effect_interval == pytest.approx([-bound for bound in reversed(there.effect_interval)], abs=1e-9)


def test_a_system_against_itself():
    a, _ = pair(3)
    found = compare(a, a, "ua")
    assert (found.difference.estimate, found.difference.low, found.difference.high) == (0, 0, 0)
    assert (found.p, found.smallest_p, found.effect, found.effect_interval) == (1.0, 1.0, None, None)
    assert (found.mcnemar.only_a, found.mcnemar.only_b, found.mcnemar.p) == (0, 0, 1.0)


def test_equal_scores_summed_in_another_order_are_equal():
    """Recalls of .1, .2 and .3 against .3, .2 and .1: in floating point their means are not the same."""
    right = {"a": (1, 2, 3), "b": (3, 2, 1)}
    made = [
        answers(
            [(f"s{s}", f"{s}{c}{k}", c, c if k < right[name][c] else (c + 1) % 3)
             for s in range(6) for c in range(3) for k in range(10)]
        )
        for name in "ab"
    ]  # fmt: skip
    assert speaker_scores(made[0], "ua") != speaker_scores(made[1], "ua")
    found = compare(*made, "ua")
    assert (found.difference.estimate, found.p, found.smallest_p, found.effect) == (0.0, 1.0, 1.0, None)


@pytest.mark.parametrize("speakers", [1, 2, 5, 6])
def test_below_six_speakers_there_is_no_test(speakers):
    found = compare(*pair(4, speakers), "wa")
    tested = speakers >= 6
    assert (found.p is not None) == tested
    assert found.remark == ("" if tested else "too few speakers for a test")
    assert TOO_FEW_SPEAKERS == "too few speakers for a test"
    assert found.smallest_p == 2 ** (1 - speakers)
    assert (found.difference is None) == (found.effect is None) == (speakers == 1)


def test_a_difference_in_every_speaker_reaches_the_smallest_p():
    wrong = answers([(f"s{k}", f"u{k}{j}", 0, 1) for k in range(8) for j in range(3)], 2)
    some = wrong.prediction.copy()
    some[::3] = 0
    assert compare(replace(wrong, prediction=some), wrong, "wa").p == 2 / 2**8
    some[:6] = 1  # two speakers without any difference can be flipped for nothing
    found = compare(replace(wrong, prediction=some), wrong, "wa")
    assert found.p == found.smallest_p == 2 / 2**6


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_flips_counted_by_halves_are_flips_counted_one_by_one(values):
    differences = np.array(values) / 10  # tenths tie often, and not exactly so in floating point
    observed = abs(sum(values))
    every = [abs(sum(map(int.__mul__, values, signs))) for signs in itertools.product((1, -1), repeat=len(values))]
    assert sign_flip_p(differences) == sum(total >= observed for total in every) / len(every)


def test_forty_speakers_are_still_counted_exactly():
    differences = np.full(40, 0.1)
    assert sign_flip_p(differences) == 2 / 2**40
    differences[:15] = -0.1
    assert sign_flip_p(differences) == pytest.approx(stats.binomtest(15, 40).pvalue, rel=1e-12)


def test_more_speakers_are_drawn_and_the_observed_counted_with_them():
    differences = np.full(41, 0.1)
    assert sign_flip_p(differences, resamples=999) == 1 / 1000
    differences[:15] = -0.1
    assert sign_flip_p(differences, resamples=25_000) == pytest.approx(stats.binomtest(15, 41).pvalue, abs=0.01)
    found = compare(*pair(5, 45), "wa", resamples=999)
    assert not found.exact
    assert found.smallest_p == 1 / 1000


@pytest.mark.parametrize("speakers", [6, 10, 20])
def test_under_the_null_five_percent_are_rejected(speakers):
    """Two systems, equally good, on speakers who differ in size and ease."""
    generator = np.random.default_rng(speakers)
    sizes = generator.integers(30, 200, speakers)
    chance = 1 / (1 + np.exp(-1 - generator.standard_normal((2000, 1, speakers))))
    own = np.clip(chance + 0.08 * generator.standard_normal((2000, 2, speakers)), 0, 1)
    scores = generator.binomial(sizes, own) / sizes
    rejected = np.mean([sign_flip_p(d) <= 0.05 for d in scores[:, 0] - scores[:, 1]])
    # 6 speakers reach 2/64, which is 3.1 %, and then 4/64; 1 SE of 2,000 is half a point
    assert rejected == pytest.approx(2 / 64 if speakers == 6 else 0.05, abs=0.013)


def test_a_true_difference_is_found():
    found = compare(*pair(6, 24, better=1.5), "ua")
    assert found.p < 0.001
    assert found.difference.low > 0
    assert found.effect_interval[0] > 0


def test_mcnemar_with_several_runs_goes_by_the_share_of_runs():
    rows = {"a": [(0, 0, 1), (0, 0, 0), (0, 1, 1), (1, 1, 1)], "b": [(0, 1, 1), (0, 0, 0), (1, 1, 0), (0, 1, 1)]}
    made = [
        answers([(f"s{u}", f"u{u}", 0, p, run) for u, each in enumerate(rows[k]) for run, p in enumerate(each)], 2)
        for k in "ab"
    ]
    # right in runs: u0 2:1, u1 3:3, u2 1:1, u3 0:1
    found = compare(*made, "wa").mcnemar
    assert (found.only_a, found.only_b, found.p) == (1, 1, 1.0)
    # b with two runs: u0 2:1, u1 2:2, u2 1:0, u3 0:1
    fewer = only(made[1], made[1].run < 2)
    found = compare(made[0], fewer, "wa")
    assert (found.mcnemar.only_a, found.mcnemar.only_b) == (2, 1)
    assert found.difference.estimate == pytest.approx(np.mean([2 / 3 - 1 / 2, 0, 1 / 3 - 0, 0 - 1 / 2]), abs=1e-12)


def test_runs_are_matched_in_order_whatever_their_numbers():
    a, b = pair(7, runs=2)
    assert compare(a, replace(b, run=b.run * 10 + 5), "ua") == compare(a, b, "ua")


def test_systems_that_did_not_answer_the_same_are_refused():
    a, b = pair(8, runs=2)
    with pytest.raises(MetricError, match=r"in their run 2 of 2: \d+ only the first, 0 only the second, such as u0"):
        compare(a, only(b, (b.run == 0) | (b.speaker != "s00")), "ua")
    with pytest.raises(MetricError, match="same utterances: 0 only the first, 1 only the second, such as u3;"):
        compare(only(a, (a.run == 0) & (a.utterance != "u3")), b, "ua")
    with pytest.raises(MetricError, match=r"utterance u0 has truth \d in one system and \d in the other"):
        compare(a, replace(b, truth=(b.truth + 1) % 4), "ua")
    with pytest.raises(MetricError, match="u0 has speaker s00 in one system and s00x in the other"):
        compare(a, replace(b, speaker=np.char.add(b.speaker, "x")), "ua")
    with pytest.raises(MetricError, match="4 and 5 classes"):
        compare(a, replace(b, num_classes=5), "ua")


# Effect size


@pytest.mark.parametrize("speakers", [4, 10, 24])
@pytest.mark.parametrize("t", [-2.5, 0.0, 1.0, 4.0])
def test_the_effects_interval_is_the_noncentral_t_distributions(speakers, t):
    differences = np.resize([1.0, -1.0], speakers)
    differences = differences / differences.std(ddof=1) + t / math.sqrt(speakers)
    effect, bounds = effect_size(differences, level=0.9)
    assert effect == pytest.approx(t / math.sqrt(speakers), abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy's own, on the way
        tails = [stats.nct.cdf(t, speakers - 1, bound * math.sqrt(speakers)) for bound in bounds]
    assert tails == pytest.approx([0.95, 0.05], abs=1e-4)


def test_the_effects_interval_covers():
    generator = np.random.default_rng(9)
    held = [low <= 0.6 <= high for _, (low, high) in (effect_size(generator.normal(0.6, 1, 8)) for _ in range(500))]
    assert 0.925 <= np.mean(held) <= 0.975


@pytest.mark.parametrize("t", [1e3, -1e5])
def test_the_effects_interval_of_nearly_equal_differences(t):
    """There scipy's noncentral t is NaN; the interval is then t chi / sqrt(nu)."""
    differences = np.resize([1.0, -1.0], 10)
    _, bounds = effect_size(differences / differences.std(ddof=1) + t / math.sqrt(10))
    edges = sorted(t * np.sqrt(stats.chi2.ppf([0.025, 0.975], 9) / 90))
    assert bounds == pytest.approx(edges, rel=1e-3)


# Holm


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_holm_is_statsmodels(count):
    ps = (np.random.default_rng(count).random(count) ** 3).round(2).tolist()
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1].tolist(), abs=1e-12)


def test_holm_by_hand_and_without_the_tests_not_made():
    assert holm([0.01, 0.04, 0.03, 0.005]) == [0.03, 0.06, 0.06, 0.02]
    assert holm([None, 0.04, None, 0.01]) == [None, 0.04, None, 0.02]
    assert holm([None]) == [None]
    assert holm([]) == []
    for bad in (1.2, -0.1, math.nan):
        with pytest.raises(MetricError, match="p values"):
            holm([0.5, bad])
