"""Synthetic speech: a small corpus that serotone makes itself, so that demo, tests and training need no download.

The voice is a source-filter model (Fant, "Acoustic Theory of Speech Production", 1960): glottal pulses with jitter,
shimmer and spectral tilt excite a cascade of formant resonators (Klatt, "Software for a cascade/parallel formant
synthesizer", JASA 67, 1980), and filtered noise adds breath and consonants. Syllables mean nothing. Emotions differ
in what the literature on acted speech reports (Banse and Scherer 1996; Burkhardt and Sendlmeier 2000): pitch level,
range and contour, rate, energy, spectral tilt, jitter, tremor, breath; all relative to the speaker, with a spread from
speaker to speaker and clip to clip. The numbers are ours.

``syn03_angry_07.wav``: speaker 03 (even numbers are female), emotion, sentence 07. 16 kHz mono, 16 bit.
"""

import re
import shutil
import uuid
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serotone.corpora.base import (
    Corpus,
    Utterance,
    audio_files,
    entries,
    is_audio,
    locate,
    sorted_unique,
    warn_of_strangers,
)
from serotone.corpora.voice import EMOTIONS, SAMPLE_RATE, speak
from serotone.errors import CorpusError
from serotone.files import expanded

DEFAULT_SPEAKERS = 10
DEFAULT_SENTENCES = 5
EXAMPLE_SPEAKER = 100
"""The first of the speakers in ``examples/``: no bundle trains on a synthetic speaker of 100 or above."""
EXAMPLE_CLIPS = 8
_NAME = re.compile(rf"syn(?P<speaker>\d{{2,}})_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<sentence>\d{{2,}})")


def read(root: Path) -> list[Utterance]:
    """The synthetic utterances under ``root``, sorted by id; made there first where ``root`` is missing or empty.

    What is made are 10 speakers with 5 sentences in each of the seven emotions, seed 0. Raises CorpusError where a
    folder with something in it holds no synthetic clip.
    """
    if not root.exists() or (root.is_dir() and not entries(root)):
        make(root, speakers=DEFAULT_SPEAKERS, seed=0, sentences=DEFAULT_SENTENCES)
    folder = locate(
        "synthetic", root, _finds, "files named like syn03_angry_07.wav, or an empty folder to make them in"
    )
    utterances, strangers = [], []
    for path in audio_files(folder):
        name = _NAME.fullmatch(path.stem)
        if name is None:
            strangers.append(path)
            continue
        utterances.append(
            Utterance(
                id=path.stem,
                path=path,
                emotion=name["emotion"],
                speaker=name["speaker"],
                corpus="synthetic",
                gender=gender_of(int(name["speaker"])),
                sentence=name["sentence"],
            )
        )
    warn_of_strangers("synthetic", strangers)
    return sorted_unique(utterances)


def check_made(name: str, root: str | Path) -> None:
    """Make sure that reading this corpus makes nothing; raises CorpusError for a synthetic one that is not there."""
    if name == "synthetic" and not expanded(root).exists():
        raise CorpusError(f"{root}: no such folder; check the path, or make it with serotone corpus make")


def gender_of(speaker: int) -> str:
    """The gender of a synthetic speaker: ``female`` for even numbers, ``male`` for odd ones."""
    return "male" if speaker % 2 else "female"


def make(root: str | Path, *, speakers: int, seed: int, sentences: int, first_speaker: int = 0) -> list[Path]:
    """Synthesise a corpus into a folder: every speaker says every sentence in each of the seven emotions.

    A clip depends on (seed, speaker, emotion, sentence) alone: the same call makes the same bytes (a processor or
    numpy of another kind may round a sample differently), and speakers from ``first_speaker`` on are none of an
    earlier call with fewer. Clips appear in the folder only when all are made, so a killed call leaves none.

    Returns the paths, sorted. Raises ValueError where there would be no clip or a number is negative.
    """
    if speakers < 1 or sentences < 1 or seed < 0 or first_speaker < 0:
        raise ValueError(
            f"speakers={speakers}, sentences={sentences}, seed={seed}, first_speaker={first_speaker}: "
            "expected at least one speaker and sentence, and no negative number"
        )
    root = Path(root)
    partial = root / f".making-{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        for speaker in range(first_speaker, first_speaker + speakers):
            for emotion in EMOTIONS:
                for sentence in range(sentences):
                    _make_clip(partial, seed, speaker, emotion, sentence)
        return [made.replace(root / made.name) for made in sorted(partial.iterdir())]
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_examples(folder: Path) -> list[Path]:
    """The eight clips of ``examples/``, made again into a folder that exists: eight speakers, one clip each.

    Which emotion a speaker says follows from the number alone; nothing was picked by how it is recognised.
    Returns the paths, sorted.
    """
    speakers = range(EXAMPLE_SPEAKER, EXAMPLE_SPEAKER + EXAMPLE_CLIPS)
    return [
        _make_clip(folder, 0, speaker, EMOTIONS[place % len(EMOTIONS)], 1) for place, speaker in enumerate(speakers)
    ]


def _make_clip(folder: Path, seed: int, speaker: int, emotion: str, sentence: int) -> Path:
    path = folder / f"syn{speaker:02d}_{emotion}_{sentence:02d}.wav"
    _write(path, speak(seed, speaker, gender_of(speaker), emotion, sentence))
    return path


def _write(path: Path, samples: NDArray[np.int16]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def _finds(folder: Path) -> Path | None:
    return folder if any(_NAME.fullmatch(p.stem) and is_audio(p) for p in entries(folder)) else None


CORPUS = Corpus(
    name="synthetic",
    read=read,
    official=None,
    licence="Apache-2.0",
    description="made by serotone itself: a source-filter voice, seven emotions; an empty root is filled",
)
