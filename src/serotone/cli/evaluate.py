"""``serotone evaluate``: how well a recogniser does on a corpus."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serotone.cli.formats import Format
from serotone.cli.messages import Progress, complain

if TYPE_CHECKING:
    from serotone.evaluation import Evaluation


def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A shipped bundle's name, or a path.")],
    corpus: Annotated[list[str], typer.Option(metavar="NAME=ROOT", help="A corpus and its folder; may be repeated.")],
    out: Annotated[Path | None, typer.Option(help="Write predictions.csv and metrics.json into this folder.")] = None,
    format: Annotated[Format, typer.Option(help="How to print the scores.")] = Format.table,
    threads: Annotated[int, typer.Option(min=1, help="Threads that one recording may use.")] = 1,
) -> None:
    """Score a recogniser on a corpus, also one that it was not trained on.

    Scored are the emotions that both have. The exit status is 1 where a recording could not be read.
    """
    from serotone.corpora import parse_corpora
    from serotone.emotions import merged
    from serotone.evaluation import evaluate as score
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(bundle, threads=threads)
    utterances = parse_corpora(corpus)
    progress = Progress(
        sum(merged(u.emotion, recognizer.bundle.merge) in recognizer.bundle.labels for u in utterances), "utterances"
    )
    try:
        result = score(recognizer, utterances, on_utterance=progress.step)
    finally:
        progress.clear()
    for name, message in result.failed:
        complain(f"{name}: {message}")
    if out is not None:
        result.write(out)
    if format is Format.json:
        typer.echo(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(_table(result)))
    if result.failed:
        raise typer.Exit(1)


def _table(result: "Evaluation") -> list[str]:
    """The lines that people read."""
    scores, free = result.scores(), result.unrestricted_scores()
    lines = [
        f"{result.bundle.name} {result.bundle.version} on {', '.join(result.corpora)}: {len(result.rows)} utterances",
        f"scored on the emotions that both have: {', '.join(result.shared)}",
    ]
    if result.bundle_only:
        lines.append(f"classes of the bundle that the corpus lacks: {', '.join(result.bundle_only)}")
    if result.corpus_only:
        lacking = ", ".join(f"{emotion} ({count})" for emotion, count in result.corpus_only.items())
        lines.append(f"emotions that the bundle lacks, left out: {lacking}")
    if result.merged:
        taken = ", ".join(f"{what} ({count})" for what, count in result.merged.items())
        lines.append(f"taken as in the bundle's training: {taken}")
    if result.unanswered:
        lines.append(f"no speech found, left out: {', '.join(result.unanswered)}")
    if result.trained_on:
        lines.append(
            f"NOTE: {result.bundle.name} was trained on {', '.join(result.trained_on)}: "
            "these are not figures for unseen speakers"
        )
    lines += ["", f"{'answers':<34} {'WA':>7} {'UA':>7} {'F1':>7}"]
    lines.append(_scores("among the shared emotions" if result.bundle_only else "among all classes", scores))
    if result.bundle_only:
        lines.append(_scores("among all classes of the bundle", free))
    return [*lines, "", *_confusion(result.shared, scores)]


def _scores(what: str, scores: dict[str, Any]) -> str:
    return f"{what:<34} " + " ".join(f"{100 * scores[key]:6.2f}%" for key in ("wa", "ua", "macro_f1"))


def _confusion(labels: Sequence[str], scores: dict[str, Any]) -> list[str]:
    """Counts, rows truth, with the recall of each class."""
    width = max(len(label) for label in (*labels, "truth"))
    cells = [max(len(label), 5) for label in labels]
    lines = [f"{'truth':<{width}}  {'  '.join(f'{label:>{w}}' for label, w in zip(labels, cells))}   recall"]
    for label, counts in zip(labels, scores["confusion"]):
        row = "  ".join(f"{count:>{w}}" for count, w in zip(counts, cells))
        lines.append(f"{label:<{width}}  {row}  {100 * scores['recall'][label]:6.2f}%")
    return lines
