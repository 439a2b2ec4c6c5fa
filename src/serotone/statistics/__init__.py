"""Answers on disk -> how sure one may be of a score, a difference, a probability. With numpy and scipy.

Utterances of one speaker are not independent: a system that gets one of them wrong often gets others wrong, too. So
intervals and tests take the speaker as the unit, and say so in their names; only `McNemar` counts utterances. No
statistic here sees the training: folds share most of their training data, so their scores depend on each other. Runs
with several seeds show part of that (`spread`).

`benchmarks/interval_coverage.py` prints how often each interval holds the true score.
"""

from serotone.statistics.answers import Answers, Metric, speaker_scores, tally
from serotone.statistics.calibration import Reliability, brier, reliability
from serotone.statistics.comparison import TOO_FEW_SPEAKERS, Comparison, McNemar, compare, holm
from serotone.statistics.coverage import fewest_simulated, simulated_coverage
from serotone.statistics.intervals import Interval, interval, pooled_interval, pooled_score, speaker_interval
from serotone.statistics.spread import Spread, spread
from serotone.statistics.vectors import class_spread, principal_axes

__all__ = [
    "Answers",
    "Comparison",
    "Interval",
    "McNemar",
    "Metric",
    "Reliability",
    "Spread",
    "TOO_FEW_SPEAKERS",
    "brier",
    "class_spread",
    "compare",
    "fewest_simulated",
    "holm",
    "interval",
    "pooled_interval",
    "pooled_score",
    "principal_axes",
    "reliability",
    "simulated_coverage",
    "speaker_interval",
    "speaker_scores",
    "spread",
    "tally",
]
