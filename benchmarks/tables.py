"""The accuracy table of README and results/README.md, from the summaries on disk: `python benchmarks/tables.py`."""

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def percent(summary: dict[str, object], key: str) -> str:
    """Mean of folds with its SD, or the pooled figure, in percent."""
    mean, deviation = summary.get(f"{key}_mean_of_folds"), summary.get(f"{key}_sd_of_folds")
    if mean is None:
        return "not run"
    spread = f" ± {100 * float(str(deviation)):.1f}" if deviation is not None else ""
    return f"{100 * float(str(mean)):.1f}{spread} ({100 * float(str(summary[f'{key}_pooled'])):.1f})"


def main() -> None:
    """Print Markdown: one row per crossval run under results/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "results")
    folder = parser.parse_args().folder
    summaries = {path.parent.relative_to(folder): read(path) for path in sorted(folder.rglob("summary.json"))}
    print("| run | recipe | protocol | schedule | folds | seed | UA: mean ± SD of folds (pooled) | WA |")
    print("|---|---|---|---|---|---|---|---|")
    for run, s in summaries.items():
        folds = f"{s['folds_finished']} of {s['folds_planned']}"
        schedule = f"{s['schedule']}, {s['length']}, {s['precision']}"
        ua, wa = percent(s, "ua"), percent(s, "wa")
        print(f"| {run} | {s['recipe']} | {s['protocol']} | {schedule} | {folds} | {s['seed']} | {ua} | {wa} |")
    for run, paper in summaries.items():
        budget = summaries.get(run.with_name(run.name.removesuffix("-paper")))
        if run.name.endswith("-paper") and budget is not None:
            print(f"\n{price(budget, paper)}")


def read(path: Path) -> dict[str, Any]:
    """A summary."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def price(budget: dict[str, Any], paper: dict[str, Any]) -> str:
    """What the budget schedule costs in UA, over the folds that both schedules ran."""
    scores = [{(f["repetition"], f["fold"]): f["ua"] for f in summary["folds"]} for summary in (budget, paper)]
    both = sorted(set(scores[0]) & set(scores[1]))
    short, long = (100 * sum(score[fold] for fold in both) / len(both) for score in scores)
    which = ", ".join(str(fold) for _, fold in both)
    return (
        f"{paper['recipe']}, {paper['protocol']}, fold {which}: UA {short:.1f} by the budget schedule, {long:.1f} by"
        f" the paper's; the budget's price is {long - short:.1f} points."
    )


if __name__ == "__main__":
    main()
