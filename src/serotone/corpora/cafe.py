"""CaFE, the Canadian French emotional speech dataset: French, acted, 936 utterances of 12 speakers, six sentences.

Gournay, Lahaie and Lefebvre, "A Canadian French Emotional Speech Dataset", ACM MMSys 2018;
https://zenodo.org/records/1478765, CC BY-NC-SA 4.0.

``Colère/Fort/01-C-2-1.wav``: actor, emotion (French, one letter), intensity, sentence; odd actors are male. Neutral
speech has no intensity: ``Neutre/01-N-1.wav``. All is told by the names of the files, as those of the folders are often
garbled when they are unpacked. The version at 192 kHz is .aiff in two parts; put them into one folder.
"""

import re
from pathlib import Path

from serotone.corpora.base import (
    Corpus,
    Official,
    Utterance,
    audio_files,
    holds,
    locate,
    matched,
    sorted_unique,
    subfolders,
)

# colère, dégoût, joie, neutre, peur, surprise, tristesse
_EMOTIONS = dict(zip("CDJNPST", ("angry", "disgusted", "happy", "neutral", "fearful", "surprised", "sad")))
_INTENSITIES = {"1": "low", "2": "high"}
_LEVELS = ("faible", "fort")
_NAME = re.compile(
    r"(?P<actor>0[1-9]|1[0-2])-(?P<emotion>N|[CDJPST](?=-[12]-))(?:-(?P<intensity>[0-2]))?-(?P<sentence>[1-6])"
)


def read(root: Path) -> list[Utterance]:
    """The utterances of CaFE under ``root``, sorted by id; ``sentence`` is its number, ``intensity`` low or high.

    The root is the folder that holds ``Colère``, ``Dégoût``, ..., or all files. Raises CorpusError where no file is
    named as in CaFE.
    """
    folder = locate("cafe", root, _finds, "files named like 01-C-2-1.wav, here or in folders like Joie/Fort/")
    paths = [path for f in _folders(folder) for path in audio_files(f)]
    return sorted_unique(
        Utterance(
            id=path.stem,
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=name["actor"],
            corpus="cafe",
            gender="male" if int(name["actor"]) % 2 else "female",
            sentence=name["sentence"],
            intensity=_INTENSITIES.get(name["intensity"]),
        )
        for path, name in matched("cafe", paths, _NAME)
    )


def _folders(folder: Path) -> list[Path]:
    emotions = subfolders(folder)
    return [folder, *emotions, *(f for e in emotions for f in subfolders(e) if f.name.lower() in _LEVELS)]


def _finds(folder: Path) -> Path | None:
    return folder if any(holds(f, _NAME) for f in _folders(folder)) else None


CORPUS = Corpus(
    name="cafe",
    read=read,
    official=Official(
        total=936,
        emotions={e: 72 if e == "neutral" else 144 for e in _EMOTIONS.values()},
        speakers={f"{actor:02d}": 78 for actor in range(1, 13)},
    ),
    licence="CC BY-NC-SA 4.0",
    description="CaFE: Canadian French, acted, 12 speakers, six sentences",
    languages=("fr",),
)
