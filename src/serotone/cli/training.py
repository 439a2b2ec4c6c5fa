"""What the commands that train have in common."""

from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated

import typer

from serotone.errors import MissingExtraError, RunError


class Log(StrEnum):
    """The tools that a training can be logged to; ``serotone.training.loggers`` knows the same."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"
    wandb = "wandb"


RecipeArgument = Annotated[str, typer.Argument(help="A shipped recipe (see: serotone recipe list) or a .yaml file.")]
CorpusOption = Annotated[
    list[str], typer.Option("--corpus", metavar="NAME=ROOT", help="A corpus and where it lies; may be repeated.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key, such as schedule=budget; may be repeated."),
]
FoldsOption = Annotated[str | None, typer.Option(help="Only these folds, such as 0,1.")]
LogOption = Annotated[
    list[Log] | None, typer.Option("--log", help="Log to this tool as well, below each fold's folder; may be repeated.")
]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Processor threads; 0 leaves the choice to torch.")]


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


def set_threads(threads: int) -> None:
    """Hold torch to this many processor threads; 0 leaves it be."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def numbers_of(text: str | None, option: str = "--folds") -> list[int] | None:
    """The numbers in ``0,1``; None where nothing is said.

    Raises:
        RunError: Something else stands there.
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise RunError(f"{option} {text!r}: expected numbers with commas between them, such as 0,1") from None
