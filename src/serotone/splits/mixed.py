"""Protocols that share speakers between their parts: they deal utterances, whoever speaks them."""

import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from serotone.emotions import in_order
from serotone.errors import SerotoneWarning, SplitError
from serotone.splits.deal import DEFAULT_FOLDS, HeldOut, Options, deal, key_of, stratified_share

if TYPE_CHECKING:
    from serotone.corpora.base import Utterance

TEN_PART_FOLDS = 5


def stratified_k_fold(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """Disjoint random test parts that together are everything."""
    folds = DEFAULT_FOLDS if options.folds is None else options.folds
    if not 2 <= folds <= len(utterances):
        raise SplitError(
            f"stratified-k-fold: {folds} folds of {len(utterances)} utterances; "
            "give 2 folds or more, at most one per utterance"
        )
    _warn_of_rare_emotions("stratified-k-fold", utterances, folds)
    share = 0.1 if options.validation_share is None else options.validation_share
    emotion = {u.id: u.emotion for u in utterances}
    parts = deal(emotion, folds, lambda name: (emotion[name],), key_of(options, "parts"))
    return [
        (stratified_share(_without(emotion, test), share, key_of(options, "validation", fold)), test)
        for fold, test in enumerate(parts)
    ]


def stratified_holdout(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """One random test part, drawn within each emotion."""
    share = 0.2 if options.test_share is None else options.test_share
    emotion = {u.id: u.emotion for u in utterances}
    test = stratified_share(emotion, share, key_of(options, "test"))
    if not test:
        raise SplitError(
            f"stratified-holdout: {share} of {len(utterances)} utterances leaves none to test, "
            "since one of each emotion must train; give more utterances"
        )
    counts = Counter(emotion.values())
    untested = [f"{kind} ({counts[kind]})" for kind in in_order(set(counts) - {emotion[name] for name in test})]
    if untested:
        warnings.warn(f"stratified-holdout: no test utterance of {', '.join(untested)}", SerotoneWarning, stacklevel=3)
    validation_share = options.validation_share or 0.0
    return [(stratified_share(_without(emotion, test), validation_share, key_of(options, "validation")), test)]


def ten_part(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """Ten parts dealt within session x style x gender x emotion; an attribute that is not known separates nothing.

    Fold f validates on part 2f, tests on part 2f + 1 and trains on the other eight: a repetition tests half the corpus.
    Source: Dai et al., ICASSP 2019 (the authors' published code).
    """
    parts = 2 * TEN_PART_FOLDS
    if len(utterances) < parts:
        raise SplitError(f"ten-part: {len(utterances)} utterances cannot fill {parts} parts; give at least {parts}")
    _warn_of_rare_emotions("ten-part", utterances, parts)
    cells = {u.id: (u.emotion, u.gender or "", u.style or "", u.session or "") for u in utterances}
    dealt = deal(cells, parts, lambda name: cells[name], key_of(options, "parts"))
    return [(dealt[2 * fold], dealt[2 * fold + 1]) for fold in range(TEN_PART_FOLDS)]


def everything(utterances: Sequence["Utterance"], options: Options) -> list[HeldOut]:
    """One fold that trains on everything."""
    return [((), ())]


def _without(emotions: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    taken = set(names)
    return {name: emotion for name, emotion in emotions.items() if name not in taken}


def _warn_of_rare_emotions(protocol: str, utterances: Sequence["Utterance"], parts: int) -> None:
    counts = Counter(u.emotion for u in utterances)
    rare = [f"{emotion} ({counts[emotion]})" for emotion in in_order(counts) if counts[emotion] < parts]
    if rare:
        warnings.warn(
            f"{protocol}: fewer than {parts} utterances of {', '.join(rare)}; some test parts have none",
            SerotoneWarning,
            stacklevel=4,
        )
