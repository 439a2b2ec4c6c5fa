"""Trained system -> bundle. The only place that exports."""

import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch.jit._trace import TracerWarning

from serotone.errors import BundleError
from serotone.files import write_bytes, write_text, write_whole
from serotone.modeling.system import System, WholeClips
from serotone.recipes import Recipe, load
from serotone.recognition.bundle import CARD, MODEL, RECIPE, WEIGHTS, Bundle, write_manifest
from serotone.recognition.loading import load_bundle
from serotone.recognition.session import start_session
from serotone.training.build import build_system
from serotone.training.held_out import Fitted
from serotone.training.quantise import as_bundled, compact, integer_products
from serotone.training.solving import write_adaptation
from serotone.training.strangers import Level

OPSET = 17
TOLERANCE = 1e-4
PRODUCTS_TOLERANCE = 0.1
OUTPUTS = ("logits", "probabilities", "embedding")


def export(
    system: System,
    recipe: Recipe,
    folder: Path,
    *,
    labels: Sequence[str],
    data: Sequence[Mapping[str, object]],
    versions: Mapping[str, object],
    card: str,
    graph_only: bool = False,
    temperature: float = 1.0,
    levels: Mapping[Level, Fitted] | None = None,
) -> Bundle:
    """Write a bundle: graph, weights, recipe and card, then the manifest with the hash of each.

    The graph is compared with the system, up to the longest clip taken whole, before anything takes its place.
    ``graph_only`` leaves weights and recipe out, as in the bundles that ship. ``temperature`` divides the logits before
    the softmax, as a constant of the graph; 1 is a system that was not calibrated. Where the recipe's bundle has 8-bit
    weights, the bundle is that of the rounded system: graph and weights agree. With 8-bit products the graph that
    agrees is then made to multiply integers, which changes probabilities by some hundredths. ``levels`` are the heads
    by which the bundle adapts to a collection; the threshold of ``plain`` then takes the place of the recipe's.

    Raises:
        BundleError: The exported graph does not agree with the system to 1e-4 in probability, or 8-bit products change
            its answers by more than .1.
    """
    system = as_bundled(system, recipe.bundle)
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        write_whole(building / MODEL, lambda path: write_graph(system, path, recipe, temperature=temperature))
        check_graph(system, building / MODEL, recipe, temperature=temperature)
        if recipe.bundle.products == "int8":
            multiply_integers(building / MODEL, recipe)
        if not graph_only:
            tensors = {key: value.detach().cpu().contiguous() for key, value in system.state_dict().items()}
            write_bytes(building / WEIGHTS, save(tensors))
            write_text(building / RECIPE, recipe.to_yaml())
        write_text(building / CARD, card)
        adaptation = write_adaptation(levels, recipe, building) if levels else None
        optional = {"adaptation": adaptation, "speech": recipe.bundle.speech}
        write_manifest(
            building,
            name=recipe.name,
            version=recipe.bundle.version,
            labels=list(labels),
            sample_rate=recipe.sample_rate,
            min_seconds=recipe.bundle.min_seconds,
            max_seconds=recipe.bundle.max_seconds,
            window_seconds=recipe.bundle.window_seconds,
            hop_seconds=recipe.bundle.hop_seconds,
            thresholds={"uncertain": levels["plain"].doubt.threshold if levels else recipe.bundle.uncertain},
            data=data,
            opset=OPSET,
            versions={key: str(value) for key, value in versions.items()},
            temperature=temperature,
            merge=recipe.merge,
            extra={key: value for key, value in optional.items() if value},
        )
        shutil.rmtree(folder, ignore_errors=True)
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return load_bundle(folder)


def write_graph(system: System, path: Path, recipe: Recipe, *, temperature: float = 1.0) -> None:
    """Export waveform (B, T) -> logits, probabilities, embedding with B and T dynamic.

    Where the recipe's bundle has 8-bit weights, ``system`` is one that :func:`serotone.training.quantise.rounded` made,
    or the graph differs.
    """
    whole = WholeClips(system, temperature=temperature).cpu().eval()
    example = torch.zeros(2, round(max(2.0, recipe.bundle.min_seconds) * recipe.sample_rate))
    with warnings.catch_warnings():
        # The exporter that handles a bidirectional GRU with a dynamic length is the deprecated one.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Its standing remark on recurrent layers and batch size; the check below runs two batch sizes.
        warnings.filterwarnings("ignore", message=".*Exporting a model to ONNX with a batch_size other than 1.*")
        # torch's own check of a GRU's input width, which is fixed by the recipe.
        warnings.filterwarnings("ignore", category=TracerWarning, module=r"torch\.nn\.modules\.rnn")
        torch.onnx.export(
            whole,
            (example,),
            str(path),
            input_names=["waveform"],
            output_names=list(OUTPUTS),
            dynamic_axes={"waveform": {0: "batch", 1: "time"}} | {output: {0: "batch"} for output in OUTPUTS},
            opset_version=OPSET,
            dynamo=False,
        )
    if recipe.bundle.precision == "int8":
        onnx.save(compact(onnx.load(path), system, recipe.bundle.scale_group), path)


