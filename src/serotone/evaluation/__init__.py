"""A bundle scored on utterances it may never have seen, in the words in which it answers.

A corpus may hold emotions that the bundle has no class for: those utterances are counted and left out. The bundle may
have classes that the corpus lacks: the answer is then restricted to the shared ones. The free answer, which may be any
class, is scored next to it: it is what ``serotone predict`` prints. An utterance without an answer is an error.

`agree` settles the vocabulary, `hear` makes a row of each utterance, and `Evaluation` computes every number from rows.
"""

from collections.abc import Callable, Mapping, Sequence

from serotone import audio
from serotone.corpora import Utterance, fingerprint
from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import CorpusError, SerotoneError
from serotone.evaluation.result import SCHEMA, Evaluation, count_emotions
from serotone.evaluation.rows import Row, make_row, restricted_scores, unrestricted_scores
from serotone.evaluation.terms import Terms, agree
from serotone.recognition.recognizer import Recognizer

__all__ = [
    "SCHEMA",
    "Evaluation",
    "Row",
    "Terms",
    "agree",
    "evaluate",
    "hear",
    "make_row",
    "restricted_scores",
    "unrestricted_scores",
]


def evaluate(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    merge: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    leave_out_failed: bool = False,
    on_utterance: Callable[[], None] | None = None,
) -> Evaluation:
    """Score a recogniser on utterances of one corpus or several; ``merge`` and ``labels`` as of `agree`.

    ``leave_out_failed`` scores the utterances with an answer alone. ``on_utterance`` is called after each one heard.

    Raises MetricError or CorpusError as `agree` does; CorpusError: not one utterance could be answered.
    """
    bundle = recognizer.bundle
    terms = agree(bundle, utterances, merge=merge, labels=labels)
    rows = hear(recognizer, utterances, terms, on_utterance=on_utterance)
    left_out, merged = count_emotions(terms, [(u.corpus, u.emotion) for u in utterances])
    known = {str(item.get("name")) for item in bundle.data}
    result = Evaluation(
        bundle=bundle,
        terms=terms,
        fingerprint=fingerprint(utterances),
        trained_on=tuple(name for name in terms.shared if name in known),
        corpus_only=left_out,
        merged=merged,
        rows=tuple(rows),
        leave_out_failed=leave_out_failed,
    )
    if all(row.failure is not None for row in rows):
        raise CorpusError(
            f"not one utterance could be scored: {len(result.failed)} could not be read, "
            f"{len(result.unanswered)} got no label; the first: {rows[0].id}: {rows[0].failure}"
        )
    return result


def hear(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    terms: Terms,
    *,
    on_utterance: Callable[[], None] | None = None,
) -> list[Row]:
    """A row for each utterance that is scored, in order, its answer that of the recogniser."""
    bundle = recognizer.bundle
    rows = []
    for utterance in filter(terms.takes, utterances):
        probabilities: Mapping[str, float] | None = None
        failure, unreadable = None, False
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
            failure, unreadable = str(error), True
        else:
            if prediction.label is None:
                failure = prediction.reason or "no label"
            else:
                probabilities = prediction.probabilities
        rows.append(
            make_row(
                terms,
                id=utterance.id,
                corpus=utterance.corpus,
                speaker=None if utterance.speaker == UNKNOWN_SPEAKER else utterance.speaker,
                emotion=utterance.emotion,
                probabilities=probabilities,
                failure=failure,
                unreadable=unreadable,
            )
        )
        if on_utterance is not None:
            on_utterance()
    return rows
