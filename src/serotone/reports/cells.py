"""A table as it is shown, and the numbers in its cells; one table becomes HTML, Markdown, CSV and text."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serotone.statistics import Interval

NOT_RUN = "not run"
NOTHING = "–"
NO_SPREAD = "no spread"
"""In the place of an interval of no width, which says nothing about other speakers."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Shown text, and the numbers in it: (measure, value, unit) each."""

    text: str
    numbers: tuple[tuple[str, float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names the line. ``shaded``: the higher a percentage, the darker its cell."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shaded: bool = False

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Columns that hold numbers, to be set flush right."""
        return tuple(any(row[n].numbers for row in self.rows) for n in range(len(self.columns)))


def text(value: object) -> Cell:
    """A cell of words; a dash where there are none."""
    return Cell(NOTHING if value is None or value == "" else str(value))


def literal(key: str, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of words."""
    return Table(key, title, tuple(columns), tuple(tuple(map(text, row)) for row in rows))


def number(value: float | None, measure: str, unit: str, *, shown: str = "{:.0f}", missing: str = NOTHING) -> Cell:
    """A cell of one number; its unit stands in the column's title, or in ``shown``, its format."""
    if value is None or not math.isfinite(value):
        return Cell(missing)
    return Cell(shown.format(value), ((measure, float(value), unit),))


def percent(share: float | None, measure: str, *, missing: str = NOTHING) -> Cell:
    """A share in [0, 1] as percent with one decimal."""
    value = None if share is None else 100 * share
    return number(value, measure, "percent", shown="{:.1f} %", missing=missing)


def share_of(percent: float | None) -> float | None:
    """A published percentage as a share in [0, 1]."""
    return None if percent is None else percent / 100


def mean_and_sd(mean: float | None, sd: float | None, measure: str, *, missing: str = NOTHING) -> Cell:
    """``60.1 ± 9.3 %``; the mean alone where there is no SD."""
    if mean is None or sd is None:
        return percent(mean, f"{measure} mean", missing=missing)
    values = ((f"{measure} mean", 100 * mean, "percent"), (f"{measure} SD", 100 * sd, "percent"))
    return Cell(f"{100 * mean:.1f} ± {100 * sd:.1f} %", values)


def interval(
    of: Interval | None, measure: str, *, points: bool = False, alone: bool = False, missing: str = NOTHING
) -> Cell:
    """``59.7 [50.2, 69.1] %``, of a difference ``+2.1 [-0.3, +4.5] points``; ``alone``, without its estimate."""
    if of is None:
        return Cell(missing)
    estimate, low, high = (signed(100 * v) if points else f"{100 * v:.1f}" for v in (of.estimate, of.low, of.high))
    between = f"[{low}, {high}]" if of.spreads else f"[{NO_SPREAD}]"
    unit, shown = ("points", " points") if points else ("percent", " %")
    limits = ((f"{measure} low", 100 * of.low, unit), (f"{measure} high", 100 * of.high, unit))
    if alone:
        return Cell(between + (shown if of.spreads else ""), limits)
    return Cell(f"{estimate} {between}{shown}", ((measure, 100 * of.estimate, unit), *limits))


def signed(value: float, decimals: int = 1) -> str:
    """With its sign, a true minus, and no minus before a zero."""
    shown = f"{value:+.{decimals}f}"
    return shown.replace("-", "−") if float(shown) else shown.lstrip("+-")


def probability(p: float | None, measure: str, *, missing: str = NOTHING) -> Cell:
    """A p-value with three decimals, or ``< .001``."""
    return Cell(missing) if p is None else Cell(shown_p(p), ((measure, float(p), "probability"),))


def shown_p(p: float) -> str:
    """``.031``, ``< .001`` or ``1``."""
    if p >= 0.9995:
        return "1"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def to_csv(tables: Iterable[Table]) -> str:
    """Every number of the tables on a line of its own: table, row, column, measure, value, unit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "row", "column", "measure", "value", "unit"])
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                for measure, value, unit in cell.numbers:
                    writer.writerow([table.key, _plain(row[0].text), _plain(column), measure, f"{value:.10g}", unit])
    return out.getvalue()


def to_text(table: Table, columns: Sequence[str]) -> str:
    """The chosen columns, flush, for a terminal."""
    chosen = [table.columns.index(column) for column in columns]
    lines = [list(columns), *([row[n].text for n in chosen] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) if not n else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths))).rstrip()
        for line in lines
    )


def marked(words: str) -> str:
    """Words on one line that no reader of Markdown takes for a mark, a link or a tag."""
    flat = re.sub(r"([\\`*|]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))", r"\\\1", " ".join(words.split()))
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(words: str) -> str:
    """Words that no spreadsheet takes for a formula."""
    return f"'{words}" if words[:1] in {"=", "+", "-", "@", "\t", "\r"} else words
