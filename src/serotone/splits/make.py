"""Folds from utterances: the options checked, the protocol asked, every fold verified."""

import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from serotone.emotions import in_order
from serotone.errors import SerotoneWarning, SplitError
from serotone.names import guess
from serotone.splits.deal import Options
from serotone.splits.parts import Split, some, verify_split
from serotone.splits.protocols import PROTOCOLS

if TYPE_CHECKING:
    from serotone.corpora.base import Utterance


def make_splits(
    utterances: Iterable["Utterance"],
    protocol: str,
    *,
    seed: int = 0,
    folds: int | None = None,
    speakers_out: int | None = None,
    repetition: int = 0,
    validation_speakers: int | None = None,
    validation_share: float | None = None,
    validation_sentences: int | None = None,
    test_share: float | None = None,
    test_corpora: Collection[str] | None = None,
    training_only: Collection[str] = (),
    selects: bool = True,
) -> list[Split]:
    """The folds of one repetition of a protocol, in a fixed order.

    ``PROTOCOLS[protocol].options`` names the options that a protocol takes; None leaves one to the protocol.

    Args:
        utterances: in any order, their ids distinct.
        protocol: a name in `PROTOCOLS`.
        seed: every random choice derives from it and from ``repetition``.
        folds: of stratified-k-fold and sentence-out, 5 unless given; of speakers-out, instead of ``speakers_out``. The
            other protocols know their number and refuse a different one.
        speakers_out: of speakers-out, the most speakers in a test part; groups are as equal as possible, and genders,
            where known, spread over them.
        repetition: another number deals anew. session-out and all draw nothing: theirs are all the same.
        validation_speakers: 1 unless given; 0 leaves the validation part empty. Of leave-one-speaker-out and
            speakers-out; of cross-corpus, where each training corpus gives in proportion and keeps one speaker.
        validation_share: in [0, 1); 0 leaves the validation part empty, and more takes at least one. Of
            stratified-k-fold (.1 unless given) and stratified-holdout (0 unless given), the share of the utterances
            that are not tested; of cross-corpus, instead of ``validation_speakers``, that of the training corpora's
            speakers.
        validation_sentences: of sentence-out, 1 unless given; 0 leaves the validation part empty.
        test_share: of stratified-holdout, in (0, 1), .2 unless given.
        test_corpora: of cross-corpus, the names of the corpora to test on; the others train and validate.
        training_only: ids that join every train part and are not dealt, such as a synthetic share.
        selects: whether anything is chosen by a validation part. Where nothing is, a protocol that can do without one
            deals none, so that more is left to train on, unless one of the options above asks for it. session-out and
            ten-part deal as ever.

    Raises:
        SplitError: the protocol is unknown or does not take an option, or these utterances are too few, have too few
            speakers for it or lack what it deals by.

    Warns:
        SerotoneWarning: an emotion is too rare to be in every part.

    """
    if protocol not in PROTOCOLS:
        raise SplitError(
            f"unknown protocol {protocol!r}{guess(protocol, PROTOCOLS)}; choose one of: {', '.join(PROTOCOLS)}"
        )
    options = Options(
        seed=seed,
        repetition=repetition,
        folds=folds,
        speakers_out=speakers_out,
        validation_speakers=validation_speakers,
        validation_share=validation_share,
        validation_sentences=validation_sentences,
        test_share=test_share,
        test_corpora=test_corpora,
    )
    _check_options(protocol, options)
    everyone = sorted(utterances, key=lambda u: u.id)
    _check_utterances(everyone, training_only)
    aside = frozenset(training_only)
    dealt = [u for u in everyone if u.id not in aside]
    if not dealt:
        raise SplitError(f"{protocol}: no utterances to split; give at least one that is not for training only")
    _check_training_only_corpora(protocol, [u for u in everyone if u.id in aside], options)
    chosen = PROTOCOLS[protocol]
    if not selects:
        options = _without_validation(options, chosen.options)
    held_outs = chosen.deal(dealt, options)
    if folds not in (None, len(held_outs)):
        raise SplitError(
            f"{protocol}: folds is {folds}, but on these utterances this protocol always makes {len(held_outs)}; leave"
            " folds out, or choose a protocol that takes any number: speakers-out, sentence-out, stratified-k-fold"
        )
    ids = [u.id for u in everyone]
    splits = []
    for fold, (validation, test) in enumerate(held_outs):
        held_out = {*validation, *test}
        train = tuple(name for name in ids if name not in held_out)
        splits.append(Split(fold, repetition, train, tuple(sorted(validation)), tuple(sorted(test))))
    for split in splits:
        verify_split(
            split,
            everyone,
            speaker_independent=chosen.speaker_independent,
            sentence_independent=chosen.sentence_independent,
        )
    _warn_of_untrained_emotions(protocol, splits, everyone)
    return splits


