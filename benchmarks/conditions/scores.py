"""Answers to clips, and what they add up to: plain JSON values, shares between 0 and 1."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conditions.clips import Clip
from serotone.emotions import in_order
from serotone.metrics import unweighted_accuracy

NO_LABEL = "no label"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a recogniser said of a clip.

    ``label`` is its answer, ``shared`` the most probable of the emotions that the clip's corpus has; both are None
    where it found no speech or could not read the clip, in which case ``error`` says why.
    """

    clip: Clip
    label: str | None
    shared: str | None
    confidence: float
    uncertain: bool
    error: str | None = None


def shared_labels(clips: Sequence[Clip]) -> dict[str, list[str]]:
    """Corpus -> the emotions that it shares with the bundle, in order; clips of other emotions are none of ours."""
    truths: defaultdict[str, set[str]] = defaultdict(set)
    for clip in clips:
        truths[clip.corpus].add(clip.truth)
    return {corpus: in_order(found) for corpus, found in sorted(truths.items())}


def ua_by_corpus(answers: Sequence[Answer], labels: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Corpus -> UA among the emotions shared with it; an answer without a label counts as wrong."""
    groups = by(answers, lambda answer: answer.clip.corpus)
    return {
        corpus: unweighted_accuracy(
            [answer.clip.truth for answer in group],
            [answer.shared or NO_LABEL for answer in group],
            labels=[*labels[corpus], NO_LABEL],
        )
        for corpus, group in groups.items()
    }


def ua(answers: Sequence[Answer], labels: Mapping[str, Sequence[str]]) -> float | None:
    """The mean of the corpora's UA; None where nothing was asked."""
    values = ua_by_corpus(answers, labels).values()
    return sum(values) / len(values) if values else None


def condition_scores(
    answers: Sequence[Answer], clean: Mapping[str, Answer], labels: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """What became of clips under a condition, against ``clean``, the answers to the same clips as recorded."""
    labelled = [answer for answer in answers if clean[answer.clip.id].label is not None]
    failed = [answer.error for answer in answers if answer.error is not None]
    return {
        "clips": len(answers),
        "ua": ua(answers, labels),
        "ua_clean": ua([clean[answer.clip.id] for answer in answers], labels),
        "same_label": share([answer.label == clean[answer.clip.id].label for answer in labelled]),
        "no_label": share([answer.label is None and answer.error is None for answer in answers]),
        "failed": len(failed),
        "first_error": failed[0] if failed else None,
        "ua_by_corpus": ua_by_corpus(answers, labels),
    }


def doubt(answers: Sequence[Answer]) -> dict[str, Any]:
    """Certain against uncertain answers: how many, and the share that is right."""
    scores: dict[str, Any] = {"no_label": sum(answer.label is None for answer in answers)}
    for name, uncertain in (("certain", False), ("uncertain", True)):
        group = [answer for answer in answers if answer.label is not None and answer.uncertain == uncertain]
        scores[name] = {
            "clips": len(group),
            "accuracy": share([answer.label == answer.clip.truth for answer in group]),
            "accuracy_shared": share([answer.shared == answer.clip.truth for answer in group]),
            "mean_confidence": mean([answer.confidence for answer in group]),
        }
    return scores


def groups(answers: Sequence[Answer], labels: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """UA of clean clips by gender, corpus and language; clips for which a corpus does not say are left out there."""
    traits: dict[str, Callable[[Clip], str | None]] = {
        "gender": lambda clip: clip.utterance.gender,
        "corpus": lambda clip: clip.corpus,
        "language": lambda clip: clip.language,
    }
    return {
        trait: {
            value: {
                "clips": len(group),
                "speakers": len({answer.clip.speaker for answer in group}),
                "corpora": sorted({answer.clip.corpus for answer in group}),
                "ua": ua(group, labels),
                "accuracy": share([answer.label == answer.clip.truth for answer in group]),
            }
            for value, group in by(answers, lambda answer, of=of: of(answer.clip)).items()
        }
        for trait, of in traits.items()
    }


def non_speech_scores(answers: Sequence[tuple[str, float, str | None, float, bool]]) -> dict[str, Any]:
    """From (kind, dBFS, label, confidence, uncertain): of each kind, how many got a label, which, how confidently."""
    scores = {}
    for kind in dict.fromkeys(answer[0] for answer in answers):
        group = [answer for answer in answers if answer[0] == kind]
        labelled = [answer for answer in group if answer[2] is not None]
        levels = dict.fromkeys(answer[1] for answer in group)
        scores[kind] = {
            "signals": len(group),
            "labelled": len(labelled) / len(group),
            "labelled_certain": sum(not answer[4] for answer in labelled) / len(group),
            "labels": dict(Counter(str(answer[2]) for answer in labelled).most_common()),
            "mean_confidence": mean([answer[3] for answer in labelled]),
            "highest_confidence": max((answer[3] for answer in labelled), default=None),
            "labelled_by_dbfs": {
                f"{level:g}": share([answer[2] is not None for answer in group if answer[1] == level])
                for level in levels
            },
        }
    return scores


def by(answers: Sequence[Answer], key: Callable[[Answer], str | None]) -> dict[str, list[Answer]]:
    """Answers in groups, sorted by key; those whose key is None are left out."""
    found: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        if (value := key(answer)) is not None:
            found[value].append(answer)
    return dict(sorted(found.items()))


def share(values: Sequence[bool]) -> float | None:
    """How many of the values are true; None where there is none."""
    return sum(values) / len(values) if values else None


def mean(values: Sequence[float]) -> float | None:
    """The mean; None where there is none."""
    return sum(values) / len(values) if values else None
