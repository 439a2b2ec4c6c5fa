"""Any corpus kept as one folder per emotion, with or without a folder per speaker inside.

``<emotion>/<file>.wav`` or ``<emotion>/<speaker>/<file>.wav``; files may be of any format that can be decoded, and a
folder's name any word of :data:`serotone.corpora.labels.SYNONYMS`. Without the speaker level every speaker is
``unknown``, and nothing can be said about how well a recogniser does on people it has not heard.
"""

from pathlib import Path

from serotone.corpora.base import (
    UNKNOWN_SPEAKER,
    Corpus,
    Utterance,
    audio_files,
    is_audio,
    listed,
    locate,
    sorted_unique,
    subfolders,
    warn,
    warn_of_unknown_speakers,
)
from serotone.corpora.labels import SYNONYMS, canonical, normal


def read(root: Path) -> list[Utterance]:
    """The utterances under ``root``, sorted by id: the path below the root without its suffix.

    Warns with a SerotoneWarning of audio right in the root, or deeper than in a folder per speaker, which is left out.
    Raises CorpusError where no sub-folder is named after an emotion, or a folder of audio beside them is named after
    none.
    """
    folder = locate("folders", root, _finds, "folders of audio named after emotions (angry/, happy/, ...)")
    utterances = [u for emotion in subfolders(folder) for u in _read_emotion(folder, emotion)]
    if misplaced := _misplaced(folder):
        warn(
            f"folders: left out {listed(misplaced, 'audio file')}; put them into <emotion>/ or <emotion>/<speaker>/ to"
            " use them"
        )
    warn_of_unknown_speakers("folders", utterances, "put them into <emotion>/<speaker>/")
    return sorted_unique(utterances)


def _read_emotion(root: Path, folder: Path) -> list[Utterance]:
    placed = [(path, UNKNOWN_SPEAKER) for path in audio_files(folder)]
    placed += [(path, speaker.name) for speaker in subfolders(folder) for path in audio_files(speaker)]
    if not placed:
        return []
    emotion = canonical(folder.name, where=str(folder))
    return [
        Utterance(
            id=path.relative_to(root).with_suffix("").as_posix(),
            path=path,
            emotion=emotion,
            speaker=speaker,
            corpus="folders",
        )
        for path, speaker in placed
    ]


def _misplaced(root: Path) -> list[str]:
    """Audio that lies higher or deeper than where it is read, as sorted paths below the root."""
    below = sorted(path.relative_to(root) for path in root.rglob("*") if is_audio(path) and path.is_file())
    hidden = [any(part.startswith(".") for part in path.parts) for path in below]
    return [str(path) for path, is_hidden in zip(below, hidden) if not is_hidden and len(path.parts) not in (2, 3)]


def _finds(folder: Path) -> Path | None:
    emotions = [f for f in subfolders(folder) if normal(f.name) in SYNONYMS]
    return folder if any(audio_files(f) or any(map(audio_files, subfolders(f))) for f in emotions) else None


CORPUS = Corpus(
    name="folders",
    read=read,
    official=None,
    licence="that of your recordings",
    description="one folder per emotion: <emotion>/<file> or <emotion>/<speaker>/<file>",
)
