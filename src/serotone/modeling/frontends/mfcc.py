"""Mel-frequency cepstral coefficients and their deltas."""

import torch
from torch import Tensor

from serotone.modeling.frontends.mel import LogMel
from serotone.modeling.frontends.spectral import MelNorm, MelScale, cosine_transform, deltas
from serotone.modeling.frontends.spectrogram import Engine, Logarithm


class MFCC(LogMel):
    """Orthonormal DCT-II of a log-mel spectrogram, its first coefficients, and their slopes as further features.

    The second deltas are the deltas of the deltas, as in the HTK book, which the 39 features of speech recognition (13
    and their first and second deltas) come from. ``librosa.feature.delta(order=2)`` is something else: the curvature of
    a parabola fitted once. An edge repeats the clip's first or last frame; for second deltas, its first or last delta.

    Args, besides those of :class:`LogMel`:
        num_coefficients: From coefficient 0 on.
        deltas: 0, 1 or 2: features are num_coefficients * (1 + deltas).
        delta_width: Frames that a slope is fitted to, odd.
    """

    transform: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        window: str = "hamming",
        window_seconds: float = 0.040,
        hop_seconds: float = 0.010,
        window_samples: int | None = None,
        hop_samples: int | None = None,
        n_fft: int = 1024,
        num_mels: int = 128,
        mel_scale: MelScale = "slaney",
        mel_norm: MelNorm | None = "slaney",
        f_min: float = 0.0,
        f_max: float | None = None,
        num_coefficients: int = 40,
        deltas: int = 0,
        delta_width: int = 9,
        centred: bool = True,
        pre_emphasis: float | None = None,
        logarithm: Logarithm = "db",
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        offset: float = 0.0,
        engine: Engine = "fft",
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            window=window,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            window_samples=window_samples,
            hop_samples=hop_samples,
            n_fft=n_fft,
            num_mels=num_mels,
            mel_scale=mel_scale,
            mel_norm=mel_norm,
            f_min=f_min,
            f_max=f_max,
            centred=centred,
            pre_emphasis=pre_emphasis,
            logarithm=logarithm,
            amin=amin,
            top_db=top_db,
            offset=offset,
            engine=engine,
        )
        if deltas not in (0, 1, 2):
            raise ValueError(f"deltas {deltas}; expected 0, 1 or 2")
        if delta_width < 3 or delta_width % 2 == 0:
            raise ValueError(f"delta_width {delta_width}; expected an odd number of frames, at least 3")
        self.num_coefficients = num_coefficients
        self.deltas = deltas
        self.delta_width = delta_width
        self.register_buffer("transform", cosine_transform(num_mels, num_coefficients).float(), persistent=False)

    @property
    def num_features(self) -> int:
        """Width F of a frame."""
        return self.num_coefficients * (1 + self.deltas)

    def compressed(self, power: Tensor, lengths: Tensor) -> Tensor:
        """Mel bands in power (B, T', M) -> cepstra and their deltas (B, T', F), zero beyond each length in frames."""
        orders = [super().compressed(power, lengths) @ self.transform]
        for _ in range(self.deltas):
            orders.append(deltas(orders[-1], lengths, width=self.delta_width))
        return torch.cat(orders, dim=2)

    def _tables(self) -> list[Tensor]:
        return [*super()._tables(), self.transform]
