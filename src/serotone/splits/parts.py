"""One fold: its three parts, the checks that every fold passes, and what its parts have in common."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from serotone.errors import SplitError
from serotone.names import first_few

if TYPE_CHECKING:
    from serotone.corpora.base import Utterance


@dataclass(frozen=True, slots=True)
class Split:
    """One fold: the sorted ids of its three parts, disjoint and together every utterance."""

    fold: int
    repetition: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "fold": self.fold,
            "repetition": self.repetition,
            "train": list(self.train),
            "validation": list(self.validation),
            "test": list(self.test),
        }


def verify_split(
    split: Split,
    utterances: Iterable["Utterance"],
    *,
    speaker_independent: bool = False,
    sentence_independent: bool = False,
) -> None:
    """Check that every utterance is in exactly one part and, if asked, every speaker and every sentence too.

    Raises:
        SplitError: an id is in two parts, in none or unknown, the train part is empty, or what is asked to be
            independent is in two parts. Where the sentence of an utterance is not known, its corpus may not be held
            out either: the sentence could be one of the test part.

    """
    where = f"fold {split.fold} of repetition {split.repetition}"
    by_id = {u.id: u for u in utterances}
    times = Counter((*split.train, *split.validation, *split.test))
    for problem, names in {
        "more than once": [name for name, count in times.items() if count > 1],
        "in no part": [name for name in by_id if name not in times],
        "unknown": [name for name in times if name not in by_id],
    }.items():
        if names:
            raise SplitError(f"{where}: {problem}: {some(names)}; every utterance belongs to exactly one part")
    if not split.train:
        raise SplitError(f"{where}: nothing is left to train on; hold out fewer utterances or speakers")
    parts = [[by_id[name] for name in part] for part in (split.train, split.validation, split.test)]
    if speaker_independent:
        _apart(where, "speaker", parts, speakers_of)
    if sentence_independent:
        held_out = {u.corpus for part in parts[1:] for u in part}
        nameless = [u.id for u in by_id.values() if not u.sentence and u.corpus in held_out]
        if nameless:
            raise SplitError(
                f"{where}: utterances without a sentence: {some(nameless)}; "
                "without it, shared sentences cannot be counted"
            )
        _apart(where, "sentence", parts, sentences_of)


def _apart(
    where: str, what: str, parts: list[list["Utterance"]], values: Callable[[Iterable["Utterance"]], set[str]]
) -> None:
    train, validation, test = map(values, parts)
    shared = (train & validation) | (train & test) | (validation & test)
    if shared:
        raise SplitError(
            f"{where}: {what}s in more than one part: {some(shared)}; a {what}-independent protocol keeps them "
            f"apart, so training-only utterances need {what}s of their own"
        )


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What the parts of one fold have in common.

    Sentences read ``corpus/sentence``. An utterance whose sentence is not known can show no leak, hence
    ``test_without_sentence``.
    """

    fold: int
    repetition: int
    shared_speakers: tuple[str, ...]  # in the test part and in train or validation
    shared_sentences: tuple[str, ...]
    validation_speakers_in_train: tuple[str, ...]
    validation_sentences_in_train: tuple[str, ...]
    test_speakers: int
    test_sentences: int
    test_without_sentence: int

    @property
    def speaker_independent(self) -> bool:
        """Whether no speaker of the test part was heard in training or validation."""
        return not self.shared_speakers

    @property
    def sentence_independent(self) -> bool | None:
        """Whether no sentence of the test part was heard before; None where some sentences are not known."""
        if self.shared_sentences:
            return False
        return None if self.test_without_sentence else True

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values, with the two verdicts."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {
            **values,
            "speaker_independent": self.speaker_independent,
            "sentence_independent": self.sentence_independent,
        }


def leak_report(split: Split, utterances: Iterable["Utterance"]) -> LeakReport:
    """Speakers and sentences that stand in more than one part of a fold.

    Raises:
        SplitError: the split names an utterance that is not among the given ones.

    """
    by_id = {u.id: u for u in utterances}
    unknown = [name for part in (split.train, split.validation, split.test) for name in part if name not in by_id]
    if unknown:
        raise SplitError(f"leak report: the split names unknown utterances: {some(unknown)}; give all it was made from")
    train, validation, test = ([by_id[name] for name in part] for part in (split.train, split.validation, split.test))
    return LeakReport(
        fold=split.fold,
        repetition=split.repetition,
        shared_speakers=tuple(sorted(speakers_of(test) & speakers_of(train + validation))),
        shared_sentences=tuple(sorted(sentences_of(test) & sentences_of(train + validation))),
        validation_speakers_in_train=tuple(sorted(speakers_of(validation) & speakers_of(train))),
        validation_sentences_in_train=tuple(sorted(sentences_of(validation) & sentences_of(train))),
        test_speakers=len(speakers_of(test)),
        test_sentences=len(sentences_of(test)),
        test_without_sentence=sum(u.sentence is None for u in test),
    )


def speakers_of(utterances: Iterable["Utterance"]) -> set[str]:
    """Who speaks them."""
    return {u.speaker for u in utterances}


def sentences_of(utterances: Iterable["Utterance"]) -> set[str]:
    """The known sentences, as ``corpus/sentence``: the same number in two corpora is not the same sentence."""
    return {sentence_of(u) for u in utterances if u.sentence is not None}


def sentence_of(utterance: "Utterance") -> str:
    """The sentence of an utterance that has one, as ``corpus/sentence``."""
    return f"{utterance.corpus}/{utterance.sentence}"


def some(names: Iterable[str]) -> str:
    """The first few names in order, and how many there are besides."""
    return first_few(sorted(names))
