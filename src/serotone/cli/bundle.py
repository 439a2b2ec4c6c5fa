"""``serotone bundle``: list, show and verify recognisers, and print their cards."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from serotone.cli.formats import Format
from serotone.cli.messages import one_line
from serotone.cli.streams import as_json
from serotone.cli.usage import BundleArgument, DigestOption
from serotone.errors import BundleError
from serotone.recognition.bundle import CARD, MODEL, Bundle
from serotone.recognition.loading import DEFAULT_BUNDLE, list_bundles, load_bundle

if TYPE_CHECKING:
    from serotone.recognition.recognizer import Recognizer

app = typer.Typer(
    name="bundle",
    help="List the bundles (recognisers) that come with serotone; show or verify any.",
    no_args_is_help=True,
)


SPEECH = {
    None: "by level; clips are heard whole, longer recordings without their long pauses",
    "silero": "Silero's voice detector; noise and music get no label",
}
"""How a bundle tells speech from the rest, in words."""

FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]


@app.command("list")
def list_command(format: FormatOption = Format.table) -> None:
    """List the bundles that ship with serotone: what they recognise, their languages, size and licences."""
    bundles = [load_bundle(name) for name in list_bundles()]
    if format is Format.json:
        typer.echo(as_json({"schema": 1, "bundles": [b.to_dict() for b in bundles]}, sys.stdout, indent=2))
        return
    for bundle in bundles:
        default = "  (the default)" if bundle.name == DEFAULT_BUNDLE else ""
        typer.echo(f"{bundle.name} {bundle.version}  {bundle.size / 1e6:.1f} MB{default}")
        for key, value in {"recognises": ", ".join(bundle.labels), **_origin(bundle)}.items():
            typer.echo(f"  {key:<12} {one_line(value)}")


@app.command()
def show(bundle: BundleArgument = DEFAULT_BUNDLE, format: FormatOption = Format.table) -> None:
    """Show what a bundle recognises, what it was trained on, its files, its figures and its limits."""
    loaded = load_bundle(bundle)
    if format is Format.json:
        typer.echo(as_json(loaded.to_dict(), sys.stdout, indent=2))
        return
    trained = [", ".join(_words(item)) for item in loaded.data]
    rows = {
        "name": f"{loaded.name} {loaded.version}",
        "path": str(loaded.path),
        "recognises": ", ".join(loaded.labels),
        "hears": f"{loaded.sample_rate} Hz, from {loaded.min_seconds:g} s; whole up to {loaded.max_seconds:g} s",
        "windows": f"{loaded.window_seconds:g} s every {loaded.hop_seconds:g} s",
        "thresholds": ", ".join(f"{key} {value:g}" for key, value in loaded.thresholds.items()),
        "temperature": f"{loaded.temperature:g}",
        "speech": SPEECH[loaded.speech],
        "adapts to": _adapts_to(loaded),
        "trained on": "; ".join(trained),
        **_origin(loaded),
        "size": f"{loaded.size / 1e6:.1f} MB",
        "made with": ", ".join(f"{key} {value}" for key, value in loaded.versions.items()),
        "files": ", ".join(f"{name} ({file.size:,} bytes)" for name, file in loaded.files.items()),
        "sha256": loaded.sha256,
    }
    for key, value in rows.items():
        typer.echo(f"{key:<12} {one_line(value)}")
    typer.echo("\n" + _figures_and_limits(loaded))


@app.command()
def card(bundle: BundleArgument = DEFAULT_BUNDLE) -> None:
    """Print a bundle's card: data, protocol, figures and limits, in Markdown."""
    typer.echo(_card(load_bundle(bundle)))


@app.command()
def verify(
    bundle: BundleArgument,
    sha256: DigestOption = None,
) -> None:
    """Check the size and hash of every file of a bundle, and run its graph once."""
    from serotone.recognition.recognizer import Recognizer

    with Recognizer(bundle, sha256=sha256) as recognizer:
        _run_once(recognizer)
        loaded = recognizer.bundle
    files = f"{len(loaded.files)} files match" if len(loaded.files) > 1 else "1 file matches"
    typer.echo(f"{loaded.name} {loaded.version}: {files} the manifest, and its graph runs; sha256 {loaded.sha256}")


def _run_once(recognizer: "Recognizer") -> None:
    """Let a graph answer noise of the bundle's least length, and compare the sizes of what it answers.

    Raises BundleError: it fails, it answers NaN or infinity, or its answer does not fit the manifest or the heads for
    adaptation.
    """
    import numpy as np

    bundle = recognizer.bundle
    where = bundle.path / MODEL
    noise = np.random.default_rng(0).normal(0, 0.1, round(bundle.min_seconds * bundle.sample_rate))
    probabilities, embedding = recognizer.graph(noise.astype(np.float32))
    classes = len(bundle.labels)
    if probabilities.shape != (classes,):
        raise BundleError(
            f"{where}: answers probabilities {probabilities.shape}; the manifest names {classes} classes: "
            "export it again"
        )
    if embedding is None or not bundle.adaptation:
        return
    width = recognizer.adaptation().width
    if embedding.shape != (width,):
        raise BundleError(
            f"{where}: answers an embedding {embedding.shape}; its heads for adaptation take {width} numbers: "
            "export it again"
        )


def _origin(bundle: Bundle) -> dict[str, str]:
    """Languages and licences of what a bundle was trained on, as far as its manifest says."""
    corpora: dict[str, list[str]] = {}
    for item in bundle.data:
        corpora.setdefault(str(item.get("licence", "not stated")), []).append(str(item.get("name", "unnamed")))
    licences = "; ".join(f"{licence} ({', '.join(names)})" for licence, names in corpora.items())
    return {
        "languages": ", ".join(bundle.languages) or "not stated",
        "licence": ("NON-COMMERCIAL USE ONLY; " if bundle.non_commercial else "")
        + f"of its data: {licences or 'none'}",
    }


def _words(item: Mapping[str, object]) -> Iterator[str]:
    """What a manifest says of a corpus; languages and terms have lines of their own."""
    for key, value in item.items():
        if key not in ("languages", "non_commercial", "licence"):
            yield f"{key} {value}"


def _adapts_to(bundle: Bundle) -> str:
    if not bundle.adaptation:
        return "nothing: this bundle cannot be adapted"
    levels = [
        f"{name} (temperature {level.temperature:g}, shrinkage {level.shrinkage:g} recordings, "
        f"uncertain below {bundle.uncertain_below(name):g})"
        for name, level in bundle.adaptation.items()
    ]
    return ", then ".join(levels)


def _card(bundle: Bundle) -> str:
    """The card of a bundle, without comments, and without characters that could move a terminal's cursor."""
    text = re.sub(r"^<!--.*?-->\n", "", bundle.read(CARD).decode("utf-8", "backslashreplace"), flags=re.M)
    return "\n".join(one_line(line) for line in text.splitlines())


def _figures_and_limits(bundle: Bundle) -> str:
    """What a card says after its data: protocols, figures, limits."""
    if CARD not in bundle.files:
        return f"figures and limits are not known: this bundle has no {CARD}"
    text = _card(bundle)
    _, _, after = text.partition("\n## Data")
    start = after.find("\n## ")
    if start < 0:
        return f"its card has no figures; serotone bundle card {bundle.path} prints the whole card"
    return after[start + 1 :]
