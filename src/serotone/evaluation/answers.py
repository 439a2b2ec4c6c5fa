"""What a recogniser hears in utterances and answers to them, as rows, and the evaluation that these rows make."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from serotone import audio
from serotone.ahead import ahead
from serotone.corpora import Utterance, fingerprint
from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import CorpusError, SerotoneError
from serotone.evaluation.result import Evaluation, count_emotions
from serotone.evaluation.rows import Row, make_row
from serotone.evaluation.terms import Terms
from serotone.names import utf8
from serotone.recognition.bundle import Bundle
from serotone.recognition.hearing import Hearing
from serotone.recognition.recognizer import Recognizer


def hear(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    terms: Terms,
    *,
    jobs: int = 1,
    on_utterance: Callable[[], None] | None = None,
) -> list[Row]:
    """A row for each utterance that is scored, in order, its answer that of the recogniser; ``jobs`` at a time."""
    rows = []
    for utterance, heard in listen(recognizer, list(filter(terms.takes, utterances)), jobs=jobs):
        rows.append(answered(recognizer, utterance, heard, terms))
        if on_utterance is not None:
            on_utterance()
    return rows


def listen(
    recognizer: Recognizer, utterances: Sequence[Utterance], *, jobs: int
) -> Iterator[tuple[Utterance, Hearing | SerotoneError]]:
    """Each utterance, in order, with what the recogniser hears in it or why it cannot be heard; ``jobs`` at a time."""
    return zip(utterances, ahead(partial(_listen, recognizer), utterances, jobs=jobs), strict=True)


def _listen(recognizer: Recognizer, utterance: Utterance) -> Hearing | SerotoneError:
    bundle = recognizer.bundle
    try:
        return recognizer.hear_audio(
            audio.read(
                utterance.path,
                sample_rate=bundle.sample_rate,
                min_seconds=bundle.min_seconds,
                start=utterance.start,
                end=utterance.end,
            )
        )
    except SerotoneError as error:
        return error


def answered(
    recognizer: Recognizer,
    utterance: Utterance,
    heard: Hearing | SerotoneError,
    terms: Terms,
    *,
    speaker: str | None = None,
) -> Row:
    """The row of an utterance from what `listen` gave; ``speaker`` is who speaks, for a profile that knows them."""
    probabilities: Mapping[str, float] | None = None
    certain = failure = None
    if isinstance(heard, SerotoneError):
        failure = utf8(str(heard))
    else:
        prediction = recognizer.answer(heard, speaker=speaker)
        if prediction.label is None:
            failure = prediction.reason or "no label"
        else:
            probabilities, certain = prediction.probabilities, not prediction.uncertain
    return make_row(
        terms,
        id=utterance.id,
        corpus=utterance.corpus,
        speaker=speaker_of(utterance),
        emotion=utterance.emotion,
        probabilities=probabilities,
        certain=certain,
        failure=failure,
        unreadable=isinstance(heard, SerotoneError),
    )


def speaker_of(utterance: Utterance) -> str | None:
    """Who speaks; None where nobody knows."""
    return None if utterance.speaker == UNKNOWN_SPEAKER else utterance.speaker


def evaluation_of(
    bundle: Bundle, utterances: Sequence[Utterance], terms: Terms, rows: Sequence[Row], *, leave_out_failed: bool
) -> Evaluation:
    """The evaluation of a bundle whose answers to the utterances are these rows.

    Raises CorpusError: not one utterance could be answered.
    """
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
