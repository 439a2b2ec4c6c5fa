"""A recurrence over clips of different lengths."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def recur(network: nn.GRU | nn.LSTM, steps: Tensor, lengths: Tensor, *, packed: bool) -> Tensor:
    """States (B, T, D) of a ``batch_first`` network over steps (B, T, F) with lengths (B,) of at least 1; in float32.

    ``packed``: every direction starts and ends at each clip's own ends, and states beyond a length are 0. Not packed is
    the same function where all clips of a batch are as long as it, and the form that an ONNX graph can hold.
    """
    with torch.autocast(steps.device.type, enabled=False):
        if not packed:
            states: Tensor = network(steps.float())[0]
            return states
        sequence = pack_padded_sequence(steps.float(), lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(network(sequence)[0], batch_first=True, total_length=steps.shape[1])
        return states
