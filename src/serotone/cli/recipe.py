"""``serotone recipe``: the recipes that ship, and what they say."""

from typing import Annotated

import typer

from serotone.cli.training import RecipeArgument, SetOption, require_train

app = typer.Typer(no_args_is_help=True, help="List and show recipes.", rich_markup_mode=None)


@app.command("list")
def list_recipes() -> None:
    """Names and descriptions of the recipes that ship."""
    require_train("reading recipes")
    from serotone.training.recipe import load, shipped

    for name in shipped():
        typer.echo(f"{name:<20} {load(name).description}")


@app.command()
def show(
    recipe: RecipeArgument,
    changes: SetOption = None,
    as_written: Annotated[bool, typer.Option("--as-written", help="The file itself, with its comments.")] = False,
) -> None:
    """A recipe with every value spelled out, after what it extends and --set."""
    require_train("reading recipes")
    from serotone.training.recipe import load, source

    typer.echo((source(recipe) if as_written else load(recipe, changes or ()).to_yaml()).rstrip("\n"))
