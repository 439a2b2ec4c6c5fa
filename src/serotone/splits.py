"""Utterances -> train, validation and test parts, under the protocols of the field.

A split depends on the seed, the repetition and the utterances themselves: not on their order, the machine or Python's
hash seed. Random order is the order of SHA-256 digests of (seed, repetition, purpose, name), so no library's generator
decides it. The test parts of one repetition never overlap.
"""

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from serotone.emotions import in_order
from serotone.errors import SerotoneWarning, SplitError

if TYPE_CHECKING:
    from serotone.corpora.base import Utterance

DEFAULT_FOLDS = 5
TEN_PART_FOLDS = 5


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


@dataclass(frozen=True, slots=True)
class Options:
    """What a protocol may read; see `make_splits`."""

    seed: int = 0
    repetition: int = 0
    folds: int | None = None
    speakers_out: int | None = None
    validation_speakers: int = 1
    validation_share: float = 0.1


HeldOut = tuple[Collection[str], Collection[str]]
"""The ids of one fold's validation and test parts; its train part is all the rest."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way of dealing utterances into folds.

    ``deal`` gets the utterances sorted by id and returns each fold's validation and test ids. Where
    ``speaker_independent``, no speaker may stand in two parts of a fold; `make_splits` makes sure of it.
    """

    deal: Callable[[Sequence["Utterance"], Options], list[HeldOut]]
    speaker_independent: bool
    description: str


def make_splits(
    utterances: Iterable["Utterance"],
    protocol: str,
    *,
    seed: int = 0,
    folds: int | None = None,
    speakers_out: int | None = None,
    repetition: int = 0,
    validation_speakers: int = 1,
    validation_share: float = 0.1,
    training_only: Collection[str] = (),
) -> list[Split]:
    """The folds of one repetition of a protocol, in a fixed order.

    Args:
        utterances: in any order, their ids distinct.
        protocol: a name in `PROTOCOLS`.
        seed: every random choice derives from it and from ``repetition``.
        folds: of stratified-k-fold, 5 unless given; of speakers-out, instead of ``speakers_out``. The other protocols
            know their number and refuse a different one.
        speakers_out: of speakers-out, the most speakers in a test part; groups are as equal as possible, and genders,
            where known, spread over them.
        repetition: another number deals anew.
        validation_speakers: of leave-one-speaker-out and speakers-out; 0 leaves the validation part empty.
        validation_share: of stratified-k-fold, in [0, 1): the share of what is not tested; 0 leaves the validation part
            empty, and more takes at least one utterance.
        training_only: ids that join every train part and are not dealt, such as a synthetic share.

    Raises:
        SplitError: the protocol is unknown, or these utterances are too few or have too few speakers for it.

    Warns:
        SerotoneWarning: an emotion is too rare to be in every part.

    """
    if protocol not in PROTOCOLS:
        raise SplitError(f"unknown protocol {protocol!r}; choose one of: {', '.join(PROTOCOLS)}")
    options = Options(seed, repetition, folds, speakers_out, validation_speakers, validation_share)
    _check_options(protocol, options)
    everyone = sorted(utterances, key=lambda u: u.id)
    _check_utterances(everyone, training_only)
    aside = frozenset(training_only)
    dealt = [u for u in everyone if u.id not in aside]
    if not dealt:
        raise SplitError(f"{protocol}: no utterances to deal; give at least one that is not for training only")
    chosen = PROTOCOLS[protocol]
    ids = [u.id for u in everyone]
    splits = []
    for fold, (validation, test) in enumerate(chosen.deal(dealt, options)):
        held_out = {*validation, *test}
        train = tuple(name for name in ids if name not in held_out)
        splits.append(Split(fold, repetition, train, tuple(sorted(validation)), tuple(sorted(test))))
    for split in splits:
        verify_split(split, everyone, speaker_independent=chosen.speaker_independent)
    _warn_of_untrained_emotions(protocol, splits, everyone)
    return splits


