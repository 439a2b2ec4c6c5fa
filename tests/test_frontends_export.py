"""Frontends inside an ONNX graph: at several lengths and batch sizes, and what their constants weigh."""

import numpy as np
import onnx
import pytest
import torch

from frontend_cases import CASES, SPECTRAL, assert_close, built, graph, made, session, sweep


@pytest.mark.parametrize("case", CASES)
def test_exported_graph_is_the_frontend(case: str) -> None:
    model = graph(built(case))
    exported, reference = session(model), built(case).double()
    for samples in (1, reference.framing.window_size - 1, reference.minimum_samples(), 3001, 33333):
        for clips in (1, 3):
            batch = np.stack([sweep(2.1, seed)[:samples] for seed in range(clips)])
            values, lengths = exported.run(None, {"waveform": batch})
            expected, counted = reference(torch.from_numpy(batch).double(), torch.full((clips,), samples))
            assert lengths.tolist() == counted.tolist()
            for row, clip in zip(values, expected.numpy(), strict=True):
                assert_close(case, row, clip)
    assert constant_bytes(model) == reference.tables_bytes


def constant_bytes(model: bytes) -> int:
    """Bytes of all constant arrays of floating point numbers."""
    nodes = onnx.load_from_string(model).graph
    constants = [attribute.t for node in nodes.node if node.op_type == "Constant" for attribute in node.attribute]
    tables = [onnx.numpy_helper.to_array(constant) for constant in (*nodes.initializer, *constants)]
    return sum(table.nbytes for table in tables if table.dtype == np.float32 and table.size > 1)


def test_whether_the_graph_clears_what_is_beyond_or_not_makes_no_difference() -> None:
    frontend = built("4 mfcc")
    clip = sweep(0.7)[None]
    cleared, trusted = (session(graph(frontend, whole=whole)).run(None, {"waveform": clip}) for whole in (False, True))
    np.testing.assert_allclose(cleared[0], trusted[0], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(cleared[1], trusted[1])


@pytest.mark.parametrize("name", SPECTRAL)
def test_tables_are_no_part_of_the_weights(name: str) -> None:
    assert made(name).state_dict() == {}


def test_bytes_of_tables_by_hand() -> None:
    # Two tables each of 321 x 513 without the bins' folds; with them 81 x 129, 80 x 129 and 160 x 258.
    assert built("2 stft").tables_bytes == 2 * 4 * (81 * 129 + 80 * 129 + 160 * 258)
    # 551 samples fold once only; the last band ends at 7,600 Hz = bin 352.9 of 22,050 / 1,024 Hz.
    assert 0 < built("odd mel").tables_bytes - 2 * 4 * 276 * 353 < 4 * 353 * 60
