"""Tuning a recipe: Optuna over some of its fields, judged on validation parts alone, resumable from its SQLite file.

A trial is the recipe with one value for each field, trained on some folds. The test parts of these folds are taken away
before anything is trained, so nothing here can depend on them. The folds are units like any others, and an executor
runs them: it draws the next as it has room for one, and only then is the next trial asked for. Everything that is known
of a trial lies in ``search.db``, but for its folds' own files in ``trial-<number>/``; a trial that was killed goes on
with its number and values, and its folds are taken up where they were.
"""

import shutil
import statistics
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import CategoricalDistribution

from serotone.corpora import Utterance
from serotone.documents import yaml_word
from serotone.errors import RecipeError, RunError, SerotoneWarning
from serotone.experiments.executors import HERE, Place, Work
from serotone.experiments.executors import run as execute
from serotone.experiments.planning import check_folds, opened, plan, select
from serotone.experiments.space import Space
from serotone.experiments.trials import NUMBER, Memory, Trial, in_words, remembered, write_table
from serotone.experiments.tuned import write_tuned
from serotone.experiments.units import Event, Unit, check_disk, unit_of
from serotone.files import write_text
from serotone.recipes import Recipe, load, unknown_keys
from serotone.runs.layout import BEST, BUNDLE, RECIPE, SEARCH, TRIALS, folds_in
from serotone.runs.reading import read_metrics
from serotone.splits import PROTOCOLS, Split
from serotone.training.build import build_system
from serotone.training.data import derived_seed
from serotone.training.fit import clear
from serotone.training.pretrained import locate

QUESTION = (
    *("schema", "extends", "name", "description", "on", "seed", "protocol", "monitor"),
    *("labels", "merge", "styles", "held_out_speakers", "training_only"),
)
"""Fields that say what is asked, of whom and how it is judged: scores on either side of a change do not compare."""


@dataclass(frozen=True, slots=True)
class SearchResult:
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
    place: Place = HERE,
    tell: Callable[[str], None] = lambda line: None,
) -> SearchResult:
    """Try values until so many trials have come to an end, those of earlier calls among them.

    A trial's score is the mean over the folds of the validation score that the recipe's ``monitor`` names (UA where it
    names none). Values come from Optuna's TPE sampler, seeded for each trial from the recipe's seed and the number of
    the trial, and know the trials that have ended by then: with several at a time, the later ones depend on which were
    faster. Writes ``trials.csv`` after every trial, and in the end ``best.yaml``.

    Args:
        name_or_path: The recipe.
        utterances: On what.
        out: The search's folder.
        space: What to vary.
        trials: How many there shall be in all; pruned and failed ones count.
        changes: ``key=value`` overrides of the recipe, for every trial.
        folds: Numbers of the folds to train; None trains all.
        place: Where folds are trained, and how many at a time.
        tell: Called with one line of progress at a time.

    Raises:
        RecipeError: The recipe is not valid, or the space varies what is asked.
        RunError: A fold has no validation part or does not exist; the folder is another search's; no trial has a score;
            the disk is full.
        WeightsError: The pretrained weights that the recipe begins with are not there.
    """
    if not space:
        raise RecipeError("nothing to tune; give keys of the system and its training, such as center.weight")
    if foreign := sorted(key for key in space if key.split(".")[0] in QUESTION):
        raise RecipeError(
            f"a search cannot tune {', '.join(foreign)}: the data, the protocol and the score must stay the same in"
            " every trial; set them with --set, and tune the system and its training, such as center.weight"
        )
    task = _Task(name_or_path, tuple(changes), utterances, out, folds)
    task.check_keys(space)
    if folds_in(out) or (out / BUNDLE).exists():
        raise RunError(f"{out}: this is the folder of a cross-validation or a training; use another --out")
    if task.base.weights is not None:
        locate(task.base.weights)  # no trial is tried, and none counts, while they are not there
    with opened(out, task.base, utterances), remembered(out / SEARCH, space, task.splits) as memory:
        going = _Search(task, memory, trials, tell)
        with closing(execute(going.units(), Work(utterances, out, tell), place)) as events:
            for event in events:
                going.note(event)
        known = memory.ended()
        write_table(out / TRIALS, known, task.score)
        scored = [trial for trial in known if trial.score is not None]
        if not scored:
            first = f"; trial 0 was {known[0].state}: {known[0].reason}" if known else ""
            raise RunError(f"{out}: none of {len(known)} trials has a score{first}; try more trials, or other values")
        best = max(scored, key=lambda trial: (trial.score, -trial.number))
        task.write_best(best, len(known), out / BEST)
    return SearchResult(task.score, known, best, out / BEST)