def verify_split(split: Split, utterances: Iterable["Utterance"], *, speaker_independent: bool = False) -> None:
    """Check that every utterance is in exactly one part and, if asked, every speaker too.

    Raises:
        SplitError: an id is in two parts, in none or unknown, the train part is empty, or a speaker is in two parts.

    """
    where = f"fold {split.fold} of repetition {split.repetition}"
    speakers = {u.id: u.speaker for u in utterances}
    times = Counter((*split.train, *split.validation, *split.test))
    for problem, names in {
        "more than once": [name for name, count in times.items() if count > 1],
        "in no part": [name for name in speakers if name not in times],
        "unknown": [name for name in times if name not in speakers],
    }.items():
        if names:
            raise SplitError(f"{where}: {problem}: {_some(names)}; every utterance belongs to exactly one part")
    if not split.train:
        raise SplitError(f"{where}: nothing is left to train on; hold out fewer utterances or speakers")
    if speaker_independent:
        train, validation, test = (
            {speakers[name] for name in part} for part in (split.train, split.validation, split.test)
        )
        shared = (train & validation) | (train & test) | (validation & test)
        if shared:
            raise SplitError(
                f"{where}: speakers in more than one part: {_some(shared)}; a speaker-independent protocol keeps them "
                "apart, so training-only utterances need speakers of their own"
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
        raise SplitError(
            f"leak report: the split names unknown utterances: {_some(unknown)}; give all it was made from"
        )
    train, validation, test = ([by_id[name] for name in part] for part in (split.train, split.validation, split.test))
    return LeakReport(
        fold=split.fold,
        repetition=split.repetition,
        shared_speakers=tuple(sorted(_speakers(test) & _speakers(train + validation))),
        shared_sentences=tuple(sorted(_sentences(test) & _sentences(train + validation))),
        validation_speakers_in_train=tuple(sorted(_speakers(validation) & _speakers(train))),
        validation_sentences_in_train=tuple(sorted(_sentences(validation) & _sentences(train))),
        test_speakers=len(_speakers(test)),
        test_sentences=len(_sentences(test)),
        test_without_sentence=sum(u.sentence is None for u in test),
    )


# The protocols


def _leave_one_speaker_out(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    speakers = _named_speakers(utterances)
    if options.folds not in (None, len(speakers)):
        raise SplitError(
            f"leave-one-speaker-out: {options.folds} folds asked for and {len(speakers)} speakers given; "
            "it has one fold per speaker, so leave folds out or choose speakers-out"
        )
    return _speaker_folds("leave-one-speaker-out", utterances, [[speaker] for speaker in speakers], options)


def _speakers_out(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    if (options.folds is None) == (options.speakers_out is None):
        raise SplitError(
            f"speakers-out: speakers_out={options.speakers_out} and folds={options.folds}; "
            "give one of them: speakers per test part, or the number of folds"
        )
    speakers = _named_speakers(utterances)
    groups = options.folds or math.ceil(len(speakers) / (options.speakers_out or 1))
    if not 2 <= groups <= len(speakers):
        asked = f"{options.folds} folds" if options.folds else f"{options.speakers_out} speakers out"
        raise SplitError(
            f"speakers-out: {asked} of {len(speakers)} speakers; from 2 folds to one per speaker are possible"
        )
    genders: dict[str, str] = {}
    for u in utterances:
        genders.setdefault(u.speaker, u.gender or "")
    dealt = _deal(speakers, groups, lambda speaker: (genders[speaker],), _key(options, "groups"))
    return _speaker_folds("speakers-out", utterances, dealt, options)


def _speaker_folds(
    protocol: str, utterances: Sequence["Utterance"], groups: list[list[str]], options: Options
) -> list[HeldOut]:
    """Test each group of speakers once; those who validate are the next ones around a circle drawn from the seed.

    The circle keeps the test speakers out of validation and lets every speaker validate about equally often.
    """
    count = sum(len(group) for group in groups)
    largest = max(len(group) for group in groups)
    needed = largest + options.validation_speakers + 1
    if count < needed:
        raise SplitError(
            f"{protocol}: {count} speakers given, at least {needed} needed: {largest} to test, "
            f"{options.validation_speakers} to validate, 1 to train; give more speakers or lower validation_speakers"
        )
    key = _key(options, "circle")
    circle = sorted((_shuffled(group, key) for group in groups), key=lambda group: _digest(key, *sorted(group)))
    ids: dict[str, list[str]] = {}
    for u in utterances:
        ids.setdefault(u.speaker, []).append(u.id)
    folds = {}
    for place, test in enumerate(circle):
        others = [speaker for group in circle[place + 1 :] + circle[:place] for speaker in group]
        validation = others[: options.validation_speakers]
        folds[min(test)] = ([name for s in validation for name in ids[s]], [name for s in test for name in ids[s]])
    return [folds[first] for first in sorted(folds)]


def _stratified_k_fold(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    folds = DEFAULT_FOLDS if options.folds is None else options.folds
    if not 2 <= folds <= len(utterances):
        raise SplitError(
            f"stratified-k-fold: {folds} folds of {len(utterances)} utterances; possible are 2 to one per utterance"
        )
    _warn_of_rare_emotions("stratified-k-fold", utterances, folds)
    emotion = {u.id: u.emotion for u in utterances}
    parts = _deal(emotion, folds, lambda name: (emotion[name],), _key(options, "parts"))
    held_out: list[HeldOut] = []
    for fold, test in enumerate(parts):
        tested = set(test)
        rest = {name: emotion[name] for name in emotion if name not in tested}
        held_out.append((_stratified_share(rest, options.validation_share, _key(options, "validation", fold)), test))
    return held_out


def _ten_part(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """Ten parts dealt within session x style x gender x emotion; an attribute that is not known separates nothing.

    Fold f validates on part 2f, tests on part 2f + 1 and trains on the other eight: a repetition tests half the corpus.
    Source: Dai et al., ICASSP 2019 (the authors' published code).
    """
    parts = 2 * TEN_PART_FOLDS
    if options.folds not in (None, TEN_PART_FOLDS):
        raise SplitError(f"ten-part: {options.folds} folds asked for; it has {TEN_PART_FOLDS}, so leave folds out")
    if len(utterances) < parts:
        raise SplitError(f"ten-part: {len(utterances)} utterances cannot fill {parts} parts; give at least {parts}")
    _warn_of_rare_emotions("ten-part", utterances, parts)
    cells = {u.id: (u.emotion, u.gender or "", u.style or "", u.session or "") for u in utterances}
    dealt = _deal(cells, parts, lambda name: cells[name], _key(options, "parts"))
    return [(dealt[2 * fold], dealt[2 * fold + 1]) for fold in range(TEN_PART_FOLDS)]


def _all(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    if options.folds not in (None, 1):
        raise SplitError(f"all: {options.folds} folds asked for; it has one, which trains on everything")
    return [((), ())]


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "leave-one-speaker-out": Protocol(
            _leave_one_speaker_out, True, "one fold per speaker; other speakers validate, in a seeded order"
        ),
        "speakers-out": Protocol(_speakers_out, True, "disjoint groups of speakers; other speakers validate"),
        "stratified-k-fold": Protocol(
            _stratified_k_fold, False, "k random test parts, stratified by emotion; speakers are shared"
        ),
        "ten-part": Protocol(
            _ten_part,
            False,
            "8:1:1 in five folds, dealt within session, style, gender and emotion; speakers are shared",
        ),
        "all": Protocol(_all, False, "everything trains; nothing is left to validate or test on"),
    }
)
"""Every protocol by its name."""


# Dealing


def _key(options: Options, *purpose: object) -> tuple[object, ...]:
    return (options.seed, options.repetition, *purpose)


def _digest(key: tuple[object, ...], *names: str) -> bytes:
    return hashlib.sha256("\0".join(map(str, (*key, *names))).encode("utf-8", "surrogateescape")).digest()


def _shuffled(names: Iterable[str], key: tuple[object, ...]) -> list[str]:
    return sorted(names, key=lambda name: _digest(key, name))


def _deal(
    names: Iterable[str], parts: int, stratum: Callable[[str], tuple[str, ...]], key: tuple[object, ...]
) -> list[list[str]]:
    """Deal names like cards, one cell after another, going on in the next cell where the last one ended.

    ``stratum`` gives a name's attributes. Each leading run of them (the emotion, then emotion and gender, ...) stands
    together in the order of dealing, so the whole, every emotion and every cell are spread evenly to within one.
    """

    def place(name: str) -> list[bytes]:
        attributes = stratum(name)
        levels = [_digest(key, *attributes[: depth + 1]) for depth in range(len(attributes))]
        return [*levels, _digest(key, "name", name)]

    order = sorted(names, key=place)
    # Which part is served first is drawn too: in a balanced corpus a rare emotion would always fall into the same one.
    return [order[int(first) :: parts] for first in _shuffled(map(str, range(parts)), (*key, "first"))]


def _stratified_share(emotions: Mapping[str, str], share: float, key: tuple[object, ...]) -> list[str]:
    """A share of the ids, of each emotion to within one, that never takes an emotion's last utterance."""
    members: dict[str, list[str]] = {}
    for name in _shuffled(emotions, key):
        members.setdefault(emotions[name], []).append(name)
    exact = {emotion: share * len(names) for emotion, names in members.items()}
    taken = {emotion: math.floor(value + 1e-9) for emotion, value in exact.items()}
    wanted = max(1, math.floor(share * len(emotions) + 0.5)) if share else 0
    by_remainder = sorted(members, key=lambda e: (taken[e] - exact[e], _digest(key, e)))
    for emotion in [e for e in by_remainder if taken[e] + 1 < len(members[e])][: max(wanted - sum(taken.values()), 0)]:
        taken[emotion] += 1
    return [name for emotion, names in members.items() for name in names[: taken[emotion]]]


# Checks


def _check_options(protocol: str, options: Options) -> None:
    if options.speakers_out is not None and protocol != "speakers-out":
        raise SplitError(f"{protocol}: speakers_out={options.speakers_out} belongs to speakers-out only; leave it out")
    for name in ("folds", "speakers_out"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise SplitError(f"{protocol}: {name} is {value}; it must be at least 1")
    if options.validation_speakers < 0:
        raise SplitError(f"{protocol}: validation_speakers is {options.validation_speakers}; it must be 0 or more")
    if not 0.0 <= options.validation_share < 1.0:
        raise SplitError(f"{protocol}: validation_share is {options.validation_share}; it must be in [0, 1)")


def _check_utterances(utterances: Sequence["Utterance"], training_only: Collection[str]) -> None:
    times = Counter(u.id for u in utterances)
    repeated = [name for name, count in times.items() if count > 1]
    if repeated:
        raise SplitError(
            f"utterance ids given more than once: {_some(repeated)}; prefix them by corpus to tell them apart"
        )
    if isinstance(training_only, str):
        raise SplitError(f"training_only is the string {training_only!r}; give a collection of utterance ids")
    unknown = [name for name in training_only if name not in times]
    if unknown:
        raise SplitError(f"training_only names unknown utterances: {_some(unknown)}; give ids among the utterances")


def _named_speakers(utterances: Sequence["Utterance"]) -> list[str]:
    nameless = [u.id for u in utterances if not u.speaker]
    if nameless:
        raise SplitError(f"utterances without a speaker: {_some(nameless)}; name them, or choose stratified-k-fold")
    return sorted(_speakers(utterances))


def _warn_of_rare_emotions(protocol: str, utterances: Sequence["Utterance"], parts: int) -> None:
    counts = Counter(u.emotion for u in utterances)
    rare = [f"{emotion} ({counts[emotion]})" for emotion in in_order(counts) if counts[emotion] < parts]
    if rare:
        warnings.warn(
            f"{protocol}: fewer than {parts} utterances of {', '.join(rare)}; some test parts have none",
            SerotoneWarning,
            stacklevel=4,
        )


def _warn_of_untrained_emotions(protocol: str, splits: Sequence[Split], utterances: Sequence["Utterance"]) -> None:
    emotion = {u.id: u.emotion for u in utterances}
    every = set(emotion.values())
    missing = {split.fold: every - {emotion[name] for name in split.train} for split in splits}
    found = [f"{', '.join(in_order(lost))} in fold {fold}" for fold, lost in missing.items() if lost]
    if found:
        warnings.warn(f"{protocol}: no training utterance of {'; '.join(found)}", SerotoneWarning, stacklevel=3)


def _speakers(utterances: Iterable["Utterance"]) -> set[str]:
    return {u.speaker for u in utterances}


def _sentences(utterances: Iterable["Utterance"]) -> set[str]:
    return {f"{u.corpus}/{u.sentence}" for u in utterances if u.sentence is not None}


def _some(names: Iterable[str]) -> str:
    """The first few names in order, and how many there are beside."""
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
