"""``serotone recipe``: the recipes that ship, what they say, and where each value comes from."""

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from serotone.cli.formats import Format
from serotone.cli.streams import as_json
from serotone.cli.training import RecipeArgument, SetOption, changed, recipe_of, require_documents
from serotone.errors import CorpusError
from serotone.names import guess

if TYPE_CHECKING:
    from serotone.recipes.explaining import Explanation

app = typer.Typer(no_args_is_help=True, help="List, show and explain recipes.", rich_markup_mode=None)

WIDEST = 120
ANY_WIDTH = 400


@app.command("list")
def list_recipes(
    format: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.table,
) -> None:
    """List the recipes that ship with serotone, grouped by network."""
    require_documents("reading recipes")
    from serotone.options import CHOICES
    from serotone.recipes import load, shipped

    recipes = [load(name) for name in shipped()]
    if format is Format.json:
        about = [
            {
                "name": recipe.name,
                "description": recipe.description,
                "encoder": recipe.encoder.name,
                "protocol": recipe.protocol.name,
                "schedule": recipe.schedule,
                "schedules": list(recipe.schedules),
            }
            for recipe in recipes
        ]
        typer.echo(as_json({"schema": 1, "recipes": about}, sys.stdout, indent=2))
        return
    width = min(WIDEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDEST
    for encoder, choice in CHOICES["encoder"].items():
        family = [recipe for recipe in recipes if recipe.encoder.name == encoder]
        if not family:
            continue
        typer.echo(f"{encoder}: {(choice.__doc__ or '').splitlines()[0]}")
        column = max(len(recipe.name) for recipe in family) + 2
        for recipe in family:
            first = f"  {recipe.name:<{column}}"
            rest = " " * len(first)
            typer.echo(textwrap.fill(recipe.description, width, initial_indent=first, subsequent_indent=rest))
        typer.echo()
    typer.echo("serotone recipe explain NAME says where each value comes from.")


@app.command()
def show(
    recipe: RecipeArgument,
    changes: SetOption = None,
    as_written: Annotated[bool, typer.Option("--as-written", help="Show the file itself, with its comments.")] = False,
) -> None:
    """Show a recipe with every value spelled out, inherited and --set values included."""
    require_documents("reading recipes")
    from serotone.recipes import source

    if as_written and changes:
        raise typer.BadParameter("the file as written has no overrides; leave out --set", param_hint="--as-written")
    typer.echo((source(recipe) if as_written else recipe_of(recipe, changes or ()).to_yaml()).rstrip("\n"))


@app.command()
def explain(
    recipe: RecipeArgument,
    changes: SetOption = None,
    corpora: Annotated[
        list[str] | None,
        typer.Option(
            "--corpus", metavar="NAME", help="Explain the values that this corpus gets; see serotone corpus list."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show defaults, too.")] = False,
    format: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
) -> None:
    """Show where each value comes from (the paper, a public source, computed, or ours), why, and which file has it."""
    require_documents("reading recipes")
    from serotone.corpora import CORPORA
    from serotone.recipes import load
    from serotone.recipes.explaining import DEFAULT
    from serotone.recipes.explaining import explain as explained

    if len(corpora or ()) > 1:
        raise typer.BadParameter(
            "given more than once; explain one corpus at a time. What a recipe says of one corpus applies only if it"
            " is tested on no other",
            param_hint="--corpus",
        )
    corpus = corpora[0].partition("=")[0] if corpora else None  # a root, as other commands take it, changes nothing
    if corpus is not None and corpus not in {*CORPORA, *load(recipe).on}:
        raise CorpusError(
            f"{corpus!r} is not a known corpus{guess(corpus, CORPORA)}; for one of your own, leave out --corpus, as the"
            " recipe says nothing of it alone"
        )
    values = changed(lambda changes: explained(recipe, changes, corpus=corpus), changes or ())
    shown = [value for value in values if everything or value.provenance != DEFAULT]
    if format is Format.json:
        typer.echo(_as_json(recipe, corpus, shown))
        return
    _print_table(shown)
    counts = Counter(value.provenance for value in values)
    hint = "" if everything or not counts[DEFAULT] else " (--all lists the defaults)"
    typer.echo(", ".join(f"{count} {provenance}" for provenance, count in counts.most_common()) + hint)


def _as_json(recipe: str, corpus: str | None, values: Sequence["Explanation"]) -> str:
    rows = [
        {"key": v.key, "value": v.value, "provenance": v.provenance, "why": v.why, "file": v.source} for v in values
    ]
    return as_json({"schema": 1, "recipe": recipe, "corpus": corpus, "values": rows}, sys.stdout, indent=2)


def _print_table(values: Sequence["Explanation"]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from serotone.cli.console import PipeConsole

    table = Table("key", "value", "provenance", "why", "file", box=box.SIMPLE, show_edge=False, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    part, dotted = "", ""
    for value in values:
        before, was_dotted = part, dotted
        part, dotted, _ = value.key.partition(".")
        if part != before and (dotted or was_dotted):
            table.add_section()
        row = (value.key, _as_yaml(value.value), value.provenance, value.why, value.source)
        table.add_row(*(Text(cell) for cell in row))
    PipeConsole(width=None if sys.stdout.isatty() else ANY_WIDTH).print(table)


def _as_yaml(value: object) -> str:
    """The value as a recipe would say it, on one line."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=ANY_WIDTH)
    return text.removesuffix("\n").removesuffix("\n...")
