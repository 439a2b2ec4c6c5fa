"""``serotone report``: predictions on disk become tables, figures and one page."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from serotone.cli.output import check_out_folder
from serotone.errors import MissingExtraError


def report(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="The folder of a training, crossval or study, or one above such folders."),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to write to. By default PATH/report.")] = None,
    umap: Annotated[
        bool, typer.Option("--umap", help="Draw the embeddings by UMAP as well (needs the extra umap).")
    ] = False,
) -> None:
    """Write a report: report.html, tables.md, tables.csv and figures/.

    Every number is computed from the predictions on disk. report.html needs no other file and no network. What was not
    run is printed as "not run".
    """
    if not all(find_spec(name) for name in ("scipy", "matplotlib", "yaml", "jinja2")):
        raise MissingExtraError("writing a report", "train")
    if out is not None:
        check_out_folder(out)
    from serotone.reports.write import report as write

    overview, files = write(path, out, umap=umap)
    typer.echo(overview)
    typer.echo("")
    for file in files:
        typer.echo(file)
