"""Intervals, tests and spreads: by hand, against scipy, statsmodels and scikit-learn, and by simulation."""

import itertools
import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss, recall_score
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_witness
from statsmodels.stats.multitest import multipletests

from serotone.errors import MetricError
from serotone.metrics import expected_calibration_error
from serotone.statistics import (
    TOO_FEW_SPEAKERS,
    Answers,
    brier,
    compare,
    holm,
    interval,
    pooled_interval,
    reliability,
    simulated_coverage,
    speaker_interval,
    speaker_scores,
    spread,
)
from serotone.statistics.answers import Tally, score, scores_by_speaker, tally
from serotone.statistics.comparison import effect_size, sign_flip_p
from serotone.statistics.intervals import _standard_errors, mean_interval, pooled_bounds

METHODS = ("percentile", "studentised", "jackknife")


def answers(rows, num_classes=3):
    """Rows (speaker, utterance, truth, prediction) or (..., run)."""
    speaker, utterance, truth, prediction, run = zip(*[(*row, 0)[:5] for row in rows])
    return Answers(*map(np.array, (truth, prediction, speaker, utterance, run)), num_classes)


# ann has no class 2: WA 3/4, UA (1/2 + 2/2) / 2; bob: WA 1/3, UA (0 + 1/2) / 2; cy: WA 1
BY_HAND = answers(
    [
        ("ann", "a1", 0, 0),
        ("ann", "a2", 0, 1),
        ("ann", "a3", 1, 1),
        ("ann", "a4", 1, 1),
        ("bob", "b1", 0, 2),
        ("bob", "b2", 2, 2),
        ("bob", "b3", 2, 0),
        ("cy", "c1", 1, 1),
    ]
)


def drawn(generator, speakers, *, runs=1, classes=4, mean=1.0, effects=None):
    """Answers with a speaker effect on the log-odds, 4 to 40 utterances a speaker; utterances as in any other draw."""
    sizes = np.random.default_rng(speakers).integers(4, 40, speakers)
    speaker = np.repeat(np.arange(speakers), sizes)
    truth = np.random.default_rng(speakers + 1).integers(0, classes, len(speaker))
    effects = generator.standard_normal(speakers) if effects is None else effects
    parts = []
    for run in range(runs):
        right = generator.random(len(speaker)) < 1 / (1 + np.exp(-mean - effects[speaker]))
        parts.append((np.where(right, truth, (truth + 1) % classes), np.full(len(speaker), run)))
    prediction, run = (np.concatenate(each) for each in zip(*parts))
    names = np.array([f"s{s:02d}" for s in speaker])
    utterance = np.array([f"u{k}" for k in range(len(speaker))])
    stacked = (np.tile(each, runs) for each in (names, utterance))
    return Answers(np.tile(truth, runs), prediction, *stacked, run, classes)


def only(given, rows):
    """These rows of answers."""
    names = ("truth", "prediction", "speaker", "utterance", "run")
    return Answers(*(getattr(given, name)[rows] for name in names), given.num_classes)


# Scores


def test_scores_of_speakers_by_hand():
    assert speaker_scores(BY_HAND, "wa") == {"ann": 3 / 4, "bob": pytest.approx(1 / 3), "cy": 1.0}
    assert speaker_scores(BY_HAND, "ua") == {"ann": 3 / 4, "bob": 1 / 4, "cy": 1.0}


def test_ua_of_a_speaker_is_scikit_learns_over_the_classes_of_that_speaker():
    given = drawn(np.random.default_rng(1), 8, classes=7)
    for speaker, found in speaker_scores(given, "ua").items():
        truth, prediction = given.truth[given.speaker == speaker], given.prediction[given.speaker == speaker]
        witness = recall_score(truth, prediction, labels=np.unique(truth), average="macro")
        assert found == pytest.approx(witness, abs=1e-12)


