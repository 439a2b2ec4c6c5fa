"""Length arithmetic against real convolutions, pools and framings, and masks that nothing gets past."""

import librosa
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from serotone.modeling.lengths import conv_length, frames, mask, samples_for, zero_beyond

lengths_from_one = st.integers(1, 200)
small = st.integers(1, 9)


@given(length=lengths_from_one, kernel=small, stride=small, padding=st.integers(0, 4))
def test_floor_is_the_length_after_a_real_convolution(length: int, kernel: int, stride: int, padding: int) -> None:
    assume(length + 2 * padding >= kernel)
    real = functional.conv1d(torch.zeros(1, 1, length), torch.zeros(1, 1, kernel), stride=stride, padding=padding)
    assert conv_length(length, kernel=kernel, stride=stride, padding=padding) == real.shape[-1]


@given(length=lengths_from_one, kernel=small, stride=small, padding=st.integers(0, 4), ceil=st.booleans())
def test_both_modes_are_the_length_after_a_real_pool(
    length: int, kernel: int, stride: int, padding: int, ceil: bool
) -> None:
    assume(padding <= kernel // 2 and length + 2 * padding >= kernel)
    real = functional.max_pool1d(torch.zeros(1, 1, length), kernel, stride, padding, ceil_mode=ceil)
    mode = "ceil" if ceil else "floor"
    assert conv_length(length, kernel=kernel, stride=stride, padding=padding, mode=mode) == real.shape[-1]


@given(length=st.integers(0, 200), kernel=small)
def test_ceil_of_a_pool_keeps_the_last_partial_window(length: int, kernel: int) -> None:
    assert conv_length(length, kernel=kernel, stride=kernel, mode="ceil") == -(-length // kernel)


@given(
    values=st.lists(st.integers(0, 500), min_size=1, max_size=8),
    kernel=small,
    stride=small,
    padding=st.integers(0, 4),
    centred=st.booleans(),
)
def test_ints_and_tensors_agree(values: list[int], kernel: int, stride: int, padding: int, centred: bool) -> None:
    tensor = torch.tensor(values)
    for mode in ("floor", "ceil"):
        got = conv_length(tensor, kernel=kernel, stride=stride, padding=padding, mode=mode)
        assert got.dtype == torch.int64
        assert got.tolist() == [
            conv_length(n, kernel=kernel, stride=stride, padding=padding, mode=mode) for n in values
        ]
    got = frames(tensor, hop=stride, window=kernel, centred=centred)
    assert got.dtype == torch.int64
    assert got.tolist() == [frames(n, hop=stride, window=kernel, centred=centred) for n in values]


def test_nothing_is_ever_left_of_less_than_nothing() -> None:
    assert conv_length(2, kernel=7, stride=2) == 0
    assert conv_length(torch.tensor([0, 2, 6, 7]), kernel=7, stride=2).tolist() == [0, 0, 0, 1]
    assert frames(torch.tensor([0, 639, 640]), hop=160, window=640, centred=False).tolist() == [0, 0, 1]


def test_system_2_keeps_one_step_of_49_frames_and_none_of_48() -> None:
    def left(length: int) -> int:
        length = conv_length(length, kernel=7, stride=2)
        for _ in range(3):
            length = conv_length(conv_length(length, kernel=3), kernel=2, stride=2)
        return length

    assert [left(n) for n in (48, 49, 50, 64, 65)] == [0, 1, 1, 1, 2]
    assert (left(128), left(513)) == (5, 30)  # mel bands and STFT bins, as published


@settings(max_examples=50, deadline=None)
@given(samples=st.integers(1, 5000), hop=st.integers(1, 300), window=st.integers(2, 512), centred=st.booleans())
def test_frames_are_counted_as_librosa_counts_them(samples: int, hop: int, window: int, centred: bool) -> None:
    assume(centred or samples >= window)
    window -= 0 if not centred else window % 2  # librosa's centred frames are counted alike for even windows only
    signal = np.zeros(samples)
    framed = np.pad(signal, window // 2) if centred else signal
    expected = librosa.util.frame(framed, frame_length=window, hop_length=hop).shape[-1]
    assert frames(samples, hop=hop, window=window, centred=centred) == expected


@given(count=st.integers(1, 200), hop=st.integers(1, 50), window=st.integers(1, 200), centred=st.booleans())
def test_samples_for_is_the_fewest_that_make_so_many_frames(count: int, hop: int, window: int, centred: bool) -> None:
    fewest = samples_for(count, hop=hop, window=window, centred=centred)
    assert frames(fewest, hop=hop, window=window, centred=centred) >= count
    assert fewest == 1 or frames(fewest - 1, hop=hop, window=window, centred=centred) < count


@given(values=st.lists(st.integers(0, 12), min_size=1, max_size=5), size=st.integers(0, 12))
def test_mask_is_true_below_each_length(values: list[int], size: int) -> None:
    assert mask(torch.tensor(values), size).tolist() == [[t < n for t in range(size)] for n in values]


@pytest.mark.parametrize("dim", [1, 2, -1])
def test_zero_beyond_removes_even_nan_and_infinity(dim: int) -> None:
    values = torch.ones(3, 4, 4)
    axis = dim % 3
    lengths = torch.tensor([4, 1, 0])
    for row, length in enumerate(lengths.tolist()):
        values[row].narrow(axis - 1, length, 4 - length).fill_(float("nan"))
    values[1].narrow(axis - 1, 3, 1).fill_(float("inf"))
    cleaned = zero_beyond(values, lengths, dim=dim)
    for row, length in enumerate(lengths.tolist()):
        assert (cleaned[row].narrow(axis - 1, 0, length) == 1).all()
        assert (cleaned[row].narrow(axis - 1, length, 4 - length) == 0).all()


def test_zero_beyond_lets_no_gradient_into_the_padding() -> None:
    values = torch.ones(2, 3, requires_grad=True)
    zero_beyond(values, torch.tensor([3, 1]), dim=1).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_zero_beyond_keeps_the_type_of_its_values() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.int64):
        assert zero_beyond(torch.ones(1, 2, dtype=dtype), torch.tensor([1]), dim=1).dtype == dtype


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="mode is 'round'"):
        conv_length(3, kernel=1, mode="round")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window is None"):
        frames(3, hop=1, centred=False)
    with pytest.raises(ValueError, match="window is None"):
        samples_for(3, hop=1, centred=False)
    with pytest.raises(ValueError, match="at least 1 frame"):
        samples_for(0, hop=1, centred=True)
    with pytest.raises(ValueError, match="dim is 0, which is the batch"):
        zero_beyond(torch.ones(2, 2), torch.tensor([1, 1]), dim=0)
