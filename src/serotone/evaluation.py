"""A bundle scored on utterances it may never have seen: shared emotions only, and what is not shared said.

A corpus may hold emotions that the bundle has no class for: those utterances are counted and left out. The bundle may
have classes that the corpus lacks: the answer is then restricted to the shared ones, its probabilities renormalised
over them. The unrestricted answer, free to fall on any class, is scored beside it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serotone import audio
from serotone.corpora import Utterance, fingerprint
from serotone.emotions import in_order, merged
from serotone.errors import CorpusError, SerotoneError
from serotone.files import write_csv, write_json
from serotone.metrics import summary
from serotone.recognition.bundle import Bundle
from serotone.recognition.recognizer import Recognizer

SCHEMA = 1
"""Version of ``metrics.json``; new keys may join it, none changes its meaning."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scored utterance; ``prediction`` is restricted to the shared emotions, ``answer`` is not."""

    id: str
    truth: str
    prediction: str
    answer: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found.

    ``shared`` are the emotions that bundle and corpus both have; ``bundle_only`` the bundle's classes that the corpus
    lacks; ``corpus_only`` the corpus's emotions that the bundle lacks, each with its utterances, which are not scored.
    ``merged`` counts the utterances whose emotion was taken for another, as in training, such as "excited as happy".
    ``unanswered`` are utterances in which the bundle found no speech and ``failed`` those that could not be read, with
    the error; neither is scored. ``trained_on`` are corpora of the evaluation that the bundle names as its own data.
    """

    bundle: Bundle
    fingerprint: str
    corpora: tuple[str, ...]
    trained_on: tuple[str, ...]
    shared: tuple[str, ...]
    bundle_only: tuple[str, ...]
    corpus_only: Mapping[str, int]
    merged: Mapping[str, int]
    rows: tuple[Row, ...]
    unanswered: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]

    def scores(self) -> dict[str, Any]:
        """WA, UA, macro F1, recalls and confusion over the shared emotions, the answer restricted to them."""
        truth = [row.truth for row in self.rows]
        return summary(truth, [row.prediction for row in self.rows], labels=self.shared)

    def unrestricted_scores(self) -> dict[str, Any]:
        """The same with the answer free to be any of the bundle's classes; other classes' recalls are None."""
        truth = [row.truth for row in self.rows]
        return summary(truth, [row.answer for row in self.rows], labels=self.bundle.labels)

    def to_dict(self) -> dict[str, object]:
        """What ``metrics.json`` holds."""
        return {
            "schema": SCHEMA,
            "bundle": {"name": self.bundle.name, "version": self.bundle.version, "sha256": self.bundle.sha256},
            "corpora": list(self.corpora),
            "fingerprint": self.fingerprint,
            "trained_on": list(self.trained_on),
            "shared": list(self.shared),
            "bundle_only": list(self.bundle_only),
            "corpus_only": dict(self.corpus_only),
            "merged": dict(self.merged),
            "scored": len(self.rows),
            "unanswered": list(self.unanswered),
            "failed": [{"id": name, "message": message} for name, message in self.failed],
            "restricted": self.scores(),
            "unrestricted": self.unrestricted_scores(),
        }

    def write(self, folder: Path) -> None:
        """Write ``predictions.csv`` and ``metrics.json`` into a folder, which is made where it does not exist.

        The CSV has the columns ``id``, ``truth``, ``prediction``, one ``p_<label>`` for each of the bundle's classes
        (unrestricted) and ``answer``: the rows that were scored, from which every score can be computed again.
        """
        rows = [
            {"id": row.id, "truth": row.truth, "prediction": row.prediction}
            | {f"p_{label}": f"{row.probabilities[label]:.8f}" for label in self.bundle.labels}
            | {"answer": row.answer}
            for row in self.rows
        ]
        write_csv(folder / "predictions.csv", rows)
        write_json(folder / "metrics.json", self.to_dict())


def evaluate(
    recognizer: Recognizer, utterances: Sequence[Utterance], *, on_utterance: Callable[[], None] | None = None
) -> Evaluation:
    """Score a recogniser on utterances; ``on_utterance`` is called after each that is heard.

    Raises CorpusError: bundle and corpus share fewer than two emotions, or not one utterance could be scored.
    """
    bundle = recognizer.bundle
    truths = {u.id: merged(u.emotion, bundle.merge) for u in utterances}
    emotions = in_order(truths.values())
    shared = tuple(label for label in bundle.labels if label in emotions)
    if len(shared) < 2:
        held = ", ".join(emotions) or "nothing"
        raise CorpusError(
            f"{bundle.name} recognises {', '.join(bundle.labels)}; the corpus holds {held}: "
            "fewer than two in common, so there is nothing to tell apart; choose another corpus or bundle"
        )
    counts = Counter(truths.values())
    rows: list[Row] = []
    unanswered: list[str] = []
    failed: list[tuple[str, str]] = []
    for utterance in utterances:
        truth = truths[utterance.id]
        if truth not in shared:
            continue
        try:
            prediction = recognizer.predict_audio(
                audio.read(
                    utterance.path,
                    sample_rate=bundle.sample_rate,
                    min_seconds=bundle.min_seconds,
                    start=utterance.start,
                    end=utterance.end,
                )
            )
        except SerotoneError as error:
            failed.append((utterance.id, str(error)))
        else:
            if prediction.label is None:
                unanswered.append(utterance.id)
            else:
                named = prediction.probabilities
                best = max(shared, key=lambda label: named[label])
                rows.append(Row(utterance.id, truth, best, prediction.label, named))
        if on_utterance is not None:
            on_utterance()
    if not rows:
        example = f"; the first: {failed[0][1]}" if failed else ""
        raise CorpusError(
            f"not one utterance could be scored: {len(failed)} could not be read, "
            f"{len(unanswered)} hold no speech{example}"
        )
    corpora = tuple(sorted({u.corpus for u in utterances}))
    known = {str(item.get("name")) for item in bundle.data}
    return Evaluation(
        bundle=bundle,
        fingerprint=fingerprint(utterances),
        corpora=corpora,
        trained_on=tuple(name for name in corpora if name in known),
        shared=shared,
        bundle_only=tuple(label for label in bundle.labels if label not in shared),
        corpus_only={emotion: counts[emotion] for emotion in emotions if emotion not in shared},
        merged=Counter(f"{u.emotion} as {truths[u.id]}" for u in utterances if u.emotion != truths[u.id]),
        rows=tuple(rows),
        unanswered=tuple(unanswered),
        failed=tuple(failed),
    )
