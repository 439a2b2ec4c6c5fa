"""Tuning a recipe: Optuna over some of its fields, judged on validation parts alone, resumable from its SQLite file.

A trial is the recipe with one value for each field, trained on some folds. The test parts of these folds are taken away
before anything is trained, so nothing here can depend on them. Everything that is known of a trial lies in
``search.db``, but for its folds' own files in ``trial-<number>/``; a trial that was killed is begun again under its
number, with the same values, and its folds are taken up where they were.
"""

import json
import os
import shutil
import statistics
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import optuna
import torch
import yaml
from optuna.distributions import (
    CategoricalDistribution,
    distribution_to_json,
)
from optuna.trial import TrialState

from serotone.corpora import Utterance
from serotone.errors import RecipeError, RunError, SerotoneWarning
from serotone.experiments.planning import opened, plan, select
from serotone.experiments.space import Space
from serotone.experiments.units import Materials
from serotone.files import write_csv, write_text
from serotone.recipes import Recipe, load
from serotone.recipes.explaining import HEADER
from serotone.runs.layout import RECIPE, finished, fold_folder
from serotone.runs.reading import read_metrics
from serotone.splits import PROTOCOLS, Split
from serotone.studies.schema import yaml_word
from serotone.training.build import build_system
from serotone.training.data import derived_seed
from serotone.training.fit import clear, run_fold

QUESTION = (
    *("schema", "extends", "name", "description", "on", "seed", "protocol", "monitor"),
    *("labels", "merge", "styles", "training_only"),
)
"""Fields that say what is asked, of whom and how it is judged: scores on either side of a change do not compare."""

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
"""Optuna's words for how a trial ends. To Optuna one that was killed has failed too; we do not count it."""

NOTED = ("state", "folds", "seconds", "reason", "same_as")
"""What is kept of a trial beside what Optuna keeps by itself."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of the space that came to an end.

    ``score`` and ``folds`` (by fold) are those of the validation parts, between 0 and 1. A pruned trial is no valid
    recipe, a failed one could not be trained to its end; ``reason`` says why. ``same_as`` is the number of an earlier
    trial with the same values, whose outcome this one took over.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: Mapping[str, Any]
    score: float | None = None
    folds: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""
    same_as: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A finished search: what was maximised, its trials in their order, the best of them and the recipe it makes."""

    score: Literal["ua", "wa"]
    trials: Sequence[Trial]
    best: Trial
    recipe: Path


# --------------------------------------------------------------------------------------------------------------- search


