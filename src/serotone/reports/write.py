"""Runs on disk -> ``report.html``, ``tables.md``, ``tables.csv`` and ``figures/``."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serotone.errors import MissingExtraError
from serotone.files import write_text
from serotone.reports import figures
from serotone.reports.analysis import Analysis, analyse
from serotone.reports.answer import answer
from serotone.reports.cells import Table, to_csv, to_markdown, to_text
from serotone.reports.collect import Collection, collect
from serotone.reports.sections import Picture, Section, sections
from serotone.reports.tables import OVERVIEW, scores

LARGEST_SVG = 300_000
"""Bytes above which a page carries a figure as PNG; ``figures/`` holds both."""


ENLARGED = 1.1 * 4 / 3
"""Pixels on the page for a point of a figure."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as the page holds it."""

    url: str
    width: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and the main table as lines of text."""

    overview: str
    files: tuple[Path, ...]


def report(path: Path, out: Path | None = None, *, umap: bool = False) -> Report:
    """Write the report of a run, a study, or a folder of runs; into its sub-folder ``report`` unless told otherwise.

    The same runs give the same bytes. ``umap`` draws the embeddings by UMAP, too.

    Raises:
        RunError: There is no run, or a file of one is damaged.
        MetricError: Answers that cannot be scored.
        MissingExtraError: Jinja2 is not installed, or umap-learn, which was asked for.
    """
    collection = collect(path)
    analysis = analyse(collection)
    folder = out if out is not None else path / "report"
    parts = sections(analysis, umap=umap)
    shown = {block.stem: _drawn(block, folder) for part in parts for block in part.blocks if isinstance(block, Picture)}
    every = [block for part in parts for block in part.blocks if isinstance(block, Table)]
    sentences = answer(analysis)
    write_text(folder / "tables.csv", to_csv(every))
    write_text(folder / "tables.md", _markdown(collection, sentences, every))
    write_text(folder / "report.html", page(analysis, sentences, parts, shown))
    files = ("report.html", "tables.md", "tables.csv", *(["figures"] if shown else []))
    return Report(to_text(scores(analysis), OVERVIEW), tuple(folder / name for name in files))


def _drawn(picture: Picture, folder: Path) -> Shown:
    """Save a figure; as a data URL with its width on the page."""
    png, svg = figures.save(picture.draw(), folder / "figures" / picture.stem)
    drawing = svg.read_bytes()
    points = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', drawing)
    small = len(drawing) <= LARGEST_SVG
    data, kind = (drawing, "svg+xml") if small else (png.read_bytes(), "png")
    return Shown(
        url=f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
        width=round(ENLARGED * float(points[1])) if points else None,
    )


def _markdown(collection: Collection, sentences: Sequence[str], every: Sequence[Table]) -> str:
    title = Table("", collection.title, ("",), ())
    head = to_markdown(title).splitlines()[0].removeprefix("#")
    summary = to_markdown(Table("", "", ("",), (), " ".join(sentences))).splitlines()[-1]
    notes = [to_markdown(Table("", "", ("",), (), note)).splitlines()[-1] for note in collection.notes]
    return "\n\n".join([head, summary, *notes, *map(to_markdown, every)]) + "\n"


def page(analysis: Analysis, sentences: Sequence[str], parts: Sequence[Section], shown: Mapping[str, Shown]) -> str:
    """The report as one HTML file that needs no other; every text in it is escaped."""
    try:
        import jinja2
    except ImportError:
        raise MissingExtraError("writing a report", "train") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("serotone.reports", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        collection=analysis.collection, answer=" ".join(sentences), sections=parts, shown=shown
    )
