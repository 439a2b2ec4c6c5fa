"""The accuracy table of README and results/README.md, from the summaries on disk: `python benchmarks/tables.py`."""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def percent(summary: dict[str, object], key: str) -> str:
    """Mean of folds with its SD, or the pooled figure, in percent."""
    mean, deviation = summary[f"{key}_mean_of_folds"], summary[f"{key}_sd_of_folds"]
    spread = f" ± {100 * float(str(deviation)):.1f}" if deviation is not None else ""
    return f"{100 * float(str(mean)):.1f}{spread} ({100 * float(str(summary[f'{key}_pooled'])):.1f})"


def main() -> None:
    """Print Markdown: one row for each run under results/ that has a finished fold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "results")
    folder = parser.parse_args().folder
    summaries = {path.parent.relative_to(folder): read(path) for path in sorted(folder.rglob("summary.json"))}
    summaries = {run: summary for run, summary in summaries.items() if summary["folds_finished"]}
    print("| run | recipe | protocol | schedule | folds | seed | UA: mean ± SD of folds (pooled) | WA |")
    print("|---|---|---|---|---|---|---|---|")
    for run, s in summaries.items():
        folds = f"{s['folds_finished']} of {s['folds_planned']}"
        schedule = f"{s['schedule']}, {s['length']}, {s['precision']}"
        ua, wa = percent(s, "ua"), percent(s, "wa")
        print(f"| {run} | {s['recipe']} | {s['protocol']} | {schedule} | {folds} | {s['seed']} | {ua} | {wa} |")
    print("\n" + "\n".join(differences(list(summaries.values()))))


def differences(summaries: list[dict[str, Any]]) -> list[str]:
    """What the budget schedule and bfloat16 cost in UA: runs that differ in that alone, over the folds of both."""
    lines = []
    for one, other in itertools.permutations(summaries, 2):
        same = [key for key in ("recipe", "protocol", "seed", "schedule", "precision") if one[key] == other[key]]
        if same == ["recipe", "protocol", "seed", "precision"] and one["schedule"] == "budget":
            lines.append(difference("by the budget schedule", one, "by the paper's", other))
        if same == ["recipe", "protocol", "seed", "schedule"] and one["precision"] == "bfloat16":
            lines.append(difference("in bfloat16", one, "in float32", other))
    return [line for line in lines if line]


def read(path: Path) -> dict[str, Any]:
    """A summary."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def difference(what: str, one: dict[str, Any], beside: str, other: dict[str, Any]) -> str:
    """Mean UA of the folds that both ran."""
    scores = [{(f["repetition"], f["fold"]): f["ua"] for f in summary["folds"]} for summary in (one, other)]
    both = sorted(set(scores[0]) & set(scores[1]))
    if not both:
        return ""
    mine, theirs = (100 * sum(score[fold] for fold in both) / len(both) for score in scores)
    folds = f"fold{'s' if len(both) > 1 else ''} {', '.join(str(fold) for _, fold in both)}"
    return (
        f"- {one['recipe']}, {one['protocol']}, {folds}: UA {mine:.1f} {what}, {theirs:.1f} {beside};"
        f" {theirs - mine:+.1f} points."
    )


if __name__ == "__main__":
    main()