def check_graph(system: System, path: Path, recipe: Recipe, *, temperature: float = 1.0) -> float:
    """Largest difference in probability between system and graph.

    One clip and three at ``min_seconds``, 1.37 s and ``window_seconds``, and one at ``max_seconds``, up to which clips
    stay whole.

    Raises:
        BundleError: It exceeds 1e-4.
    """
    session = start_session(path.read_bytes())
    bundle = recipe.bundle
    sizes = [(seconds, clips) for seconds in (bundle.min_seconds, 1.37, bundle.window_seconds) for clips in (1, 3)]
    if bundle.max_seconds > bundle.window_seconds:
        sizes.append((bundle.max_seconds, 1))
    worst = 0.0
    for seed, (seconds, clips) in enumerate(sizes):
        waveforms = glides(clips, max(seconds, bundle.min_seconds), sample_rate=recipe.sample_rate, seed=seed)
        graph = session.run(["probabilities"], {"waveform": waveforms})[0]
        worst = max(worst, float(np.abs(graph - probabilities(system, waveforms, temperature=temperature)).max()))
    if not worst <= TOLERANCE:
        raise BundleError(
            f"{path.name}: the exported graph and the trained system differ by {worst:.1e} in probability, more than"
            f" {TOLERANCE}; please report this, with the recipe and the versions of torch and onnx"
        )
    return worst


def multiply_integers(path: Path, recipe: Recipe) -> float:
    """Let the graph of a bundle with 8-bit weights multiply integers; the largest change in probability.

    Raises:
        BundleError: It exceeds .1.
    """
    exact = onnx.load(path)
    onnx.save(integer_products(exact), path)
    waveforms = glides(16, recipe.bundle.window_seconds, sample_rate=recipe.sample_rate, seed=0)
    before, after = (
        start_session(model).run(["probabilities"], {"waveform": waveforms})[0]
        for model in (exact.SerializeToString(), path.read_bytes())
    )
    worst = float(np.abs(before - after).max())
    if not worst <= PRODUCTS_TOLERANCE:
        raise BundleError(
            f"{path.name}: products of integers change a probability by {worst:.2f}, over {PRODUCTS_TOLERANCE}: "
            "export with bundle.products=float32"
        )
    return worst


def glides(clips: int, seconds: float, *, sample_rate: int, seed: int) -> NDArray[np.float32]:
    """Waveforms (clips, T) to compare answers on: gliding, swelling harmonics in noise, no two clips alike.

    White noise will not do: to a system that averages over time and frequency, any two clips of it are the same.
    """
    generator = np.random.default_rng(seed)
    pitch, glide, tilt, pulse, level = (
        generator.uniform(low, high, (clips, 1))
        for low, high in ((90, 300), (-40, 60), (0.5, 2.5), (1.5, 6), (0.01, 0.3))
    )
    t = np.arange(round(seconds * sample_rate)) / sample_rate  # (T,)
    phase = 2 * np.pi * (pitch * t + glide * t**2 / (2 * seconds))  # (clips, T)
    voice = sum(np.sin(k * phase) / k**tilt for k in range(1, 20))
    noise = generator.standard_normal(phase.shape)
    waveforms: NDArray[np.float64] = level * (voice * (0.55 + 0.45 * np.sin(2 * np.pi * pulse * t)) + 0.1 * noise)
    return waveforms.astype(np.float32)


def probabilities(system: System, waveforms: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
    """The system's own answer (B, C) to waveforms (B, T) of equal length."""
    with torch.no_grad():
        lengths = torch.full((len(waveforms),), waveforms.shape[1], dtype=torch.int64)
        logits = system(torch.from_numpy(waveforms), lengths).logits
        answer: NDArray[np.float32] = torch.softmax(logits / temperature, dim=1).numpy()
    return answer


def reload(bundle: Bundle) -> tuple[System, Recipe]:
    """The system of a bundle that carries weights and recipe, to train on or to look into.

    Raises:
        BundleError: The bundle carries the graph alone.
    """
    missing = [name for name in (WEIGHTS, RECIPE) if not (bundle.path / name).is_file()]
    if missing:
        raise BundleError(
            f"{bundle.path}: has no {' and no '.join(missing)}, so it cannot be trained further; take a bundle that"
            " serotone train wrote without --graph-only"
        )
    recipe = load(bundle.path / RECIPE)
    system = build_system(recipe, len(bundle.labels))
    system.load_state_dict(load_file(bundle.path / WEIGHTS))
    return system.eval(), recipe
