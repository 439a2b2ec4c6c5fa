"""The heads of a bundle that answer embeddings standardised by a profile; numpy alone.

``adaptation.npz`` holds for each level that the bundle's manifest states ``<level>_weight`` (C, D) and ``<level>_bias``
(C,), in float32 or float16: a linear head, trained on embeddings that were standardised by their collection, or by
their collection and then their speaker, as `serotone.recognition.profile` does it.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serotone.errors import BundleError, ProfileError
from serotone.recognition.bundle import ADAPTATION, ADAPTATION_LEVELS, AdaptationLevel, Bundle
from serotone.recognition.profile import MAX_WIDTH, Profile

HEADER_BYTES = 4096
"""Most that an array's header takes in the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear head: ``weight`` (C, D), ``bias`` (C,), and what the manifest says of it."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    level: AdaptationLevel


class Adaptation:
    """The heads of a bundle that can be adapted, by level.

    Raises BundleError: the bundle cannot be adapted, or its ``adaptation.npz`` is not what its manifest says.
    """

    def __init__(self, bundle: Bundle) -> None:
        if not bundle.adaptation:
            raise BundleError(
                f"{bundle.name} cannot be adapted; predict without a profile, or use a bundle that can be adapted"
            )
        self.heads = _read(bundle)
        self.width = self.heads[ADAPTATION_LEVELS[0]].weight.shape[1]

    def check(self, profile: Profile) -> None:
        """Raise ProfileError where a profile holds what these heads cannot take."""
        if len(profile.collection.mean) != self.width:
            raise ProfileError(
                f"{profile.name}: {len(profile.collection.mean)} numbers an embedding; this bundle has {self.width}: "
                "make the profile again with serotone adapt"
            )
        if profile.speakers and "speaker" not in self.heads:
            raise ProfileError(
                f"{profile.name}: has {len(profile.speakers)} speakers, and this bundle has no head for them: "
                "make the profile again without speakers"
            )

    def level(self, profile: Profile, speaker: str | None) -> str:
        """The level at which a profile answers for a speaker: ``speaker`` where it knows them, else ``collection``."""
        return ADAPTATION_LEVELS[speaker in profile.speakers]

    def probabilities(
        self,
        embeddings: NDArray[np.floating],
        profile: Profile,
        *,
        speaker: str | None = None,
        shrinkage: float | None = None,
    ) -> NDArray[np.float64]:
        """Probabilities (N, C) of embeddings (N, D), standardised by the profile.

        ``shrinkage`` of the collection is the bundle's unless it is given, for a profile that is still growing.
        """
        head = self.heads[self.level(profile, speaker)]
        standardised = profile.apply(
            embeddings,
            speaker=speaker,
            shrinkage=self.heads["collection"].level.shrinkage if shrinkage is None else shrinkage,
            speaker_shrinkage=head.level.shrinkage,
        )
        logits = (standardised @ head.weight.T + head.bias) / head.level.temperature
        answers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(answers / answers.sum(axis=1, keepdims=True), np.float64)


def _read(bundle: Bundle) -> Mapping[str, Head]:
    """The heads of ``adaptation.npz``, sizes compared before anything is unpacked; no pickle."""
    where = bundle.path / ADAPTATION
    classes = len(bundle.labels)
    expected = {f"{level}_{part}.npy" for level in bundle.adaptation for part in ("weight", "bias")}
    content = bundle.read(ADAPTATION)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            most = 4 * classes * MAX_WIDTH + HEADER_BYTES
            names = [entry.filename for entry in entries]
            if sorted(names) != sorted(expected) or any(entry.file_size > most for entry in entries):
                raise BundleError(f"{where}: holds {names}; expected {sorted(expected)}, none above {most} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, MemoryError) as error:
        raise BundleError(f"{where}: cannot be read ({error}); fetch or export the bundle again") from None
    width = arrays["collection_weight"].shape[-1] if arrays["collection_weight"].ndim == 2 else 0
    for name, values in arrays.items():
        shape = (classes, width) if name.endswith("_weight") else (classes,)
        if width < 1 or values.shape != shape or values.dtype not in (np.float32, np.float16):
            raise BundleError(
                f"{where}: {name} is {values.dtype} {values.shape}; expected float32 {shape}: export it again"
            )
        if not np.isfinite(values).all():
            raise BundleError(f"{where}: {name} holds NaN or infinity; export the bundle again")
    return {
        level: Head(arrays[f"{level}_weight"].astype(np.float32), arrays[f"{level}_bias"].astype(np.float32), stated)
        for level, stated in bundle.adaptation.items()
    }
