"""The dynamic CNN: dynamic convolutions and a (bidirectional) LSTM.

Lin, Hu and Zhu, "Speech emotion recognition based on dynamic convolutional neural network". Its baseline, a plain CNN
and LSTM, has ``dynamic`` false, ``recurrence`` lstm, ``hidden`` 256. Dynamic convolution, ELU, LSTM and BiLSTM are the
paper's; the four blocks with batch norm and max-pool are ours, after Zhao et al., "Speech emotion recognition using
deep 1D & 2D CNN LSTM networks", 2019. A pool drops a last odd step, so no window reaches beyond a clip's last frame;
everything else that could see padding (the attention's mean, batch norm, the next convolution) is told the lengths.

Parameters with 40 bins and the other defaults:

============  ===================  ===================
convolutions  BiLSTM 2 x 128       LSTM 256
============  ===================  ===================
dynamic                 1,831,784            1,962,856
first static            1,829,772            1,960,844
static                  1,047,872            1,178,944
============  ===================  ===================
"""

from torch import Tensor, nn
from torch.nn import functional

from serotone.modeling.convolution import DynamicConv2d
from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.lengths import conv_length, zero_beyond
from serotone.modeling.normalisation import MaskedBatchNorm2d
from serotone.modeling.recurrence import recur
from serotone.options.encoders import DyCNNOptions

POOLS = ((2, 2), (2, 2), (2, 2), (2, 1))
"""Time and frequency that each block's pool takes together."""


class DyCNN(Encoder):
    """Four blocks of convolution, batch norm, max-pool and ELU, then an LSTM.

    The exporter sets ``exported``: the graph only ever sees clips as long as their batch, so nothing is masked.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.encoders.DyCNNOptions`.
        num_features: Bins of the input frames, at least 8 of them.
    """

    options_type = DyCNNOptions
    minimum_frames = 16

    def __init__(self, options: DyCNNOptions, *, num_features: int) -> None:
        super().__init__()
        self.require_features(num_features, 8)
        blocks: list[Block] = []
        channels, bins = 1, num_features
        for count, pool in zip(options.filters, POOLS, strict=True):
            if options.dynamic and (blocks or not options.first_static):
                convolution: nn.Module = DynamicConv2d(
                    channels, count, kernels=options.kernels, reduction=options.reduction
                )
            else:
                # No bias: batch norm would take it away again. A dynamic one differs between clips, and stays.
                convolution = nn.Conv2d(channels, count, kernel_size=3, padding=1, bias=False)
            blocks.append(Block(convolution, count, pool))
            channels, bins = count, conv_length(bins, kernel=pool[1], stride=pool[1])
        self.blocks = nn.ModuleList(blocks)
        self.directions = 2 if options.recurrence == "bilstm" else 1
        self.recurrence = nn.LSTM(bins * channels, options.hidden, batch_first=True, bidirectional=self.directions == 2)
        self.num_outputs = self.directions * options.hidden
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) -> states (B, T', num_outputs), lengths (B,).

        A clip of fewer than 16 frames is taken as zero-padded to 16 (after standardisation: the mean frame).
        """
        if not self.exported:
            frames, lengths = self.fill_up(frames, lengths)
        padded = not self.exported and bool((lengths < frames.shape[1]).any())
        maps = frames.unsqueeze(3).permute(0, 3, 1, 2)  # (B, 1, T, F), in strides that say "channels last"
        for block in self.blocks:
            maps = block(maps, lengths if padded else None)  # (B, C, T', F')
            lengths = conv_length(lengths, kernel=2, stride=2)
            if padded:
                maps = zero_beyond(maps, lengths, dim=2)
        steps = maps.permute(0, 2, 3, 1).flatten(2)  # (B, T', F' * C)
        return recur(self.recurrence, steps, lengths, packed=padded), lengths

    def set_temperature(self, tau: float) -> None:
        """Set the temperature of every dynamic convolution, for the training loop to call; above 0."""
        if not tau > 0:
            raise ValueError(f"temperature is {tau}; expected a number above 0")
        for module in self.modules():
            if isinstance(module, DynamicConv2d):
                module.temperature.fill_(tau)


class Block(nn.Module):
    """Convolution, batch norm, max-pool, ELU."""

    def __init__(self, convolution: nn.Module, channels: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = MaskedBatchNorm2d(channels)
        self.pool = pool

    def forward(self, maps: Tensor, lengths: Tensor | None) -> Tensor:
        """Maps (B, C, T, F), 0 beyond their lengths along T (None: they are full) -> maps with time and bins pooled."""
        if isinstance(self.convolution, DynamicConv2d):
            maps = self.convolution(maps, lengths)
        else:
            maps = self.convolution(maps)
        # ELU rises everywhere, so it may follow the pool, over a quarter of the values.
        return functional.elu(functional.max_pool2d(self.norm(maps, lengths), self.pool))
