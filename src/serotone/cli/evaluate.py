"""``serotone evaluate``: how well a recogniser does on a corpus."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serotone.cli.comparison import certainty_line, comparison_table
from serotone.cli.formats import Format
from serotone.cli.messages import Progress, complain, remark_terms
from serotone.cli.streams import as_json, ends_in_order
from serotone.cli.usage import BundleArgument, utterances_of
from serotone.errors import MetricError
from serotone.names import count_of

if TYPE_CHECKING:
    from serotone.evaluation import Comparison, Evaluation


def evaluate(
    bundle: BundleArgument,
    corpus: Annotated[list[str], typer.Option(metavar="NAME=ROOT", help="A corpus and its folder; may be repeated.")],
    merge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A=B", help="Count emotion A as B, in addition to the bundle's own merges; may be repeated."
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(metavar="A,B,...", help="Score only these emotions.")] = None,
    leave_out_failed: Annotated[
        bool,
        typer.Option("--leave-out-failed", help="Leave out clips without an answer. By default they count as wrong."),
    ] = False,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt",
            help="Also score answers adapted to each corpus, and to its speakers, without labels.",
        ),
    ] = False,
    adapt_with: Annotated[
        int | None,
        typer.Option(
            min=5, metavar="N", help="The same with N random recordings of each corpus instead of all of them."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="With --adapt-with: a different seed draws different recordings.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Also score answers adapted to this profile, which serotone adapt wrote.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write predictions and scores to this folder; serotone report reads it, too."),
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print the scores.")] = Format.table,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Recordings to hear at a time. By default, one per processor.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads to use for each recording.")] = 1,
) -> None:
    """Score a recogniser on a corpus with labels.

    The corpus may be one that it was not trained on. Only emotions that both have are scored. A clip that cannot be
    read, or gets no label, counts as a wrong answer. The exit status is 1 if a recording could not be read.
    """
    own = adapt or adapt_with is not None
    if own and profile is not None:
        raise typer.BadParameter("give --adapt or --profile, not both", param_hint="--profile")
    if seed is not None and adapt_with is None:
        raise typer.BadParameter("works only with --adapt-with; add it", param_hint="--seed")
    merges = dict(_pair(text) for text in merge or ())
    chosen = None if labels is None else [label.strip() for label in labels.split(",") if label.strip()]
    if chosen is not None and len(set(chosen)) < 2:
        raise typer.BadParameter(
            f"{labels!r} names fewer than two emotions; give more, such as angry,sad", param_hint="--labels"
        )
    if out is not None:
        from serotone.cli.output import check_out_folder
        from serotone.evaluation.saving import check_folder

        check_out_folder(out)
        check_folder(out)
    from serotone.evaluation import agree, compare, readings
    from serotone.evaluation import evaluate as score
    from serotone.processors import processors
    from serotone.recognition.profile import load_profile
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(bundle, threads=threads)
    jobs = jobs or processors()
    known = None if profile is None else load_profile(profile)
    if known is not None:
        recognizer.with_profile(known)  # like the next line, refused before hours of reading
    elif own:
        recognizer.adaptation()
    try:
        agree(recognizer.bundle, (), merge=merges, labels=chosen)  # the names, before the corpora are read
    except MetricError as error:
        option, _, problem = str(error).partition(": ")
        raise typer.BadParameter(problem, param_hint=f"--{option}") from error
    utterances = utterances_of(corpus, to_score=True)
    terms = agree(recognizer.bundle, utterances, merge=merges, labels=chosen)
    total = readings(utterances, terms, own=own, adapt_with=adapt_with, seed=seed or 0)
    remark_terms(recognizer.bundle)
    progress = Progress(total, "utterances")
    with ends_in_order() as check:

        def step() -> None:
            check()
            progress.step()

        result: Evaluation | Comparison
        try:
            if own or known is not None:
                result = compare(
                    recognizer,
                    utterances,
                    profile=known,
                    adapt_with=adapt_with,
                    seed=seed or 0,
                    merge=merges,
                    labels=chosen,
                    leave_out_failed=leave_out_failed,
                    jobs=jobs,
                    on_utterance=step,
                )
                plain, unheard, table = result.plain, result.unheard, comparison_table(result)
            else:
                result = plain = score(
                    recognizer,
                    utterances,
                    merge=merges,
                    labels=chosen,
                    leave_out_failed=leave_out_failed,
                    jobs=jobs,
                    on_utterance=step,
                )
                unheard, table = (), []
        finally:
            progress.clear()
    failed = (*plain.failed, *unheard)
    for name, message in failed:
        complain(f"{name}: {message}")
    try:
        if out is not None:
            from serotone.evaluation.saving import save

            save(out, result, utterances)
    finally:  # on a full disk as well: hours of reading are behind the scores
        if format is Format.json:
            typer.echo(as_json(result.to_dict(), sys.stdout, indent=2))
        else:
            typer.echo("\n".join(_table(plain, table)))
    if failed:
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    emotion, equals, name = (part.strip() for part in text.partition("="))
    if not (emotion and equals and name):
        raise typer.BadParameter(f"{text!r}; expected A=B, such as calm=neutral", param_hint="--merge")
    return emotion, name


def _table(result: "Evaluation", comparison: Sequence[str]) -> list[str]:
    """The lines that people read: the plain answers', and between them those that compare them with adapted ones."""
    scores, free = result.scores(), result.unrestricted_scores()
    lines = [
        f"{result.bundle.name} {result.bundle.version} on {', '.join(result.corpora)}: {len(result.scored)} utterances",
        f"scored on the emotions that both have: {', '.join(result.shared)}",
    ]
    if result.bundle_only:
        lines.append(f"classes of the bundle that are not scored: {', '.join(result.bundle_only)}")
    if result.corpus_only:
        lacking = ", ".join(f"{emotion} ({count})" for emotion, count in result.corpus_only.items())
        lines.append(f"emotions of the corpus that are not scored: {lacking}")
    if result.merged:
        lines.append(f"counted as another: {', '.join(f'{what} ({n})' for what, n in result.merged.items())}")
    if without := len(result.unanswered) + len(result.failed):
        what = "left out" if result.leave_out_failed else "counted as wrong answers"
        lines.append(
            f"{what}: {without} without an answer ({len(result.unanswered)} got no label, "
            f"{len(result.failed)} could not be read)"
        )
    if result.trained_on:
        lines.append(
            f"NOTE: {result.bundle.name} was trained on {', '.join(result.trained_on)}: "
            "these are not figures for unseen speakers"
        )
    if comparison:
        lines += [*comparison, "", "plain answers:"]
    lines += ["", f"{'answers':<34} {'WA':>7} {'UA':>7} {'chance':>7} {'F1':>7}"]
    # Of several corpora, each may lack a class that another has.
    fewer = any(len(shared) < len(result.terms.classes) for shared in result.terms.shared.values())
    lines.append(_scores("among the shared emotions" if fewer else "among all classes", scores))
    if fewer:
        lines.append(_scores("among all classes of the bundle", free))
    lines += ["", certainty_line(result.certainty())]
    if len(result.corpora) > 1:
        lines += ["", *_corpora(result)]
    lines += ["", *_speakers(result.by_speaker())]
    return [*lines, "", *_confusion(scores["labels"], scores)]


