"""Pictures of an answer (extra ``plot``): a timeline over its waveform, and what weighed in it over its spectrogram.

Colours are based on those of Okabe and Ito, which colour-blind people tell apart. Each emotion has a hatch and its name
as well, so that a picture says the same in grey. White is kept for what is no speech: no hatch looks like a gap, and
what is too narrow for a hatch and a frame has neither.
"""

import textwrap
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from serotone.audio import Audio
from serotone.errors import MissingExtraError
from serotone.files import write_whole
from serotone.recognition.explaining import Explanation
from serotone.recognition.prediction import Prediction, Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
"""What a picture's file may end in."""

LOOKS = {
    "angry": ("#D55E00", "//"),
    "bored": ("#8C8C8C", "||"),
    "calm": ("#B8E0D2", "oo"),
    "disgusted": ("#009E73", "xx"),
    "excited": ("#F5C57A", "**"),
    "fearful": ("#CC79A7", "\\\\"),
    "frustrated": ("#A3522B", ".."),
    "happy": ("#F0E442", ".."),
    "neutral": ("#CFCFCF", ""),
    "sad": ("#0072B2", "--"),
    "surprised": ("#56B4E9", "oo"),
}
"""Fill and hatch of each emotion."""

_OTHER = ("#E69F00", "OO")
_STRETCHES = 2048
_PLAIN, _NARROWEST = 0.01, 0.0025
"""Shares of the width, 6.5 and 1.6 points: below the first a segment has no frame and no hatch, below the second it is
drawn as part of a column."""
_COLUMN_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300)
_MOST_SHARES = 4
"""Emotions in a title."""
_TITLE_WIDTH = 84
"""Letters in a line of a title; those of Chinese, Japanese and Korean count twice."""
_WIDE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans CJK KR",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
)
"""What has the letters that matplotlib's own font lacks: Noto, macOS, Windows, older Linux."""
_SPECTRUM_SECONDS, _SPECTRUM_DB = 0.032, 70.0


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """The lowest and highest samples, (N,) each, in N equal stretches of ``seconds`` of sound."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    seconds: float


def envelope(blocks: Iterable[NDArray[np.float32]], sample_rate: int) -> Envelope:
    """The envelope of blocks of samples (T,), at most 2,048 stretches of it, in the memory of one block.

    Stretches begin a sample long, and two become one whenever there are too many.
    """
    extremes = np.zeros((0, 2), np.float32)
    rest = np.zeros(0, np.float32)  # what is not in a stretch yet
    width, total = 1, 0

    def take(count: int) -> None:
        nonlocal extremes, rest
        rows, rest = rest[: count * width].reshape(count, width), rest[count * width :]
        extremes = np.concatenate([extremes, np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1)])

    for block in blocks:
        total += len(block)
        rest = np.concatenate([rest, block])
        while len(extremes) + len(rest) // width > _STRETCHES:
            take(len(extremes) % 2)  # at the greatest number, which is even, none is taken
            pairs = extremes.reshape(-1, 2, 2)
            extremes = np.stack([pairs[:, :, 0].min(axis=1), pairs[:, :, 1].max(axis=1)], axis=1)
            width *= 2
        take(len(rest) // width)
    if len(rest):
        width = len(rest)
        take(1)
    return Envelope(extremes[:, 0], extremes[:, 1], total / sample_rate)


def draw_timeline(prediction: Prediction, wave: Envelope, *, start: float = 0.0) -> "Figure":
    """A prediction with segments over its waveform, which begins ``start`` seconds into the recording.

    Raises MissingExtraError: matplotlib is not installed. Raises ValueError: the prediction has no segments.
    """
    if not prediction.segments:
        raise ValueError(f"{prediction.name}: a prediction without segments; predict with timeline=True")
    segments, column_seconds = _wide_enough(prediction.segments, wave.seconds)
    labels = list(dict.fromkeys(label for segment in segments for label in segment.probabilities))
    figure = _figure(11, 4.2 + 0.26 * len(labels))
    ratios = [0.8, 1.9, 0.26 * max(len(labels), 1)]
    strip, sound, chances = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": ratios})
    end = start + wave.seconds
    _title(figure, prediction, prediction.shares)
    strip.set_ylabel("answer", rotation=0, ha="right", va="center")
    strip.set_yticks([])
    strip.set_ylim(0, 1)
    for segment in segments:
        _segment(strip, segment, end - start)
    times = start + (np.arange(len(wave.low)) + 0.5) * wave.seconds / max(len(wave.low), 1)
    most = max(float(np.abs([wave.low, wave.high]).max(initial=0.0)), 1e-6)
    for segment in segments:
        if segment.label is not None:
            colour, _ = look_of(segment.label)
            sound.axvspan(segment.start, segment.end, facecolor=colour, alpha=0.35, linewidth=0)
    sound.fill_between(times, wave.low / most, wave.high / most, step="mid", color="#222222", linewidth=0.3)
    sound.set_ylim(-1.1, 1.1)
    sound.set_yticks([])
    sound.set_ylabel("waveform", rotation=0, ha="right", va="center")
    _chances(figure, chances, segments, labels, end - start)
    chances.set_xlim(start, end)
    _clock(chances, end)
    about = "Frame, or bar where it is narrow: the answer. Dotted frame, thin bar and ?: uncertain. "
    if column_seconds:
        about += (
            f"White: less than {column_seconds / 10:g} s of speech.\n"
            f"Each column sums up {column_seconds:g} s: the emotion with the most time, and mean probabilities."
        )
    else:
        about += "White: no speech."
    _note(figure, about)
    return figure


def _wide_enough(segments: Sequence[Segment], seconds: float) -> tuple[Sequence[Segment], float]:
    """Segments that can be seen in a picture of so many seconds, and how long the columns are that sum them up.

    Where none is too narrow, they are as they were, and there are no columns: 0 s. The last may be narrow: it ends with
    the recording.
    """
    least = _NARROWEST * seconds
    if all(segment.end - segment.start >= least for segment in segments[:-1]):
        return segments, 0.0
    step = next((step for step in _COLUMN_SECONDS if step >= least), least)
    first, last = segments[0].start, segments[-1].end
    count = max(1, int(np.ceil(round((last - first) / step, 6))))
    edges = np.append(first + step * np.arange(count), last)
    columns: list[list[tuple[Segment, float]]] = [[] for _ in edges[1:]]  # segments, and the seconds of each in there
    for segment in segments:
        touched = range(np.searchsorted(edges, segment.start, "right") - 1, np.searchsorted(edges, segment.end))
        for column in touched:
            inside = min(segment.end, edges[column + 1]) - max(segment.start, edges[column])
            columns[column].append((segment, float(inside)))
    joined = []
    for label, group in groupby(range(len(columns)), key=lambda column: _longest(columns[column])):
        places = list(group)
        parts = [part for place in places for part in columns[place]]
        joined.append(_summed(label, parts, float(edges[places[0]]), float(edges[places[-1] + 1])))
    return joined, float(step)


def _longest(parts: Sequence[tuple[Segment, float]]) -> str | None:
    """The emotion with the most seconds; None where less than a tenth of the time has one, as in a timeline."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for segment, inside in parts:
        if segment.label is not None:
            seconds[segment.label] += inside
    if 10 * sum(seconds.values()) < sum(inside for _, inside in parts):
        return None
    return max(seconds, key=seconds.__getitem__)


