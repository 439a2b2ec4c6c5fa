"""A bundle scored on utterances it may never have seen, in the words in which it answers.

A corpus may hold emotions that the bundle has no class for: those utterances are counted and left out. The bundle may
have classes that the corpus lacks: the answer is then restricted to the shared ones. The free answer, which may be any
class, is scored next to it: it is what ``serotone predict`` prints. An utterance without an answer is an error.

`agree` settles the vocabulary, `hear` makes a row of each utterance, and `Evaluation` computes every number from rows.
`compare` scores plain answers and adapted ones from one reading of the audio.
"""

from collections.abc import Callable, Mapping, Sequence

from serotone.corpora import Utterance
from serotone.evaluation.answers import evaluation_of, hear
from serotone.evaluation.comparison import Comparison, compare, readings
from serotone.evaluation.result import SCHEMA, Evaluation
from serotone.evaluation.rows import Row, make_row, restricted_scores, unrestricted_scores
from serotone.evaluation.terms import Terms, agree
from serotone.recognition.recognizer import Recognizer

__all__ = [
    "SCHEMA",
    "Comparison",
    "Evaluation",
    "Row",
    "Terms",
    "agree",
    "compare",
    "evaluate",
    "hear",
    "make_row",
    "readings",
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
    jobs: int = 1,
    on_utterance: Callable[[], None] | None = None,
) -> Evaluation:
    """Score a recogniser on utterances of one corpus or several; ``merge`` and ``labels`` as of `agree`.

    ``leave_out_failed`` scores the utterances with an answer alone. ``jobs`` of them are heard at a time, each in a
    thread, and ``on_utterance`` is called after each one heard.

    Raises MetricError or CorpusError as `agree` does; CorpusError: not one utterance could be answered.
    """
    terms = agree(recognizer.bundle, utterances, merge=merge, labels=labels)
    rows = hear(recognizer, utterances, terms, jobs=jobs, on_utterance=on_utterance)
    return evaluation_of(recognizer.bundle, utterances, terms, rows, leave_out_failed=leave_out_failed)
