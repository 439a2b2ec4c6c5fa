"""``serotone bundle``: list, show and verify recognisers."""

import json
from typing import Annotated

import typer

from serotone.cli.formats import Format
from serotone.cli.messages import one_line
from serotone.recognition.bundle import DEFAULT_BUNDLE, list_bundles, load_bundle

app = typer.Typer(name="bundle", help="Recognisers: list those that ship, show and verify any.", no_args_is_help=True)

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="A shipped bundle's name, or a path.")]


FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]


@app.command("list")
def list_command(format: FormatOption = Format.table) -> None:
    """List the bundles that ship with serotone."""
    bundles = [load_bundle(name) for name in list_bundles()]
    if format is Format.json:
        typer.echo(json.dumps({"schema": 1, "bundles": [b.to_dict() for b in bundles]}, indent=2, ensure_ascii=False))
        return
    for bundle in bundles:
        default = "  (the default)" if bundle.name == DEFAULT_BUNDLE else ""
        typer.echo(f"{bundle.name} {bundle.version}  {', '.join(bundle.labels)}{default}")


@app.command()
def show(bundle: BundleArgument = DEFAULT_BUNDLE, format: FormatOption = Format.table) -> None:
    """Show what a bundle recognises, what it was trained on and what it is made of."""
    loaded = load_bundle(bundle)
    if format is Format.json:
        typer.echo(json.dumps(loaded.to_dict(), indent=2, ensure_ascii=False))
        return
    trained = [", ".join(f"{key} {value}" for key, value in item.items()) for item in loaded.data]
    rows = {
        "name": f"{loaded.name} {loaded.version}",
        "path": str(loaded.path),
        "recognises": ", ".join(loaded.labels),
        "hears": f"{loaded.sample_rate} Hz, from {loaded.min_seconds:g} s; whole up to {loaded.max_seconds:g} s",
        "windows": f"{loaded.window_seconds:g} s every {loaded.hop_seconds:g} s",
        "thresholds": ", ".join(f"{key} {value:g}" for key, value in loaded.thresholds.items()),
        "temperature": f"{loaded.temperature:g}",
        "trained on": "; ".join(trained),
        "made with": ", ".join(f"{key} {value}" for key, value in loaded.versions.items()),
        "files": ", ".join(f"{name} ({file.size:,} bytes)" for name, file in loaded.files.items()),
        "sha256": loaded.sha256,
    }
    for key, value in rows.items():
        typer.echo(f"{key:<12} {one_line(value)}")


@app.command()
def verify(
    bundle: BundleArgument,
    sha256: Annotated[str | None, typer.Option(help="The SHA-256 that its bundle.json must have.")] = None,
) -> None:
    """Compare every file of a bundle with its size and hash, and run its graph once."""
    from serotone.recognition.recognizer import Recognizer

    loaded = Recognizer(bundle, sha256=sha256).bundle
    files = f"{len(loaded.files)} files" if len(loaded.files) > 1 else "1 file"
    typer.echo(f"{loaded.name} {loaded.version}: {files} as the manifest states; sha256 {loaded.sha256}")
