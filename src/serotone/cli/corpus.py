"""``serotone corpus``: list the readers, check a folder, make a synthetic corpus."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serotone.cli.formats import Format
from serotone.cli.streams import as_json
from serotone.cli.usage import completing

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from serotone.corpora import CorpusReport

app = typer.Typer(
    name="corpus",
    help="List the corpora that serotone reads, check a folder, make synthetic speech.",
    no_args_is_help=True,
)


@app.command("list")
def list_corpora(
    format: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.table,
) -> None:
    """List the corpora that can be read, with their languages and licences."""
    from serotone.corpora import CORPORA

    if format is Format.json:
        corpora = [
            {
                "name": c.name,
                "utterances": c.official.total if c.official else None,
                "languages": list(c.languages),
                "licence": c.licence,
                "non_commercial": c.non_commercial,
                "description": c.description,
            }
            for c in CORPORA.values()
        ]
        typer.echo(as_json({"schema": 1, "corpora": corpora}, sys.stdout, indent=2))
        return
    from rich.table import Table

    table = Table("name", "utterances", "languages", "licence", "what it is")
    for corpus in CORPORA.values():
        total = str(corpus.official.total) if corpus.official else ""
        table.add_row(corpus.name, total, ", ".join(corpus.languages), corpus.licence, corpus.description)
    _console().print(table)


def _names() -> list[str]:
    from serotone.corpora import CORPORA

    return list(CORPORA)


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name from `serotone corpus list`; for your own table (CSV, TSV, Parquet), any other name.",
            autocompletion=completing(_names),
        ),
    ],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The corpus' folder, or the table.")],
    format: Annotated[Format, typer.Option("--format", help="How to print the report.")] = Format.table,
) -> None:
    """Count the clips of a folder per emotion and speaker, and compare them with the official counts.

    Every file is decoded. The exit status is 1 if the folder is not that corpus, or a file cannot be read.
    """
    from serotone.corpora import check_corpus
    from serotone.corpora.synthetic import check_made
    from serotone.errors import SerotoneError

    try:
        check_made(name, root)
        report = check_corpus(name, root, on_file=_progress())
    except SerotoneError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if format is Format.json:
        typer.echo(as_json(report.to_dict(), sys.stdout, indent=2))
    else:
        _print_report(report)
    if report.unreadable:
        raise typer.Exit(1)


@app.command()
def make(
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="The folder to fill. It is created if it does not exist.")
    ],
    speakers: Annotated[int, typer.Option(min=1, help="How many speakers.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="A different seed gives different speakers.")] = 0,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences per speaker and emotion.")] = 5,
    first_speaker: Annotated[int, typer.Option(min=0, help="Number of the first speaker; even ones are female.")] = 0,
) -> None:
    """Make synthetic speech of seven emotions. The same options always give the same bytes."""
    from serotone.cli.output import check_out_folder
    from serotone.corpora import synthetic

    check_out_folder(root, "ROOT")
    try:
        paths = synthetic.make(root, speakers=speakers, seed=seed, sentences=sentences, first_speaker=first_speaker)
    except OSError as error:
        typer.echo(f"error: {root}: cannot be filled with clips: {error}", err=True)
        raise typer.Exit(1) from error
    others = sum(1 for _ in root.glob("*.wav")) - len(paths)
    typer.echo(f"{len(paths)} clips in {root}" + (f", next to {others} of earlier calls" if others else ""))


def _progress() -> Callable[[int, int], None] | None:
    """A counter on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        if done % 25 == 0 or done == total:
            end = "\r\033[K" if done == total else ""
            sys.stderr.write(f"\r{done} of {total} files decoded{end}")
            sys.stderr.flush()

    return show


def _console() -> "Console":
    """A console for standard output; wide enough for any table where that is no terminal."""
    from serotone.cli.console import PipeConsole

    return PipeConsole(width=None if sys.stdout.isatty() else 160)


def _counts_table(report: "CorpusReport") -> "Table":
    """What the corpus itself counts, group by group, found beside expected."""
    from rich import box
    from rich.table import Table

    table = Table("counted", "", "found", "expected", box=box.SIMPLE, show_edge=False, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    group = ""
    for count in report.counts:
        if count.group != group:
            table.add_section()
        expected = "" if count.expected is None else str(count.expected)
        table.add_row("" if count.group == group else count.group, count.name, str(count.found), expected)
        group = count.group
    return table


def _print_report(report: "CorpusReport") -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    console = _console()
    emotions = report.emotions
    table = Table("speaker", "gender", *emotions, "all", box=box.SIMPLE, show_edge=False, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for speaker, by_emotion in report.cells.items():
        counts = [str(by_emotion[e]) for e in emotions]
        table.add_row(escape(speaker), report.genders[speaker] or "", *counts, str(by_emotion.total()))
    table.add_section()
    sums = [sum(by_emotion[e] for by_emotion in report.cells.values()) for e in emotions]
    table.add_row("all", "", *map(str, sums), str(len(report.utterances)))
    if report.official is not None:
        official = [str(report.official.emotions.get(e, 0)) for e in emotions]
        table.add_row("official", "", *official, str(report.official.total))

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"{report.corpus} at {report.root}")
    console.print(table)
    if report.counts:
        console.print(_counts_table(report))
    durations = report.seconds.values()
    if durations:
        say(f"{report.minutes:.1f} minutes; from {min(durations):.2f} to {max(durations):.2f} s each")
    say(f"licence: {report.licence}")
    if report.official is not None:
        say("deviations from the official counts:" if report.deviations else "exactly the official counts")
    for deviation in report.deviations:
        say(f"  {deviation}")
    for path, error in report.unreadable:
        say(f"unreadable: {error if path in error else f'{path}: {error}'}")
    for group in report.identical:
        say(f"identical files: {', '.join(group)}")
    for oddity in report.oddities:
        say(f"known oddity: {oddity}")
    for warning in report.warnings:
        say(f"odd: {warning}")
