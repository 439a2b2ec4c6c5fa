"""The trials of a search as Optuna's SQLite file keeps them, in ``trials.csv`` and in words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml
from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.trial import TrialState

from serotone.documents import yaml_word
from serotone.errors import RunError
from serotone.experiments.space import Space
from serotone.files import write_csv
from serotone.splits import Split

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
"""Optuna's words for how a trial ends. To Optuna one that was killed has failed too; we do not count it."""

NOTED = ("state", "folds", "seconds", "reason", "same_as")
"""What is kept of a trial beside what Optuna keeps by itself."""

NUMBER = "number"
"""The trial's number; Optuna's own counts those too that were killed while their values were drawn."""


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

    def again(self, number: int) -> "Trial":
        """The same outcome for a later trial with the same values."""
        return replace(self, number=number, same_as=self.number if self.same_as is None else self.same_as)


class Memory:
    """The trials in the SQLite file: those of a new search, or of the one begun there."""

    def __init__(self, study: optuna.Study, space: Space) -> None:
        self._study = study
        self._space = space

    def ask(self, number: int, seed: int) -> optuna.Trial:
        """A new trial, its values drawn in the light of those that have ended."""
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        asked = self._study.ask(dict(self._space))
        asked.set_user_attr(NUMBER, number)
        return asked

    def killed(self) -> list[optuna.Trial]:
        """The trials that were begun and never ended, by their numbers; rid of those whose values were half drawn."""
        begun = []
        for kept in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if NUMBER in kept.user_attrs:
                begun.append(optuna.Trial(self._study, kept._trial_id))
            else:
                self._study.tell(kept.number, state=TrialState.FAIL)  # without a reason: it does not count
        return sorted(begun, key=lambda trial: int(trial.user_attrs[NUMBER]))

    def keep(self, asked: optuna.Trial, trial: Trial) -> None:
        """Keep how a trial went, and last of all that it ended."""
        asked.set_user_attr("ended", {key: getattr(trial, key) for key in NOTED})
        if trial.score is not None:
            self._study.tell(asked, trial.score)
        else:
            self._study.tell(asked, state=STATES[trial.state])

    def ended(self) -> list[Trial]:
        """The trials that came to an end, by their numbers."""
        found: list[Trial] = []
        for kept in self._study.get_trials(deepcopy=False):
            noted = kept.user_attrs.get("ended", {})
            if kept.state == STATES.get(noted.get("state")):
                number = kept.user_attrs.get(NUMBER, len(found))  # before 2026-11-27 they ended in their order
                found.append(Trial(number, values=self.values(kept.params), score=kept.value, **noted))
        return sorted(found, key=lambda trial: trial.number)

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What Optuna drew as a recipe says it."""
        return {
            key: yaml.safe_load(params[key]) if isinstance(kind, CategoricalDistribution) else params[key]
            for key, kind in self._space.items()
        }


@contextmanager
def remembered(path: Path, space: Space, splits: Sequence[Split]) -> Iterator[Memory]:
    """The trials of the search in an SQLite file, which is made where it does not exist.

    Raises:
        RunError: The file holds a search over another space or other folds.
    """
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
        yield Memory(study, space)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def in_words(trial: Trial, score: str) -> str:
    """The values of a trial and what came of it, in a line."""
    values = ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.values.items()
    )
    same = "" if trial.same_as is None else f" (as trial {trial.same_as})"
    if trial.score is None:
        return f"{values}: {trial.state}{same}: {trial.reason}"
    return f"{values}: validation {score.upper()} {trial.score:.4f}{same}"


def write_table(path: Path, trials: Sequence[Trial], score: str) -> None:
    """Write a row for each trial."""
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