class _Task:
    """The recipe to be tuned, the parts that it is tuned on, and how a point of the space is tried."""

    def __init__(
        self,
        name_or_path: str,
        changes: tuple[str, ...],
        utterances: Sequence[Utterance],
        out: Path,
        folds: Collection[int] | None,
    ) -> None:
        self.name_or_path = name_or_path
        self.changes = changes
        self.corpora = {utterance.corpus for utterance in utterances}
        self.out = out
        self.base = load(name_or_path, changes, corpora=self.corpora)
        self.score: Literal["ua", "wa"] = "ua" if self.base.monitor == "none" else self.base.monitor
        self.labels, _ = select(self.base, utterances)
        self.splits = _untested(self.base, utterances, folds)
        self.utterances = utterances

    def recipe(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe at a point of the space."""
        return self._load(self.name_or_path, *self.changes, *(f"{key}={yaml_word(v)}" for key, v in values.items()))

    def _load(self, name_or_path: str | Path, *changes: str) -> Recipe:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SerotoneWarning)  # said once, when the base was read
            return load(name_or_path, changes, corpora=self.corpora)

    def check_keys(self, space: Space) -> None:
        """Refuse keys that no trial could set; those of a part whose name varies depend on what a trial chooses."""
        for key, values in space.items():
            part = key.partition(".")[0]
            if part == "schedules" and "schedule" not in space and key.split(".")[1:2] != [self.base.schedule]:
                raise RecipeError(
                    f"{key} changes nothing: the schedule in use is {self.base.schedule}; tune"
                    f" schedules.{self.base.schedule}, or add --set schedule=NAME"
                )
            if (part != key and part in space) or f"{part}.name" in space:
                continue
            first = values.choices[0] if isinstance(values, CategoricalDistribution) else values.low
            changes = (*self.changes, f"{key}={first}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SerotoneWarning)
                unknown = unknown_keys(self.name_or_path, changes, corpora=self.corpora)
            if key in unknown:
                self._load(self.name_or_path, *changes)
            if len(space) == 1 and isinstance(values, CategoricalDistribution):
                self._check_choices(key, values.choices)

    def _check_choices(self, key: str, choices: Sequence[object]) -> None:
        """Refuse choices of which none makes a recipe; where other keys vary, too, that depends on them."""
        errors = []
        for choice in choices:
            try:
                self._load(self.name_or_path, *self.changes, f"{key}={choice}")
            except RecipeError as error:
                errors.append(error)
        if len(errors) == len(choices):
            raise errors[0]

    def folder(self, number: int) -> Path:
        """Where a trial's folds lie."""
        return self.out / f"trial-{number:04d}"

    def units(self, number: int, values: Mapping[str, Any]) -> list[Unit]:
        """The folds of a point of the space.

        Raises:
            RecipeError: It is no valid recipe.
        """
        recipe, folder = self.recipe(values), self.folder(number)
        build_system(recipe, len(self.labels))
        kept = folder / RECIPE
        if kept.is_file() and load(kept) != recipe:  # of a trial that search.db knows nothing of
            shutil.rmtree(folder)
        write_text(kept, recipe.to_yaml())
        return [unit_of(recipe, split, self.utterances, folder, row=f"trial {number}") for split in self.splits]

    def write_best(self, trial: Trial, count: int, path: Path) -> None:
        """The recipe of a trial, as one that extends the original."""
        tuned = self.recipe(trial.values)
        tested = sorted(self.corpora - set(tuned.training_only))
        write_tuned(
            path,
            tuned,
            self.name_or_path,
            self._load,
            name=f"{self.base.name}-tuned",
            description=f"{self.base.name}, tuned on {' and '.join(tested)} by serotone search: trial {trial.number} of"
            f" {count}, validation {self.score.upper()} {trial.score:.4f} in folds {', '.join(trial.folds)}",
            corpus=tested[0],
        )


@dataclass(slots=True)
class _Flight:
    """A trial that was begun and has not ended."""

    asked: optuna.Trial
    number: int
    values: Mapping[str, Any]
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the metrics.json of each finished fold says, by the fold's name."""
    reason: str = ""
    """Why it fails."""
    running: int = 0
    """Folds that an executor has."""
    whole: bool = False
    """Whether an executor has got all that it will get."""
    twins: list[tuple[optuna.Trial, int]] = field(default_factory=list)
    """Later trials with the same values, which wait for its outcome."""


class _Search:
    """The trials of a search: what an executor gets to do, and what becomes of it."""

    def __init__(self, task: _Task, memory: Memory, trials: int, tell: Callable[[str], None]) -> None:
        self._task, self._memory, self._trials, self._tell = task, memory, trials, tell
        self._flights: dict[Path, _Flight] = {}

    def units(self) -> Iterator[Unit]:
        """Folds of one trial after the other, until there are as many trials as were asked for."""
        for asked in self._asked():
            number, values = int(asked.user_attrs[NUMBER]), self._memory.values(asked.params)
            twin = next((trial for trial in self._memory.ended() if trial.values == values), None)
            flying = next((flight for flight in self._flights.values() if flight.values == values), None)
            if twin:
                self._end(asked, twin.again(number))
            elif flying:
                flying.twins.append((asked, number))
            else:
                yield from self._folds(_Flight(asked, number, values))

    def _asked(self) -> Iterator[optuna.Trial]:
        """The trials that a kill left unfinished, then new ones, each drawn when it is wanted."""
        killed = [trial for trial in self._memory.killed() if trial.user_attrs[NUMBER] < self._trials]
        yield from killed
        begun = sum(1 + len(flight.twins) for flight in self._flights.values())
        for number in range(len(self._memory.ended()) + begun, self._trials):
            yield self._memory.ask(number, derived_seed(self._task.base.seed, "search", number) % 2**32)

    def _folds(self, flight: _Flight) -> Iterator[Unit]:
        """The folds of a trial that are not finished on disk, until one of them fails."""
        try:
            units = self._task.units(flight.number, flight.values)
        except RecipeError as error:
            self._end(flight.asked, Trial(flight.number, "pruned", flight.values, reason=_one_line(error)))
            return
        except (RuntimeError, MemoryError) as error:  # it is larger than this machine's memory
            self._end(flight.asked, Trial(flight.number, "failed", flight.values, reason=_one_line(error)))
            return
        self._flights[self._task.folder(flight.number)] = flight
        for unit in units:
            if flight.reason:
                break
            if unit.finished:
                _take(flight, unit, read_metrics(unit.folder))
            else:
                flight.running += 1
                yield unit
        flight.whole = True
        self._settle(flight)

    def note(self, event: Event) -> None:
        """Something happened to a fold."""
        unit, flight = event.unit, self._flights[event.unit.folder.parent]
        if event.kind == "again":
            self._tell(f"again: {unit.name}: {event.text}")
        if event.kind in ("started", "again"):
            return
        flight.running -= 1
        check_disk(self._task.out, event)  # the trial stays unfinished: neither it nor the rest may count as tried
        if event.results is None:
            flight.reason = flight.reason or f"fold {unit.split.fold}: {event.text}"
            clear(unit.folder)
        else:
            _take(flight, unit, event.results)
        self._settle(flight)

    def _settle(self, flight: _Flight) -> None:
        """End the trial, and those that wait for its outcome, if none of its folds is to come."""
        if flight.running or not flight.whole:
            return
        del self._flights[self._task.folder(flight.number)]
        if flight.reason:
            trial = Trial(flight.number, "failed", flight.values, reason=flight.reason)
        else:
            names = [f"{split.repetition}-{split.fold}" for split in self._task.splits]
            folds = {name: flight.results[name]["validation"][self._task.score] for name in names}
            seconds = round(sum(flight.results[name]["seconds"] for name in names), 1)
            trial = Trial(flight.number, "complete", flight.values, statistics.fmean(folds.values()), folds, seconds)
        self._end(flight.asked, trial)
        for asked, number in flight.twins:
            self._end(asked, trial.again(number))

    def _end(self, asked: optuna.Trial, trial: Trial) -> None:
        self._memory.keep(asked, trial)
        known = self._memory.ended()
        self._tell(f"trial {trial.number} ({len(known)} of {self._trials}): {in_words(trial, self._task.score)}")
        write_table(self._task.out / TRIALS, known, self._task.score)


def _take(flight: _Flight, unit: Unit, results: Mapping[str, Any]) -> None:
    """A fold is finished."""
    clear(unit.folder)
    flight.results[f"{unit.split.repetition}-{unit.split.fold}"] = results
    if "validation" not in results:
        flight.reason = f"fold {unit.split.fold}: no validation clip could be read"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _untested(recipe: Recipe, utterances: Sequence[Utterance], folds: Collection[int] | None) -> list[Split]:
    """The folds asked for, without their test parts: what is not there cannot choose anything."""
    splits = plan(recipe, utterances, judged=True)
    check_folds(folds, splits, recipe.protocol.name)
    chosen = [replace(split, test=()) for split in splits if folds is None or split.fold in folds]
    if bare := [str(split.fold) for split in chosen if not split.validation]:
        remedies = {"validation_speakers": 1, "validation_share": 0.1, "validation_sentences": 1}
        options = PROTOCOLS[recipe.protocol.name].options
        ways = [f"--set protocol.{key}={value}" for key, value in remedies.items() if key in options]
        raise RunError(
            f"protocol {recipe.protocol.name} has no validation part in fold {', '.join(bare)}, and a search uses only"
            f" that part; give {' or '.join(ways) or '--set protocol=leave-one-speaker-out'}"
        )
    return chosen
