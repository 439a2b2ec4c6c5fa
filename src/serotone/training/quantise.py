"""Weights in 8 bits: a quarter of the size on disk, at the speed and in the arithmetic of float32.

A weight is rounded to int8 times a scale, symmetric about 0. All weights of an output channel share a scale, or, more
exactly and some bytes larger, each ``group`` of those that follow each other in it. :func:`rounded` does that to a copy
of a system, which is then the system in every respect: it is what is evaluated, calibrated and exported. In its graph
the weights lie on the grid already, so that :func:`compact`, which stores them as integers, loses nothing. A graph
multiplies them out once, when a session is opened: onnxruntime folds a ``Cast`` and a ``Mul`` of constants, where it
would keep a ``DequantizeLinear`` and run it at every call. Activations stay in float32, unless
:func:`integer_products` lets the graph multiply integers, which takes one scale per channel: it rounds each time step
of what enters a matrix product to 8 bits, by a scale of that step alone, so that neither its neighbours nor a batch
change it.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn
from torch.nn.utils import parametrize

from serotone.errors import BundleError
from serotone.modeling.system import System
from serotone.recipes.parts import BundleChoice

LARGEST = 127
"""The largest integer that is stored: the steps on each side of 0."""

SMALLEST = 4096
"""Elements from which on a weight is worth it."""

ENCODER = "/system/encoder/"
"""Where the encoder's nodes are in an exported system. The tables of a frontend and the head stay in float32."""


def to_grid(
    weight: NDArray[np.float32], *, axis: int, group: int | None = None, half: bool = True
) -> tuple[NDArray[np.int8], NDArray[np.floating]]:
    """Nearest integers q, and scales s, so that q * s is near ``weight``; ``axis`` is that of the output channels.

    q is between -127 and 127. Without ``group`` it has the weight's shape, and s is a float32 for each channel,
    broadcasting over it; a channel of zeros has the scale 1. With it, the weights of each of the C channels are taken
    as one row of n groups, and s is a float16 for each group, or a float32 where not ``half``: q is (C, n, group) and
    s (C, n, 1), or (n, group, C) and (n, 1, C) where the channels are the last axis; q * s reshaped is near the weight.
    Where a row does not divide into groups, each channel is one. A weight that was made by q * s comes back as the same
    q and, to a rounding, the same s.
    """
    axis = axis % weight.ndim
    if group is None:
        others = tuple(index for index in range(weight.ndim) if index != axis)
        largest = np.abs(weight).max(axis=others, keepdims=True)
        scales = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
        return np.rint(weight / scales).astype(np.int8), scales
    channels, inputs = weight.shape[axis], weight.size // weight.shape[axis]
    width = inputs if inputs % group else group
    if axis == 0:
        grouped, along = weight.reshape(channels, -1, width), 2
    else:
        grouped, along = weight.reshape(-1, width, channels), 1
    largest = np.abs(grouped).max(axis=along, keepdims=True)
    # No smaller than the smallest float16 of full precision: of weights that small, fewer levels are enough.
    scales = np.maximum(largest / LARGEST, np.finfo(np.float16).smallest_normal).astype(np.float32)
    if half:
        scales = scales.astype(np.float16)
    return np.rint(grouped / scales.astype(np.float32)).clip(-LARGEST, LARGEST).astype(np.int8), scales


def rounded(system: System, group: int | None = None) -> System:
    """A copy of a system whose encoder's weights lie on an 8-bit grid: a scale per output channel, or per group."""
    whole = copy.deepcopy(system)
    with torch.no_grad():
        for layer in _layers(whole.encoder):
            weight = layer.weight.detach()
            integers, scales = to_grid(weight.cpu().numpy(), axis=0, group=group)
            on_grid = torch.from_numpy((integers * scales.astype(np.float32)).reshape(weight.shape)).to(weight.device)
            if parametrize.is_parametrized(layer, "weight"):  # weight norm computes it anew at every access
                layer.weight = on_grid
            else:
                layer.weight.copy_(on_grid)
    return whole


def as_bundled(system: System, bundle: BundleChoice) -> System:
    """The system as a recipe's bundle computes: a rounded copy where its weights are of 8 bits, else itself."""
    return rounded(system, bundle.scale_group) if bundle.precision == "int8" else system


