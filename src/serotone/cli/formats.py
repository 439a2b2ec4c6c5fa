"""How commands print their answers; ``predict`` has more forms than the rest."""

from enum import StrEnum


class Format(StrEnum):
    """For people, or for programs."""

    table = "table"
    json = "json"


class Answers(StrEnum):
    """How predictions are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    audacity = "audacity"
    webvtt = "webvtt"
    rttm = "rttm"


BY_LINE = frozenset({Answers.jsonl, Answers.csv})
"""Formats in which a file is written recording by recording."""

OF_SEGMENTS = frozenset({Answers.audacity, Answers.webvtt, Answers.rttm})
"""Formats that hold segments and nothing else."""

WITHOUT_PROFILE = frozenset({Answers.audacity, Answers.rttm})
"""Formats that have no place for the profile that answers are adapted to."""

OF_ONE_RECORDING = frozenset({Answers.audacity, Answers.webvtt})
"""Formats that have no place for the name of a recording."""

SUFFIXES = {
    "": Answers.table,
    ".txt": Answers.table,
    ".json": Answers.json,
    ".jsonl": Answers.jsonl,
    ".csv": Answers.csv,
    ".vtt": Answers.webvtt,
    ".rttm": Answers.rttm,
}
"""The format that the name of a file asks for. Audacity's labels are text, as tables are: --format asks for them."""