def _scores(what: str, scores: Mapping[str, Any]) -> str:
    return f"{what:<34} " + _percent(scores, "wa", "ua", "chance", "macro_f1")


def _percent(scores: Mapping[str, Any], *keys: str) -> str:
    return " ".join(f"{100 * scores[key]:6.2f}%" for key in keys)


def _corpora(result: "Evaluation") -> list[str]:
    """A line for each corpus, and their mean: among the shared emotions, then freely."""
    every, mean = result.by_corpus(), result.mean_of_corpora()
    width = max(len(name) for name in (*every, "mean of corpora"))
    head = f"{'WA':>7} {'UA':>7} {'chance':>7}"
    lines = [
        f"{'':<{width}} {'':>6} {'':>6}  {'among the shared emotions':<24}  among all classes",
        f"{'corpus':<{width}} {'clips':>6} {'failed':>6}  {head}  {head}",
    ]
    rows = [(name, str(found["utterances"]), str(found["failed"]), found) for name, found in every.items()]
    for name, clips, failed, found in [*rows, ("mean of corpora", "", "", mean)]:
        shown = (_percent(found[kind], "wa", "ua", "chance") for kind in ("restricted", "unrestricted"))
        lines.append(f"{name:<{width}} {clips:>6} {failed:>6}  {'  '.join(shown)}")
    return lines


def _speakers(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How far the speakers differ, in a few words; --format json and --out have each of them."""
    from serotone.metrics import mean_and_sd

    if not found:
        return ["speakers: no corpus says who speaks, so there are no scores per speaker"]
    mean, sd = mean_and_sd(speaker["ua"] for speaker in found.values())
    if sd is None:
        return ["speakers: 1"]
    order = sorted(found, key=lambda name: found[name]["ua"])
    ends = [
        f"{100 * found[name]['ua']:.2f}% ({name}, {count_of(found[name]['utterances'], 'clip')})"
        for name in (order[0], order[-1])
    ]
    spread = f"UA {100 * mean:.2f}% on average, SD {100 * sd:.2f} points, from {ends[0]} to {ends[1]}"
    return [f"speakers: {len(found)}; {spread}"]


def _confusion(labels: Sequence[str], scores: Mapping[str, Any]) -> list[str]:
    """Counts, rows truth, with the recall of each class and, where there are any, the clips without an answer."""
    width = max(len(label) for label in (*labels, "truth"))
    cells = [max(len(label), 5) for label in labels]
    missing = scores["no_answer"] if any(scores["no_answer"].values()) else {}
    more = "  no answer" if missing else ""
    lines = [f"{'truth':<{width}}  {'  '.join(f'{label:>{w}}' for label, w in zip(labels, cells))}{more}   recall"]
    for label, counts in zip(labels, scores["confusion"]):
        row = "  ".join(f"{count:>{w}}" for count, w in zip(counts, cells))
        more = f"  {missing[label]:>9}" if missing else ""
        lines.append(f"{label:<{width}}  {row}{more}  {100 * scores['recall'][label]:6.2f}%")
    return lines
