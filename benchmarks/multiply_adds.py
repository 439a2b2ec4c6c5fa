"""How near a bundle's graph comes to the machine's limit of multiply-adds, and what products in 8 bits are worth.

    SEROTONE_DATA=/data python benchmarks/multiply_adds.py [--bundle default] [--clips 300] [--out F]

The graph of a bundle hears one window. Its matrix products and convolutions are listed with their shapes, as they run;
each shape is timed alone, with one product and nothing else, in float32 and in integers of 8 bits (MatMulInteger). The
sum of these times is the limit. The graph's time over it is the ratio; the aim is 2. All of it is timed in turns, in
one run, on as many threads: by the processor's time on one thread, which other work disturbs least, and by the best of
the clock on two. Next to it: the kinds of node that take most, and the time of a window in batches of windows.

Products in 8 bits are tried on a copy of the graph (`bundle.products` in a recipe makes such a bundle). Its weights are
rounded once more where they have a scale for each group: these products take one for each channel. With corpora it
prints the share of labels that stay, over clips of EmoDB and RAVDESS whose pauses are left out; the aim is 99 %.
"""

import argparse
import copy
import json
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from machine import busy_machine
from serotone import audio
from serotone.recognition.bundle import MODEL
from serotone.recognition.loading import load_bundle
from serotone.recognition.session import start_session
from serotone.recognition.squeeze import squeezed
from serotone.training.export import glides
from serotone.training.quantise import grouped_weights, integer_products, to_grid

CALLS = 12
BATCHES = (1, 4)
AIM = 2.0
LARGEST = 8

