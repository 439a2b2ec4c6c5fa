"""Utterances -> train, validation and test parts, under the protocols of the field.

A split depends on the seed, the repetition and the utterances themselves: not on their order, the machine or Python's
hash seed. The test parts of one repetition never overlap.

>>> for name, protocol in PROTOCOLS.items():
...     print(name, "keeps speakers apart" if protocol.speaker_independent else "shares speakers")
leave-one-speaker-out keeps speakers apart
speakers-out keeps speakers apart
session-out keeps speakers apart
speaker-independent keeps speakers apart
leave-one-corpus-out keeps speakers apart
cross-corpus keeps speakers apart
sentence-out shares speakers
stratified-k-fold shares speakers
stratified-holdout shares speakers
ten-part shares speakers
all shares speakers
"""

from serotone.splits.deal import DEFAULT_FOLDS, HeldOut, Options
from serotone.splits.make import make_splits
from serotone.splits.mixed import TEN_PART_FOLDS
from serotone.splits.parts import LeakReport, Split, leak_report, verify_split
from serotone.splits.protocols import PROTOCOLS, Protocol, resolve

__all__ = [
    "DEFAULT_FOLDS",
    "PROTOCOLS",
    "TEN_PART_FOLDS",
    "HeldOut",
    "LeakReport",
    "Options",
    "Protocol",
    "Split",
    "leak_report",
    "make_splits",
    "resolve",
    "verify_split",
]
