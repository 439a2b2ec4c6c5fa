"""What was run, from the summaries on disk: the table of results/README.md, and with ``--papers`` that of README.md."""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

from serotone.runs.layout import STUDY, SUMMARY
from serotone.studies import load_study

ROOT = Path(__file__).parent.parent


class Paper(NamedTuple):
    """A paper's main row: its recipe, where its idea is written and tested, and the study with its figures."""

    paper: str
    recipe: str
    idea: str
    code: str
    tests: str
    study: str = "main-rows"


ROOMS = {"losses.py": "", "pooling.py": "", "mfcc.py": "/frontends", "spectrogram.py": "/frontends"}
EMODB = "dynamic-convolution-emodb"
LIANG, TRIPATHI, DAI = "Liang et al., JIFS 2020", "Tripathi et al., arXiv 1906.05682", "Dai et al., ICASSP 2019"
ZHOU, LIN = "Zhou & Liu, Interspeech 2020", "Lin, Hu & Zhu, JCEIM 2023"
PAPERS = (
    Paper(LIANG, "vlcrnn-fixed-length", "baseline: pieces of 3 s", "vlcrnn.py", "vlcrnn"),
    Paper(LIANG, "vlcrnn-variable-length", "whole clips, padding masked", "vlcrnn.py", "vlcrnn"),
    Paper(LIANG, "vlcrnn-focal", "and focal loss", "losses.py", "losses", "variable-length"),
    Paper(TRIPATHI, "resnet-mel-softmax", "baseline: softmax", "resnet.py", "resnet"),
    Paper(TRIPATHI, "resnet-mel-focal", "focal loss", "losses.py", "losses"),
    Paper(TRIPATHI, "resnet-mfcc-softmax", "MFCC, softmax", "mfcc.py", "frontends", "focal-resnet"),
    Paper(TRIPATHI, "resnet-mfcc-focal", "MFCC, focal loss", "losses.py", "losses", "focal-resnet"),
    Paper(DAI, "crnn-mel", "baseline: softmax", "crnn.py", "objective"),
    Paper(DAI, "crnn-center-mel", "center loss", "losses.py", "losses"),
    Paper(DAI, "crnn-stft", "STFT, softmax", "spectrogram.py", "frontends", "center-loss"),
    Paper(DAI, "crnn-center-stft", "STFT, center loss", "losses.py", "losses", "center-loss"),
    Paper(ZHOU, "cnn-blstm-attention", "baseline: mean pooled", "cnn_blstm.py", "cnn_blstm"),
    Paper(ZHOU, "cnn-blstm-attention-combined", "and SD pooled", "pooling.py", "pooling"),
    Paper(ZHOU, "cnn-blstm-attention-ams", "AM-softmax", "losses.py", "losses", "discriminative"),
    Paper(ZHOU, "cnn-blstm-attention-focal", "focal loss", "losses.py", "losses", "discriminative"),
    Paper(LIN, "dycnn-static-lstm", "baseline: CNN and LSTM", "dycnn.py", "dycnn", EMODB),
    Paper(LIN, "dycnn-bilstm", "dynamic CNN and BiLSTM", "dycnn.py", "dycnn", EMODB),
)


def percent(summary: dict[str, object], key: str) -> str:
    """Mean of folds with its SD, or the pooled figure, in percent."""
    mean, deviation = summary[f"{key}_mean_of_folds"], summary[f"{key}_sd_of_folds"]
    spread = f" ± {100 * float(str(deviation)):.1f}" if deviation is not None else ""
    return f"{100 * float(str(mean)):.1f}{spread} ({100 * float(str(summary[f'{key}_pooled'])):.1f})"


