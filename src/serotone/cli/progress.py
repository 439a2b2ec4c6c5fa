"""The live table of a study: on a terminal one table that changes, elsewhere a line for each event."""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from serotone.cli.messages import one_line, remark
from serotone.names import count_of

if TYPE_CHECKING:
    from rich.table import Table

    from serotone.experiments.running import Run
    from serotone.experiments.units import Event, Unit


class StudyProgress:
    """Units done, running, failed and left by row, the time left, and the best row so far; on standard error.

    Args:
        jobs: Units at a time; None where nobody knows.
        table: Whether a terminal gets the table; if not, the bar of a training has room there.
    """

    def __init__(self, *, jobs: int | None = 1, table: bool = True) -> None:
        from rich.console import Console
        from rich.live import Live

        self.jobs = jobs
        self.runs: Sequence[Run] = ()
        self._units: Sequence[Unit] = ()
        self._state: dict[str, str] = {}
        self._began: dict[str, float] = {}
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._scores: defaultdict[str, list[float]] = defaultdict(list)
        console = Console(stderr=True)
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=1, transient=True)
        self._shown = table and console.is_terminal

    def __enter__(self) -> "StudyProgress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def plan(self, runs: Sequence["Run"], units: Sequence["Unit"]) -> None:
        """What there is to do, and what is done already."""
        from serotone.runs.reading import read_metrics

        self.runs, self._units = runs, units
        for unit in units:
            self._state[unit.name] = "done" if unit.finished else "waiting"
            if unit.finished:
                results = read_metrics(unit.folder)
                self._scores[unit.row].append(results["test"]["ua"])
                self._seconds[unit.row].append(results["seconds"])
        if self._shown:
            self._live.start()
        else:
            left = sum(state == "waiting" for state in self._state.values())
            remark(f"{count_of(len(units), 'unit')}, {len(units) - left} finished before")

    def event(self, event: "Event") -> None:
        """Something happened to a unit."""
        unit, now = event.unit, time.monotonic()
        self._state[unit.name] = {"started": "running", "finished": "done", "failed": "failed", "again": "waiting"}[
            event.kind
        ]
        if event.kind == "started":
            self._began[unit.name] = now
        if event.kind == "finished" and event.results is not None:
            self._seconds[unit.row].append(now - self._began.get(unit.name, now))
            self._scores[unit.row].append(event.results["test"]["ua"])
        if not self._shown:
            self._say(event)
        elif event.kind in ("failed", "again"):
            self._live.console.print(f"{event.kind}: {one_line(unit.name)}: {one_line(event.text)}", markup=False)

    def _say(self, event: "Event") -> None:
        if event.kind == "finished" and event.results is not None:
            done = sum(state == "done" for state in self._state.values())
            test = event.results["test"]
            remark(
                f"{event.unit.name} ({done} of {len(self._units)}): WA {test['wa']:.1%}  UA {test['ua']:.1%}"
                f"  {event.results['seconds']} s; left {self.time_left()}"
            )
        elif event.kind in ("failed", "again"):
            remark(f"{event.kind}: {event.unit.name}: {event.text}")

    def time_left(self) -> str:
        """From the median unit of each row, or of all rows where one has none yet; ``?`` before the first is done."""
        every = [seconds for row in self._seconds.values() for seconds in row]
        if not every:
            return "?"
        total = 0.0
        for unit in self._units:
            if self._state[unit.name] in ("waiting", "running"):
                expected = statistics.median(self._seconds[unit.row] or every)
                ran = time.monotonic() - self._began[unit.name] if self._state[unit.name] == "running" else 0.0
                total += max(0.0, expected - ran)
        running = sum(state == "running" for state in self._state.values())
        minutes = total / (self.jobs or max(1, running)) / 60
        return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        names = list(dict.fromkeys(unit.row for unit in self._units))
        means = {name: statistics.fmean(scores) for name, scores in self._scores.items() if scores}
        best = max(means, key=lambda name: means[name], default=None)
        table = Table(box=None, pad_edge=False, caption=f"time left {self.time_left()}", caption_justify="left")
        table.add_column("row", no_wrap=True)
        for title in ("done", "running", "failed", "of", "mean UA"):
            table.add_column(title, justify="right")
        for name in names:
            states = Counter(self._state[unit.name] for unit in self._units if unit.row == name)
            score = f"{means[name]:.1%}" if name in means else ""
            cells: list[Any] = [str(states[key]) for key in ("done", "running", "failed")]
            style = "bold" if name == best else ""
            table.add_row(Text(name, style), *cells, str(states.total()), Text(score, style))
        return table
