"""Dynamic convolution: several kernels, and a share of each that the clip itself decides.

Lin, Hu and Zhu, "Speech emotion recognition based on dynamic convolutional neural network", equation 1; what it leaves
open follows Chen et al., "Dynamic convolution: attention over convolution kernels", CVPR 2020: the ReLU between the two
layers, the softmax's temperature and its annealing. The smallest width of the first layer, 4, is ours.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def grouped_convolution(maps: Tensor, shares: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """Convolve each clip with its own sum of kernels; "same" zero padding.

    Maps (B, C, T, F), shares (B, K), kernels (K, O, C, n, n) with n odd, biases (K, O) -> (B, O, T, F). One convolution
    with a group for each clip.
    """
    batch, _, time, frequency = maps.shape
    outputs, inputs, size, _ = kernels.shape[1:]
    kernel = (shares @ kernels.flatten(1)).view(batch * outputs, inputs, size, size)
    bias = (shares @ biases).flatten()
    beside = maps.reshape(1, batch * inputs, time, frequency)
    convolved = functional.conv2d(beside, kernel, bias, padding=size // 2, groups=batch)
    return convolved.view(batch, outputs, time, frequency)


def unfolded_convolution(maps: Tensor, shares: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """The same function as :func:`grouped_convolution`, as one matrix product a clip; comes out with the channels last.

    For few inputs it is up to three times as fast as a group that has but one channel.
    """
    batch, _, time, frequency = maps.shape
    size = kernels.shape[-1]
    patches = functional.unfold(maps, size, padding=size // 2).transpose(1, 2)  # (B, T * F, C * n * n)
    kernel = (shares @ kernels.flatten(1)).view(batch, kernels.shape[1], -1).transpose(1, 2)  # (B, C * n * n, O)
    bias = (shares @ biases)[:, None]
    return torch.baddbmm(bias, patches, kernel).view(batch, time, frequency, -1).permute(0, 3, 1, 2)


def summed_convolutions(maps: Tensor, shares: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """The same function as :func:`grouped_convolution`: the sum of the K convolutions by their shares.

    K times the work, but a graph can hold it with a batch of any size.
    """
    total = maps.new_zeros(())
    for share, kernel, bias in zip(shares.unbind(dim=1), kernels.unbind(), biases.unbind(), strict=True):
        part = functional.conv2d(maps, kernel, bias, padding=kernel.shape[-1] // 2)
        total = total + share[:, None, None, None] * part
    return total


def annealed(step: int, *, start: float = 30.0, end: float = 1.0, steps: int) -> float:
    """Temperature at a step counted from 0: a line from ``start`` over the first ``steps`` steps, then ``end``.

    Chen et al. 2020 go from 30 to 1.

    >>> [annealed(step, steps=10) for step in (0, 5, 10, 11)]
    [30.0, 15.5, 1.0, 1.0]
    """
    if step >= steps:
        return end
    return start + (end - start) * step / steps


class DynamicConv2d(nn.Module):
    """A convolution whose kernel and bias are a sum of ``kernels`` of them, by shares that the input decides.

    Shares are softmax(scores / temperature), the scores those of two fully connected layers over the mean of each
    channel. ``temperature`` is a buffer: the training loop anneals it, checkpoint and bundle keep it, forward only
    reads it. The exporter sets ``exported``; every form is the same function.

    Args:
        kernel_size: Side of the kernels, odd; the padding keeps time and frequency as they are.
        reduction: The layer between has ``num_inputs // reduction`` units, at least 4.
    """

    temperature: Tensor

    def __init__(
        self, num_inputs: int, num_outputs: int, *, kernel_size: int = 3, kernels: int = 4, reduction: int = 4
    ) -> None:
        super().__init__()
        if kernels < 1 or reduction < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"kernels is {kernels}, reduction is {reduction} and kernel_size is {kernel_size}; expected kernels and"
                " reduction of at least 1 and an odd kernel_size"
            )
        between = max(num_inputs // reduction, 4)
        self.attention = nn.Sequential(nn.Linear(num_inputs, between), nn.ReLU(), nn.Linear(between, kernels))
        self.kernels = nn.Parameter(torch.empty(kernels, num_outputs, num_inputs, kernel_size, kernel_size))
        self.biases = nn.Parameter(torch.empty(kernels, num_outputs))
        bound = 1.0 / math.sqrt(num_inputs * kernel_size**2)  # each kernel starts as that of nn.Conv2d does
        nn.init.uniform_(self.kernels, -bound, bound)
        nn.init.uniform_(self.biases, -bound, bound)
        self.register_buffer("temperature", torch.tensor(1.0))
        self.exported = False

    def forward(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps (B, C, T, F), 0 beyond their lengths (B,) along T -> (B, O, T, F); None stands for full lengths.

        What comes out beyond a length has no meaning.
        """
        shares = self.shares(maps, lengths)
        if self.exported:
            return summed_convolutions(maps, shares, self.kernels, self.biases)
        if maps.shape[1] == 1:
            return unfolded_convolution(maps, shares, self.kernels, self.biases)
        # Groups lie one after the other; norms and pools are up to three times as fast with the channels last.
        maps = grouped_convolution(maps, shares, self.kernels, self.biases)
        return maps.contiguous(memory_format=torch.channels_last)

    def shares(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What each kernel contributes, (B, K) of sum 1; arguments as in :meth:`forward`."""
        if lengths is None:
            means = maps.float().mean(dim=(2, 3))
        else:
            positions = lengths * maps.shape[3]
            means = maps.sum(dim=(2, 3), dtype=torch.float32) / positions[:, None]  # padding is 0: it adds nothing
        return torch.softmax(self.attention(means) / self.temperature, dim=1)
