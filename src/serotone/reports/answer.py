"""The answer in a paragraph: what was run, what came first, what is significant, what is missing."""

from collections.abc import Iterable

from serotone.reports.analysis import Analysis, Paired, Result
from serotone.reports.cells import shown_p, signed
from serotone.reports.collect import Row

LEVEL = 0.05


def answer(analysis: Analysis) -> list[str]:
    """The sentences on top of a report."""
    run = [row for row in analysis.collection.rows if row.folds]
    if not run:
        return ["Nothing is finished yet: no row has a finished fold."]
    return [_what(analysis, run), *_best(analysis, run), *_significant(analysis), *_missing(analysis)]


def _what(analysis: Analysis, run: list[Row]) -> str:
    rows = analysis.collection.rows
    runs = [one for row in run for one in row.runs if one.folds]
    corpora = _listed(f"{' + '.join(one.corpora)} ({one.corpus['utterances']} utterances)" for one in runs)
    protocols = _listed(one.protocol for one in runs)
    schedules = _listed(str(one.recipe["schedule"]) for one in runs)
    seeds = sorted({one.seed for one in runs})
    counted = "One row was run" if len(rows) == 1 else f"{len(run)} of {len(rows)} rows were run"
    return (
        f"{counted} on {corpora}; protocol: {protocols}; schedule: {schedules}; seed{'s' * (len(seeds) > 1)}:"
        f" {', '.join(map(str, seeds))}; {_count(sum(row.folds for row in run), 'fold')} finished."
    )


def _listed(values: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(values))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _best(analysis: Analysis, run: list[Row]) -> list[str]:
    """The highest UA of each group of rows that can be set beside each other: one corpus, one protocol."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for row in run:
        first = next(one for one in row.runs if one.folds)
        heard = any(fold.shared.speakers for one in row.runs for fold in one.folds if fold.shared is not None)
        where = f"{' + '.join(first.corpora)}, {first.protocol}{', test speakers heard in training' if heard else ''}"
        groups.setdefault((where, str(first.corpus["fingerprint"])), []).append(analysis.results[row.name])
    named = len(groups) > 1 or any("heard in training" in where for where, _ in groups)
    return [_highest(where if named else "", found) for (where, _), found in groups.items()]


def _highest(where: str, found: list[Result]) -> str:
    whole = [result for result in found if result.row.whole]
    best = max(whole or found, key=lambda result: result.scores["ua"].pooled)
    ua, wa, bounds = best.scores["ua"], best.scores["wa"], best.scores["ua"].interval
    which = f"{best.row.label} reaches"
    if len(found) > 1:
        among = "" if len(whole) in {0, len(found)} else " among the rows with every fold finished"
        which = f"{'the' if where else 'The'} highest UA{among} is that of {best.row.label}:"
    opening = f"On {where}, {which}" if where else which
    beside = f" (95 % interval {100 * bounds.low:.1f} to {100 * bounds.high:.1f} %)" if bounds else ""
    partly = "" if whole else ", not all of which are finished"
    return f"{opening} UA {100 * ua.pooled:.1f} %{beside} and WA {100 * wa.pooled:.1f} %, all folds pooled{partly}."


def _significant(analysis: Analysis) -> list[str]:
    pairs = analysis.pairs
    if not pairs:
        return ["No rows are compared with each other here."] if len(analysis.results) > 1 else []
    tested = [paired for paired in pairs if _p(paired) is not None]
    held = [paired for paired in tested if (p := _p(paired)) is not None and p < LEVEL]
    sentences = []
    if len(tested) == 1:
        sentences.append(f"The one comparison that could be tested is {'' if held else 'not '}significant in UA.")
        sentences += [_told(analysis, tested[0])]
    elif tested:
        count = "none is" if not held else f"{len(held)} {'is' if len(held) == 1 else 'are'}"
        sentences.append(
            f"Of {len(tested)} comparisons that could be tested, {count} significant in UA at .05 after Holm's"
            " correction."
        )
        sentences += [_told(analysis, paired) for paired in held]
    few = sum(paired.comparisons is not None and _p(paired) is None for paired in pairs)
    if few:
        sentences.append(f"{_count(few, 'comparison')}: too few speakers for a test.")
    never = [paired for paired in pairs if paired.comparisons is None]
    if never:
        why = "; ".join(dict.fromkeys(paired.remark for paired in never))
        sentences.append(f"{_count(len(never), 'comparison')} could not be made: {why}.")
    return sentences


def _p(paired: Paired) -> float | None:
    return paired.holm.get("ua") if paired.holm is not None else None


def _told(analysis: Analysis, paired: Paired) -> str:
    labels = {row.name: row.label for row in analysis.collection.rows}
    found, p = paired.comparisons["ua"].difference if paired.comparisons else None, _p(paired)
    parts = []
    if found is not None:
        low, high = signed(100 * found.low), signed(100 * found.high)
        parts.append(f"{signed(100 * found.estimate)} points of UA (95 % interval {low} to {high})")
    if p is not None:
        shown = shown_p(p)
        parts.append(f"Holm's p {'' if shown.startswith('<') else '= '}{shown}")
    sides = f"{labels[paired.pair.a]} against {labels[paired.pair.b]}"
    return f"{paired.pair.question} {sides}: {', '.join(parts)}.".strip()


def _missing(analysis: Analysis) -> list[str]:
    rows = analysis.collection.rows
    never = [row.label for row in rows if not row.folds]
    partly = [f"{row.label} ({row.folds} of {row.planned or '?'} folds)" for row in rows if row.folds and not row.whole]
    sentences = [f"Not run: {'; '.join(never)}."] if never else []
    if partly:
        sentences.append(f"Run in part: {'; '.join(partly)}.")
    if not sentences:
        sentences.append("Everything that was planned was run.")
    failures = len(analysis.collection.failures)
    if failures:
        sentences.append(f"{_count(failures, 'unit')} failed.")
    return sentences
