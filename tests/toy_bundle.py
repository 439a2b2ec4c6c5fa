"""A bundle made by hand: from a waveform's level and roughness to three classes, small enough to check on paper.

``logits = log10(mean square) * LEVEL + mean |difference| * ROUGHNESS + BIAS``: loud is angry, quiet is sad, and a
signal that changes sign at every sample is happy.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from serotone.recognition.bundle import Bundle, write_manifest

LABELS = ("angry", "happy", "sad")
LEVEL = np.array([2.0, 0.0, -2.0], np.float32)
ROUGHNESS = np.array([0.0, 40.0, 0.0], np.float32)
BIAS = np.array([4.0, -4.0, -4.0], np.float32)
SAMPLE_RATE = 16000


def toy_probabilities(waveform):
    """The same sum in numpy, for one waveform (T,)."""
    waveform = waveform.astype(np.float64)
    level = np.log10(np.mean(waveform**2) + 1e-12)
    roughness = np.mean(np.abs(np.diff(waveform)))
    logits = level * LEVEL + roughness * ROUGHNESS + BIAS
    answer = np.exp(logits - logits.max())
    return answer / answer.sum()


def toy_graph() -> onnx.ModelProto:
    constants = {
        "level_weights": LEVEL[None],
        "roughness_weights": ROUGHNESS[None],
        "bias": BIAS[None],
        "tiny": np.array(1e-12, np.float32),
        "log_ten": np.array(np.log(10), np.float32),
        "one": np.array([1], np.int64),
        "time_axis": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "last": np.array([-1], np.int64),
        "most": np.array([2**62], np.int64),
    }
    nodes = [
        helper.make_node("Mul", ["waveform", "waveform"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["mean_square"], axes=[1], keepdims=1),
        helper.make_node("Add", ["mean_square", "tiny"], ["guarded"]),
        helper.make_node("Log", ["guarded"], ["natural"]),
        helper.make_node("Div", ["natural", "log_ten"], ["level"]),
        helper.make_node("Slice", ["waveform", "one", "most", "time_axis"], ["later"]),
        helper.make_node("Slice", ["waveform", "zero", "last", "time_axis"], ["earlier"]),
        helper.make_node("Sub", ["later", "earlier"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["roughness"], axes=[1], keepdims=1),
        helper.make_node("MatMul", ["level", "level_weights"], ["by_level"]),
        helper.make_node("MatMul", ["roughness", "roughness_weights"], ["by_roughness"]),
        helper.make_node("Add", ["by_level", "by_roughness"], ["both"]),
        helper.make_node("Add", ["both", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Concat", ["level", "roughness"], ["embedding"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "time"])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 2]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def make_toy_bundle(folder: Path, **changes: object) -> Bundle:
    """Write the toy bundle into a folder; ``changes`` replace what its manifest says."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(toy_graph(), folder / "model.onnx")
    (folder / "CARD.md").write_text("# toy\n", encoding="utf-8")
    return write_toy_manifest(folder, **changes)


ADAPTATION = {
    "collection": {"temperature": 2.0, "shrinkage": 0.0, "thresholds": {"uncertain": 0.4}},
    "speaker": {"temperature": 1.0, "shrinkage": 15.0},
}
"""What the manifest of a toy bundle says that can be adapted."""

HEADS = {
    "collection_weight": np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]], np.float32),
    "collection_bias": np.array([0.0, 0.5, 0.0], np.float32),
    "speaker_weight": np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], np.float32),
    "speaker_bias": np.array([0.1, 0.0, 0.0], np.float32),
}
"""Its heads: louder than the collection is angry, quieter sad, rougher happy."""


def make_adaptable_bundle(folder: Path, *, heads=HEADS, adaptation=ADAPTATION, **changes: object) -> Bundle:
    """Write a toy bundle that can be adapted; ``heads`` are what its ``adaptation.npz`` holds."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "adaptation.npz", **heads)
    return make_toy_bundle(folder, extra={"adaptation": adaptation}, **changes)


def toy_embedding(waveform):
    """The toy's embedding of a waveform (T,): its level and its roughness, (2,)."""
    waveform = waveform.astype(np.float64)
    return np.array([np.log10(np.mean(waveform**2) + 1e-12), np.mean(np.abs(np.diff(waveform)))])


def write_toy_manifest(folder: Path, **changes: object) -> Bundle:
    """Write the manifest alone, for the graph that lies in the folder."""
    said = {
        "name": "toy",
        "version": "1",
        "labels": LABELS,
        "sample_rate": SAMPLE_RATE,
        "min_seconds": 0.25,
        "max_seconds": 4.0,
        "window_seconds": 2.0,
        "hop_seconds": 1.0,
        "thresholds": {"uncertain": 0.5},
        "data": [{"name": "toy", "licence": "CC0-1.0", "utterances": 3}],
        "opset": 17,
        "versions": {"onnx": onnx.__version__},
    }
    return write_manifest(folder, **(said | changes))


def tone(seconds, amplitude, *, hertz=200.0, rate=SAMPLE_RATE):
    """A sine (T,) float32: loud is angry, quiet is sad."""
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def buzz(seconds, amplitude, *, rate=SAMPLE_RATE):
    """Alternating samples (T,) float32: happy."""
    return (amplitude * (1 - 2 * (np.arange(round(seconds * rate)) % 2))).astype(np.float32)
