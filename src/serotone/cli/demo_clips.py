"""The eight clips of the demo: real people, chosen by a rule, found on this machine or fetched from Zenodo.

RAVDESS speech (Livingstone and Russo, PLoS ONE 13(5), 2018; CC BY-NC-SA 4.0): the two highest-numbered actors that no
shipped bundle trains on (of the twenty that were at hand, bundles train on actors 01 to 18), statement 01, repetition
01, normal intensity, four emotions. The rule was written down before any answer was seen. The clips are not part of
this package, whose licence is another.
"""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from serotone.cli.remote import RemoteFile
from serotone.corpora import ravdess
from serotone.errors import CorpusError, FetchError
from serotone.files import write_bytes

ACTORS = ("19", "20")
EMOTIONS = {"angry": "05", "happy": "03", "neutral": "01", "sad": "04"}
"""Emotion -> its code in RAVDESS's file names."""

ARCHIVE = "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1"
ATTRIBUTION = "RAVDESS (Livingstone & Russo 2018, doi:10.1371/journal.pone.0196391), CC BY-NC-SA 4.0"

_CLIP_BYTES = 1 << 22  # the largest of RAVDESS's clips has half a megabyte
_BUFFER_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: its name in RAVDESS, the truth about it, and its file, once there is one."""

    name: str
    actor: str
    emotion: str
    path: Path | None = None

    @property
    def speaker(self) -> str:
        """``19, male``: the actor's number, odd for men."""
        return f"{self.actor}, {'male' if int(self.actor) % 2 else 'female'}"


CLIPS = tuple(
    Clip(f"03-01-{code}-01-01-01-{actor}", actor, emotion) for actor in ACTORS for emotion, code in EMOTIONS.items()
)
"""What the rule above chooses: modality audio, channel speech, emotion, intensity, statement, repetition, actor."""


def find_clips(folder: Path) -> list[Clip]:
    """The eight clips in a copy of RAVDESS, in any format.

    Raises CorpusError: there is no RAVDESS speech in the folder, or one of the eight is missing.
    """
    paths = {utterance.id: utterance.path for utterance in ravdess.read(folder)}
    if missing := [clip.name for clip in CLIPS if clip.name not in paths]:
        raise CorpusError(
            f"{folder}: {len(missing)} of the demo's eight clips are missing, such as {missing[0]}; "
            "give a folder that holds Actor_19 and Actor_20 of RAVDESS speech"
        )
    return [Clip(clip.name, clip.actor, clip.emotion, paths[clip.name]) for clip in CLIPS]


def fetch_clips(folder: Path, url: str, *, on_clip: Callable[[], None] | None = None) -> list[Clip]:
    """Fetch the eight clips from the archive at ``url`` into a folder laid out like RAVDESS, and little else of it.

    A file appears there when it is whole and its CRC is right. ``on_clip`` is called after each. The archive has
    200 MB; the clips and its table of contents have about 4.

    Raises FetchError: no connection, no such archive, a server that does not send parts of a file, or a broken archive.
    Raises OSError: the folder cannot be written to.
    """
    try:
        with zipfile.ZipFile(io.BufferedReader(RemoteFile(url), _BUFFER_BYTES)) as archive:
            members = {PurePosixPath(member.filename).stem: member for member in archive.infolist()}
            for clip in CLIPS:
                member = members.get(clip.name)
                if member is None or member.file_size > _CLIP_BYTES:
                    raise FetchError(f"the archive holds no {clip.name}.wav of at most {_CLIP_BYTES >> 20} MB")
                write_bytes(folder / f"Actor_{clip.actor}" / f"{clip.name}.wav", archive.read(member))
                if on_clip is not None:
                    on_clip()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise FetchError(f"the archive arrived damaged ({error})") from error
    return find_clips(folder)
