"""Rearrange Silero's VAD so that one call takes a sequence of blocks; the weights stay as they are.

    python tools/silero_sequence.py silero_vad_16k_op15.onnx

The published graph answers one block of 32 ms a call and hands its state back, so that three seconds are 94 calls. All
but its LSTM looks at one block alone. The graph written here has the same layers over the blocks of a whole stretch, as
products of matrices, and the LSTM runs along them. Writes ``src/serotone/recognition/silero/silero-vad-16k.onnx``, and
``tests/silero_expected.json`` with what the published graph answers to a synthetic voice, block by block.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from serotone.corpora.voice import speak

ROOT = Path(__file__).resolve().parent.parent
SEQUENCE = ROOT / "src/serotone/recognition/silero/silero-vad-16k.onnx"
EXPECTED = ROOT / "tests/silero_expected.json"
PUBLISHED_SHA256 = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
BLOCK, CONTEXT, WIDTH = 512, 64, 128


def main() -> int:
    """Write both files; exit status 1 where the input is another graph or the answers differ."""
    published = Path(sys.argv[1])
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    if digest != PUBLISHED_SHA256:
        print(f"{published}: SHA-256 {digest}; expected {PUBLISHED_SHA256}, the file of silero-vad 6.2.3")
        return 1
    onnx.save(rearranged(onnx.load(published)), SEQUENCE)

    samples = speak(0, 3, "male", "angry", 7).astype(np.float32) / np.float32(32768)
    one_by_one = block_by_block(published, samples)
    at_once = in_one_call(samples)
    difference = float(np.abs(one_by_one - at_once).max())
    print(f"{len(at_once)} blocks, largest difference of a probability {difference:.1e}")
    EXPECTED.write_text(json.dumps([round(float(p), 6) for p in one_by_one]) + "\n", encoding="utf-8")
    print(f"{SEQUENCE.name}: SHA-256 {hashlib.sha256(SEQUENCE.read_bytes()).hexdigest()}")
    return 0 if difference < 1e-5 else 1


def rearranged(published: onnx.ModelProto) -> onnx.ModelProto:
    """The graph over N blocks of 576 samples (64 of context, 512 new), hidden and cell state in and out."""
    weights = {item.name: numpy_helper.to_array(item) for item in published.graph.initializer}
    rnn = {name: in_onnx_order(weights[f"model.decoder.rnn.{name}"]) for name in RNN}
    layers = [weights[f"model.encoder.{layer}.reparam_conv.weight"] for layer in range(4)]
    constants = {
        "reflect": np.array([0, 0, 0, CONTEXT], np.int64),
        "hops": np.array([-1, 5, 128], np.int64),
        "basis": weights["model.stft.forward_basis_buffer"][:, 0].T,
        "halves": np.array([129, 129], np.int64),
        "one_around": np.array([0, 1, 0, 0, 1, 0], np.int64),
        "pair": np.array([-1, 2 * 64], np.int64),
        "sequence": np.array([-1, 1, WIDTH], np.int64),
        "rows": np.array([-1, WIDTH], np.int64),
        "flat": np.array([-1], np.int64),
        # Kernels of three steps as matrices; the third layer sees two steps and the fourth one, their other taps zeros.
        "weight_0": as_matrix(layers[0]),
        "weight_1": as_matrix(layers[1]),
        "weight_2": as_matrix(layers[2][:, :, 1:]),
        "weight_3": as_matrix(layers[3][:, :, 1:2]),
        "lstm_input": rnn["weight_ih"][None],
        "lstm_hidden": rnn["weight_hh"][None],
        "lstm_bias": np.concatenate([rnn["bias_ih"], rnn["bias_hh"]])[None],
        "out_weight": weights["model.decoder.decoder.2.weight"][:, :, 0].T,
        "out_bias": weights["model.decoder.decoder.2.bias"],
    }
    for layer in range(4):
        constants[f"bias_{layer}"] = weights[f"model.encoder.{layer}.reparam_conv.bias"]
    for number in range(7):
        constants[f"at_{number}"] = np.array([number], np.int64)

    def steps(source: str, name: str, first: int, last: int, stride: int) -> onnx.NodeProto:
        """Steps ``first``, ``first + stride`` ... before ``last`` of (N, T, C)."""
        return helper.make_node("Slice", [source, f"at_{first}", f"at_{last}", "at_1", f"at_{stride}"], [name])

    def dense(source: str, layer: int) -> list[onnx.NodeProto]:
        return [
            helper.make_node("MatMul", [source, f"weight_{layer}"], [f"product_{layer}"]),
            helper.make_node("Add", [f"product_{layer}", f"bias_{layer}"], [f"sum_{layer}"]),
            helper.make_node("Relu", [f"sum_{layer}"], [f"layer_{layer + 1}"]),
        ]

    nodes = [
        helper.make_node("Pad", ["blocks", "reflect"], ["padded"], mode="reflect"),
        helper.make_node("Reshape", ["padded", "hops"], ["halves_of_frames"]),
        steps("halves_of_frames", "first_halves", 0, 4, 1),
        steps("halves_of_frames", "second_halves", 1, 5, 1),
        helper.make_node("Concat", ["first_halves", "second_halves"], ["frames"], axis=2),
        helper.make_node("MatMul", ["frames", "basis"], ["spectrum"]),
        helper.make_node("Split", ["spectrum", "halves"], ["real", "imaginary"], axis=2),
        helper.make_node("Mul", ["real", "real"], ["real_square"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["imaginary_square"]),
        helper.make_node("Add", ["real_square", "imaginary_square"], ["power"]),
        helper.make_node("Sqrt", ["power"], ["layer_0"]),
    ]
    for layer, stride in ((0, 1), (1, 2)):
        nodes += [
            helper.make_node("Pad", [f"layer_{layer}", "one_around"], [f"padded_{layer}"]),
            *(steps(f"padded_{layer}", f"tap_{layer}_{t}", t, t + 5 - stride, stride) for t in range(3)),
            helper.make_node("Concat", [f"tap_{layer}_{t}" for t in range(3)], [f"taps_{layer}"], axis=2),
            *dense(f"taps_{layer}", layer),
        ]
    nodes += [helper.make_node("Reshape", ["layer_2", "pair"], ["pairs"]), *dense("pairs", 2), *dense("layer_3", 3)]
    recurrence = ["steps", "lstm_input", "lstm_hidden", "lstm_bias", "", "hidden", "cell"]
    nodes += [
        helper.make_node("Reshape", ["layer_4", "sequence"], ["steps"]),
        helper.make_node("LSTM", recurrence, ["states", "next_hidden", "next_cell"], hidden_size=WIDTH),
        helper.make_node("Reshape", ["states", "rows"], ["state_rows"]),
        helper.make_node("Relu", ["state_rows"], ["active"]),
        helper.make_node("MatMul", ["active", "out_weight"], ["product"]),
        helper.make_node("Add", ["product", "out_bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["column"]),
        helper.make_node("Reshape", ["column", "flat"], ["probabilities"]),
    ]

    def values(name: str, *shape: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    graph = helper.make_graph(
        nodes,
        "silero-vad-16k",
        [values("blocks", "n", CONTEXT + BLOCK), values("hidden", 1, 1, WIDTH), values("cell", 1, 1, WIDTH)],
        [values("probabilities", "n"), values("next_hidden", 1, 1, WIDTH), values("next_cell", 1, 1, WIDTH)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return model


RNN = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def as_matrix(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """A kernel (out, in, taps) for inputs whose taps stand next to each other: (taps * in, out)."""
    return kernel.transpose(2, 1, 0).reshape(-1, len(kernel))


def in_onnx_order(gates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Input, forget, cell, output gate as torch stacks them -> input, output, forget, cell."""
    i, f, g, o = np.split(gates, 4)
    return np.concatenate([i, o, f, g])


def block_by_block(published: Path, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities that the published graph answers, whole blocks only."""
    session = onnxruntime.InferenceSession(published)
    state = np.zeros((2, 1, WIDTH), np.float32)
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    answers = []
    for start in range(0, len(samples) - BLOCK + 1, BLOCK):
        block = padded[None, start : start + CONTEXT + BLOCK]
        answer, state = session.run(None, {"input": block, "state": state, "sr": np.array(16000, np.int64)})
        answers.append(answer.item())
    return np.array(answers, np.float32)


def in_one_call(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same from the graph that was just written."""
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    blocks = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + BLOCK)[::BLOCK]
    rest = np.zeros((1, 1, WIDTH), np.float32)
    session = onnxruntime.InferenceSession(SEQUENCE)
    (answers,) = session.run(["probabilities"], {"blocks": blocks, "hidden": rest, "cell": rest})
    return np.asarray(answers, np.float32)


if __name__ == "__main__":
    sys.exit(main())
