"""Every protocol by its name: how it deals, what it keeps apart and which options it takes."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from serotone.errors import SplitError
from serotone.names import guess
from serotone.splits import apart, mixed
from serotone.splits.deal import DEFAULT_FOLDS, HeldOut, Options

if TYPE_CHECKING:
    from serotone.corpora.base import Utterance

MOST_LEFT_OUT_SINGLY = 12  # ours: beyond, a training for each speaker is too much to ask


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way of dealing utterances into folds.

    ``deal`` gets the utterances sorted by id and returns each fold's validation and test ids. ``options`` are the
    keyword arguments of `serotone.splits.make_splits` that the protocol takes, beside seed, repetition and
    training_only, which all take; it refuses the others. Where ``speaker_independent`` or ``sentence_independent``, no
    speaker or no sentence may stand in two parts of a fold; `serotone.splits.make_splits` makes sure of it.
    """

    deal: Callable[[Sequence["Utterance"], Options], list[HeldOut]]
    description: str
    options: frozenset[str] = frozenset()
    speaker_independent: bool = False
    sentence_independent: bool = False


def resolve(name: str, utterances: Iterable["Utterance"], *, training_only: Collection[str] = ()) -> str:
    """The protocol that a name stands for on these utterances: itself, unless it is ``speaker-independent``.

    That one is a rule of ours: session-out where every utterance has a session of two speakers (and session-out is
    possible: two sessions, nobody in both); else leave-one-speaker-out for up to 12 speakers; else speakers-out in 5
    folds. The utterances of ``training_only`` do not count, as they are not dealt.

    Raises:
        SplitError: the name is unknown, or the rule is asked for and an utterance has no speaker.

    """
    if name not in PROTOCOLS:
        raise SplitError(f"unknown protocol {name!r}{guess(name, PROTOCOLS)}; choose one of: {', '.join(PROTOCOLS)}")
    if name != "speaker-independent":
        return name
    aside = frozenset(training_only)
    dealt = [u for u in utterances if u.id not in aside]
    speakers = apart.named_speakers(dealt)
    if not apart.why_no_session_out(dealt):
        return "session-out"
    return "leave-one-speaker-out" if len(speakers) <= MOST_LEFT_OUT_SINGLY else "speakers-out"


def _speaker_independent(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    name = resolve("speaker-independent", utterances)
    folds = DEFAULT_FOLDS if name == "speakers-out" else None
    return PROTOCOLS[name].deal(utterances, replace(options, folds=folds))


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "leave-one-speaker-out": Protocol(
            apart.leave_one_speaker_out,
            "one fold per speaker; other speakers validate, in a seeded order",
            frozenset({"folds", "validation_speakers"}),
            speaker_independent=True,
        ),
        "speakers-out": Protocol(
            apart.speakers_out,
            "disjoint groups of speakers; other speakers validate",
            frozenset({"folds", "speakers_out", "validation_speakers"}),
            speaker_independent=True,
        ),
        "session-out": Protocol(
            apart.session_out,
            "one of a session's two speakers tests, the other validates; then the other way round: two folds a session",
            frozenset({"folds"}),
            speaker_independent=True,
        ),
        "speaker-independent": Protocol(
            _speaker_independent,
            "session-out where every utterance has a session of two speakers, else leave-one-speaker-out up to "
            f"{MOST_LEFT_OUT_SINGLY} speakers, else speakers-out in {DEFAULT_FOLDS} folds",
            speaker_independent=True,
        ),
        "leave-one-corpus-out": Protocol(
            apart.leave_one_corpus_out,
            "one fold per corpus, trained on the others; no validation part",
            frozenset({"folds"}),
            speaker_independent=True,
        ),
        "cross-corpus": Protocol(
            apart.cross_corpus,
            "train on some corpora, test on the others; speakers of the former validate",
            frozenset({"folds", "test_corpora", "validation_speakers", "validation_share"}),
            speaker_independent=True,
        ),
        "sentence-out": Protocol(
            apart.sentence_out,
            "k disjoint groups of sentences; other sentences validate; speakers are shared",
            frozenset({"folds", "validation_sentences"}),
            sentence_independent=True,
        ),
        "stratified-k-fold": Protocol(
            mixed.stratified_k_fold,
            "k random test parts, stratified by emotion; speakers are shared",
            frozenset({"folds", "validation_share"}),
        ),
        "stratified-holdout": Protocol(
            mixed.stratified_holdout,
            "one random test part, stratified by emotion, drawn again in each repetition; speakers are shared",
            frozenset({"folds", "test_share", "validation_share"}),
        ),
        "ten-part": Protocol(
            mixed.ten_part,
            "8:1:1 in five folds, dealt within session, style, gender and emotion; speakers are shared",
            frozenset({"folds"}),
        ),
        "all": Protocol(
            mixed.everything, "everything is for training; nothing is left to validate or test on", frozenset({"folds"})
        ),
    }
)
"""Every protocol by its name."""
