"""What the top of a report answers first: which rows have the highest UA."""

from collections.abc import Sequence
from typing import Any

from serotone.reports.analysis import Analysis, Result


def best(analysis: Analysis) -> list[dict[str, Any]]:
    """The highest UA among the rows of each corpus and protocol: only those can be compared."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for of in analysis.results.values():
        run, _ = of.row.finished[0]
        where = f"{run.corpora}, {run.protocol}{', test speakers also in training' if of.heard else ''}"
        groups.setdefault((where, str(run.corpus["fingerprint"])), []).append(of)
    return [{"where": where, **_highest(results)} for (where, _), results in groups.items()]


def _highest(results: Sequence[Result]) -> dict[str, Any]:
    whole = [of for of in results if of.row.whole]
    among = whole or results
    highest = max(of.scores["ua"].pooled for of in among)
    first = [of for of in among if round(of.scores["ua"].pooled, 4) == round(highest, 4)]
    limits = first[0].scores["ua"].interval
    others = [of.scores["ua"].interval for of in among if of not in first]
    return {
        "labels": [of.row.label for of in first],  # several where they share it
        "result": first[0],
        "rows": len(results),
        "finished": 0 < len(whole) < len(results),  # only rows with every fold finished were looked at
        "close": sum(limits is not None and of is not None and of.high >= limits.low for of in others),
    }
