"""What every fold of a run shares: the decoded clips, and what is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from serotone.splits import Split
from serotone.training.data import Clips, copies
from serotone.training.objective import Mixture
from serotone.training.solving import Memory


@dataclass(frozen=True, slots=True)
class Material:
    """What every fold of a run shares: labels in order; waveform, class index, corpus and speaker by utterance id.

    ``vectors`` holds those that frozen parts made of the clips (:func:`serotone.training.solving.vectors_of`).
    """

    labels: tuple[str, ...]
    waveforms: Mapping[str, NDArray[np.float32]]
    targets: Mapping[str, int]
    corpora: Mapping[str, str]
    speakers: Mapping[str, str]
    vectors: Memory = field(default_factory=dict, compare=False)

    def clips(self, ids: Sequence[str], *, piece: int | None = None) -> Clips:
        """The clips of one part, without those that could not be read; cut into pieces of so many samples if asked."""
        places = {corpus: place for place, corpus in enumerate(self.corpus_names)}
        numbers = {name: places[corpus] for name, corpus in self.corpora.items()}
        kept = [name for name in ids if name in self.waveforms]
        return Clips(kept, self.waveforms, self.targets, piece=piece, corpora=numbers)

    def copies(self, split: Split) -> list[str]:
        """The recordings of the test part that are, under another name, also in training or validation."""
        return copies(self.waveforms, split.test, (*split.train, *split.validation))

    @property
    def corpus_names(self) -> list[str]:
        """The corpora in order; their numbers are their places here."""
        return sorted(set(self.corpora.values()))

    def mixture(self, clips: Clips) -> Mixture:
        """What each corpus brings to a training on these clips; what it has at all is seen on all of its clips."""
        shape = (len(self.corpus_names), len(self.labels))
        counts, every = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        for names, numbers in ((clips.utterances, counts), (self.targets, every)):
            for name in names:
                numbers[clips.corpora[name], self.targets[name]] += 1
        return Mixture(counts, every > 0)