def _check_options(protocol: str, options: Options) -> None:
    given = {field.name: getattr(options, field.name) for field in fields(options)}
    for name, value in given.items():
        if name in ("seed", "repetition") or value is None or name in PROTOCOLS[protocol].options:
            continue
        takers = ", ".join(other for other, entry in PROTOCOLS.items() if name in entry.options)
        raise SplitError(f"{protocol}: {name} is {value}, which only these protocols take: {takers}; leave it out")
    for name in ("folds", "speakers_out"):
        if given[name] is not None and given[name] < 1:
            raise SplitError(f"{protocol}: {name} is {given[name]}; it must be at least 1")
    for name in ("validation_speakers", "validation_sentences"):
        if given[name] is not None and given[name] < 0:
            raise SplitError(f"{protocol}: {name} is {given[name]}; it must be 0 or more")
    if options.validation_share is not None and not 0.0 <= options.validation_share < 1.0:
        raise SplitError(
            f"{protocol}: validation_share is {options.validation_share}; it must be at least 0 and less than 1"
        )
    if options.test_share is not None and not 0.0 < options.test_share < 1.0:
        raise SplitError(f"{protocol}: test_share is {options.test_share}; it must be more than 0 and less than 1")
    if isinstance(options.test_corpora, str):
        raise SplitError(f"test_corpora is the string {options.test_corpora!r}; give a collection of corpus names")


def _without_validation(options: Options, taken: Collection[str]) -> Options:
    """The options of a protocol, which takes those named, without a validation part, unless they ask for one."""
    if (options.validation_speakers, options.validation_share, options.validation_sentences) != (None, None, None):
        return options
    share = None if "validation_speakers" in taken else 0.0  # cross-corpus takes one of the two
    return replace(options, validation_speakers=0, validation_share=share, validation_sentences=0)


def _check_utterances(utterances: Sequence["Utterance"], training_only: Collection[str]) -> None:
    times = Counter(u.id for u in utterances)
    repeated = [name for name, count in times.items() if count > 1]
    if repeated:
        raise SplitError(
            f"utterance ids given more than once: {some(repeated)}; prefix them by corpus to tell them apart"
        )
    if isinstance(training_only, str):
        raise SplitError(f"training_only is the string {training_only!r}; give a collection of utterance ids")
    unknown = [name for name in training_only if name not in times]
    if unknown:
        raise SplitError(f"training_only names unknown utterances: {some(unknown)}; give ids among the utterances")


def _check_training_only_corpora(protocol: str, aside: Sequence["Utterance"], options: Options) -> None:
    tested = [u.id for u in aside if u.corpus in (options.test_corpora or ())]
    if tested:
        raise SplitError(
            f"{protocol}: {some(tested)} are for training only, and their corpus is one to test on; take the corpus out"
            " of training_only or of test_corpora"
        )


def _warn_of_untrained_emotions(protocol: str, splits: Sequence[Split], utterances: Sequence["Utterance"]) -> None:
    emotion = {u.id: u.emotion for u in utterances}
    every = set(emotion.values())
    missing = {split.fold: every - {emotion[name] for name in split.train} for split in splits}
    found = [f"{', '.join(in_order(lost))} in fold {fold}" for fold, lost in missing.items() if lost]
    if found:
        warnings.warn(
            f"{protocol}: no utterance trains {'; '.join(found)}; that fold cannot be trained",
            SerotoneWarning,
            stacklevel=3,
        )