def compact(graph: onnx.ModelProto, system: System, group: int | None = None) -> onnx.ModelProto:
    """A copy of a system's exported graph that stores the encoder's weights as int8 and expands them when it is loaded.

    Weights of fewer than ``SMALLEST`` elements stay as they are. ``group`` is that by which the system was rounded.

    Raises:
        BundleError: The graph has not as many weights to store so as the system's encoder has.
    """
    model = copy.deepcopy(graph)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    expanding = []
    found, expected = list(_stored_weights(model.graph, stored)), list(_layers(system.encoder))
    if len(found) != len(expected):
        raise BundleError(
            f"the graph has {len(found)} weights under {ENCODER} to store in 8 bits; the encoder has {len(expected)}: "
            "export with bundle.precision=float32, and tell us the versions of torch and onnx"
        )
    for name, axis in found:
        tensor = stored.pop(name)
        integers, scales = to_grid(numpy_helper.to_array(tensor), axis=axis, group=group, half=False)
        model.graph.initializer.remove(tensor)
        parts = {"int8": integers, "scale": scales}
        if group is not None:
            # The exporter multiplies the weights before a batch norm by its factors, which float16 does not hold.
            narrow = scales.astype(np.float16)
            parts["scale"] = narrow if np.array_equal(narrow, scales) else scales
            parts["shape"] = np.array(tensor.dims, dtype=np.int64)
        model.graph.initializer.extend(numpy_helper.from_array(value, f"{name}.{key}") for key, value in parts.items())
        expanding += _expanding(name, grouped=group is not None)
    nodes = [*expanding, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _expanding(name: str, *, grouped: bool) -> list[onnx.NodeProto]:
    """The nodes that make a float32 weight of its integers and scales."""
    cast = helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=onnx.TensorProto.FLOAT)
    if not grouped:
        return [cast, helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name])]
    return [
        cast,
        helper.make_node("Cast", [f"{name}.scale"], [f"{name}.scale.float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.float", f"{name}.scale.float"], [f"{name}.groups"]),
        helper.make_node("Reshape", [f"{name}.groups", f"{name}.shape"], [name]),
    ]


def grouped_weights(graph: onnx.ModelProto) -> list[str]:
    """Names of the weights that :func:`compact` stored with a scale for each group."""
    stored = {tensor.name for tensor in graph.graph.initializer}
    names = (name.removesuffix(".shape") for name in stored if name.endswith(".shape"))
    return sorted(name for name in names if f"{name}.int8" in stored)


def integer_products(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a graph that :func:`compact` made whose matrix products multiply integers, and add them up exactly.

    A product x W, x being (..., T, K), becomes round(127 x / m) W' times m s / 127: m is the largest absolute value of
    the step, W' the stored integers and s their scales. Integers are unsigned about 128, which processors multiply
    fastest; the session must ask for exact sums where a processor's own would overflow (``session.x64quantprecision``).
    Convolutions and products without stored weights stay as they are.

    Raises:
        BundleError: Groups of weights have scales of their own, which a product of integers cannot carry.
    """
    model = copy.deepcopy(graph)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    if grouped_weights(graph):
        raise BundleError("groups of weights have scales of their own; export with bundle.scale_group=null")
    constants = {"least": np.float32(1e-20), "levels": np.float32(LARGEST), "middle": np.float32(128)}
    model.graph.initializer.extend(numpy_helper.from_array(np.array(v), f"step.{k}") for k, v in constants.items())
    model.graph.initializer.append(numpy_helper.from_array(np.array(128, np.uint8), "step.zero"))
    nodes: list[onnx.NodeProto] = []
    steps: set[str] = set()
    for node in model.graph.node:
        if node.op_type != "MatMul" or f"{node.input[1]}.int8" not in stored:
            nodes.append(node)
            continue
        (x, weight), (y,) = node.input, node.output
        if x not in steps:  # what several products share is rounded once
            steps.add(x)
            nodes += [
                helper.make_node("Abs", [x], [f"{x}.size"]),
                helper.make_node("ReduceMax", [f"{x}.size"], [f"{x}.largest"], axes=[-1], keepdims=1),
                helper.make_node("Max", [f"{x}.largest", "step.least"], [f"{x}.most"]),
                helper.make_node("Div", ["step.levels", f"{x}.most"], [f"{x}.gain"]),
                helper.make_node("Mul", [x, f"{x}.gain"], [f"{x}.scaled"]),
                helper.make_node("Round", [f"{x}.scaled"], [f"{x}.rounded"]),
                helper.make_node("Add", [f"{x}.rounded", "step.middle"], [f"{x}.moved"]),
                helper.make_node("Cast", [f"{x}.moved"], [f"{x}.uint8"], to=onnx.TensorProto.UINT8),
                helper.make_node("Div", [f"{x}.most", "step.levels"], [f"{x}.unit"]),
            ]
        nodes += [
            helper.make_node("MatMulInteger", [f"{x}.uint8", f"{weight}.int8", "step.zero"], [f"{y}.int32"], node.name),
            helper.make_node("Cast", [f"{y}.int32"], [f"{y}.sums"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{y}.sums", f"{x}.unit"], [f"{y}.units"]),
            helper.make_node("Mul", [f"{y}.units", f"{weight}.scale"], [y]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(_needed(nodes, [output.name for output in model.graph.output]))
    return model


def _needed(nodes: list[onnx.NodeProto], outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes, in order, from which the outputs are computed."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _layers(encoder: nn.Module) -> Iterator[Any]:
    """Those whose weights :func:`compact` will find in the graph."""
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module.weight.numel() >= SMALLEST:
            yield module


def _stored_weights(graph: onnx.GraphProto, stored: dict[str, onnx.TensorProto]) -> Iterator[tuple[str, int]]:
    """Names of the encoder's large float32 weights, each once, with the axis of their output channels."""
    seen = set()
    for node in graph.node:
        if not node.name.startswith(ENCODER) or node.op_type not in ("MatMul", "Gemm", "Conv"):
            continue
        name = node.input[1]
        tensor = stored.get(name)
        if tensor is None or name in seen or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        if np.prod(tensor.dims) < SMALLEST:
            continue
        seen.add(name)
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        yield name, 0 if node.op_type == "Conv" or transposed else len(tensor.dims) - 1
