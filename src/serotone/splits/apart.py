"""Protocols that keep speakers, or sentences, apart: none of them stands in two parts of a fold."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import SplitError
from serotone.names import count_of
from serotone.splits.deal import DEFAULT_FOLDS, HeldOut, Options, around, deal, key_of, shuffled
from serotone.splits.parts import sentence_of, sentences_of, some, speakers_of

if TYPE_CHECKING:
    from serotone.corpora.base import Utterance


def leave_one_speaker_out(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """A fold per speaker."""
    groups = [[speaker] for speaker in named_speakers(utterances)]
    return _speaker_folds("leave-one-speaker-out", utterances, groups, options)


def speakers_out(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """A fold per group of speakers, the genders spread over the groups."""
    if (options.folds is None) == (options.speakers_out is None):
        raise SplitError(
            f"speakers-out: {'neither' if options.folds is None else 'both'} of protocol.speakers_out (speakers in a"
            " test part) and protocol.folds (test parts) given; give one of them"
        )
    speakers = named_speakers(utterances)
    groups = options.folds or math.ceil(len(speakers) / (options.speakers_out or 1))
    if not 2 <= groups <= len(speakers):
        asked = f"{options.folds} folds" if options.folds else f"{options.speakers_out} speakers out"
        raise SplitError(
            f"speakers-out: {asked} of {len(speakers)} speakers; give 2 folds or more, at most one per speaker"
        )
    genders: dict[str, str] = {}
    for u in utterances:
        genders.setdefault(u.speaker, u.gender or "")
    dealt = deal(speakers, groups, lambda speaker: (genders[speaker],), key_of(options, "groups"))
    return _speaker_folds("speakers-out", utterances, dealt, options)


def session_out(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """Of the two speakers of each session one tests and the other validates, then the other way round.

    Nothing is drawn: folds 2s and 2s + 1 are the two assignments of session s, in the order of the names.
    Source: Liang et al., JIFS 39(3), 2020, hold out each session of IEMOCAP so; running both assignments is ours.
    """
    named_speakers(utterances)
    problem = why_no_session_out(utterances)
    if problem:
        raise SplitError(f"session-out: {problem}; choose leave-one-speaker-out or speakers-out")
    ids: dict[str, list[str]] = {}
    for u in utterances:
        ids.setdefault(u.speaker, []).append(u.id)
    pairs = [sorted(speakers) for _, speakers in sorted(_sessions(utterances).items())]
    return [fold for one, other in pairs for fold in ((ids[other], ids[one]), (ids[one], ids[other]))]


def why_no_session_out(utterances: Iterable["Utterance"]) -> str:
    """Why these utterances do not come in sessions of two; empty where they do."""
    utterances = list(utterances)
    nameless = [u.id for u in utterances if not u.session]
    if nameless:
        return f"utterances without a session: {some(nameless)}"
    sessions = _sessions(utterances)
    for (corpus, session), speakers in sorted(sessions.items()):
        if len(speakers) != 2:
            count = f"{count_of(len(speakers), 'speaker')} ({some(speakers)})"
            return f"session {session} of {corpus} has {count}; it needs two, one to test and one to validate"
    times = Counter(speaker for speakers in sessions.values() for speaker in speakers)
    repeated = [speaker for speaker, count in times.items() if count > 1]
    if repeated:
        return f"speakers in more than one session: {some(repeated)}"
    return "" if len(sessions) > 1 else f"sessions given: {len(sessions)}; it needs two, one to hold out, one to train"


def _sessions(utterances: Iterable["Utterance"]) -> dict[tuple[str, str], set[str]]:
    """The speakers of each session, by corpus and session."""
    sessions: dict[tuple[str, str], set[str]] = {}
    for u in utterances:
        sessions.setdefault((u.corpus, u.session or ""), set()).add(u.speaker)
    return sessions


def leave_one_corpus_out(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """A fold per corpus, in the order of their names; nothing validates: one corpus says little of another."""
    named_speakers(utterances)
    ids: dict[str, list[str]] = {}
    homes: dict[str, set[str]] = {}
    for u in utterances:
        ids.setdefault(u.corpus, []).append(u.id)
        homes.setdefault(u.speaker, set()).add(u.corpus)
    if len(ids) < 2:
        raise SplitError(
            f"leave-one-corpus-out: one corpus given, {min(ids)}; it needs at least two, one to test on and one "
            "to train on: repeat --corpus NAME=ROOT, or choose leave-one-speaker-out"
        )
    shared = [speaker for speaker, corpora in homes.items() if len(corpora) > 1]
    if shared:
        raise SplitError(
            f"leave-one-corpus-out: speakers of more than one corpus: {some(shared)}; "
            "prefix speakers by their corpus to tell them apart"
        )
    return [([], ids[corpus]) for corpus in sorted(ids)]


def cross_corpus(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """Train on some corpora and test on the others; speakers of the former validate."""
    named_speakers(utterances)
    present = {u.corpus for u in utterances}
    tested = set(options.test_corpora or ())
    if not tested or tested - present or tested == present:
        raise SplitError(
            f"cross-corpus: test_corpora: {', '.join(sorted(tested)) or 'none'}; the corpora given are "
            f"{', '.join(sorted(present))}: name some of them to test on, and leave some to train on"
        )
    test = [u for u in utterances if u.corpus in tested]
    rest = [u for u in utterances if u.corpus not in tested]
    shared = speakers_of(test) & speakers_of(rest)
    if shared:
        raise SplitError(
            f"cross-corpus: speakers of both training and test corpora: {some(shared)}; "
            "prefix speakers by their corpus to tell them apart"
        )
    validators = _validators(rest, options)
    return [([u.id for u in rest if u.speaker in validators], [u.id for u in test])]


def _validators(utterances: Sequence["Utterance"], options: Options) -> set[str]:
    """Speakers drawn from corpora in proportion to how many each has; each corpus keeps one to train on."""
    number, share = options.validation_speakers, options.validation_share
    if number is not None and share is not None:
        raise SplitError(
            f"cross-corpus: validation_speakers={number} and validation_share={share}; "
            "give one of them: how many of the training corpora's speakers, or which share of them"
        )
    if number == 0 or share == 0:
        return set()
    key = key_of(options, "validation")
    homes: dict[str, str] = {}
    for u in utterances:
        homes.setdefault(u.speaker, u.corpus)
    speakers: dict[str, list[str]] = {}
    for speaker in shuffled(homes, key):
        speakers.setdefault(homes[speaker], []).append(speaker)
    # How far into its corpus a speaker stands, between 0 and 1: taken in this order, all corpora empty at one pace.
    free = {s: (i + 0.5) / len(names) for names in speakers.values() for i, s in enumerate(names[:-1])}
    if share is not None:
        number = max(1, min(math.floor(share * len(homes) + 0.5), len(free)))
    wanted = 1 if number is None else number
    if wanted > len(free):
        raise SplitError(
            f"cross-corpus: {wanted} of {len(homes)} speakers are to validate; each of the {len(speakers)} training "
            f"corpora keeps one to train on, so {len(free)} can; give more speakers or lower validation_speakers"
        )
    return set(sorted(shuffled(free, key), key=lambda speaker: free[speaker])[:wanted])


def sentence_out(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """A fold per group of sentences; those that only some emotions have are spread over the groups."""
    nameless = [u.id for u in utterances if not u.sentence]
    if nameless:
        raise SplitError(
            f"sentence-out: utterances without a sentence: {some(nameless)}; "
            "say in the corpus which it is, or choose leave-one-speaker-out"
        )
    sentences = sorted(sentences_of(utterances))
    folds = DEFAULT_FOLDS if options.folds is None else options.folds
    if not 2 <= folds <= len(sentences):
        raise SplitError(
            f"sentence-out: {folds} folds of {len(sentences)} sentences; give 2 folds or more, at most one per sentence"
        )
    emotions: dict[str, set[str]] = {}
    for u in utterances:
        emotions.setdefault(sentence_of(u), set()).add(u.emotion)
    dealt = deal(sentences, folds, lambda s: (",".join(sorted(emotions[s])),), key_of(options, "groups"))
    validators = 1 if options.validation_sentences is None else options.validation_sentences
    members = {u.id: sentence_of(u) for u in utterances}
    return _group_folds("sentence-out", "sentences", members, dealt, validators, options)


def _speaker_folds(
    protocol: str, utterances: Sequence["Utterance"], groups: list[list[str]], options: Options
) -> list[HeldOut]:
    validators = 1 if options.validation_speakers is None else options.validation_speakers
    return _group_folds(protocol, "speakers", {u.id: u.speaker for u in utterances}, groups, validators, options)


def _group_folds(
    protocol: str, noun: str, members: Mapping[str, str], groups: list[list[str]], validators: int, options: Options
) -> list[HeldOut]:
    """Test each group of speakers or sentences once; ``members`` is the one that each utterance belongs to."""
    count = sum(map(len, groups))
    largest = max(map(len, groups))
    needed = largest + validators + 1
    if count < needed:
        raise SplitError(
            f"{protocol}: {count} {noun} given, at least {needed} needed: {largest} to test, "
            f"{validators} to validate, 1 to train; give more {noun} or lower validation_{noun}"
        )
    ids: dict[str, list[str]] = {}
    for name, member in members.items():
        ids.setdefault(member, []).append(name)
    return [
        ([name for member in validation for name in ids[member]], [name for member in test for name in ids[member]])
        for validation, test in around(groups, validators, key_of(options, "circle"))
    ]


def named_speakers(utterances: Iterable["Utterance"]) -> list[str]:
    """The speakers in order; SplitError where nobody knows who speaks an utterance."""
    utterances = list(utterances)
    nameless = [u.id for u in utterances if u.speaker in ("", UNKNOWN_SPEAKER)]
    if nameless:
        raise SplitError(
            f"utterances without a speaker: {some(nameless)} ({len(nameless)} of {len(utterances)}); name their "
            "speakers in the corpus, or choose a protocol whose parts may share speakers, such as stratified-k-fold"
        )
    return sorted(speakers_of(utterances))