def _summed(label: str | None, parts: Sequence[tuple[Segment, float]], start: float, end: float) -> Segment:
    """One segment for parts of several; it is uncertain where its answer was so for half of the answer's time."""
    if label is None:
        return Segment(start, end, None, {}, 0.0, True, 0.0)
    spoken = [part for part in parts if part[0].label is not None]
    total = sum(inside for _, inside in spoken)
    chances: defaultdict[str, float] = defaultdict(float)
    for segment, inside in spoken:
        for name, chance in segment.probabilities.items():
            chances[name] += chance * inside / total
    balance = sum(inside if segment.uncertain else -inside for segment, inside in spoken if segment.label == label)
    return Segment(start, end, label, chances, chances[label], balance >= 0, total)


def draw_explanation(explanation: Explanation, audio: Audio, *, start: float = 0.0) -> "Figure":
    """What weighed in a prediction, over the spectrogram of its audio, ``start`` seconds into the recording.

    Raises MissingExtraError: matplotlib is not installed.
    """
    figure = _figure(11, 5.2)
    weights, spectrum = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, 1.6]})
    prediction = explanation.prediction
    _title(figure, prediction)
    edges = start + explanation.times
    attention = explanation.kind == "attention"
    if attention:
        about = "Attention: where the network looked. It does not say what the network made of it."
        weights.set_ylabel("share of\nattention", rotation=0, ha="right", va="center")
    else:
        about = (
            f"Occlusion: how much less probable {prediction.label} becomes when each half second is left out "
            "(difference of ln p)."
        )
        weights.set_ylabel("weight", rotation=0, ha="right", va="center")
        weights.axhline(0, color="black", linewidth=0.8)
    if prediction.label is None:
        about = f"Nothing to explain: {prediction.reason}."
    _note(figure, about)
    supports = explanation.weights >= 0
    for chosen, colour, hatch, name in (
        (supports, "#0072B2", "", f"speaks for {prediction.label}"),
        (~supports, "#D55E00", "//", "speaks against it"),
    ):
        if chosen.any() and explanation.weights.any():
            widths = np.diff(edges)[chosen]
            shown = {"label": None if attention else name, "hatch": hatch, "edgecolor": "white", "linewidth": 0.5}
            weights.bar(edges[:-1][chosen], explanation.weights[chosen], widths, align="edge", color=colour, **shown)
    if not attention and explanation.weights.any():
        weights.legend(fontsize=8, loc="upper right", frameon=False, ncols=2)
    weights.margins(y=0.25)
    image = _spectrogram(audio)
    extent = (start, start + audio.seconds, 0, audio.sample_rate / 2000)
    spectrum.imshow(image, origin="lower", aspect="auto", extent=extent, cmap="Greys", vmin=-_SPECTRUM_DB, vmax=0)
    spectrum.set_ylabel("kHz", rotation=0, ha="right", va="center")
    _clock(spectrum, start + audio.seconds)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a picture whole, as its suffix says: .png or .svg; raises OSError where it cannot be written."""
    form = path.suffix.lower().removeprefix(".")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in letters that the font lacks
        write_whole(path, lambda temporary: figure.savefig(temporary, format=form, dpi=150))


def _figure(width: float, height: float) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("A picture", "plot") from error
    return Figure(figsize=(width, height), layout="constrained")


def _title(figure: "Figure", prediction: Prediction, shares: Mapping[str, float] | None = None) -> None:
    """The recording and its answer over the picture; before it the shares of the speech, if several have one."""
    name = Path(prediction.name).name or prediction.name
    side = "" if prediction.channel is None else f", channel {prediction.channel}"
    said = prediction.reason or "no answer"
    if prediction.label is not None:
        doubt = ", uncertain" if prediction.uncertain else ""
        said = f"{prediction.label}, probability {prediction.confidence:.2f}{doubt}"
    lines = [f"{name}{side}: {said}"]
    if shares and len(shares) > 1:
        parts = ", ".join(f"{label} {share:.0%}" for label, share in list(shares.items())[:_MOST_SHARES])
        more = ", ..." if len(shares) > _MOST_SHARES else ""
        lines = [f"{name}{side}: {parts}{more} of the speech", f"as a whole: {said}"]
    if prediction.adaptation:
        lines.append(prediction.adaptation)
    text = "\n".join(_wrapped("".join(c if c.isprintable() else " " for c in line)) for line in lines)
    family = ["sans-serif", *_fonts_for(text)]
    figure.suptitle(text, x=0.01, ha="left", fontsize=12, fontweight="bold", fontfamily=family, parse_math=False)


def _wrapped(line: str) -> str:
    """The line in as many lines as the picture's width asks for.

    >>> _wrapped("call.wav: angry, probability 0.91")
    'call.wav: angry, probability 0.91'
    """
    width = len(line) + _wide(line)
    return "\n".join(textwrap.wrap(line, _TITLE_WIDTH * len(line) // width, break_on_hyphens=False))


def _wide(text: str) -> int:
    """How many letters are twice as wide as others, as those of Chinese, Japanese and Korean are."""
    return sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def _fonts_for(text: str) -> list[str]:
    """Installed fonts for letters of Chinese, Japanese and Korean, if the text has some."""
    if not _wide(text):
        return []
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [name for name in _WIDE_FONTS if name in installed]


def _note(figure: "Figure", text: str) -> None:
    """How to read the picture, in small letters under it."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color="#333333", parse_math=False)


