"""Utterances -> batches of waveforms with their lengths, grouped by length."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from serotone.audio import read
from serotone.corpora import Utterance
from serotone.errors import AudioError, RunError
from serotone.names import count_of
from serotone.recognition.squeeze import squeezed

Batches: TypeAlias = DataLoader[Any]
"""A loader whose batches are :class:`Batch`, whatever the items they are collated from."""

Item: TypeAlias = tuple[Tensor, int, str, int]
"""Waveform (T,), class, utterance id, number of the corpus."""


class Batch(NamedTuple):
    """Waveforms (B, T) zero-padded at their ends, lengths (B,) in samples, targets (B,), ids and corpora (B,)."""

    waveforms: Tensor
    lengths: Tensor
    targets: Tensor
    ids: tuple[str, ...]
    corpora: Tensor


def derived_seed(*parts: object) -> int:
    """A 63-bit seed made from its parts, so that randomness is derived and never carried along."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def decode(
    utterances: Sequence[Utterance], *, sample_rate: int, max_samples: int | None, speech: bool = False
) -> tuple[dict[str, NDArray[np.float32]], list[str]]:
    """Decode every utterance once, centre-cropped to ``max_samples`` where it is longer.

    With ``speech`` only what recognition would hear is kept: speech and its margins, long pauses shortened. A clip in
    which no speech is found, such as a whispered one, is kept whole.

    Returns:
        Waveforms (T,) by utterance id, and lines to tell: one for each file that could not be read or is digital
        silence, and is left out of training and testing; and one of clips that were cropped.

    Raises:
        RunError: Nothing could be read.
        MissingExtraError: What decodes a file's format is not installed.
    """
    waveforms: dict[str, NDArray[np.float32]] = {}
    lines, cropped = [], 0
    for utterance in utterances:
        try:
            audio = read(utterance.path, sample_rate=sample_rate, start=utterance.start, end=utterance.end)
        except AudioError as error:
            lines.append(f"left out: {error}")
            continue
        if audio.silent:
            lines.append(f"left out: {utterance.path.name}: digital silence")
            continue
        samples = audio.samples
        if speech and (heard := squeezed(samples)) is not None:
            samples = heard
        if max_samples is not None and len(samples) > max_samples:
            first = (len(samples) - max_samples) // 2
            samples = samples[first : first + max_samples].copy()
            cropped += 1
        waveforms[utterance.id] = samples
    if not waveforms:
        raise RunError(
            f"none of the {len(utterances)} utterances could be read; check the corpus with serotone corpus check:"
            f" {'; '.join(lines[:3])}"
        )
    if cropped and max_samples is not None:
        lines.append(
            f"{count_of(cropped, 'clip')} of more than {max_samples / sample_rate:.1f} s: only the middle is used, to"
            " train and to test"
        )
    return waveforms, lines


def copies(waveforms: Mapping[str, NDArray[np.float32]], tested: Iterable[str], heard: Iterable[str]) -> list[str]:
    """The ids of tested recordings that are, sample for sample, also among those heard."""
    before = defaultdict(list)
    for name in heard:
        if name in waveforms:
            before[_mark(waveforms[name])].append(waveforms[name])
    known = {name: waveforms[name] for name in tested if name in waveforms}
    return sorted(
        name for name, own in known.items() if any(np.array_equal(own, other) for other in before[_mark(own)])
    )


def _mark(samples: NDArray[np.float32]) -> tuple[int, bytes]:
    """What few recordings that differ have in common: their length, and some samples of their middle."""
    middle = len(samples) // 2
    return len(samples), samples[middle : middle + 16].tobytes()


class Clips(Dataset[Item]):
    """Decoded utterances with their class index; ``piece`` cuts them into pieces of so many samples.

    ``corpora`` is the number of each utterance's corpus by its id; None where there is but one.
    """

    def __init__(
        self,
        ids: Sequence[str],
        waveforms: Mapping[str, NDArray[np.float32]],
        targets: Mapping[str, int],
        *,
        piece: int | None = None,
        corpora: Mapping[str, int] | None = None,
    ) -> None:
        self.waveforms = waveforms
        self.targets = targets
        self.corpora = dict.fromkeys(ids, 0) if corpora is None else corpora
        self.utterances = list(ids)
        spans = {name: range(0, len(waveforms[name]), piece or max(1, len(waveforms[name]))) for name in ids}
        self.items = [(name, first, first + span.step) for name, span in spans.items() for first in span]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        name, first, end = self.items[index]
        return torch.from_numpy(self.waveforms[name][first:end]), self.targets[name], name, self.corpora[name]

    def samples(self) -> list[int]:
        """True length of every clip or piece, in samples."""
        return [min(end, len(self.waveforms[name])) - first for name, first, end in self.items]

    def counts(self, num_classes: int) -> list[int]:
        """Utterances per class, however many pieces they are cut into."""
        numbers = Counter(self.targets[name] for name in self.utterances)
        return [numbers[label] for label in range(num_classes)]


def collate(items: Sequence[Item]) -> Batch:
    """Zero-pad to the longest clip of the batch."""
    waveforms = torch.nn.utils.rnn.pad_sequence([item[0] for item in items], batch_first=True)
    lengths = torch.tensor([len(item[0]) for item in items], dtype=torch.int64)
    targets, corpora = (torch.tensor([item[place] for item in items]) for place in (1, 3))
    return Batch(waveforms, lengths, targets, tuple(item[2] for item in items), corpora)


class GroupedByLength(Sampler[list[int]]):
    """Every clip once, in batches of clips of like length, shuffled anew by each seed.

    The clips are shuffled and cut into pools of ``pool_batches`` batches; each pool is sorted by length and cut into
    batches, and the batches are shuffled. With ``pool_batches=1`` this is plain shuffling.
    """

    def __init__(self, samples: Sequence[int], *, batch_size: int, pool_batches: int, seed: int) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.pool_batches = pool_batches
        self.seed = seed

    def __len__(self) -> int:
        return -(-len(self.samples) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng(self.seed)
        order = generator.permutation(len(self.samples)).tolist()
        pool = self.batch_size * self.pool_batches
        batches = []
        for first in range(0, len(order), pool):
            members = sorted(order[first : first + pool], key=lambda index: self.samples[index])
            batches += [members[k : k + self.batch_size] for k in range(0, len(members), self.batch_size)]
        for index in generator.permutation(len(batches)).tolist():
            yield batches[index]


def in_order(clips: Clips, *, batch_size: int) -> Batches:
    """Batches for validation and testing: shortest clips first, nothing random."""
    samples = clips.samples()
    order = sorted(range(len(clips)), key=lambda index: (samples[index], clips.items[index]))
    batches = [order[k : k + batch_size] for k in range(0, len(order), batch_size)]
    return DataLoader(clips, batch_sampler=batches, collate_fn=collate)


def shuffled(clips: Clips, *, batch_size: int, pool_batches: int, seed: int) -> Batches:
    """Batches of one training epoch; the seed says which."""
    sampler = GroupedByLength(clips.samples(), batch_size=batch_size, pool_batches=pool_batches, seed=seed)
    return DataLoader(clips, batch_sampler=sampler, collate_fn=collate)
