"""8-bit weights: the grid, the rounded system, and a graph that stores integers and answers the same."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch.nn.utils import parametrize

from serotone.errors import BundleError, RecipeError
from serotone.modeling.system import System
from serotone.recipes import Recipe, load
from serotone.recognition.session import start_session
from serotone.training.build import build_system
from serotone.training.export import check_graph, export, glides, probabilities, reload, write_graph
from serotone.training.quantise import compact, integer_products, rounded, to_grid

SMALL_WHISPER = (
    "frontend={name: whisper-log-mel}",
    "standardise=null",
    "max_frames=3000",
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


def test_a_scale_for_each_group_by_hand() -> None:
    weight = np.array([[1.27, -0.636, 127.0, 32.4]], dtype=np.float32)
    integers, scales = to_grid(weight, axis=0, group=2)
    assert integers.tolist() == [[[127, -64], [127, 32]]]
    np.testing.assert_allclose(scales, [[[0.01], [1.0]]], rtol=1e-3)
    assert scales.dtype == np.float16


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("shape", [(6, 32, 3), (5, 7), (48, 16)])
def test_groups_lie_nearer_to_the_weights_and_the_second_time_nothing_moves(shape: tuple[int, ...], axis: int) -> None:
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    weight *= np.geomspace(1e-6, 1, shape[-1], dtype=np.float32)
    integers, scales = to_grid(weight, axis=axis, group=16)
    inputs = weight.size // shape[axis]
    assert scales.size == shape[axis] * (inputs // 16 if inputs % 16 == 0 else 1)
    on_grid = (integers * scales.astype(np.float32)).reshape(shape)
    plain, wide = to_grid(weight, axis=axis)
    assert np.square(on_grid - weight).sum() <= 1.05 * np.square(plain * wide - weight).sum()
    again, same = to_grid(on_grid, axis=axis, group=16)
    np.testing.assert_array_equal(again, integers)
    np.testing.assert_array_equal(same, scales)


def test_a_matrix_and_its_transpose_are_rounded_alike() -> None:
    weight = np.random.default_rng(1).standard_normal((8, 48)).astype(np.float32)
    values = [
        (integers * scales.astype(np.float32)).reshape(matrix.shape)
        for matrix, axis in ((weight, 0), (weight.T.copy(), -1))
        for integers, scales in [to_grid(matrix, axis=axis, group=16)]
    ]
    np.testing.assert_array_equal(values[0], values[1].T)


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


@pytest.mark.parametrize("group", [None, 16])
def test_the_compact_graph_is_the_rounded_system_in_a_third_of_the_size(
    system: System, recipe: Recipe, tmp_path: Path, group: int | None
) -> None:
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    write_graph(rounded(system, group), whole, recipe)
    onnx.save(compact(onnx.load(whole), system, group), small)
    assert check_graph(rounded(system, group), small, recipe) <= 1e-5
    stored = {tensor.name: tensor for tensor in onnx.load(small).graph.initializer}
    integers = [tensor for tensor in stored.values() if tensor.data_type == onnx.TensorProto.INT8]
    assert len(integers) == 2 + 2 * 6  # two convolutions, six matrices a layer
    floats = sum(numpy_helper.to_array(tensor).nbytes for tensor in stored.values()) - sum(
        int(np.prod(tensor.dims)) for tensor in integers
    )
    assert floats < 0.6 * small.stat().st_size  # most of them the frontend's tables
    assert small.stat().st_size < 0.6 * whole.stat().st_size


def test_weights_that_the_exporter_multiplies_by_a_batch_norm_stay_on_their_grid(tmp_path: Path) -> None:
    narrow = ("encoder.filters=[32,32,32,32]", "bundle.precision=int8", "bundle.scale_group=16")
    recipe = load("resnet-mel-softmax", narrow)
    torch.manual_seed(0)
    system = build_system(recipe, 4)
    for module in system.encoder.modules():
        if hasattr(module, "running_var"):
            module.running_var.uniform_(0.3, 3.0)  # type: ignore[union-attr, operator]
    on_grid = rounded(system.eval(), 16)
    write_graph(on_grid, tmp_path / "small.onnx", recipe)
    clips = glides(2, 3.0, sample_rate=16000, seed=0)
    embedding = start_session((tmp_path / "small.onnx").read_bytes()).run(["embedding"], {"waveform": clips})[0]
    with torch.no_grad():
        expected = on_grid.pooling(*on_grid.states(torch.from_numpy(clips), torch.full((2,), clips.shape[1]))).numpy()
    np.testing.assert_allclose(embedding, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(BundleError, match="scale_group=null"):
        integer_products(onnx.load(tmp_path / "small.onnx"))


@pytest.mark.parametrize("group", [None, 16])
def test_integers_are_expanded_when_the_session_is_opened_and_not_at_every_call(
    system: System, recipe: Recipe, tmp_path: Path, group: int | None
) -> None:
    write_graph(system, tmp_path / "whole.onnx", recipe)
    onnx.save(compact(onnx.load(tmp_path / "whole.onnx"), system, group), tmp_path / "small.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "opened.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(str(tmp_path / "small.onnx"), options, providers=["CPUExecutionProvider"])
    assert session.run(None, {"waveform": glides(1, 1.0, sample_rate=16000, seed=0)})
    opened = onnx.load(tmp_path / "opened.onnx").graph
    names = {value for node in opened.node for value in node.input}
    assert not {name for name in names if name.endswith((".int8", ".scale", ".groups"))}
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


@pytest.fixture(scope="module")
def graphs(system: System, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The compact graph, and the one that multiplies integers."""
    path = tmp_path_factory.mktemp("graphs") / "whole.onnx"
    write_graph(rounded(system), path, recipe)
    small = compact(onnx.load(path), system)
    return small.SerializeToString(), integer_products(small).SerializeToString()


