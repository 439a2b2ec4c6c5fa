"""What the commands that train have in common."""

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from serotone.cli.messages import remark
from serotone.cli.usage import blaming, completing
from serotone.errors import MissingExtraError, SerotoneError

if TYPE_CHECKING:
    from serotone.experiments.executors import Place
    from serotone.recipes import Recipe


Loaded = TypeVar("Loaded")


class Log(StrEnum):
    """The tools that a training can be logged to; ``serotone.training.loggers`` knows the same."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"
    wandb = "wandb"


def shipped(room: str) -> list[str]:
    """For shells, names of the documents that ship in a room; it imports no pydantic, which takes longest."""
    if find_spec("yaml") is None:
        return []
    from serotone.documents import shipped

    return shipped(room)


RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A shipped recipe (see: serotone recipe list) or a .yaml file.",
        autocompletion=completing(lambda: shipped("recipes")),
    ),
]
CorpusOption = Annotated[
    list[str], typer.Option("--corpus", metavar="NAME=ROOT", help="A corpus and its folder; may be repeated.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key, such as schedule=budget; may be repeated."),
]
FoldsOption = Annotated[str | None, typer.Option(help="Run only these folds, such as 0,1.")]
LogOption = Annotated[
    list[Log] | None, typer.Option("--log", help="Also log to this tool, in each fold's folder; may be repeated.")
]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Processor threads of each training; 0 lets torch decide.")]
ExecutorOption = Annotated[Literal["local", "ray"], typer.Option(help="Where to run the trainings.")]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Trainings to run at a time. By default 1; on Ray, as many as fit.")
]
GpusOption = Annotated[
    float, typer.Option(min=0, help="For Ray: GPUs of each training; a share such as 0.5 is allowed.")
]
AddressOption = Annotated[
    str | None, typer.Option(help="For Ray: the cluster's host:port, or auto. By default, a cluster is started here.")
]
CorporaOption = Annotated[
    Literal["store", "shared"],
    typer.Option(
        help="For Ray: send the audio to the workers (store), or let each read it from the same path (shared)."
    ),
]


def require_train(what: str) -> None:
    """Name the extra to install where it is not.

    Raises:
        MissingExtraError: torch, Lightning, pydantic or PyYAML is missing.
    """
    _require(what, "torch", "pytorch_lightning", "pydantic", "yaml")


def require_documents(what: str) -> None:
    """The same for what only reads recipes and studies, for which torch is not needed.

    Raises:
        MissingExtraError: pydantic or PyYAML is missing.
    """
    _require(what, "pydantic", "yaml")


def _require(what: str, *modules: str) -> None:
    if not all(map(find_spec, modules)):
        raise MissingExtraError(what, "train")


def remark_idle(changes: Iterable[str], recipes: Iterable["Recipe"]) -> None:
    """Say which ``--set`` is of a schedule that none of the recipes trains by, and so changes nothing."""
    used = sorted({recipe.schedule for recipe in recipes})
    for change in changes:
        part, *inside = change.partition("=")[0].strip().split(".")
        if used and part == "schedules" and inside and inside[0] not in used:
            remark(
                f"--set {change} changes nothing: the schedule in use is {' or '.join(used)}; add --set"
                f" schedule={inside[0]} to use the other one"
            )


def set_threads(threads: int) -> None:
    """Hold torch to this many processor threads; 0 leaves it be."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def ray_options(gpus: float, address: str | None, corpora: str) -> dict[str, object]:
    """The options of trainings that are for Ray alone, without a value where they are left as they are."""
    return {"--gpus": gpus, "--address": address, "--corpora": corpora != "store"}


def check_changes(changes: Sequence[str]) -> None:
    """Make sure that each ``--set`` is KEY=VALUE.

    Raises:
        typer.BadParameter: One is not (exit status 2).
    """
    from serotone.recipes.reading import as_tree

    with blaming("--set"):
        for change in changes:
            as_tree(change)


def recipe_of(name: str, changes: Sequence[str], corpora: Collection[str] | None = None) -> "Recipe":
    """A recipe, for these corpora, with what ``--set`` changes; raises as `changed`."""
    from serotone.recipes import load

    return changed(lambda changes: load(name, changes, corpora=corpora), changes)


def changed(load: Callable[[Sequence[str]], Loaded], changes: Sequence[str]) -> Loaded:
    """What ``load`` makes of what ``--set`` changes.

    Raises:
        typer.BadParameter: It is valid without the changes, and not with them (exit status 2).
        SerotoneError: It is not valid without the changes.
    """
    try:
        return load(changes)
    except SerotoneError as error:
        load(())
        raise typer.BadParameter(str(error).removeprefix("--set "), param_hint="--set") from error


def place_of(
    executor: Literal["local", "ray"],
    jobs: int | None,
    threads: int,
    gpus: float,
    address: str | None,
    corpora: Literal["store", "shared"],
) -> "Place":
    """Where trainings run, from the options of that; imports torch."""
    from serotone.experiments.executors import Place

    return Place(executor, jobs, threads, gpus, address, corpora)


def numbers_of(text: str | None, option: str = "--folds") -> list[int] | None:
    """The numbers in ``0,1``; None where nothing is said.

    Raises:
        typer.BadParameter: Something else stands there (exit status 2).
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: expected numbers separated by commas, such as 0,1", param_hint=option
        ) from None