def _segment(axes: "Axes", segment: Segment, seconds: float) -> None:
    """One segment's box, with its name and probability where they fit."""
    width = segment.end - segment.start
    share, middle = width / seconds, segment.start + width / 2
    if segment.label is None:
        if share > 0.07:
            axes.text(middle, 0.5, "no speech", ha="center", va="center", fontsize=8, color="#555555")
        return
    colour, hatch = look_of(segment.label)
    look = {"hatch": hatch, "edgecolor": ink_on(colour), "linewidth": 0.8} if share >= _PLAIN else {"linewidth": 0}
    axes.axvspan(segment.start, segment.end, facecolor=colour, **look)
    words = f"{segment.label}{'?' * segment.uncertain}"
    upright = share > 0.0075 * len(words)
    if upright or share > 0.018:
        text = f"{words}\n{segment.confidence:.2f}" if upright else words
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "boxstyle": "round,pad=0.15"}
        turned = 0 if upright else 90
        axes.text(middle, 0.5, text, ha="center", va="center", fontsize=8, bbox=box, linespacing=1.1, rotation=turned)


def look_of(label: str) -> tuple[str, str]:
    """Colour and hatch of an emotion; those that have none of their own share one."""
    return LOOKS.get(label, _OTHER)


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on this colour, such as ``#D55E00``.

    >>> ink_on("#F0E442"), ink_on("#0072B2")
    ('#000000', '#FFFFFF')
    """
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "#FFFFFF"


def _chances(
    figure: "Figure", axes: "Axes", segments: Sequence[Segment], labels: Sequence[str], seconds: float
) -> None:
    """A row for each emotion, the darker the more probable; the answer's own is marked."""
    edges = [segments[0].start, *(segment.end for segment in segments)]
    table = np.array([[segment.probabilities.get(label, np.nan) for segment in segments] for label in labels])
    axes.set_ylim(len(labels) or 1, 0)
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels)
    axes.tick_params(axis="y", length=0, pad=16)
    for row, label in enumerate(labels):  # the key to colours and hatches, next to each name
        colour, hatch = look_of(label)
        look = {"facecolor": colour, "hatch": hatch, "edgecolor": ink_on(colour), "linewidth": 0.6}
        axes.axhspan(row + 0.12, row + 0.88, -0.013, -0.002, clip_on=False, **look)
    if not labels:
        axes.text(0.5, 0.5, "no speech", transform=axes.transAxes, ha="center", va="center")
        return
    shown = axes.pcolormesh(
        edges, np.arange(len(labels) + 1), np.ma.masked_invalid(table), cmap="Greys", vmin=0, vmax=1, rasterized=True
    )
    for place in range(1, len(labels)):
        axes.axhline(place, color="white", linewidth=1)
    for segment in segments:
        if segment.label is not None:
            _mark(axes, segment, labels.index(segment.label), seconds)
    bar = figure.colorbar(shown, ax=axes, pad=0.01, fraction=0.02, ticks=[0, 0.5, 1])
    bar.set_label("probability", fontsize=8)


