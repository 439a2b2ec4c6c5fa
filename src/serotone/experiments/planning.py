"""What a recipe makes of corpora: classes, folds, and decoded material."""

import contextlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from serotone.corpora import CORPORA, Utterance
from serotone.documents import leaves, yaml_word
from serotone.emotions import in_order, merged
from serotone.errors import RunError
from serotone.names import guess
from serotone.recipes import Recipe, load
from serotone.runs.writing import opened as hold
from serotone.splits import Split, make_splits, resolve
from serotone.training.data import decode
from serotone.training.material import Material


def select(recipe: Recipe, utterances: Sequence[Utterance]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Labels in order, and the label of every utterance that has one of them after the recipe's merges.

    Raises:
        RunError: A class has no utterance, or fewer than two classes are left.
    """
    given, speakers = {u.corpus for u in utterances}, {u.speaker for u in utterances}
    others = set(CORPORA) - given  # a recipe may hold out speakers of corpora that are not used here
    absent = [s for s in recipe.held_out_speakers if s not in speakers and s.partition("/")[0] not in others]
    if absent:
        raise RunError(
            f"recipe {recipe.name} holds out {', '.join(absent)}, who are not in the given corpora"
            f"{guess(absent[0], speakers)}; expected corpus/speaker, or use --set 'held_out_speakers=[]'"
        )
    kept = [u for u in utterances if u.speaker not in recipe.held_out_speakers]
    styled = [u for u in kept if recipe.styles is None or u.style in recipe.styles]
    emotions = {utterance.id: merged(utterance.emotion, recipe.merge) for utterance in styled}
    tested = [emotions[u.id] for u in styled if u.corpus not in recipe.training_only]
    labels = recipe.labels or tuple(in_order(tested))
    missing = [label for label in labels if label not in tested]
    if missing or len(labels) < 2:
        found = ", ".join(f"{emotion} {count}" for emotion, count in Counter(tested).items()) or "none"
        wanted = f"utterances of {', '.join(missing)}" if missing else "utterances of at least two emotions"
        raise RunError(
            f"recipe {recipe.name} needs {wanted}, but the given corpora have {found}; give other corpora, or set"
            " labels or merge"
        )
    return labels, {name: emotion for name, emotion in emotions.items() if emotion in labels}


def check_folds(asked: Collection[int] | None, splits: Collection[Split], protocol: str | None = None) -> None:
    """Refuse folds that a protocol does not have; without one, those that no row of a study has.

    Raises:
        RunError: One of those asked for does not exist.
    """
    known = {split.fold for split in splits}
    if unknown := sorted(set(asked or ()) - known):
        numbers, there = ", ".join(map(str, unknown)), f"the folds 0 to {max(known)}"
        whose = f"the rows of this study have {there}"
        if protocol:
            whose = f"protocol {protocol} has {there} on these corpora"
        raise RunError(f"no fold {numbers}; {whose}")


def plan(recipe: Recipe, utterances: Sequence[Utterance], *, repetition: int = 0, judged: bool = False) -> list[Split]:
    """The recipe's protocol over the utterances that carry one of its labels.

    A solved head selects nothing, so no part validates unless the recipe asks for one, or is ``judged`` by it, as in a
    search.
    """
    kept = _dealt(recipe, utterances)
    return make_splits(
        kept,
        recipe.protocol.name,
        seed=recipe.seed if recipe.protocol.seed is None else recipe.protocol.seed,
        repetition=repetition,
        **recipe.protocol.options(),
        training_only=_training_only(recipe, kept),
        selects=judged or recipe.convex is None,
    )


def protocol_of(recipe: Recipe, utterances: Sequence[Utterance]) -> str:
    """The protocol by which :func:`plan` deals: the recipe's, or what its rule comes to on these utterances."""
    kept = _dealt(recipe, utterances)
    return resolve(recipe.protocol.name, kept, training_only=_training_only(recipe, kept))


def _dealt(recipe: Recipe, utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances that carry one of the recipe's labels, each with its merged emotion, within which it is dealt."""
    _, chosen = select(recipe, utterances)
    return [replace(u, emotion=chosen[u.id]) for u in utterances if u.id in chosen]


def _training_only(recipe: Recipe, kept: Sequence[Utterance]) -> tuple[str, ...]:
    return tuple(u.id for u in kept if u.corpus in recipe.training_only)


def gather(recipe: Recipe, utterances: Sequence[Utterance]) -> tuple[Material, list[str]]:
    """Decode what the recipe uses; also a line for each file that had to be left out, and one of clips cut short."""
    labels, chosen = select(recipe, utterances)
    longest = (
        (recipe.max_frames - 1) * recipe.frontend.hop(recipe.sample_rate) if recipe.max_frames is not None else None
    )
    used = [utterance for utterance in utterances if utterance.id in chosen]
    speech = recipe.bundle.speech is not None
    waveforms, problems = decode(used, sample_rate=recipe.sample_rate, max_samples=longest, speech=speech)
    targets = {name: labels.index(label) for name, label in chosen.items()}
    corpora, speakers = {u.id: u.corpus for u in used}, {u.id: u.speaker for u in used}
    return Material(labels, waveforms, targets, corpora, speakers), problems


def opened(folder: Path, recipe: Recipe, utterances: Sequence[Utterance]) -> contextlib.AbstractContextManager[None]:
    """Hold the run folder of a recipe, new or old (:func:`serotone.runs.writing.opened`).

    Raises:
        RunError: The folder belongs to another recipe or other data, or another process is running in it.
    """
    return hold(folder, recipe.to_yaml(), utterances, differences=lambda path: differences(load(path), recipe))


def differences(before: Recipe, now: Recipe) -> list[str]:
    """The keys in which two recipes differ, each with both values: ``center.weight was 0.3 and is now 0.5``.

    What a recipe says of itself and its schedules for other occasions are no difference: they train nothing.
    """
    old, new = _trained(before), _trained(now)
    return [
        f"{key} was {yaml_word(old[key]) if key in old else 'absent'}"
        f" and is now {yaml_word(new[key]) if key in new else 'absent'}"
        for key in dict.fromkeys((*old, *new))
        if (key in old, old.get(key)) != (key in new, new.get(key))
    ]


def _trained(recipe: Recipe) -> dict[str, object]:
    """Dotted key and value of all that decides what a training of the recipe does."""
    tree = recipe.model_dump(mode="json", by_alias=True, exclude={"description": True, "bundle": {"version"}})
    tree["schedules"] = {name: value for name, value in tree["schedules"].items() if name == recipe.schedule}
    return leaves(tree)
