"""What the top of a report answers: what was run, what came first, how it was chosen, what is significant."""

from collections.abc import Sequence
from typing import Any

from serotone.reports.analysis import Analysis, Paired, Result
from serotone.reports.circumstances import judge, rule
from serotone.reports.tables import listed

LEVEL = 0.05


def answer(analysis: Analysis) -> dict[str, Any]:
    """The facts that the first sentences of a report are made of."""
    rows, pairs = analysis.collection.rows, analysis.pairs
    run = [row for row in rows if row.folds]
    runs = [one for row in run for one in row.runs if one.folds]
    folds = [(one, fold) for one in runs for fold in one.folds]
    shared = [fold.shared for _, fold in folds]
    groups: dict[tuple[str, str], list[Result]] = {}
    for row in run:
        first = next(one for one in row.runs if one.folds)
        heard = any(fold.shared.speakers for one in row.runs for fold in one.folds if fold.shared is not None)
        where = f"{' + '.join(first.corpora)}, {first.protocol}{', test speakers also in training' if heard else ''}"
        groups.setdefault((where, str(first.corpus["fingerprint"])), []).append(analysis.results[row.name])
    tested = [paired for paired in pairs if p_of(paired) is not None]
    return {
        "run": run,
        "corpora": listed(f"{' + '.join(one.corpora)} ({one.corpus['utterances']} utterances)" for one in runs),
        "protocols": listed(one.protocol for one in runs),
        "schedules": listed(one.recipe["schedule"] for one in runs),
        "seeds": sorted({one.seed for one in runs}),
        "folds": len(folds),
        "trained": any(one.trained for one in runs),
        "heard": sum(bool(of.speakers) for of in shared if of is not None),  # folds
        "recorded": None not in shared,
        "chosen": listed(
            rule(one, fold) + ("" if judge(fold).startswith("nothing") else f" ({judge(fold)})") for one, fold in folds
        ),
        "best": [_best(where, results) for (where, _), results in groups.items()],
        "tested": tested,
        "significant": [paired for paired in tested if (p_of(paired) or 0) < LEVEL],
        "too_few": sum(paired.comparisons is not None and p_of(paired) is None for paired in pairs),
        "never": [paired.remark for paired in pairs if paired.comparisons is None],
        "not_run": [row.label for row in rows if not row.folds],
        "partly": [f"{row.label} ({row.done} folds)" for row in run if not row.whole],
    }


def _best(where: str, results: Sequence[Result]) -> dict[str, Any]:
    """The highest UA among rows of one corpus and one protocol, which alone can be compared."""
    whole = [of for of in results if of.row.whole]
    among = whole or results
    highest = max(of.scores["ua"].pooled for of in among)
    first = [of for of in among if round(of.scores["ua"].pooled, 4) == round(highest, 4)]
    limits = first[0].scores["ua"].interval
    others = [of.scores["ua"].interval for of in among if of not in first]
    return {
        "where": where,
        "labels": [of.row.label for of in first],  # several where they share it
        "result": first[0],
        "rows": len(results),
        "finished": 0 < len(whole) < len(results),  # only rows with every fold finished were looked at
        "close": sum(limits is not None and of is not None and of.high >= limits.low for of in others),
    }


def p_of(paired: Paired) -> float | None:
    """The p of a comparison in UA after Holm's correction; None where it was not tested."""
    return paired.holm.get("ua") if paired.holm is not None else None
