"""Scores and their intervals: by hand, against scipy and scikit-learn, and by simulation."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import recall_score

from made_answers import BY_HAND, METHODS, answers, drawn, only
from serotone.errors import MetricError
from serotone.statistics import (
    Answers,
    compare,
    interval,
    pooled_interval,
    simulated_coverage,
    speaker_interval,
    speaker_scores,
)
from serotone.statistics.answers import Tally, score, scores_by_speaker, tally
from serotone.statistics.comparison import sign_flip_p
from serotone.statistics.intervals import _standard_errors, mean_interval, pooled_bounds

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


def test_the_standard_error_of_wa_takes_all_classes_as_one():
    ann, bob, cy = 3 - 4 * 5 / 8, 1 - 3 * 5 / 8, 1 - 5 / 8  # hits beyond those at 5/8, of eight utterances
    error = math.sqrt(3 / 2 * (ann**2 + bob**2 + cy**2)) / 8
    assert _standard_errors(tally(BY_HAND), np.ones((1, 3)), "wa")[0] == pytest.approx(error, abs=1e-12)


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
        ({"utterance": np.array(["a1"] * 2 + list("bcdefg"))}, "utterance a1 appears 2 times in one run"),
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


def test_speakers_count_alike_in_a_difference_and_utterances_in_the_pooled_one():
    """Ann, with one utterance, is lost by a, which is right on five more of Bob's twelve."""
    truth, speakers = [0] + [0, 1] * 6, ["ann"] + ["bob"] * 12
    a, b = [1, *truth[1:]], [0, *(1 - t for t in truth[1:6]), *truth[6:]]
    rows = {"truth": truth, "speaker": speakers, "utterance": list(map(str, range(13))), "run": [0] * 13}
    found = compare(Answers(prediction=a, num_classes=2, **rows), Answers(prediction=b, num_classes=2, **rows), "wa")
    assert found.difference.estimate == pytest.approx((-1 + 5 / 12) / 2)
    assert found.pooled == pytest.approx(4 / 13)
