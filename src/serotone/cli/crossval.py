"""``serotone crossval``: a recipe over the folds of its protocol."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from serotone.cli.messages import remark
from serotone.cli.output import check_out_folder
from serotone.cli.streams import ends_in_order
from serotone.cli.training import (
    AddressOption,
    CorporaOption,
    CorpusOption,
    ExecutorOption,
    FoldsOption,
    GpusOption,
    JobsOption,
    LogOption,
    RecipeArgument,
    SetOption,
    ThreadsOption,
    numbers_of,
    place_of,
    ray_options,
    recipe_of,
    remark_idle,
    require_train,
)
from serotone.cli.usage import check_ray, utterances_of
from serotone.names import count_of


def crossval(
    recipe: RecipeArgument,
    corpus: CorpusOption,
    out: Annotated[Path, typer.Option(help="The run folder. Finished folds in it are skipped.")],
    changes: SetOption = None,
    repetitions: Annotated[
        int, typer.Option(min=1, help="How often to repeat the protocol with newly drawn folds.")
    ] = 1,
    folds: FoldsOption = None,
    log: LogOption = None,
    executor: ExecutorOption = "local",
    jobs: JobsOption = None,
    threads: ThreadsOption = 0,
    gpus: GpusOption = 0,
    address: AddressOption = None,
    corpora: CorporaOption = "store",
) -> None:
    """Train and test on every fold; print WA and UA per fold, their mean and SD, and those of all answers pooled."""
    require_train("cross-validation")
    from serotone.cli.progress import StudyProgress

    only = numbers_of(folds)
    check_ray(executor, ray_options(gpus, address, corpora))
    check_out_folder(out)
    utterances = utterances_of(corpus)
    chosen = recipe_of(recipe, changes or (), {u.corpus for u in utterances})
    remark_idle(changes or (), [chosen])
    from serotone.experiments.crossval import FoldsFailedError
    from serotone.experiments.crossval import crossval as run  # torch: seconds, in which a mistake is not to wait

    try:
        with ends_in_order(), StudyProgress(jobs=jobs, table=executor == "ray" or (jobs or 1) > 1) as progress:
            summary = run(
                chosen,
                utterances,
                out,
                place=place_of(executor, jobs, threads, gpus, address, corpora),
                repetitions=repetitions,
                only=only,
                log=log or (),
                tell=remark,
                on_plan=progress.plan,
                on_event=progress.event,
            )
    except FoldsFailedError as error:
        typer.echo(table(error.summary))
        raise
    typer.echo(table(summary))


def table(summary: Mapping[str, Any]) -> str:
    """The summary of a run as lines of text."""
    lines = [
        f"{summary['recipe']}, {summary['schedule']} schedule ({summary['length']}, {summary['precision']}),"
        f" {summary['protocol']}, seed {summary['seed']}",
        f"{summary['folds_finished']} of {summary['folds_planned']} folds; shared between test and training:"
        f" {_shared(summary, 'speakers')}, {_shared(summary, 'sentences')}{_copies(summary)}",
        "",
        "fold        clips   step      WA      UA",
    ]
    lines += [
        f"{f['repetition']}-{f['fold']:<9} {f['clips']:>5} {f['step']:>6}  {f['wa']:6.2%}  {f['ua']:6.2%}"
        for f in summary["folds"]
    ]
    if summary["folds"]:
        lines.append(
            f"mean of folds             {summary['wa_mean_of_folds']:6.2%}  {summary['ua_mean_of_folds']:6.2%}"
        )
        if summary["wa_sd_of_folds"] is not None:
            lines.append(
                f"SD of folds               {summary['wa_sd_of_folds']:6.2%}  {summary['ua_sd_of_folds']:6.2%}"
            )
        lines.append(f"pooled matrix             {summary['wa_pooled']:6.2%}  {summary['ua_pooled']:6.2%}")
    return "\n".join(lines)


def _copies(summary: Mapping[str, Any]) -> str:
    """How many recordings are in both under two names, where there are any."""
    count = summary["shared_recordings"]
    return f", {count_of(count, 'recording')} under two names" if count else ""


def _shared(summary: Mapping[str, Any], what: str) -> str:
    """How many speakers or sentences are shared, as far as it is known who or which they are."""
    count = summary[f"shared_{what}"]
    if not summary.get(f"unknown_{what}"):
        return f"{count} {what}"
    known = count - (what == "speakers")  # the unknown speakers count as one
    return f"{known} {what} and unknown ones" if known else f"{what} unknown"
