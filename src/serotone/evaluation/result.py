"""What scoring a bundle found, as numbers, as JSON and as files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serotone.evaluation.rows import Row, certainty, restricted_scores, unrestricted_scores
from serotone.evaluation.terms import Terms
from serotone.files import write_csv, write_json
from serotone.metrics import mean_and_sd
from serotone.recognition.bundle import Bundle
from serotone.runs import layout

SCHEMA = 2
"""Version of ``metrics.json``; new keys may join it, none changes its meaning. Since 2, an utterance without an answer
is an error (1 left it out), and of several corpora each clip is answered among the emotions of its own corpus."""

MEANS = ("wa", "ua", "chance")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `serotone.evaluation.evaluate` found.

    ``corpus_only`` are the emotions that are not scored, each with its utterances; ``merged`` counts the utterances
    whose emotion was taken for another, such as "calm as neutral"; ``trained_on`` are those of the corpora that the
    bundle names as its own data. ``rows`` are the utterances of the scored emotions. Those without an answer are
    errors, unless ``leave_out_failed``. Every number is computed from the rows; other rows give another evaluation.
    """

    bundle: Bundle
    terms: Terms
    fingerprint: str
    trained_on: tuple[str, ...]
    corpus_only: Mapping[str, int]
    merged: Mapping[str, int]
    rows: tuple[Row, ...]
    leave_out_failed: bool = False

    @property
    def corpora(self) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(self.terms.shared)

    @property
    def shared(self) -> tuple[str, ...]:
        """The emotions that are scored."""
        return self.terms.scored

    @property
    def bundle_only(self) -> tuple[str, ...]:
        """What the bundle may answer and is not scored."""
        return tuple(label for label in self.terms.classes if label not in self.shared)

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Ids of utterances that were heard and got no label, for want of speech for example."""
        return tuple(row.id for row in self.rows if row.failure is not None and not row.unreadable)

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """Id of each utterance that could not be heard, and why."""
        return tuple((row.id, row.failure) for row in self.rows if row.failure is not None and row.unreadable)

    @property
    def scored(self) -> tuple[Row, ...]:
        """The rows that the scores count."""
        return tuple(row for row in self.rows if row.failure is None or not self.leave_out_failed)

    def scores(self) -> dict[str, Any]:
        """WA, UA, chance, macro F1, recalls and confusion of the answers among the shared emotions."""
        return restricted_scores(self.scored, self.terms)

    def unrestricted_scores(self) -> dict[str, Any]:
        """The same of the free answers, as ``serotone predict`` gives them; other classes' recalls are None."""
        return unrestricted_scores(self.scored, self.terms)

    def certainty(self) -> dict[str, Any]:
        """How often certain and uncertain answers are right, see `serotone.evaluation.rows.certainty`."""
        return certainty(self.scored)

    def by_corpus(self) -> dict[str, dict[str, Any]]:
        """Corpus -> ``utterances``, ``failed``, ``shared``, both kinds of scores, ``certainty``: as of it alone."""
        found: dict[str, dict[str, Any]] = {}
        for corpus in self.corpora:
            if rows := [row for row in self.scored if row.corpus == corpus]:
                found[corpus] = {
                    "utterances": len(rows),
                    "failed": sum(row.failure is not None for row in rows),
                    "shared": list(self.terms.shared[corpus]),
                    "restricted": restricted_scores(rows, self.terms),
                    "unrestricted": unrestricted_scores(rows, self.terms),
                    "certainty": certainty(rows),
                }
        return found

    def mean_of_corpora(self) -> dict[str, dict[str, float]]:
        """``restricted`` and ``unrestricted`` -> mean over corpora of WA, UA and chance, each corpus counting once."""
        every = self.by_corpus().values()
        return {
            kind: {key: mean_and_sd(scores[kind][key] for scores in every)[0] for key in MEANS}
            for kind in ("restricted", "unrestricted")
        }

    def by_speaker(self) -> dict[str, dict[str, Any]]:
        """Speaker -> corpus, ``utterances``, ``failed``, and WA, UA and chance among the shared emotions, then free.

        UA and chance are over the emotions of which the speaker has utterances. Unknown speakers are left out.
        """
        spoke: dict[str, list[Row]] = {}
        for row in self.scored:
            if row.speaker is not None:
                spoke.setdefault(row.speaker, []).append(row)
        found: dict[str, dict[str, Any]] = {}
        for speaker, rows in sorted(spoke.items()):
            restricted, free = restricted_scores(rows, self.terms), unrestricted_scores(rows, self.terms)
            found[speaker] = {
                "corpus": rows[0].corpus,
                "utterances": len(rows),
                "failed": sum(row.failure is not None for row in rows),
                **{key: restricted[key] for key in MEANS},
                **{f"unrestricted_{key}": free[key] for key in MEANS},
            }
        return found

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
            "merge": dict(self.terms.merge),
            "merged": dict(self.merged),
            "scored": len(self.scored),
            "failed_count_as": "left out" if self.leave_out_failed else "errors",
            "unanswered": list(self.unanswered),
            "failed": [{"id": name, "message": message} for name, message in self.failed],
            "restricted": self.scores(),
            "unrestricted": self.unrestricted_scores(),
            "certainty": self.certainty(),
            "by_corpus": self.by_corpus(),
            "mean_of_corpora": self.mean_of_corpora(),
            "by_speaker": self.by_speaker(),
        }

    def write(self, folder: Path, *, metrics: Mapping[str, object] | None = None) -> None:
        """Write ``predictions.csv``, ``metrics.json`` and ``speakers.csv`` into a folder, made where it is not there.

        ``predictions.csv`` has the columns ``id``, ``truth``, ``prediction``, one ``p_<label>`` for each of the
        bundle's own labels, ``answer``, ``corpus``, ``speaker``, ``failure`` and ``certain`` (yes, no, or empty): a row
        for each utterance of a scored emotion, from which every score can be computed again.
        ``speakers.csv`` is `by_speaker`; ``metrics.json`` holds ``metrics``, or without them `to_dict`.
        """
        self.write_predictions(folder / layout.PREDICTIONS)
        write_json(folder / layout.METRICS, self.to_dict() if metrics is None else metrics)
        write_csv(folder / layout.SPEAKERS, _table("speaker", self.by_speaker()))

    def write_predictions(self, path: Path) -> None:
        """Write ``predictions.csv`` alone, under this name."""
        write_csv(path, [self._cells(row) for row in self.rows])

    def _cells(self, row: Row) -> dict[str, str]:
        named = row.probabilities or {}
        return {
            "id": row.id,
            "truth": row.truth,
            "prediction": row.prediction or "",
            **{f"p_{label}": f"{named[label]:.8f}" if named else "" for label in self.bundle.labels},
            "answer": row.answer or "",
            "corpus": row.corpus,
            "speaker": row.speaker or "",
            "failure": row.failure or "",
            "certain": "" if row.certain is None else ("no", "yes")[row.certain],
        }


def count_emotions(terms: Terms, emotions: Sequence[tuple[str, str]]) -> tuple[dict[str, int], dict[str, int]]:
    """Of (corpus, emotion) pairs: those not scored, by emotion, and those taken for another: "calm as neutral"."""
    left_out = Counter(terms.name(e) for corpus, e in emotions if terms.name(e) not in terms.shared[corpus])
    merged = Counter(f"{e} as {terms.name(e)}" for _, e in emotions if terms.name(e) != e)
    return dict(sorted(left_out.items())), dict(sorted(merged.items()))


def _table(key: str, entries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, object]]:
    return [
        {
            key: name,
            **{column: f"{value:.6f}" if isinstance(value, float) else value for column, value in entry.items()},
        }
        for name, entry in entries.items()
    ]
