"""Rows: an utterance, its truth, and what was answered; and the scores of any rows, wherever they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serotone.evaluation.terms import Terms
from serotone.metrics import summary

NO_ANSWER = "(no answer)"
"""Stands in a confusion matrix for an utterance that got no label: no emotion is called so."""


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance and its answer.

    ``truth`` is its emotion after merges. ``probabilities`` are those of the bundle's own labels, or None where there
    is no answer: ``failure`` says why then, and ``unreadable`` whether the recording could not be heard at all.
    ``certain`` is False for an answer that the bundle marked uncertain, None without an answer or where nobody asked.
    ``answer`` is the label that the bundle gave freely, and ``prediction`` the most probable of the emotions that
    bundle and corpus share; both after merges, None without an answer. ``speaker`` is None where nobody knows.
    """

    id: str
    corpus: str
    speaker: str | None
    truth: str
    probabilities: Mapping[str, float] | None
    failure: str | None
    unreadable: bool
    answer: str | None
    prediction: str | None
    certain: bool | None = None


def make_row(
    terms: Terms,
    *,
    id: str,
    corpus: str,
    speaker: str | None,
    emotion: str,
    probabilities: Mapping[str, float] | None,
    certain: bool | None = None,
    failure: str | None = None,
    unreadable: bool = False,
) -> Row:
    """The row of an utterance with this ``emotion``, whose ``probabilities`` came about in whatever way."""
    answer = prediction = None
    if probabilities is not None:
        named = terms.merged(probabilities)
        answer = terms.name(max(probabilities, key=lambda label: probabilities[label]))
        prediction = max(terms.shared[corpus], key=lambda label: named[label])
    truth = terms.name(emotion)
    return Row(id, corpus, speaker, truth, probabilities, failure, unreadable, answer, prediction, certain)


def certainty(rows: Sequence[Row]) -> dict[str, Any]:
    """Certain answers against uncertain ones: are the former right more often?

    ``no_answer`` counts the rows without an answer. ``certain`` and ``uncertain`` each have ``clips``, their ``share``
    of the rows with an answer, and how many of them are right: ``restricted`` among the emotions that bundle and corpus
    share, ``unrestricted`` as freely answered; shares in [0, 1], None of no clips.
    """
    told = [row for row in rows if row.certain is not None]
    found: dict[str, Any] = {"no_answer": sum(row.failure is not None for row in rows)}
    for name, certain in (("certain", True), ("uncertain", False)):
        group = [row for row in told if row.certain is certain]
        found[name] = {
            "clips": len(group),
            "share": _share([row.certain is certain for row in told]),
            "restricted": _share([row.prediction == row.truth for row in group]),
            "unrestricted": _share([row.answer == row.truth for row in group]),
        }
    return found


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def restricted_scores(rows: Sequence[Row], terms: Terms) -> dict[str, Any]:
    """Scores of the answers among the emotions that bundle and corpus share.

    What `serotone.metrics.summary` gives, over the classes that are scored on these rows' corpora, and: ``chance``, the
    UA in [0, 1] expected of drawing each answer from the emotions scored on its corpus, all alike; ``no_answer``, the
    rows of each class without an answer. They are errors of their class: they count in ``utterances`` and ``counts``
    and stand in no column of ``confusion``.
    """
    labels = tuple(c for c in terms.scored if any(c in terms.shared[corpus] for corpus in {row.corpus for row in rows}))
    choices = {corpus: len(shared) for corpus, shared in terms.shared.items()}
    return _scores(rows, [row.prediction for row in rows], labels, [1 / choices[row.corpus] for row in rows])


def unrestricted_scores(rows: Sequence[Row], terms: Terms) -> dict[str, Any]:
    """The same of the free answers, which may be any class of the bundle: what ``serotone predict`` prints."""
    return _scores(rows, [row.answer for row in rows], terms.classes, [1 / len(terms.classes)] * len(rows))


def _scores(
    rows: Sequence[Row], answers: Sequence[str | None], labels: Sequence[str], chances: Sequence[float]
) -> dict[str, Any]:
    truth = [row.truth for row in rows]
    raw = summary(truth, [answer or NO_ANSWER for answer in answers], labels=(*labels, NO_ANSWER))
    by_class: dict[str, list[float]] = {}
    for label, chance in zip(truth, chances, strict=True):
        by_class.setdefault(label, []).append(chance)
    means = [sum(values) / len(values) for values in by_class.values()]
    return {
        **raw,
        "labels": list(labels),
        "recall": {label: raw["recall"][label] for label in labels},
        "counts": {label: raw["counts"][label] for label in labels},
        "absent": [label for label in raw["absent"] if label != NO_ANSWER],
        "confusion": [counts[:-1] for counts in raw["confusion"][:-1]],
        "no_answer": {label: counts[-1] for label, counts in zip(labels, raw["confusion"])},
        "chance": sum(means) / len(means),
    }
