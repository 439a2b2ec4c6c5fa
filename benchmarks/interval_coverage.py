"""How often a 95 % interval holds the true score, by simulation: serotone's methods beside the naive binomial interval.

    python benchmarks/interval_coverage.py [--corpora 1000] [--resamples 1000] [--speakers 4 ...] [--out F]

Corpora are drawn the size of EmoDB: per speaker about 53 utterances of seven unequally frequent classes, unequally many
per speaker, one speaker in five without disgust. The chance to be right has a log-odds of level + class + speaker +
speaker in class, the last two normal with SD 0.5; speakers who say more are understood a little better, so that the
pooled score and the mean of speaker scores are two truths. Both are taken from a population of 400,000 speakers, and
each interval is asked for its own. Two levels: a WA of about 70 and of about 89 %. Beside the coverage: the mean width
in points. Coverage has a simulation error (1 SE) of 0.7 points at 1000 corpora.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, get_args

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # read when numpy is first imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import stats  # noqa: E402

from machine import machine  # noqa: E402
from serotone.statistics import Interval, Metric  # noqa: E402
from serotone.statistics.answers import Tally, score, scores_by_speaker  # noqa: E402
from serotone.statistics.intervals import (  # noqa: E402
    STUDENTISED_FROM,
    Method,
    mean_interval,
    pooled_bounds,
)

CLASSES = {  # name: utterances in EmoDB, log-odds added to the level
    "angry": (127, 1.0),
    "bored": (81, 0.2),
    "disgusted": (46, -0.3),
    "fearful": (69, 0.0),
    "happy": (71, -0.6),
    "sad": (62, 1.2),
    "neutral": (79, 0.3),
}
LEVELS = {"about 70 %": 0.6, "about 89 %": 2.0}
UTTERANCES, WITHOUT_DISGUST, SD = 53.5, 0.2, 0.5
SIZE_SD, SIZE_AND_SPEAKER = 0.25, 0.3  # of the log of a speaker's utterances; its correlation with the speaker's effect
POPULATION = 400_000
POOLED = ("naive binomial", *get_args(Method), "recommended")

Array = NDArray[np.float64]


def main() -> int:
    """Simulate, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=int, default=1000, help="simulated corpora per level and number of speakers")
    parser.add_argument("--resamples", type=int, default=1000, help="of a bootstrap")
    parser.add_argument("--speakers", type=int, nargs="+", default=[4, 6, 10, 15, 20, 24])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument(
        "--package", type=Path, help="and here what reports print: src/serotone/statistics/coverage.json"
    )
    arguments = parser.parse_args()

    start = time.perf_counter()
    generator = np.random.default_rng(arguments.seed)
    rows = []
    for level, log_odds in LEVELS.items():
        truths = true_scores(*draw(generator, POPULATION, log_odds))
        print("\nlevel " + level + ": " + ", ".join(f"{name} {100 * truth:.1f}" for name, truth in truths.items()))
        print(f"{'coverage, % (mean width, points)':32}" + "".join(f"{n:>7} spk" for n in arguments.speakers))
        found = [
            simulate(generator, count, log_odds, truths, arguments.corpora, arguments.resamples)
            for count in arguments.speakers
        ]
        for metric, method in found[0]:
            cells = [each[metric, method] for each in found]
            print(f"{metric.upper()}  {method:28}" + "".join(f"{100 * c:6.1f}({100 * w:3.0f})" for c, w in cells))
            for count, (coverage, width) in zip(arguments.speakers, cells, strict=True):
                where = {"level": level, "speakers": count, "metric": metric, "method": method}
                rows.append(where | {"coverage": coverage, "mean_width": width})
    seconds = time.perf_counter() - start
    print(f"\nrecommended: jackknife below {STUDENTISED_FROM} speakers, then studentised; {seconds:.0f} s")

    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "python": platform.python_version(),
            "corpora": arguments.corpora,
            "resamples": arguments.resamples,
            "seed": arguments.seed,
            "nominal": 0.95,
            "studentised_from_speakers": STUDENTISED_FROM,
            "seconds": seconds,
            "rows": rows,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if arguments.package:
        arguments.package.write_text(json.dumps(shipped(figures), indent=2) + "\n", encoding="utf-8")
    return 0