def test_a_speakers_score_is_the_mean_over_the_runs_that_hold_the_speaker():
    given = answers([("ann", "a", 0, 0, 3), ("bob", "b", 0, 1, 3), ("ann", "a", 0, 1, 7)], 2)
    assert speaker_scores(given, "wa") == {"ann": 0.5, "bob": 0.0}


def test_the_pooled_estimate_by_hand_and_as_the_mean_over_runs():
    assert pooled_interval(BY_HAND, "wa").estimate == 5 / 8
    assert pooled_interval(BY_HAND, "ua").estimate == pytest.approx((1 / 3 + 3 / 3 + 1 / 2) / 3, abs=1e-12)
    given = drawn(np.random.default_rng(2), 5, runs=3)
    one_by_one = [pooled_interval(only(given, given.run == run), "ua").estimate for run in range(3)]
    assert len(set(one_by_one)) == 3
    assert pooled_interval(given, "ua").estimate == pytest.approx(np.mean(one_by_one), abs=1e-12)


# Intervals


@pytest.mark.parametrize("metric", ["wa", "ua"])
def test_the_speaker_interval_is_scipys_t_interval(metric):
    given = drawn(np.random.default_rng(3), 7)
    scores = list(speaker_scores(given, metric).values())
    found = speaker_interval(given, metric, level=0.9)
    low, high = stats.ttest_1samp(scores, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert (found.estimate, found.level, found.speakers) == (pytest.approx(np.mean(scores)), 0.9, 7)


def test_an_interval_stays_within_what_a_score_can_be():
    scores = np.array([1.0, 1.0, 0.7])
    assert mean_interval(scores, level=0.95, method="t").high == 1.0
    assert mean_interval(1 - scores, level=0.95, method="t").low == 0.0


def test_the_jackknife_by_hand():
    found = pooled_interval(BY_HAND, "wa", method="jackknife")
    without = np.array([2 / 4, 4 / 5, 4 / 7])  # ann, bob, cy left out
    error = math.sqrt(2 / 3 * ((without - without.mean()) ** 2).sum())
    reach = stats.t.ppf(0.975, 2) * error
    assert (found.low, found.high) == (0.0, 1.0)
    assert 5 / 8 + reach > 1
    found = pooled_interval(BY_HAND, "wa", method="jackknife", level=0.5)
    reach = stats.t.ppf(0.75, 2) * error
    assert (found.low, found.high) == pytest.approx((5 / 8 - reach, 5 / 8 + reach), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_speakers_of_one_size_and_class_are_plain_values(method):
    """Each speaker 50 utterances of one class: the pooled score is the mean of values, and scipy has its intervals."""
    hits = np.array([31.0, 44, 40, 25, 38, 42, 47, 29, 36, 33])
    counted = Tally(tuple("abcdefghij"), hits[None, :, None], np.full((1, 10, 1), 50.0))
    found = pooled_bounds(counted, "wa", method=method, resamples=20_000, seed=1)
    if method == "jackknife":  # the jackknife's standard error of a mean is the mean's
        witness = stats.ttest_1samp(hits / 50, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx(tuple(witness), abs=1e-12)
        return
    if method == "percentile":
        witness = stats.bootstrap(
            (hits / 50,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
        ).confidence_interval
    else:
        draws = np.random.default_rng(2).choice(hits / 50, (20_000, 10))
        t = (draws.mean(axis=1) - hits.mean() / 50) / stats.sem(draws, axis=1)
        error = stats.sem(hits / 50)
        witness = hits.mean() / 50 - error * np.quantile(t, [0.975, 0.025])
    assert (found.low, found.high) == pytest.approx(tuple(witness), abs=0.004)
    assert 0.08 < found.high - found.low < 0.25
    assert pooled_bounds(counted, "ua", method=method, resamples=20_000, seed=1) == found  # one class: UA is WA


def test_the_percentile_bootstrap_draws_speakers_with_all_their_utterances():
    """All resamples of three speakers, 27, listed by hand, are what 20,000 drawn ones come to."""
    counted = tally(BY_HAND)
    every = [
        float(score(counted.hits[0][list(who)].sum(axis=0), counted.totals[0][list(who)].sum(axis=0), "ua"))
        for who in itertools.product(range(3), repeat=3)
    ]
    for level in (0.3, 0.6):
        found = pooled_interval(BY_HAND, "ua", level=level, resamples=20_000)
        # 27 values, each in steps of 1/27: the wanted quantiles lie inside steps
        low, high = np.quantile(every, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_a_resample_that_lost_a_class_is_scored_over_those_left():
    rows = [("ann", f"a{k}", 0, 0) for k in range(4)] + [("bob", f"b{k}", 1, 0) for k in range(4)]
    found = pooled_interval(answers(rows, 2), "ua")
    assert (found.estimate, found.low, found.high) == (0.5, 0.0, 1.0)  # ann twice: 1; bob twice: 0
    # Within each class there is no spread to divide by: nothing is known, and that is what it says.
    found = pooled_interval(answers(rows, 2), "ua", method="studentised")
    assert (found.estimate, found.low, found.high) == (0.5, 0.0, 1.0)


def test_runs_of_a_speaker_are_drawn_together():
    """The same answers three times say no more about speakers than once."""
    once = drawn(np.random.default_rng(4), 9)
    names = ("truth", "prediction", "speaker", "utterance")
    thrice = Answers(*(np.tile(getattr(once, n), 3) for n in names), np.repeat([0, 1, 2], len(once.run)), 4)
    for method, metric in itertools.product(METHODS, ("wa", "ua")):
        a, b = (pooled_interval(each, metric, method=method) for each in (once, thrice))
        assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=1e-12)
    assert speaker_interval(thrice, "ua").high == pytest.approx(speaker_interval(once, "ua").high, abs=1e-12)


def test_the_linearised_standard_error_by_hand():
    """Of a mean, it is the mean's; of recalls 1/3, 1 and 1/2, from each speaker's pull."""
    hits = np.array([31.0, 44, 40, 25, 38])
    counted = Tally(tuple("abcde"), hits[None, :, None], np.full((1, 5, 1), 50.0))
    assert _standard_errors(counted, np.ones((1, 5)), "wa")[0] == pytest.approx(stats.sem(hits / 50), abs=1e-12)
    ann, bob = ((1 - 2 / 3) / 3 + 0) / 3, ((0 - 1 / 3) / 3 + (1 - 2 / 2) / 2) / 3  # cy, always right on class 1: 0
    error = math.sqrt(3 / 2 * (ann**2 + bob**2))
    once = tally(BY_HAND)
    twice = Tally(once.speakers, np.repeat(once.hits, 2, axis=0), np.repeat(once.totals, 2, axis=0))
    for counted in (once, twice):
        assert _standard_errors(counted, np.ones((1, 3)), "ua")[0] == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize("metric", ["wa", "ua"])
def test_with_many_speakers_every_method_comes_to_the_same(metric):
    given = drawn(np.random.default_rng(5), 200, runs=2)
    low, high = zip(*[(i.low, i.high) for i in (pooled_interval(given, metric, method=m) for m in METHODS)])
    assert max(low) - min(low) < 0.006
    assert max(high) - min(high) < 0.006
    assert 0.03 < high[0] - low[0] < 0.09


def test_same_seed_same_interval_other_seed_another():
    given = drawn(np.random.default_rng(6), 8)
    assert pooled_interval(given, "ua", seed=1) == pooled_interval(given, "ua", seed=1)
    assert pooled_interval(given, "ua", seed=1) != pooled_interval(given, "ua", seed=2)


def test_the_order_of_rows_says_nothing():
    given = drawn(np.random.default_rng(7), 16, runs=2)
    mixed = only(given, np.random.default_rng(0).permutation(len(given.truth)))
    assert interval(mixed, "ua") == interval(given, "ua")


def test_the_recommended_interval_goes_by_the_number_of_speakers():
    generator = np.random.default_rng(8)
    few, many = drawn(generator, 14), drawn(generator, 15)
    assert interval(few, "ua") == pooled_interval(few, "ua", method="jackknife")
    assert interval(many, "ua") == pooled_interval(many, "ua", method="studentised")
    assert "jackknife" in interval(few, "ua").method
    assert interval(many, "wa").method == "studentised bootstrap over speakers"


def test_one_speaker_has_no_interval():
    alone = only(BY_HAND, BY_HAND.speaker == "ann")
    assert interval(alone, "wa") is None
    assert speaker_interval(alone, "wa") is None
    assert all(pooled_interval(alone, "ua", method=method) is None for method in METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_score_without_spread_has_an_interval_without_width(method):
    right = replace(BY_HAND, prediction=BY_HAND.truth)
    found = pooled_interval(right, "ua", method=method)
    assert (found.estimate, found.low, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("speakers", [2, 3, 4])
def test_the_studentised_interval_of_very_few_speakers_is_finite(speakers):
    """Resamples of one speaker alone have no spread at all."""
    for seed in range(20):
        found = pooled_interval(drawn(np.random.default_rng(seed), speakers), "ua", method="studentised")
        assert 0 <= found.low <= found.estimate <= found.high <= 1


def simulated(speakers, corpora, *, seed):
    """Corpora of speakers with random effects: hits and totals (corpora, speakers, 3), and the two truths of UA."""
    generator = np.random.default_rng(seed)

    def population(*size):
        effect = generator.standard_normal((*size, 1)) * 0.7
        totals = generator.poisson([20, 8, 4], (*size, 3)) + np.array([1, 0, 0])
        return totals, 1 / (1 + np.exp(-effect - np.array([1.5, 0.0, 0.5])))

    totals, chance = population(200_000)
    pooled = ((totals * chance).sum(axis=0) / totals.sum(axis=0)).mean()
    of_speakers = score(totals * chance, totals.astype(float), "ua").mean()
    totals, chance = population(corpora, speakers)
    return generator.binomial(totals, chance).astype(float), totals.astype(float), pooled, of_speakers


@pytest.mark.parametrize("speakers", [4, 10, 20])
def test_simulated_coverage_is_near_95_percent_and_the_naive_interval_s_is_not(speakers):
    corpora = 400
    hits, totals, pooled, of_speakers = simulated(speakers, corpora, seed=speakers)
    names = tuple(map(str, range(speakers)))
    held = dict.fromkeys(("recommended", "percentile", "speakers", "naive"), 0)
    for h, n in zip(hits, totals):
        counted = Tally(names, h[None], n[None])
        method = "jackknife" if speakers < 15 else "studentised"
        made = {
            "recommended": pooled_bounds(counted, "ua", method=method, resamples=400),
            "percentile": pooled_bounds(counted, "ua", method="percentile", resamples=400),
            "speakers": mean_interval(scores_by_speaker(counted, "ua"), level=0.95, method="t"),
        }
        for name, found in made.items():
            held[name] += found.low <= (of_speakers if name == "speakers" else pooled) <= found.high
        recall, count = h.sum(axis=0) / n.sum(axis=0), n.sum(axis=0)
        held["naive"] += abs(recall.mean() - pooled) <= 1.96 * np.sqrt((recall * (1 - recall) / count).sum()) / 3
    coverage = {name: count / corpora for name, count in held.items()}  # 1 SE: .011
    assert 0.915 <= coverage["recommended"] <= 0.98
    assert 0.915 <= coverage["speakers"] <= 0.98
    assert coverage["naive"] < 0.85
    assert coverage["percentile"] < (0.84 if speakers == 4 else 0.96)


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


# Spread


def test_spread_by_hand():
    # folds' means 2, 4, 9, seeds' 4 and 6, which explain the whole table
    exact = spread([[1, 3], [3, 5], [8, 10]])
    assert exact.residual == pytest.approx(0, abs=1e-12)
    assert exact.between_folds == pytest.approx(math.sqrt(13), abs=1e-12)
    assert exact.between_seeds == pytest.approx(math.sqrt(2), abs=1e-12)
    # MS_residual 7 / 2; folds' means 2.5, 4.5, 11 have variance 19.75, seeds' 5 and 7 have 2
    rest = spread([[1, 4], [5, 4], [9, 13]])
    parts = (rest.between_folds**2, rest.between_seeds**2, rest.residual**2)
    assert parts == pytest.approx((19.75 - 3.5 / 2, 2 - 3.5 / 3, 3.5), abs=1e-12)
    # rows 1, 3 and columns 2, 2; residuals +-1, so MS_residual 4; MS_folds 4, MS_seeds 0: both components 0
    crossed = spread([[2, 0], [2, 4]])
    assert (crossed.between_folds, crossed.between_seeds, crossed.residual) == (0.0, 0.0, 2.0)
    assert crossed.within_fold == 2.0


def test_one_seed_or_one_fold_cannot_be_told_apart_from_the_rest():
    one_seed, one_fold = spread([[0.5], [0.7]]), spread([[0.5, 0.7]])
    deviation = pytest.approx(math.sqrt(0.02), abs=1e-12)
    assert (one_seed.between_folds, one_seed.between_seeds, one_seed.residual) == (deviation, None, None)
    assert (one_fold.between_folds, one_fold.between_seeds, one_fold.residual) == (None, deviation, None)
    assert (one_seed.within_fold, one_fold.within_fold) == (None, deviation)
    alone = spread([[0.5]])
    assert (alone.between_folds, alone.between_seeds, alone.residual) == (None, None, None)


def test_spread_finds_the_components_that_were_put_in():
    generator = np.random.default_rng(10)
    found = []
    for _ in range(400):
        table = 0.05 * generator.standard_normal((10, 1)) + 0.03 * generator.standard_normal((1, 8))
        made = spread(table + 0.02 * generator.standard_normal((10, 8)))
        found.append([made.between_folds**2, made.between_seeds**2, made.residual**2])
    assert np.mean(found, axis=0) == pytest.approx([0.05**2, 0.03**2, 0.02**2], rel=0.12)


def test_spread_refuses_what_is_no_full_table():
    with pytest.raises(MetricError, match="1 of 4 scores are missing"):
        spread([[0.5, math.nan], [0.5, 0.5]])
    for bad in ([0.5, 0.6], [[]]):
        with pytest.raises(MetricError, match="one row per fold"):
            spread(bad)


# Calibration


def probabilities(classes=4, count=500):
    generator = np.random.default_rng(11)
    return generator.dirichlet(np.full(classes, 0.7), count), generator.integers(0, classes, count)


@pytest.mark.parametrize("classes", [2, 4, 7])
def test_the_brier_score_is_scikit_learns(classes):
    rows, truth = probabilities(classes)
    witness = brier_score_loss(truth, rows, labels=range(classes), scale_by_half=False)
    assert brier(rows, truth) == pytest.approx(witness, abs=1e-12)


def test_the_brier_score_from_best_to_worst():
    assert brier(np.eye(3), [0, 1, 2]) == 0
    assert brier(np.eye(3), [1, 2, 0]) == 2
    assert brier([[0.5, 0.25, 0.25]], [0]) == 0.25 + 0.0625 + 0.0625


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_the_reliability_curve_adds_up_to_the_calibration_error(bins):
    rows, truth = probabilities()
    curve = reliability(rows, truth, bins)
    gap = np.nansum(curve.count * np.abs(curve.accuracy - curve.confidence)) / len(truth)
    assert gap == pytest.approx(expected_calibration_error(rows, truth.tolist(), labels=range(4), bins=bins), abs=1e-12)
    assert curve.count.sum() == len(truth)


def test_the_reliability_curve_by_hand():
    rows = [[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.6, 0.4, 0.0], [0.5, 0.25, 0.25]]
    curve = reliability(rows, [0, 0, 1, 0], bins=2)
    assert curve.count.tolist() == [1, 3]
    assert curve.confidence == pytest.approx([0.5, 2.2 / 3], abs=1e-12)
    assert curve.accuracy == pytest.approx([1.0, 2 / 3], abs=1e-12)
    assert np.isnan(reliability(rows, [0, 0, 1, 0], bins=4).confidence).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("rows", "truth", "message"),
    [
        ([[0.5, 0.5]], [0, 1], "one row per true class"),
        ([], [], "at least one row"),
        ([[0.5, 0.6]], [0], "sum to 1"),
        ([[1.5, -0.5]], [0], "negative"),
        ([[math.nan, 1.0]], [0], "NaN"),
        ([[0.5, 0.5]], [2], "0 to 1"),
        ([[0.5, 0.5]], [0.0], "integers"),
    ],
)
def test_what_is_no_distribution_is_refused(rows, truth, message):
    for function in (brier, reliability):
        with pytest.raises(MetricError, match=message):
            function(rows, truth)


def test_a_curve_has_at_least_one_bin():
    with pytest.raises(MetricError, match="0 bins"):
        reliability([[1.0, 0.0]], [0], bins=0)


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": np.array([0, 1])}, r"truth \(2,\)"),
        ({"truth": np.zeros(8)}, "truth of type float64; give integers"),
        ({"prediction": np.full(8, -1)}, "prediction from -1 to -1 among 3 classes; give 0 to 2"),
        ({"num_classes": 2}, "among 2 classes"),
        ({"speaker": np.array(["ann"] * 7 + [""])}, "without a speaker"),
        ({"utterance": np.arange(8)}, "without a utterance|without an utterance"),
        ({"utterance": np.array(["a1"] * 2 + list("bcdefg"))}, "utterance a1 stands 2 times in one run"),
        ({"utterance": np.array([*"abcdefg", "a"]), "run": np.array([0] * 7 + [1])}, "utterance a has two truths"),
    ],
)
def test_answers_that_do_not_fit_together_are_refused(change, message):
    with pytest.raises(MetricError, match=message):
        replace(BY_HAND, **change)


def test_no_answers_are_refused():
    with pytest.raises(MetricError, match="at least one row"):
        only(BY_HAND, slice(0, 0))


def test_an_utterance_of_two_speakers_is_refused():
    with pytest.raises(MetricError, match="utterance u has two speakers, ann and bob"):
        answers([("ann", "u", 0, 0, 0), ("bob", "u", 0, 0, 1)])


def test_unknown_metrics_methods_and_levels_are_refused():
    for call in (speaker_scores, interval, speaker_interval, lambda a, m: compare(a, a, m)):
        with pytest.raises(MetricError, match="metric 'f1'; choose 'wa' or 'ua'"):
            call(BY_HAND, "f1")
    for level in (0, 1, 95, math.nan):
        for call in (interval, speaker_interval, lambda a, m, level: compare(a, a, m, level=level)):
            with pytest.raises(MetricError, match="between 0 and 1"):
                call(BY_HAND, "wa", level=level)
    with pytest.raises(MetricError, match="choose one of percentile, studentised, jackknife"):
        pooled_interval(BY_HAND, "wa", method="bca")
    with pytest.raises(MetricError, match="5 resamples"):
        pooled_interval(BY_HAND, "wa", resamples=5)
    with pytest.raises(MetricError, match="5 resamples"):
        sign_flip_p(np.ones(50), resamples=5)


def test_the_shipped_coverage_is_that_of_the_benchmark():
    root = Path(__file__).parent.parent
    kept = json.loads((root / "results" / "benchmarks" / "interval_coverage.json").read_text())
    for metric in ("wa", "ua"):
        for speakers in (4, 10, 20, 24):
            shares = [
                row["coverage"]
                for row in kept["rows"]
                if (row["metric"], row["speakers"], row["method"]) == (metric, speakers, "recommended")
            ]
            assert simulated_coverage(metric, speakers) == (min(shares), max(shares), speakers)
    assert simulated_coverage("wa", 3)[2] == 4
    assert simulated_coverage("wa", 1000)[2] == 24
