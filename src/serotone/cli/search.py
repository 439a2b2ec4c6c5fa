"""``serotone search``: values for a recipe's fields, found on validation parts."""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serotone.cli.messages import remark
from serotone.cli.output import check_out_folder
from serotone.cli.streams import ends_in_order
from serotone.cli.training import (
    AddressOption,
    CorporaOption,
    CorpusOption,
    ExecutorOption,
    FoldsOption,
    GpusOption,
    JobsOption,
    RecipeArgument,
    SetOption,
    ThreadsOption,
    numbers_of,
    place_of,
    ray_options,
    recipe_of,
    remark_idle,
    require_train,
)
from serotone.cli.usage import blaming, check_ray, utterances_of
from serotone.errors import MissingExtraError, SerotoneWarning

if TYPE_CHECKING:
    from serotone.experiments.search import SearchResult

SHOWN = 10


def search(
    recipe: RecipeArgument,
    corpus: CorpusOption,
    out: Annotated[
        Path, typer.Option(help="The search's folder. If it holds a search that has begun, that search continues.")
    ],
    space: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: key: [a, b], or key: {low: 1e-4, high: 1e-2, log: true}.")
    ] = None,
    tune: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=LOW:HIGH[:log]", help="A range, or choices: KEY=A,B,C; may be repeated."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, including those of earlier calls.")] = 20,
    changes: SetOption = None,
    folds: FoldsOption = None,
    executor: ExecutorOption = "local",
    jobs: JobsOption = None,
    threads: ThreadsOption = 0,
    gpus: GpusOption = 0,
    address: AddressOption = None,
    corpora: CorporaOption = "store",
) -> None:
    """Tune a recipe with Optuna on the validation parts of its folds; print the best trials, and write best.yaml."""
    require_train("a search")
    if find_spec("optuna") is None:
        raise MissingExtraError("a search", "search")
    from serotone.experiments.space import parse_tune, read_space

    varied = dict(read_space(space)) if space is not None else {}
    for text in tune or ():
        with blaming("--tune"):
            key, values = parse_tune(text)
        if key in varied:
            raise typer.BadParameter(
                f"{key} is tuned twice; give it one range or one set of choices", param_hint="--tune"
            )
        varied[key] = values
    if not varied:
        raise typer.BadParameter("nothing to tune; give --tune KEY=LOW:HIGH, or --space FILE", param_hint="--tune")
    only = numbers_of(folds)
    check_ray(executor, ray_options(gpus, address, corpora))
    check_out_folder(out)
    utterances = utterances_of(corpus)
    if "schedule" not in varied:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SerotoneWarning)  # the search itself says it
            remark_idle(changes or (), [recipe_of(recipe, changes or (), {u.corpus for u in utterances})])
    from serotone.experiments.search import search as run  # torch: seconds, in which a mistake is not to wait

    with ends_in_order():
        found = run(
            recipe,
            utterances,
            out,
            varied,
            trials=trials,
            changes=changes or (),
            folds=only,
            place=place_of(executor, jobs, threads, gpus, address, corpora),
            tell=remark,
        )
    typer.echo(table(found))
    remark(f"serotone crossval {found.recipe} tests it")


def table(found: "SearchResult") -> str:
    """The best trials as lines of text."""
    scored = [trial for trial in found.trials if trial.score is not None]
    ranked = sorted(scored, key=lambda trial: (-(trial.score or 0.0), trial.number))
    heads = ["trial", f"validation {found.score.upper()}", *found.best.values]
    rows = [
        [str(trial.number), f"{trial.score:.2%}", *(_short(value) for value in trial.values.values())]
        for trial in ranked[:SHOWN]
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    states = [trial.state for trial in found.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed"))
    return "\n".join([*lines, "", f"{len(states)} trials: {counts}; the best is in {found.recipe}"])


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
