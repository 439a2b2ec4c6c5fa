"""MELD: English, the series "Friends", 13,708 utterances in three fixed splits.

Poria, Hazarika, Majumder, Naik, Cambria and Mihalcea, "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition
in Conversations", ACL 2019; https://github.com/declare-lab/MELD, annotations GPL-3.0, clips for research.

``train_sent_emo.csv``, ``dev_sent_emo.csv`` and ``test_sent_emo.csv`` name each utterance by dialogue and utterance;
both numbers start anew in each split. The clips are ``dia551_utt1.mp4`` in ``train_splits``, ``dev_splits_complete``
and ``output_repeated_splits_test``; decoding .mp4 needs the extra ``codecs``, a copy turned into .wav does not. Clips
that no table names are passed over. A speaker is the name in the table: one person may stand there under two names.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from serotone.corpora.base import (
    Corpus,
    Count,
    Official,
    Utterance,
    audio_files,
    listed,
    locate,
    preference,
    sorted_unique,
    subfolders,
    warn,
)
from serotone.errors import CorpusError

_EMOTIONS = {
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "joy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}
_ROWS = {"train": 9989, "dev": 1109, "test": 2610}
_COLUMNS = ("Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
_CLIP = re.compile(r"dia\d+_utt\d+")


def read(root: Path) -> list[Utterance]:
    """The utterances of MELD under ``root`` that have a clip, sorted by id (``train/dia551_utt1``).

    ``session`` is the split: train, dev or test. The root is the folder that holds the tables, or a folder for each
    split with its table. Rows without a clip are left out with a SerotoneWarning. Raises CorpusError where there is no
    table, a table is not MELD's, or no row has a clip.
    """
    folder = _locate(root)
    utterances = []
    for split in _ROWS:
        rows, clips = _rows(folder, split), _clips(folder, split)
        present = [row for row in rows if _stem(row) in clips]
        utterances += [_utterance(row, split, clips[_stem(row)]) for row in present]
        missing = [f"{split}/{_stem(row)}" for row in rows if _stem(row) not in clips]
        if missing:
            warn(f"meld: left out {listed(missing, 'row', shown=3)} without a clip")
        if not rows:
            warn(f"meld: no {split}_sent_emo.csv, so nothing of that split is read")
    if not utterances:
        raise CorpusError(
            f"meld at {folder}: none of the clips exists that its tables name; expected files like dia551_utt1.mp4 in "
            "folders whose names contain train, dev and test"
        )
    return sorted_unique(utterances)


def _utterance(row: dict[str, str], split: str, path: Path) -> Utterance:
    return Utterance(
        id=f"{split}/{path.stem}",
        path=path,
        emotion=_EMOTIONS[row["Emotion"]],
        speaker=row["Speaker"],
        corpus="meld",
        session=split,
    )


def _locate(root: Path) -> Path:
    return locate("meld", root, _finds, "train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv")


def _table(folder: Path, split: str) -> Path | None:
    name = f"{split}_sent_emo.csv"
    return next((t for t in (folder / name, folder / split / name) if t.is_file()), None)


def _rows(folder: Path, split: str) -> list[dict[str, str]]:
    table = _table(folder, split)
    if table is None:
        return []
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        reader = csv.DictReader(lines)
        if not set(_COLUMNS) <= set(reader.fieldnames or ()):
            raise CorpusError(f"{table}: expected the columns {', '.join(_COLUMNS)}, got {reader.fieldnames}")
        rows = []
        for raw in reader:
            row = {column: (raw[column] or "").strip() for column in _COLUMNS}
            row["Emotion"] = row["Emotion"].lower()
            if row["Emotion"] not in _EMOTIONS or not row["Speaker"]:
                raise CorpusError(
                    f"{table}, line {reader.line_num}: emotion {row['Emotion']!r} of speaker {row['Speaker']!r}; "
                    f"expected a name and one of {', '.join(_EMOTIONS)}"
                )
            rows.append(row)
    return rows


def _stem(row: dict[str, str]) -> str:
    return f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"


def _clips(folder: Path, split: str) -> dict[str, Path]:
    """Clips of a split by stem, from every folder whose name contains the split's, and the folders in it."""
    clips: dict[str, Path] = {}
    for named in subfolders(folder):
        if split in named.name.lower():
            for path in audio_files(named, depth=1):
                if _CLIP.fullmatch(path.stem):
                    clips[path.stem] = min(clips.get(path.stem, path), path, key=preference)
    return clips


def _finds(folder: Path) -> Path | None:
    return folder if any(_table(folder, split) for split in _ROWS) else None


def _count(root: Path, utterances: Sequence[Utterance]) -> list[Count]:
    folder = _locate(root)
    clips = Counter(u.session for u in utterances)
    return [
        *(Count("rows", split, len(_rows(folder, split)), expected) for split, expected in _ROWS.items()),
        *(Count("clips", split, clips[split], expected) for split, expected in _ROWS.items()),
    ]


CORPUS = Corpus(
    name="meld",
    read=read,
    official=Official(
        total=sum(_ROWS.values()),
        emotions={
            "angry": 1109 + 153 + 345,
            "disgusted": 271 + 22 + 68,
            "fearful": 268 + 40 + 50,
            "happy": 1743 + 163 + 402,
            "neutral": 4710 + 470 + 1256,
            "sad": 683 + 111 + 208,
            "surprised": 1205 + 150 + 281,
        },
        speakers=None,
    ),
    licence="annotations GPL-3.0, clips for research",
    description='MELD: English, the series "Friends", three fixed splits',
    languages=("en",),
    oddities=(
        "dev/dia110_utt7 has no clip in the original, too",
        "train/dia125_utt3 cannot be decoded in the original, too",
    ),
    count=_count,
)