def shipped(figures: dict[str, Any]) -> dict[str, Any]:
    """What a report prints: of `interval`, by metric and number of speakers, the coverages at the levels simulated."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in figures["rows"]:
        if row["method"] == "recommended":
            found.setdefault(row["metric"], {}).setdefault(str(row["speakers"]), []).append(row["coverage"])
    return {"corpora": figures["corpora"], "nominal": figures["nominal"], "coverage": found}


def draw(generator: np.random.Generator, speakers: int, level: float) -> tuple[Array, Array]:
    """Utterances and chances to be right, both (S, C), of speakers."""
    counts, difficulty = np.array(list(CLASSES.values())).T
    talkative = generator.standard_normal(speakers)
    own = np.sqrt(1 - SIZE_AND_SPEAKER**2) * generator.standard_normal(speakers)
    effect = SD * (SIZE_AND_SPEAKER * talkative + own)
    size = UTTERANCES * np.exp(SIZE_SD * talkative - SIZE_SD**2 / 2)
    uneven = generator.gamma(4, 1 / 4, (speakers, len(CLASSES)))
    totals = generator.poisson(size[:, None] * counts / counts.sum() * uneven).astype(float)
    totals[generator.random(speakers) < WITHOUT_DISGUST, list(CLASSES).index("disgusted")] = 0
    in_class = SD * generator.standard_normal((speakers, len(CLASSES)))
    return totals, 1 / (1 + np.exp(-(level + difficulty + effect[:, None] + in_class)))


def true_scores(totals: Array, chance: Array) -> dict[str, float]:
    """The four truths of a population: pooled, and mean of speaker scores; expected over what chance decides."""
    right = totals * chance
    truths = {}
    for metric in get_args(Metric):
        truths[f"{metric} pooled"] = float(score(right.sum(axis=0), totals.sum(axis=0), metric))
        truths[f"{metric} of speakers"] = float(np.mean(score(right, totals, metric)))
    return truths


def simulate(
    generator: np.random.Generator, speakers: int, level: float, truths: dict[str, float], corpora: int, resamples: int
) -> dict[tuple[Metric, str], tuple[float, float]]:
    """Coverage and mean width of every method, by metric."""
    found: dict[tuple[Metric, str], list[tuple[bool, float]]] = {}
    for _ in range(corpora):
        totals, chance = draw(generator, speakers, level)
        hits = generator.binomial(totals.astype(int), chance).astype(float)
        counted = Tally(tuple(map(str, range(speakers))), hits[None], totals[None])
        seed = int(generator.integers(2**32))
        for metric in get_args(Metric):
            made: dict[str, Any] = {"naive binomial": naive(hits.sum(axis=0), totals.sum(axis=0), metric)}
            for method in get_args(Method):
                made[method] = pooled_bounds(counted, metric, method=method, resamples=resamples, seed=seed)
            made["recommended"] = made["jackknife" if speakers < STUDENTISED_FROM else "studentised"]
            made["t on speaker scores"] = mean_interval(scores_by_speaker(counted, metric), level=0.95, method="t")
            for method, interval in made.items():
                truth = truths[f"{metric} {'pooled' if method in POOLED else 'of speakers'}"]
                holds = interval.low <= truth <= interval.high
                found.setdefault((metric, method), []).append((holds, interval.high - interval.low))
    order = sorted(found, key=lambda key: get_args(Metric).index(key[0]))
    return {
        key: (float(np.mean([h for h, _ in found[key]])), float(np.mean([w for _, w in found[key]]))) for key in order
    }


def naive(hits: Array, totals: Array, metric: Metric) -> Interval:
    """As if utterances were independent: normal, from the binomial variance of WA or of each class's recall."""
    if metric == "wa":
        hits, totals = hits.sum(keepdims=True), totals.sum(keepdims=True)
    hits, totals = hits[totals > 0], totals[totals > 0]
    recalls = hits / totals
    reach = stats.norm.ppf(0.975) * np.sqrt((recalls * (1 - recalls) / totals).sum()) / len(recalls)
    mean = float(recalls.mean())
    return Interval(mean, max(0.0, mean - reach), min(1.0, mean + reach), 0.95, "naive binomial", 0)


if __name__ == "__main__":
    sys.exit(main())