def _mark(axes: "Axes", segment: Segment, row: int, seconds: float) -> None:
    """Mark a segment's answer: a frame, or a bar under it where a frame would cover it."""
    left, right, top, bottom = segment.start, segment.end, row + 0.04, row + 0.96
    if right - left >= _PLAIN * seconds:
        style = ":" if segment.uncertain else "-"
        axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], style, color="black", lw=1.2)
    else:
        height = 0.12 if segment.uncertain else 0.36
        axes.fill_between([left, right], bottom - height, bottom, color="black", linewidth=0)


def _clock(axes: "Axes", end: float) -> None:
    """Times along the bottom: seconds, minutes from two of them on, hours from one on."""

    def written(seconds: float, place: float) -> str:
        if end < 120:
            return f"{seconds:g}"
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if end >= 3600 else f"{minutes}:{rest:02}"

    begin = axes.get_xlim()[0]
    if end >= 120:
        step = next((step for step in (10, 15, 30, 60, 120, 300, 600, 900) if (end - begin) / step <= 12), 1800)
        axes.set_xticks(np.arange(np.ceil(begin / step) * step, end + 1, step))
    axes.xaxis.set_major_formatter(written)
    axes.set_xlabel("seconds" if end < 120 else "minutes" if end < 3600 else "hours")


def _spectrogram(audio: Audio) -> NDArray[np.float64]:
    """Decibels below the loudest, (frequencies, frames)."""
    size = round(_SPECTRUM_SECONDS * audio.sample_rate)
    hop = max(size // 4, len(audio.samples) // 4000)
    samples = np.pad(audio.samples, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: hop or 1]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    loudest = max(float(power.max()), 1e-12)
    return np.asarray(10 * np.log10(np.maximum(power / loudest, 10 ** (-_SPECTRUM_DB / 10))).T)
