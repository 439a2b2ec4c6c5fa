"""The vocabulary in which a bundle and corpora are compared: what counts as what, and what is scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from serotone.corpora import Utterance
from serotone.emotions import EMOTIONS, in_order
from serotone.errors import CorpusError, MetricError
from serotone.names import guess
from serotone.recognition.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bundle's answers and a corpus's emotions are called when they are compared.

    ``classes`` are what the bundle can answer, after merges; ``merge`` maps an emotion to the one it counts as;
    ``shared`` gives, for each corpus, the classes that are scored on it: those that bundle and corpus both have, and
    that were asked for where only some were.
    """

    classes: tuple[str, ...]
    merge: Mapping[str, str]
    shared: Mapping[str, tuple[str, ...]]

    def name(self, emotion: str) -> str:
        """What an emotion of a corpus, or an answer of the bundle, counts as."""
        return self.merge.get(emotion, emotion)

    def takes(self, utterance: Utterance) -> bool:
        """Whether an utterance is scored."""
        return self.name(utterance.emotion) in self.shared[utterance.corpus]

    def merged(self, probabilities: Mapping[str, float]) -> dict[str, float]:
        """Probabilities of the bundle's labels -> of ``classes``: those of labels that count as one are added."""
        total = dict.fromkeys(self.classes, 0.0)
        for label, probability in probabilities.items():
            total[self.name(label)] += probability
        return total

    @property
    def scored(self) -> tuple[str, ...]:
        """Every class that is scored on some corpus, in the bundle's order."""
        return tuple(label for label in self.classes if any(label in shared for shared in self.shared.values()))


def agree(
    bundle: Bundle,
    utterances: Sequence[Utterance],
    *,
    merge: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
) -> Terms:
    """The terms on which a bundle is scored on utterances.

    Args:
        bundle: Its ``merge`` applies, as in its training.
        utterances: Of one corpus or several.
        merge: Emotions that count as another, besides those of the bundle and before them; ``{"calm": "calm"}`` undoes
            a merge of the bundle. It applies to the bundle's answers, too.
        labels: Score these alone; all that bundle and corpus share unless given.

    Raises:
        MetricError: ``merge`` or ``labels`` names an emotion that is unknown or that the bundle does not answer, or the
            merges run in a circle.
        CorpusError: the bundle and a corpus share fewer than two of the emotions.

    """
    known = tuple(dict.fromkeys((*bundle.labels, *EMOTIONS)))
    for emotion in (word for pair in (merge or {}).items() for word in pair):
        if emotion not in known:
            near = guess(emotion, known)
            raise MetricError(f"merge: {emotion!r} is not a known emotion{near}; the emotions are {', '.join(known)}")
    combined = {**bundle.merge, **(merge or {})}
    resolved = {emotion: _follow(emotion, combined) for emotion in combined}
    classes = tuple(dict.fromkeys(resolved.get(label, label) for label in bundle.labels))
    for label in labels or ():
        if label not in classes:
            near = guess(label, classes)
            raise MetricError(f"labels: {bundle.name} does not answer {label!r}{near}; it answers {', '.join(classes)}")
    wanted = set(classes if labels is None else labels)
    held: dict[str, set[str]] = {}
    for u in utterances:
        held.setdefault(u.corpus, set()).add(resolved.get(u.emotion, u.emotion))
    shared = {
        corpus: tuple(label for label in classes if label in emotions and label in wanted)
        for corpus, emotions in sorted(held.items())
    }
    for corpus, found in shared.items():
        if len(found) < 2:
            asked = "" if labels is None else f", and only {', '.join(labels)} were asked for"
            raise CorpusError(
                f"{bundle.name} recognises {', '.join(classes)}; {corpus} holds {_listed(held[corpus])}{asked}: "
                "fewer than two in common, so there is nothing to score; choose another corpus or bundle"
            )
    return Terms(classes, {emotion: name for emotion, name in resolved.items() if emotion != name}, shared)


def _follow(emotion: str, merge: Mapping[str, str]) -> str:
    """Where the merges of an emotion end."""
    seen = [emotion]
    while (following := merge.get(seen[-1], seen[-1])) != seen[-1]:
        if following in seen:
            raise MetricError(f"merge: {' -> '.join([*seen, following])} is a circle; merge them all into one of them")
        seen.append(following)
    return seen[-1]


def _listed(emotions: Iterable[str]) -> str:
    return ", ".join(in_order(emotions)) or "nothing"
