"""Runs on disk -> ``report.html``, ``tables.md``, ``tables.csv`` and ``figures/``."""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import jinja2

from serotone.errors import RunError, SerotoneWarning
from serotone.files import write_text
from serotone.reports import circumstances, classes, comparisons, planes, published, tables
from serotone.reports.analysis import Analysis, analyse, best
from serotone.reports.cells import Table, marked, shown_p, signed, to_csv, to_text
from serotone.reports.collect import NONE, collect
from serotone.reports.pictures import Picture, pictures
from serotone.splits import PROTOCOLS
from serotone.statistics import fewest_simulated, simulated_coverage

TABLES = "tables.csv"
WRITTEN = ("report.html", "tables.md", TABLES)


def report(path: Path, out: Path | None = None, *, umap: bool = False) -> tuple[str, list[Path]]:
    """Write the report of a run, a study, or a folder of runs; into its sub-folder ``report`` unless told otherwise.

    The same runs give the same bytes. ``umap`` draws the embeddings by UMAP, too. Returns the main table as lines of
    text, and what was written.

    Raises:
        RunError: There is no run, a file of one is damaged, or the folder holds a file that is not of a report.
        MetricError: Answers that cannot be scored.
        MissingExtraError: umap-learn is asked for and not installed.
    """
    folder = out if out is not None else path / "report"
    foreign = [name for name in WRITTEN if (folder / name).exists()]
    if foreign and not _is_report(folder):
        raise RunError(
            f"{folder / foreign[0]}: serotone report did not write this file and would replace it; use another --out"
        )
    analysis = analyse(collect(path))
    rows = planes.embedded(analysis.collection, umap=umap)
    if umap and all(row.plane is None for row in rows):
        warnings.warn(
            f"{path}: no embeddings are kept here, so UMAP draws nothing; a study with embeddings: true keeps them",
            SerotoneWarning,
            stacklevel=2,
        )
    every = tables_of(analysis, rows)
    drawn: dict[str, list[tuple[Picture, str, int]]] = defaultdict(list)
    for picture in pictures(analysis, rows):
        drawn[picture.place].append((picture, *picture.save(folder / "figures")))
    write_text(folder / TABLES, to_csv(table for group in every.values() for table in group))
    write_text(folder / "tables.md", rendered("page.md.j2", analysis, every, drawn))
    write_text(folder / "report.html", rendered("page.html.j2", analysis, every, drawn))
    written = [folder / name for name in (*WRITTEN, *(["figures"] if drawn else []))]
    return to_text(every["scores"][0], tables.OVERVIEW), written


def _is_report(folder: Path) -> bool:
    """Whether a folder holds a table as a report has."""
    try:
        with (folder / TABLES).open(encoding="utf-8") as lines:
            return lines.readline() == to_csv([])
    except (OSError, UnicodeDecodeError):
        return False


def tables_of(analysis: Analysis, rows: list[planes.Embedded]) -> dict[str, list[Table]]:
    """Every table that has a line, by its place on the page, in order."""
    collection, results = analysis.collection, list(analysis.results.values())
    compared = comparisons.comparisons(analysis)
    trained = any(run.trained for run in collection.runs)
    quoted = any(row.published != NONE for row in collection.rows)
    made: dict[str, Iterable[Table]] = {
        "scores": [tables.scores(analysis)],
        "published": [published.published(analysis), *([published.differences(analysis)] if quoted else [])],
        "comparisons": compared[:2],
        "utterances": compared[2:],
        "sweeps": [tables.sweep(analysis, curve) for curve in analysis.curves],
        "confusions": classes.confusions(analysis),
        "recall": [classes.recalls(analysis)] if results else [],
        "recall_differences": [comparisons.recall_differences(analysis)],
        "neutral": [classes.neutral(analysis)],
        "speakers": classes.speakers(analysis),
        "calibration": [classes.calibration(analysis)] if results else [],
        "embeddings": [planes.spreads(rows)],
        "selection": [circumstances.selection(analysis)] if trained else [],
        "shared": [circumstances.shared(analysis)] if trained else [],
        "conditions": [circumstances.conditions(analysis)],
        "spread": [circumstances.spread(analysis)],
        "versions": [circumstances.versions(collection)],
        "mistakes": map(classes.mistakes, results),
        "missing": [circumstances.not_run(collection), circumstances.failures(collection)],
    }
    return {place: [table for table in group if table.rows] for place, group in made.items()}


def rendered(
    page: str, analysis: Analysis, every: Mapping[str, list[Table]], drawn: Mapping[str, list[tuple[Picture, str, int]]]
) -> str:
    """The report as one HTML file that needs no other, with every text in it escaped, or as Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("serotone.reports", "."),
        autoescape=page.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"marked": marked, "listed": tables.listed, "shown_p": shown_p, "signed": signed}
    environment.filters["coverage"] = partial(simulated_coverage, "ua")
    rows, runs, results = analysis.collection.rows, analysis.collection.runs, analysis.results.values()
    return environment.get_template(page).render(
        analysis=analysis,
        study=analysis.collection.study,
        rows=rows,
        runs=runs,
        results=results,
        tables=every,
        figures=drawn,
        corpora=tables.listed(f"{run.corpora} ({len(run.used)} utterances)" for run in runs),
        trained=any(run.trained for run in runs),
        chosen=tables.listed(circumstances.choice(*fold) for row in rows for fold in row.finished),
        best=list(best(results)),
        fewest=fewest_simulated(),
        protocols=PROTOCOLS,
    )
