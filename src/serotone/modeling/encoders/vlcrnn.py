"""The variable-length CRNN: a masked CNN and a bidirectional GRU.

Liang et al., "Emotion recognition from speech using deep learning on spectrograms", Journal of Intelligent and Fuzzy
Systems 39(3), 2020: what lies beyond a clip's end is 0 before a convolution and minus infinity before a max-pool, so
that a clip comes out the same with padding and without. A last odd step therefore makes a window of its own: lengths
are halved upwards, on clips without padding too. Two convolutions, two pools and a GRU of 128 units per direction are
the paper's; kernels, filters, ReLU and the size of the pools are ours.

Parameters with 400 bins and the defaults (with a linear layer to 4 classes: 2,563,268):

=============  =========
convolution 1        160
convolution 2      4,640
GRU            2,557,440
together       2,562,240
=============  =========
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.lengths import Length, conv_length, mask
from serotone.modeling.recurrence import recur
from serotone.options.encoders import VLCRNNOptions


class VLCRNN(Encoder):
    """3x3 convolutions with "same" padding, each before a 2x2 max-pool, then a bidirectional GRU.

    The exporter sets ``exported``: the graph only ever sees clips as long as their batch, so nothing is masked.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.encoders.VLCRNNOptions`.
        num_features: Bins of the input frames.
    """

    options_type = VLCRNNOptions
    directions = 2

    def __init__(self, options: VLCRNNOptions, *, num_features: int) -> None:
        super().__init__()
        self.require_features(num_features, 1)
        convolutions = []
        channels, bins = 1, num_features
        for count in options.filters:
            convolutions.append(nn.Conv2d(channels, count, kernel_size=3, padding=1))
            channels, bins = count, halved(bins)
        self.convolutions = nn.ModuleList(convolutions)
        self.recurrence = nn.GRU(bins * channels, options.hidden, batch_first=True, bidirectional=True)
        self.num_outputs = 2 * options.hidden
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) -> states (B, T', D), lengths (B,).

        A clip of no frames is taken as one of zeros (after standardisation: the mean frame).
        """
        if not self.exported:
            frames, lengths = self.fill_up(frames, lengths)
        padded = not self.exported and bool((lengths < frames.shape[1]).any())
        maps = frames.unsqueeze(3).permute(0, 3, 1, 2)  # (B, 1, T, F), in strides that say "channels last"
        for convolution in self.convolutions:
            maps = convolution(maps)
            if padded:
                hide_beyond(maps, lengths)
            # ReLU after the pool is the same as before it, over a quarter of the values. It also turns a window of
            # nothing but padding from minus infinity to the 0 that the next convolution must see there.
            maps = functional.relu(functional.max_pool2d(maps, 2, ceil_mode=True))  # (B, C, T', F')
            lengths = halved(lengths)
        steps = maps.permute(0, 2, 3, 1).flatten(2)  # (B, T', F' * C)
        return recur(self.recurrence, steps, lengths, packed=padded), lengths


def halved(length: Length) -> Length:
    """Steps or bins left of ``length`` after one pool, the last odd one kept."""
    return conv_length(length, kernel=2, stride=2, mode="ceil")


def hide_beyond(maps: Tensor, lengths: Tensor) -> None:
    """Set maps (B, C, T, F) to minus infinity, in place, beyond their lengths (B,) along T.

    Autograd need not know: a max-pool sends no gradient to minus infinity beside a value, and the ReLU after it none to
    a window of minus infinity alone.
    """
    beyond = ~mask(lengths, maps.shape[2])
    with torch.no_grad():
        maps.masked_fill_(beyond[:, None, :, None], float("-inf"))