def search(
    name_or_path: str,
    utterances: Sequence[Utterance],
    out: Path,
    space: Space,
    *,
    trials: int,
    changes: Sequence[str] = (),
    folds: Collection[int] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Found:
    """Try values until so many trials have come to an end, those of earlier calls among them.

    A trial's score is the mean over the folds of the validation score that the recipe's ``monitor`` names (UA where it
    names none). Values come from Optuna's TPE sampler, seeded for each trial from the recipe's seed and the number of
    the trial. Writes ``trials.csv`` after every trial, and in the end ``best.yaml``.

    Args:
        name_or_path: The recipe.
        utterances: On what.
        out: The search's folder.
        space: What to vary.
        trials: How many there shall be in all; pruned and failed ones count.
        changes: ``key=value`` overrides of the recipe, for every trial.
        folds: Numbers of the folds to train; None trains all.
        tell: Called with one line of progress at a time.

    Raises:
        RecipeError: The recipe is not valid, or the space varies what is asked.
        RunError: A fold has no validation part or does not exist; the folder is another search's; no trial has a score.
    """
    foreign = sorted(key for key in space if key.split(".")[0] in QUESTION)
    if foreign or not space:
        raise RecipeError(
            f"a search over {', '.join(foreign) or 'nothing'}: expected fields of the system and its training, such as"
            " center.weight; what is asked, of whom and how it is judged is given with --set"
        )
    task = _Task(name_or_path, tuple(changes), utterances, out, folds, tell)
    with opened(out, task.base, utterances), _study(out / "search.db", space, task.splits) as study:
        while (number := len(known := _ended(study, space))) < trials:
            study.sampler = optuna.samplers.TPESampler(seed=derived_seed(task.base.seed, "search", number) % 2**32)
            asked = study.ask(dict(space))
            values = _values(space, asked.params)
            twin = next((trial for trial in known if trial.values == values), None)
            if twin is None:
                trial = task.run(number, values)
            else:
                trial = replace(twin, number=number, same_as=twin.number if twin.same_as is None else twin.same_as)
            _note(study, asked, trial)
            tell(f"trial {number} ({number + 1} of {trials}): {_in_words(trial, task.score)}")
            _write_table(out / "trials.csv", _ended(study, space), task.score)
        _write_table(out / "trials.csv", known, task.score)
        scored = [trial for trial in known if trial.score is not None]
        if not scored:
            first = f"; trial 0 was {known[0].state}: {known[0].reason}" if known else ""
            raise RunError(f"{out}: none of {len(known)} trials has a score{first}; ask for more, or another space")
        best = max(scored, key=lambda trial: (trial.score, -trial.number))
        task.write_best(best, len(known), out / "best.yaml")
    return Found(task.score, known, best, out / "best.yaml")


class _Task:
    """The recipe to be tuned, the parts that it is tuned on, and how a point of the space is tried."""

    def __init__(
        self,
        name_or_path: str,
        changes: tuple[str, ...],
        utterances: Sequence[Utterance],
        out: Path,
        folds: Collection[int] | None,
        tell: Callable[[str], None],
    ) -> None:
        self.name_or_path = name_or_path
        self.changes = changes
        self.corpora = {utterance.corpus for utterance in utterances}
        self.out = out
        self.base = load(name_or_path, changes, corpora=self.corpora)
        self.score: Literal["ua", "wa"] = "ua" if self.base.monitor == "none" else self.base.monitor
        self.labels, _ = select(self.base, utterances)
        self.splits = _untested(self.base, utterances, folds)
        self.materials = Materials(utterances, tell)

    def recipe(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe at a point of the space."""
        return self._load(self.name_or_path, *self.changes, *(f"{key}={yaml_word(v)}" for key, v in values.items()))

    def _load(self, name_or_path: str | Path, *changes: str) -> Recipe:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SerotoneWarning)  # said once, when the base was read
            return load(name_or_path, changes, corpora=self.corpora)

    def run(self, number: int, values: Mapping[str, Any]) -> Trial:
        """Train a point of the space on every fold; those that are finished on disk are read."""
        folder = self.out / f"trial-{number:04d}"
        try:
            recipe = self.recipe(values)
            build_system(recipe, len(self.labels))
        except RecipeError as error:
            return Trial(number, "pruned", values, reason=_one_line(error))
        kept = folder / RECIPE
        if kept.is_file() and load(kept) != recipe:  # begun with another version of Optuna, which drew other values
            shutil.rmtree(folder)
        write_text(kept, recipe.to_yaml())
        scores, seconds = {}, 0.0
        for split in self.splits:
            fold = fold_folder(folder, split.repetition, split.fold)
            try:
                if not finished(fold):
                    run_fold(recipe, split, self.materials(recipe), fold)
            except (RunError, torch.OutOfMemoryError) as error:
                clear(fold)
                return Trial(number, "failed", values, reason=f"fold {split.fold}: {_one_line(error)}")
            clear(fold)
            results = read_metrics(fold)
            if "validation" not in results:
                return Trial(number, "failed", values, reason=f"fold {split.fold}: no validation clip could be read")
            scores[f"{split.repetition}-{split.fold}"] = results["validation"][self.score]
            seconds += results["seconds"]
        return Trial(number, "complete", values, statistics.fmean(scores.values()), scores, round(seconds, 1))

    def write_best(self, trial: Trial, count: int, path: Path) -> None:
        """The recipe of a trial as what it says beyond the original; it loads as what was trained."""
        tuned = self.recipe(trial.values)
        whole = self._load(self.name_or_path)
        says = _difference(_plain(whole), _plain(tuned))
        folds = ", ".join(trial.folds)
        tested = self.corpora - set(tuned.training_only)
        tree: dict[str, Any] = {
            "schema": 1,
            "extends": _from(path, self.name_or_path),
            "name": f"{self.base.name}-tuned",
            "description": f"{self.base.name}, tuned on {' and '.join(sorted(tested))} by serotone search: trial"
            f" {trial.number} of {count}, validation {self.score.upper()} {trial.score:.4f} in folds {folds}",
            **says,
        }
        _write_recipe(path, tree)
        if _plain(self._load(path)) != _plain(tuned):  # the original says otherwise of this corpus; be as special
            _write_recipe(path, tree | {"on": {min(tested): json.loads(json.dumps(says))}})
        assert _plain(self._load(path)) == _plain(tuned)


def _untested(recipe: Recipe, utterances: Sequence[Utterance], folds: Collection[int] | None) -> list[Split]:
    """The folds asked for, without their test parts: what is not there cannot choose anything."""
    splits = plan(recipe, utterances)
    if folds is not None and (unknown := sorted(set(folds) - {split.fold for split in splits})):
        raise RunError(f"folds {unknown} were asked for; this protocol has 0 to {max(s.fold for s in splits)}")
    chosen = [replace(split, test=()) for split in splits if folds is None or split.fold in folds]
    if bare := [str(split.fold) for split in chosen if not split.validation]:
        remedies = {"validation_speakers": 1, "validation_share": 0.1, "validation_sentences": 1}
        options = PROTOCOLS[recipe.protocol.name].options
        ways = [f"--set protocol.{key}={value}" for key, value in remedies.items() if key in options]
        raise RunError(
            f"protocol {recipe.protocol.name} has no validation part (fold {', '.join(bare)}), and a search may look at"
            f" nothing else; {' or '.join(ways) or '--set protocol=leave-one-speaker-out'}"
        )
    return chosen


# --------------------------------------------------------------------------------------------------------------- memory


@contextmanager
def _study(path: Path, space: Space, splits: Sequence[Split]) -> Iterator[optuna.Study]:
    """The search in its SQLite file: a new one, or the one begun there, rid of what a kill left running."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}")
    try:
        study = optuna.create_study(storage=storage, study_name="search", direction="maximize", load_if_exists=True)
        said = {
            "space": {key: distribution_to_json(distribution) for key, distribution in space.items()},
            "folds": [split.fold for split in splits],
        }
        before = study.user_attrs.get("search", said)
        if before != said:
            what = "space" if before["space"] != said["space"] else f"choice of folds, {before['folds']}"
            raise RunError(f"{path}: this search was started with another {what}; use another --out")
        study.set_user_attr("search", said)
        for running in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(running.number, state=TrialState.FAIL)  # without a reason: it does not count
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _note(study: optuna.Study, asked: optuna.Trial, trial: Trial) -> None:
    """Keep how a trial went, and last of all that it ended."""
    asked.set_user_attr("ended", {key: getattr(trial, key) for key in NOTED})
    if trial.score is not None:
        study.tell(asked, trial.score)
    else:
        study.tell(asked, state=STATES[trial.state])


def _ended(study: optuna.Study, space: Space) -> list[Trial]:
    """The trials that came to an end, numbered in their order; those that were killed have no number."""
    found: list[Trial] = []
    for kept in study.get_trials(deepcopy=False):
        noted = kept.user_attrs.get("ended", {})
        if kept.state == STATES.get(noted.get("state")):
            found.append(Trial(number=len(found), values=_values(space, kept.params), score=kept.value, **noted))
    return found


def _values(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """What Optuna drew as a recipe says it."""
    return {
        key: yaml.safe_load(params[key]) if isinstance(kind, CategoricalDistribution) else params[key]
        for key, kind in space.items()
    }


def _in_words(trial: Trial, score: str) -> str:
    values = ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.values.items()
    )
    same = "" if trial.same_as is None else f" (as trial {trial.same_as})"
    if trial.score is None:
        return f"{values}: {trial.state}{same}: {trial.reason}"
    return f"{values}: validation {score.upper()} {trial.score:.4f}{same}"


def _write_table(path: Path, trials: Sequence[Trial], score: str) -> None:
    folds = sorted({fold for trial in trials for fold in trial.folds})
    write_csv(
        path,
        [
            {"trial": trial.number, "state": trial.state}
            | {f"validation_{score}": "" if trial.score is None else trial.score}
            | {key: yaml_word(value) for key, value in trial.values.items()}
            | {f"fold {fold}": trial.folds.get(fold, "") for fold in folds}
            | {"seconds": trial.seconds, "same_as": "" if trial.same_as is None else trial.same_as}
            | {"reason": trial.reason}
            for trial in trials
        ],
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


# ------------------------------------------------------------------------------------------------------ the new recipe


def _plain(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says of the experiment, not of itself."""
    return recipe.model_dump(mode="json", by_alias=True, exclude={"name", "description"})


def _difference(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``changed`` a recipe that extends ``base`` must say; of a part with another name, everything."""
    found: dict[str, Any] = {}
    for key, value in changed.items():
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("name") == old.get("name"):
            if inner := _difference(old, value):
                found[key] = inner
        elif value != old:
            new_protocol = key == "protocol" and isinstance(value, dict)  # of which nothing of the old one is kept
            found[key] = {k: v for k, v in value.items() if v is not None} if new_protocol else value
    return found


def _from(path: Path, name_or_path: str) -> str:
    """How a recipe at ``path`` calls the one that it extends: a shipped one by name, a file by its way from here."""
    if not Path(name_or_path).is_file():
        return name_or_path
    return os.path.relpath(Path(name_or_path).resolve(), path.parent.resolve())


def _write_recipe(path: Path, tree: Mapping[str, Any]) -> None:
    """YAML in which every value says that it is ours."""
    text = yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, default_flow_style=None, width=10**6)
    lines = [
        line
        if line.endswith(":") or line.split(":")[0] in HEADER
        else f"{line}  # ours: given to serotone search, or found by it"
        for line in text.splitlines()
    ]
    write_text(path, "\n".join(lines) + "\n")
