"""``serotone train``: a recipe and corpora -> a run folder that ends in a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from serotone.cli.messages import remark
from serotone.cli.output import check_out_folder
from serotone.cli.streams import ends_in_order
from serotone.cli.training import (
    CorpusOption,
    LogOption,
    RecipeArgument,
    SetOption,
    ThreadsOption,
    recipe_of,
    remark_idle,
    require_train,
    set_threads,
)
from serotone.cli.usage import utterances_of
from serotone.files import expanded
from serotone.recognition.loading import list_bundles


def train(
    recipe: RecipeArgument,
    corpus: CorpusOption,
    out: Annotated[Path, typer.Option(help="The run folder. If it holds an interrupted run, that run continues.")],
    changes: SetOption = None,
    fold: Annotated[
        int, typer.Option(help="The split of the protocol to train on (--set protocol=all trains on everything).")
    ] = 0,
    evidence: Annotated[
        list[str] | None,
        typer.Option(help="WORDS=RUN: show the figures of this finished crossval on the bundle's card."),
    ] = None,
    graph_only: Annotated[
        bool, typer.Option("--graph-only", help="Write a bundle without weights and recipe.")
    ] = False,
    log: LogOption = None,
    threads: ThreadsOption = 0,
) -> None:
    """Train a system on one split of its recipe's protocol, and write RUN/bundle."""
    require_train("training")
    check_out_folder(out)
    runs: dict[str, Path] = {}
    for item in evidence or ():
        words, equals, folder = item.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"{item!r}: expected WORDS=RUN, such as 'leave-one-speaker-out=runs/loso'", param_hint="--evidence"
            )
        runs[words] = expanded(folder)
    utterances = utterances_of(corpus)
    chosen = recipe_of(recipe, changes or (), {u.corpus for u in utterances})
    remark_idle(changes or (), [chosen])
    if chosen.name in list_bundles():
        remark(
            f"the bundle will be called {chosen.name}, like one that ships with serotone; --set name=... gives it"
            " another name"
        )
    from serotone.experiments.train import train as run  # torch: seconds, in which a mistake is not to wait

    set_threads(threads)
    with ends_in_order():
        bundle = run(
            chosen, utterances, out, fold=fold, evidence=runs, graph_only=graph_only, log=log or (), tell=remark
        )
    typer.echo(f"{bundle.path}")