def test_products_of_integers_by_hand() -> None:
    """y = (127 x / m, rounded) W' * m s / 127 for each row of x, whatever stands in the others."""
    draw = np.random.default_rng(0)
    integers, scales = to_grid(draw.standard_normal((70, 60)).astype(np.float32), axis=1)
    nodes = [
        helper.make_node("Cast", ["w.int8"], ["w.float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["w.float", "w.scale"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    stored = [numpy_helper.from_array(integers, "w.int8"), numpy_helper.from_array(scales, "w.scale")]
    x, y = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, None, n])
        for name, n in (("x", 70), ("y", 60))
    )
    graph = helper.make_model(
        helper.make_graph(nodes, "one", [x], [y], stored), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    session = start_session(integer_products(graph).SerializeToString())
    rows = (draw.standard_normal((2, 5, 70)) * [[[1e-3], [1.0], [300.0], [0.0], [2.0]]]).astype(np.float32)
    most = np.abs(rows).max(axis=-1, keepdims=True)
    expected = np.rint(127 * rows / np.maximum(most, 1e-20)) @ integers.astype(np.float64) * scales * most / 127
    found = session.run(None, {"x": rows})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(session.run(None, {"x": rows[:1, 1:2]})[0], found[:1, 1:2])
    assert np.abs(found - rows @ (integers * scales)).max() / np.abs(found).max() < 0.01


def test_the_graph_multiplies_integers_and_answers_nearly_the_same(graphs: tuple[bytes, bytes]) -> None:
    nodes = onnx.load_from_string(graphs[1]).graph.node
    assert sum(node.op_type == "MatMulInteger" for node in nodes) == 2 * 6  # six matrices a layer
    assert len(graphs[1]) < 1.1 * len(graphs[0])
    clips = glides(8, 1.5, sample_rate=16000, seed=1)
    exact, found = (start_session(graph).run(["probabilities"], {"waveform": clips})[0] for graph in graphs)
    assert 0 < np.abs(exact - found).max() < 0.02
    assert (exact.argmax(axis=1) == found.argmax(axis=1)).all()
    alone = [start_session(graphs[1]).run(["probabilities"], {"waveform": clip[None]})[0][0] for clip in clips]
    np.testing.assert_allclose(found, alone, atol=1e-5)  # a scale of each step, and none of the batch


def test_a_bundle_that_multiplies_integers(system: System, tmp_path: Path) -> None:
    about = {"data": [], "versions": {}, "card": "", "labels": list("abcd")}
    both = ["bundle.precision=int8", "bundle.products=int8"]
    bundle = export(system, load("vlcrnn-variable-length", [*SMALL_WHISPER, *both]), tmp_path / "eight", **about)  # type: ignore[arg-type]
    kinds = [node.op_type for node in onnx.load(bundle.path / "model.onnx").graph.node]
    assert "MatMulInteger" in kinds
    with pytest.raises(RecipeError, match="set precision to int8, or products to float32"):
        load("vlcrnn-variable-length", [*SMALL_WHISPER, both[1]])


def test_an_encoder_whose_graph_has_other_weights_is_refused_before_training() -> None:
    for name, encoder in (("crnn-mel", "crnn"), ("vlcrnn-variable-length", "vlcrnn"), ("dycnn-bilstm", "dycnn")):
        with pytest.raises(
            RecipeError, match=f"the encoder {encoder} has too few weights that can be stored in 8 bits"
        ):
            load(name, ["bundle.precision=int8"])
    load("cnn-blstm-attention", ["bundle.precision=int8"])


def test_a_weight_that_is_computed_at_every_access_is_rounded_too(tmp_path: Path) -> None:
    """The convolution of positions in wav2vec 2.0 has weight norm."""
    encoder = "encoder={name: transformers-speech, width: 64, heads: 4, layers: [1], filters: 64}"
    recipe = load("vlcrnn-variable-length", ["frontend=waveform", "standardise=null", encoder, "bundle.precision=int8"])
    torch.manual_seed(1)
    system = build_system(recipe, 4).eval()
    positions = [module for module in system.encoder.modules() if parametrize.is_parametrized(module, "weight")]
    with torch.no_grad():
        positions[0].parametrizations.weight.original0.mul_(3.0)  # as large as in a trained system
        for weights in system.head.parameters():
            weights.normal_(std=0.3)
    eight = rounded(system)
    changed = [module for module in eight.encoder.modules() if parametrize.is_parametrized(module, "weight")]
    assert len(positions) == len(changed) == 1
    assert not torch.equal(positions[0].weight, changed[0].weight)
    write_graph(eight, tmp_path / "small.onnx", recipe)
    assert check_graph(eight, tmp_path / "small.onnx", recipe) < 1e-5


def test_a_graph_that_is_not_the_systems_is_refused(system: System) -> None:
    graph = onnx.helper.make_graph([], "empty", [], [])
    with pytest.raises(BundleError, match="0 weights under /system/encoder/ to store in 8 bits; the encoder has 14"):
        compact(onnx.helper.make_model(graph), system)