Shape = tuple[int, int, int]
"""Rows, inputs and outputs of a product: rows * inputs * outputs multiply-adds."""


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--clips", type=int, default=300, help="of each corpus, at most")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    bundle = load_bundle(arguments.bundle)
    model = onnx.load_from_string(bundle.read(MODEL))
    graphs = {"as it is": model.SerializeToString()}
    if not any(node.op_type == "MatMulInteger" for node in model.graph.node):
        graphs["8-bit products"] = integer_products(by_channel(model)).SerializeToString()
    window = glides(1, bundle.window_seconds, sample_rate=bundle.sample_rate, seed=0)
    kinds, shapes = profile(graphs["as it is"], window)
    figures: dict[str, Any] = {
        "schema": 1,
        "machine": busy_machine(),
        "onnxruntime": onnxruntime.__version__,
        "bundle": f"{bundle.name} {bundle.version}",
        "window_seconds": bundle.window_seconds,
        "multiply_adds": sum(count * int(np.prod(shape)) for shape, count in shapes.items()),
        "largest_milliseconds": dict(kinds),
        "threads": {str(threads): limits(graphs, shapes, window, threads) for threads in (1, 2)},
    }
    print(f"largest parts of {figures['bundle']}: " + ", ".join(f"{kind} {share:.1f} ms" for kind, share in kinds))
    if arguments.data and len(graphs) > 1:
        figures["labels_kept"] = labels_kept(list(graphs.values()), arguments.data, arguments.clips)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def by_channel(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a graph whose stored weights have one scale per output channel, rounded anew where they have more."""
    model = copy.deepcopy(graph)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in grouped_weights(model):
        integers, scales, shape = (
            numpy_helper.to_array(stored[f"{name}.{part}"]) for part in ("int8", "scale", "shape")
        )
        weight = (integers * scales.astype(np.float32)).reshape(shape)
        integers, scales = to_grid(weight, axis=0 if scales.shape[-1] == 1 else -1)
        for part, value in (("int8", integers), ("scale", scales)):
            stored[f"{name}.{part}"].CopyFrom(numpy_helper.from_array(value, f"{name}.{part}"))
        multiplied = helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name])
        kept = [
            multiplied if node.output[0] == name else node
            for node in model.graph.node
            if node.output[0] not in (f"{name}.scale.float", f"{name}.groups")
        ]
        del model.graph.node[:]
        model.graph.node.extend(kept)
        model.graph.initializer.remove(stored[f"{name}.shape"])
    return model


def profile(graph: bytes, window: NDArray[np.float32]) -> tuple[list[tuple[str, float]], Counter[Shape]]:
    """The kinds of node that take most, in milliseconds (the best of each node), and the products by shape."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(CALLS):
            session.run(["probabilities"], {"waveform": window})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = kernels_of(onnx.load_from_string(graph).graph)
    best: dict[str, tuple[str, float]] = {}
    shapes: dict[str, Shape] = {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        name, kind = event["name"], event["args"]["op_name"]
        best[name] = (kind, min(event["dur"] / 1000, best.get(name, (kind, np.inf))[1]))
        if kind in ("MatMul", "FusedMatMul", "Gemm", "MatMulInteger", "Conv", "FusedConv"):
            first, out = (next(iter(event["args"][f"{way}_type_shape"][0].values())) for way in ("input", "output"))
            kernel = kernels.get(name.removesuffix("_kernel_time"))
            inputs = int(np.prod(kernel[1:])) if kernel else first[-1]
            outputs = kernel[0] if kernel else out[-1]
            shapes[name] = (int(np.prod(out)) // outputs, inputs, outputs)
    spent: dict[str, float] = defaultdict(float)
    for kind, milliseconds in best.values():
        spent[kind] += milliseconds
    return sorted(spent.items(), key=lambda item: -item[1])[:LARGEST], Counter(shapes.values())


def kernels_of(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """The shape (outputs, inputs, ...) of each convolution's weights, by the node's name."""
    stored = {tensor.name.removesuffix(".int8"): list(tensor.dims) for tensor in graph.initializer}
    return {node.name: stored[node.input[1]] for node in graph.node if node.op_type == "Conv"}


def limits(
    graphs: dict[str, bytes], shapes: Counter[Shape], window: NDArray[np.float32], threads: int
) -> dict[str, Any]:
    """Milliseconds of each graph, alone and in batches, next to those of its bare products."""
    sessions = {name: start_session(graph, threads=threads) for name, graph in graphs.items()}
    calls: dict[tuple[Any, ...], Callable[[], object]] = {}
    for name, session in sessions.items():
        for batch in BATCHES:
            waveforms = np.repeat(window, batch, axis=0)
            calls[name, batch] = lambda s=session, w=waveforms: s.run(["probabilities"], {"waveform": w})
    for shape in shapes:
        for integers in (False, True):
            session, left = bare(shape, integers=integers, threads=threads)
            calls["bare", shape, integers] = lambda s=session, x=left: s.run(None, {"x": x})
    spent = in_turns(calls, processor=threads == 1)
    bare_ones = {
        kind: sum(count * spent["bare", shape, integers] for shape, count in shapes.items())
        for kind, integers in (("float32", False), ("int8", True))
    }
    adds = sum(count * int(np.prod(shape)) for shape, count in shapes.items())
    print(f"{threads} thread(s), {adds / 1e9:.2f} thousand million multiply-adds a window")
    for kind, milliseconds in bare_ones.items():
        print(
            f"  bare products, {kind:20}{milliseconds:8.1f} ms, "
            f"{adds / milliseconds / 1e6:.0f} thousand million a second"
        )
    rows = {}
    for name in graphs:
        ratios = {kind: spent[name, 1] / milliseconds for kind, milliseconds in bare_ones.items()}
        batches = {batch: spent[name, batch] / batch for batch in BATCHES}
        rows[name] = {"milliseconds": spent[name, 1], "ratio": ratios, "milliseconds_a_window_by_batch": batches}
        print(
            f"  graph, {name:28}{spent[name, 1]:8.1f} ms, {ratios['float32']:.2f} times the limit of float32, "
            f"{ratios['int8']:.2f} times that of int8 (aim: {AIM:g}); a window in batches of "
            + ", ".join(f"{batch}: {milliseconds:.1f}" for batch, milliseconds in batches.items())
        )
    return {"bare_milliseconds": bare_ones, "graphs": rows}


def bare(shape: Shape, *, integers: bool, threads: int) -> tuple[onnxruntime.InferenceSession, NDArray[Any]]:
    """One product by constants and nothing else, and what to give it."""
    rows, inputs, outputs = shape
    draw = np.random.default_rng(0)
    if integers:
        left = draw.integers(1, 256, (rows, inputs)).astype(np.uint8)
        right = draw.integers(-127, 128, (inputs, outputs)).astype(np.int8)
        node = helper.make_node("MatMulInteger", ["x", "w", "zero"], ["y"])
        constants = [numpy_helper.from_array(right, "w"), numpy_helper.from_array(np.array(128, np.uint8), "zero")]
    else:
        left = draw.standard_normal((rows, inputs)).astype(np.float32)
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        constants = [numpy_helper.from_array(draw.standard_normal((inputs, outputs)).astype(np.float32), "w")]
    given = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(left.dtype), left.shape)
    kind = onnx.TensorProto.INT32 if integers else onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "bare", [given], [helper.make_tensor_value_info("y", kind, (rows, outputs))], constants
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return start_session(made.SerializeToString(), threads=threads), left


def in_turns(calls: dict[tuple[Any, ...], Callable[[], object]], *, processor: bool) -> dict[tuple[Any, ...], float]:
    """Milliseconds of each call: the median of the processor's time, or the best of the clock."""
    clock = time.thread_time if processor else time.perf_counter
    taken: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for call in calls.values():
        call()
    for _ in range(CALLS):
        for name, call in calls.items():
            begun = clock()
            call()
            taken[name].append(1000 * (clock() - begun))
    return {name: float(np.median(values) if processor else np.min(values)) for name, values in taken.items()}


def labels_kept(graphs: Sequence[bytes], data: Path, most: int) -> dict[str, dict[str, float]]:
    """The share of clips with the same label from both graphs, and how far probabilities move, by corpus."""
    exact, other = (start_session(graph) for graph in graphs)
    kept: dict[str, dict[str, float]] = {}
    for corpus in ("emodb", "ravdess"):
        files = sorted(path for path in (data / corpus).rglob("*") if path.suffix in (".wav", ".flac"))
        np.random.default_rng(0).shuffle(files)
        same, moved = [], []
        for path in files[:most]:
            heard = squeezed(audio.read(path, sample_rate=16000).samples)
            if heard is None or len(heard) < 8000:
                continue
            one, two = (session.run(["probabilities"], {"waveform": heard[None]})[0][0] for session in (exact, other))
            same.append(one.argmax() == two.argmax())
            moved.append(np.abs(one - two).max())
        if same:
            kept[corpus] = {"clips": len(same), "same": float(np.mean(same)), "largest_change": float(max(moved))}
            print(
                f"{corpus}: {np.mean(same):.1%} of {len(same)} labels stay (aim: 99 %); "
                f"probabilities move by {np.mean(moved):.4f}, at most {max(moved):.3f}"
            )
    return kept


if __name__ == "__main__":
    main()
