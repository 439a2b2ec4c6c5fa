"""Predictions as the rows of a table: the one set of columns that CSV, pandas and Parquet share.

The columns are keys of ``Prediction.to_dict`` and of its segments; ``p_<label>`` is a probability, and ``profile`` the
name of the profile that the answer is adapted to.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serotone.names import utf8

if TYPE_CHECKING:
    from serotone.recognition.prediction import Prediction

_ANSWER = ("label", "confidence", "uncertain", "speech_seconds")
_CLIP = ("duration_seconds", "windows", "reason", "warnings", "notes")
_SEGMENT = ("start", "end")


def columns(labels: Sequence[str], *, timeline: bool) -> list[str]:
    """The columns, in order: of a row a recording, or with a timeline of a row a segment."""
    middle = _SEGMENT if timeline else _CLIP
    return ["name", *_ANSWER, *middle, "channel", *(f"p_{label}" for label in labels), "profile"]


def rows(prediction: "Prediction", *, timeline: bool) -> list[dict[str, object]]:
    """The rows of one answer by column: one, or one a segment; what is not known is None or has no key.

    Seconds are rounded to milliseconds, as in ``Prediction.to_dict``.
    """
    profile = None if prediction.profile is None else utf8(str(prediction.profile["name"]))
    common = {"name": prediction.name, "channel": prediction.channel, "profile": profile}
    answers = [segment.to_dict() for segment in prediction.segments] if timeline else [prediction.to_dict()]
    return [common | _row(answer, (*_ANSWER, *(_SEGMENT if timeline else _CLIP))) for answer in answers]


def _row(answer: dict[str, object], names: Sequence[str]) -> dict[str, object]:
    probabilities = answer["probabilities"]
    assert isinstance(probabilities, dict)
    return {name: answer[name] for name in names} | {f"p_{label}": value for label, value in probabilities.items()}
