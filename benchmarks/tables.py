"""The accuracy table of README and results/README.md, from the summaries on disk: `python benchmarks/tables.py`."""

import argparse
import json
from pathlib import Path

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
    print("| run | recipe | protocol | schedule | folds | seed | UA: mean ± SD of folds (pooled) | WA |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sorted(folder.rglob("summary.json")):
        s = json.loads(path.read_text(encoding="utf-8"))
        folds = f"{s['folds_finished']} of {s['folds_planned']}"
        schedule = f"{s['schedule']}, {s['length']}, {s['precision']}"
        run = path.parent.relative_to(folder)
        ua, wa = percent(s, "ua"), percent(s, "wa")
        print(f"| {run} | {s['recipe']} | {s['protocol']} | {schedule} | {folds} | {s['seed']} | {ua} | {wa} |")


if __name__ == "__main__":
    main()