def main() -> None:
    """Print Markdown: one row for each run under results/ that has a finished fold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "results")
    parser.add_argument("--papers", action="store_true", help="one row for each idea of a paper, published and ours")
    given = parser.parse_args()
    folder = given.folder
    summaries = {path.parent.relative_to(folder): read(path) for path in sorted(folder.rglob(SUMMARY))}
    # An evaluation of a bundle has a summary, too, but no folds.
    summaries = {run: s | {"corpus": run.parts[0]} for run, s in summaries.items() if s.get("folds_finished")}
    shipped = {run: summary for run, summary in summaries.items() if not overrides(folder / run)}
    if given.papers:
        once = {json.dumps(summary["folds"]): summary for summary in shipped.values()}  # two studies may have one run
        print("\n".join(papers(list(once.values()))))
        return
    print("| run | recipe | protocol | schedule | folds | seed | UA: mean ± SD of folds (pooled) | WA |")
    print("|---|---|---|---|---|---|---|---|")
    for run, s in summaries.items():
        folds = f"{s['folds_finished']} of {s['folds_planned']}"
        schedule = f"{s['schedule']}, {s['length']}, {s['precision']}"
        ua, wa = percent(s, "ua"), percent(s, "wa")
        print(f"| {run} | {s['recipe']} | {s['protocol']} | {schedule} | {folds} | {s['seed']} | {ua} | {wa} |")
    print("\n" + "\n".join(differences(list(shipped.values()))))


def papers(summaries: list[dict[str, Any]]) -> list[str]:
    """A row for each idea: published figures, and ours where every fold is finished: long or else budget, and paper."""
    lines = [
        "| paper | recipe | idea | code | tests | published: WA / UA | ours, EmoDB, speakers apart | speakers shared |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for paper in PAPERS:
        study = load_study(paper.study)
        published = next(r.published for r in study.rows if r.recipe == paper.recipe and not r.set_)
        assert published is not None
        figures = [f"{value:g}" if value else "-" for value in (published.wa, published.ua)]
        whole = (s for s in summaries if s["folds_finished"] == s["folds_planned"] and len(s["labels"]) == 7)
        own = [s for s in whole if s["recipe"] == paper.recipe]
        apart, shared = (
            score([s for s in own if bool(s["shared_speakers"]) == together]) for together in (False, True)
        )
        room = f"src/serotone/modeling{ROOMS.get(paper.code, '/encoders')}"
        code = f"[{paper.code}]({room}/{paper.code})"
        tests = f"[test_{paper.tests}.py](tests/test_{paper.tests}.py)"
        first = [paper.paper, f"`{paper.recipe}`", paper.idea, code, tests]
        lines.append("| " + " | ".join([*first, f"{' / '.join(figures)} ({study.published_on})", apart, shared]) + " |")
    return lines


def score(summaries: list[dict[str, Any]]) -> str:
    """Mean WA and UA over folds and seeds, in percent, and how many: by our schedule, then by the paper's."""
    found = {}
    for schedule, words in (("budget", ""), ("long", ", `long`"), ("paper", ", paper's schedule")):
        of = [summary for summary in summaries if summary["schedule"] == schedule]
        if folds := [fold for summary in of for fold in summary["folds"]]:
            wa, ua = (100 * sum(fold[key] for fold in folds) / len(folds) for key in ("wa", "ua"))
            count = len({summary["seed"] for summary in of})
            seeds = f", {count} seeds" if count > 1 else ""
            found[schedule] = f"{wa:.1f} / {ua:.1f} ({of[0]['folds_finished']} folds{seeds}{words})"
    if "long" in found:
        found.pop("budget", None)
    return "; ".join(found.values()) or "not run"


def differences(summaries: list[dict[str, Any]]) -> list[str]:
    """What the budget schedule and bfloat16 cost in UA: runs that differ in that alone, over the folds of both."""
    lines = []
    for one, other in itertools.permutations(summaries, 2):
        if one["corpus"] != other["corpus"]:
            continue
        same = [key for key in ("recipe", "protocol", "seed", "schedule", "precision") if one[key] == other[key]]
        if same == ["recipe", "protocol", "seed", "precision"] and one["schedule"] == "budget":
            lines.append(difference("by the schedule budget", one, f"by {other['schedule']}", other))
        if same == ["recipe", "protocol", "seed", "schedule"] and one["precision"] == "bfloat16":
            lines.append(difference("in bfloat16", one, "in float32", other))
    return list(dict.fromkeys(filter(None, lines)))  # two studies may have one run


def overrides(run: Path) -> tuple[str, ...]:
    """What the study of a run overrides in its recipe for this row alone; nothing for a run outside studies."""
    path = run.parent.parent / STUDY
    rows = load_study(path).table if path.is_file() else ()
    return next((row.set_ for row in rows if row.name == run.parent.name), ())


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
    unit, place = ("repetition", 0) if any(repetition for repetition, _ in both) else ("fold", 1)
    numbers = ", ".join(str(key[place]) for key in both)
    where = "" if one["corpus"] == "emodb" else f" ({one['corpus'].upper()})"
    return (
        f"- {one['recipe']}, {one['protocol']}{where}, {unit}{'s' if len(both) > 1 else ''} {numbers}:"
        f" UA {mine:.1f} {what}, {theirs:.1f} {beside}; {theirs - mine:+.1f} points."
    )


if __name__ == "__main__":
    main()
