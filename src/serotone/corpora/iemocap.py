"""IEMOCAP: English, dyadic sessions of 10 actors, improvised and scripted, 10,039 turns.

Busso, Bulut, Lee, Kazemzadeh, Mower, Kim, Chang, Lee and Narayanan, "IEMOCAP: interactive emotional dyadic motion
capture database", Language Resources and Evaluation 42(4), 2008; https://sail.usc.edu/iemocap, by signed licence, not
to be passed on.

``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt`` has a bracketed line for each turn, its times, name, label and
valence, activation and dominance; then a line for each rater::

    [6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5000, 2.5000, 2.5000]
    C-E2:  Neutral;  ()

The label of the bracketed line is what the raters agreed on; ``xxx`` says that they did not. Turns ``xxx`` are no
utterances here, as no emotion is known of them; ``serotone corpus check`` counts them. ``hap`` and ``exc`` stay apart:
merging them is a recipe's decision. The sound is ``Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav``,
16 kHz mono.

The letter after ``Ses01`` names the actor who wore the markers; **who speaks is the letter of the last token**:
``Ses01M_impro07_F000`` is the woman of session 1, speaker ``Ses01F``. Sub-folders of ``EmoEvaluation`` hold the sheets
of single raters and are passed over. Some dialogs have irregular names: ``Ses03M_impro05a``, ``Ses05M_script01_1b``.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serotone.corpora.base import (
    Corpus,
    Count,
    Official,
    Utterance,
    audio_files,
    entries,
    listed,
    locate,
    sorted_unique,
    subfolders,
    warn,
)

_EMOTIONS = {
    "ang": "angry",
    "dis": "disgusted",
    "exc": "excited",
    "fea": "fearful",
    "fru": "frustrated",
    "hap": "happy",
    "neu": "neutral",
    "oth": "other",
    "sad": "sad",
    "sur": "surprised",
}
_NO_AGREEMENT = "xxx"
_STYLES = {"impro": "improvised", "script": "scripted"}
_DIALOG = r"Ses0(?P<session>[1-5])[FM]_(?P<style>impro|script)\d\d(?:_\d)?[a-z]?"
_FILE = re.compile(_DIALOG)
_TURN = re.compile(rf"{_DIALOG}_(?P<speaker>[FM])\d+")
_UNRATED = re.compile(rf"{_DIALOG}_[FM]XX\d+")  # laughter and the like between the turns: never labelled
_LINE = re.compile(r"\[\s*[\d.]+\s*-\s*[\d.]+\s*\]\s+(?P<turn>\S+)\s+(?P<label>[a-z]{3})\s+\[.*\]")


@dataclass(frozen=True, slots=True)
class _Turn:
    """A bracketed line of an evaluation file."""

    name: str
    label: str
    session: str
    speaker: str
    style: str


def read(root: Path) -> list[Utterance]:
    """The turns of IEMOCAP under ``root`` that have an emotion and a sound, sorted by id.

    ``speaker`` is such as ``Ses01F``, ``session`` such as ``Ses01``, ``style`` improvised or scripted. ``sentence`` is
    empty, as the transcripts are not read: improvised turns are said once, and actors leave their scripts. Turns
    without sound, sound without a label and lines that are not understood are named in a SerotoneWarning. The root is
    the folder that holds ``Session1`` to ``Session5``, some of which may be missing. Raises CorpusError where none of
    them has evaluation files.
    """
    folder = _locate(root)
    turns, odd = _turns(folder)
    sounds = _sounds(folder)
    for line in odd:
        warn(f"iemocap: left out {line}")
    silent = [turn.name for turn in turns if turn.name not in sounds]
    if silent:
        warn(f"iemocap: left out {listed(silent, 'turn')} without sound in sentences/wav")
    unlabelled = sorted(name for name in sounds.keys() - {turn.name for turn in turns} if not _UNRATED.fullmatch(name))
    if unlabelled:
        warn(f"iemocap: left out {listed(unlabelled, 'audio file')} without a line in EmoEvaluation")
    return sorted_unique(
        Utterance(
            id=turn.name,
            path=sounds[turn.name],
            emotion=_EMOTIONS[turn.label],
            speaker=turn.speaker,
            corpus="iemocap",
            gender="female" if turn.speaker.endswith("F") else "male",
            session=turn.session,
            style=turn.style,
        )
        for turn in turns
        if turn.label != _NO_AGREEMENT and turn.name in sounds
    )


def _turns(folder: Path) -> tuple[list[_Turn], list[str]]:
    """The labelled turns, each once, and the bracketed lines that cannot be used, in words."""
    turns: dict[str, _Turn] = {}
    odd = []
    for path in (path for session in _sessions(folder) for path in _evaluations(session)):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if not line.lstrip().startswith("["):  # the header (%), raters (C-E2, A-F1) and empty lines
                continue
            match = _LINE.fullmatch(line.strip())
            name = _TURN.fullmatch(match["turn"]) if match else None
            if match is None or name is None or match["label"] not in (*_EMOTIONS, _NO_AGREEMENT):
                odd.append(f"{path}, line {number}, which is no turn with a known label: {line.strip()!r}")
                continue
            session = f"Ses0{name['session']}"
            turn = _Turn(name[0], match["label"], session, session + name["speaker"], _STYLES[name["style"]])
            if turns.setdefault(turn.name, turn) != turn:
                odd.append(f"{path}, line {number}: {turn.name} has the label {turns[turn.name].label} already")
    return list(turns.values()), odd


def _sounds(folder: Path) -> dict[str, Path]:
    """Audio files by stem."""
    wavs = [session / "sentences" / "wav" for session in _sessions(folder)]
    return {path.stem: path for wav in wavs for path in audio_files(wav, depth=1)}


def _sessions(folder: Path) -> list[Path]:
    return [f for f in subfolders(folder) if re.fullmatch(r"Session[1-5]", f.name, re.IGNORECASE)]


def _evaluations(session: Path) -> list[Path]:
    inside = entries(session / "dialog" / "EmoEvaluation")
    return [p for p in inside if p.suffix.lower() == ".txt" and _FILE.fullmatch(p.stem) and p.is_file()]


def _finds(folder: Path) -> Path | None:
    return folder if any(_evaluations(session) for session in _sessions(folder)) else None


def _locate(root: Path) -> Path:
    return locate("iemocap", root, _finds, "Session1 to Session5 with dialog/EmoEvaluation/Ses01F_impro01.txt, ...")


# Published counts. The four classes are neu, ang, sad and hap, with exc as hap or without it.
_LABELS = {
    "ang": 1103,
    "dis": 2,
    "exc": 1041,
    "fea": 40,
    "fru": 1849,
    "hap": 595,
    "neu": 1708,
    "oth": 3,
    "sad": 1084,
    "sur": 107,
    "xxx": 2507,
}
_IMPROVISED = {"ang": 289, "exc": 663, "hap": 284, "neu": 1099, "sad": 608}
_FOUR = ("angry", "happy", "neutral", "sad")
_FOUR_AND_EXCITED = (*_FOUR, "excited")
_SUBSETS = (
    ("four classes, hap and exc", _FOUR_AND_EXCITED, tuple(_STYLES.values()), 5531),
    ("four classes, hap only", _FOUR, tuple(_STYLES.values()), 4490),
    ("improvised, four classes, hap and exc", _FOUR_AND_EXCITED, ("improvised",), 2943),
    ("improvised, four classes, hap only", _FOUR, ("improvised",), 2280),
    ("scripted, four classes, hap and exc", _FOUR_AND_EXCITED, ("scripted",), 2588),
    ("scripted, four classes, hap only", _FOUR, ("scripted",), 2210),
)
_SESSIONS = {
    "four classes, hap and exc": (1085, 1023, 1151, 1031, 1241),
    "improvised, four classes, hap and exc": (521, 530, 627, 534, 731),
}


def _count(root: Path, utterances: Sequence[Utterance]) -> list[Count]:
    """Turns and labels as the evaluation files have them; subsets of the utterances, so of what has sound, too."""
    folder = _locate(root)
    turns, _ = _turns(folder)
    styles = Counter(t.style for t in turns)
    counts = [
        Count("turns", "dialogs", sum(len(_evaluations(session)) for session in _sessions(folder)), 151),
        Count("turns", "all", len(turns), 10039),
        Count("turns", "with sound", len({t.name for t in turns} & _sounds(folder).keys()), 10039),
        Count("turns", "improvised", styles["improvised"], 4784),
        Count("turns", "scripted", styles["scripted"], 5255),
    ]
    scripted = {label: _LABELS[label] - count for label, count in _IMPROVISED.items()}
    tables = (("labels", _LABELS), ("labels, improvised", _IMPROVISED), ("labels, scripted", scripted))
    for (group, expected), style in zip(tables, (tuple(_STYLES.values()), ("improvised",), ("scripted",))):
        labels = Counter(t.label for t in turns if t.style in style)
        counts += [Count(group, label, labels[label], expected.get(label)) for label in _LABELS]
    sessions = []
    for name, emotions, chosen, total in _SUBSETS:
        subset = [u for u in utterances if u.emotion in emotions and u.style in chosen]
        counts.append(Count("subsets", name, len(subset), total))
        of_session = Counter(u.session for u in subset)
        for number, published in enumerate(_SESSIONS.get(name, ()), start=1):
            sessions.append(Count(f"sessions: {name}", f"Ses0{number}", of_session[f"Ses0{number}"], published))
    return [*counts, *sessions]


CORPUS = Corpus(
    name="iemocap",
    read=read,
    official=Official(
        total=sum(count for label, count in _LABELS.items() if label != _NO_AGREEMENT),
        emotions={_EMOTIONS[label]: count for label, count in _LABELS.items() if label != _NO_AGREEMENT},
        speakers=10,
    ),
    licence="by signed licence of USC SAIL, for research",
    description="IEMOCAP: English, improvised and scripted dialogs, 10 actors; without the 2,507 turns xxx",
    languages=("en",),
    count=_count,
)
