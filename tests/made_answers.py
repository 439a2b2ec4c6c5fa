"""Answers of speakers, written down and drawn, for the tests of statistics."""

import numpy as np

from serotone.statistics import Answers

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
