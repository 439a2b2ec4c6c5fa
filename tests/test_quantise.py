"""8-bit weights: the grid, the rounded system, and a graph that stores integers and answers the same."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from serotone.errors import BundleError
from serotone.modeling.system import System
from serotone.recipes import Recipe, load
from serotone.training.build import build_system
from serotone.training.export import check_graph, export, glides, probabilities, reload, write_graph
from serotone.training.quantise import compact, rounded, to_grid

SMALL_WHISPER = (
    "frontend={name: whisper-log-mel}",
    "standardise=null",
    "encoder={name: whisper, width: 64, heads: 4, layers: [2], loudness: true}",
    "pooling=loud-mean-sd",
    "head={name: linear}",
)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load("vlcrnn-variable-length", SMALL_WHISPER)


@pytest.fixture(scope="module")
def system(recipe: Recipe) -> System:
    torch.manual_seed(3)
    return build_system(recipe, 4).eval()


def test_the_grid_by_hand() -> None:
    weight = np.array([[1.27, -0.636, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    integers, scales = to_grid(weight, axis=0)
    assert integers.tolist() == [[127, -64, 0], [0, 0, 0]]
    np.testing.assert_allclose(scales, [[0.01], [1.0]], rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_no_weight_moves_by_more_than_half_a_step_and_the_second_time_by_nothing(axis: int) -> None:
    weight = np.random.default_rng(0).standard_normal((5, 6, 7)).astype(np.float32)
    integers, scales = to_grid(weight, axis=axis)
    assert scales.size == weight.shape[axis]
    assert np.all(np.abs(integers * scales - weight) <= scales * 0.5001)
    again, same = to_grid(integers * scales, axis=axis)
    np.testing.assert_array_equal(again, integers)
    np.testing.assert_allclose(same, scales, rtol=1e-6)


def test_a_rounded_system_is_a_copy_with_few_values_in_each_row_of_its_encoders_weights(system: System) -> None:
    before = system.encoder.conv2.weight.clone()  # type: ignore[union-attr, operator]
    copied = rounded(system)
    torch.testing.assert_close(system.encoder.conv2.weight, before, rtol=0, atol=0)
    state, original = copied.state_dict(), system.state_dict()
    changed = {name for name in state if not torch.equal(state[name], original[name])}
    large = {name for name in state if name.startswith("encoder.") and name.endswith("weight") and state[name].ndim > 1}
    assert changed == large
    for name in large:
        row = state[name][0].flatten()
        steps = row / (row.abs().max() / 127)
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)


def test_the_compact_graph_is_the_rounded_system_in_a_third_of_the_size(
    system: System, recipe: Recipe, tmp_path: Path
) -> None:
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    write_graph(rounded(system), whole, recipe)
    onnx.save(compact(onnx.load(whole), system), small)
    assert check_graph(rounded(system), small, recipe) <= 1e-5
    stored = {tensor.name: tensor for tensor in onnx.load(small).graph.initializer}
    integers = [tensor for tensor in stored.values() if tensor.data_type == onnx.TensorProto.INT8]
    assert len(integers) == 2 + 2 * 6  # two convolutions, six matrices a layer
    floats = sum(numpy_helper.to_array(tensor).nbytes for tensor in stored.values()) - sum(
        int(np.prod(tensor.dims)) for tensor in integers
    )
    assert floats < 0.6 * small.stat().st_size  # most of them the frontend's tables
    assert small.stat().st_size < 0.6 * whole.stat().st_size


def test_integers_are_expanded_when_the_session_is_opened_and_not_at_every_call(
    system: System, recipe: Recipe, tmp_path: Path
) -> None:
    write_graph(system, tmp_path / "whole.onnx", recipe)
    onnx.save(compact(onnx.load(tmp_path / "whole.onnx"), system), tmp_path / "small.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "opened.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(str(tmp_path / "small.onnx"), options, providers=["CPUExecutionProvider"])
    assert session.run(None, {"waveform": glides(1, 1.0, sample_rate=16000, seed=0)})
    opened = onnx.load(tmp_path / "opened.onnx").graph
    names = {value for node in opened.node for value in node.input}
    assert not {name for name in names if name.endswith((".int8", ".scale"))}
    assert not [tensor for tensor in opened.initializer if tensor.data_type == onnx.TensorProto.INT8]


def test_a_bundle_in_8_bits_agrees_with_the_system_that_is_reloaded_from_it(
    system: System, recipe: Recipe, tmp_path: Path
) -> None:
    eight = load("vlcrnn-variable-length", [*SMALL_WHISPER, "bundle.precision=int8"])
    about = {"data": [], "versions": {}, "card": "", "labels": list("abcd")}
    bundle = export(system, eight, tmp_path / "eight", **about)  # type: ignore[arg-type]
    again, read = reload(bundle)
    assert read.bundle.precision == "int8"
    torch.testing.assert_close(again.state_dict(), rounded(system).state_dict(), rtol=0, atol=0)
    whole = export(system, recipe, tmp_path / "whole", **about)  # type: ignore[arg-type]
    sizes = [(made.path / "model.onnx").stat().st_size for made in (bundle, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    clips = glides(8, 1.5, sample_rate=16000, seed=1)
    answers = probabilities(system, clips), probabilities(again, clips)
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.01
    assert (answers[0].argmax(axis=1) == answers[1].argmax(axis=1)).all()


def test_a_graph_that_is_not_the_systems_is_refused(system: System) -> None:
    graph = onnx.helper.make_graph([], "empty", [], [])
    with pytest.raises(BundleError, match="0 weights under /system/encoder/ to store in 8 bits; the encoder has 14"):
        compact(onnx.helper.make_model(graph), system)
