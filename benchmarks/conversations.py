"""Timelines against conversations of known truth: clips of speakers that trained nothing, spliced with pauses.

    SEROTONE_DATA=/data python benchmarks/conversations.py [--bundle default] [--conversations 200] [--out F]

The speakers are those of ASED (Amharic), of the Korean set and RAVDESS 19 and 20, none of which trained the shipped
bundles. A conversation has twelve clips of one or two speakers of one corpus, in turns of one to three clips of one
emotion, with pauses of 0, .3 or 1 s. The truth is the emotion of the clip, at each 10 ms that lies within 35 dB of the
clip's loudest; UA is the mean recall over the emotions of those, the boundary error the median distance of a true
change of emotion to the nearest change of label.

The baseline hears windows over all of the recording, silence too, and gives each its window's answer. Windows, hops
and the pause that ends a turn are compared on the first conversations (``--grid``); the others measure what ships.
"""

import argparse
import copy
import dataclasses
import json
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from serotone import Recognizer, audio
from serotone.corpora import Utterance, read_corpus
from serotone.recognition import hearing
from serotone.recognition.levels import RELATIVE_DB, block_levels
from serotone.recognition.prediction import Prediction

RATE = 16000
FRAME = RATE // 100
PAUSES = (0.0, 0.3, 1.0)
CLIPS = 12
CORPORA = {"ased": "ased/manifest.csv", "korean": "korean/manifest.csv", "ravdess": "ravdess"}
HELD_OUT = ("19", "20")  # of RAVDESS
SAME = "same_label_as_without_pauses"
NEUTRAL = {"calm": "neutral"}
GRID = ((4.0, 2.0, 0.5), (4.0, 2.0, 30.0), (4.0, 1.0, 0.5), (3.0, 1.0, 0.5), (3.0, 1.5, 0.25), (6.0, 2.0, 0.5))
SHIPPED = GRID[0]

Samples = NDArray[np.float32]


class Conversation(NamedTuple):
    """Samples (T,), the emotion of each 10 ms (or "" where nobody speaks), and the seconds where it changes."""

    samples: Samples
    truth: NDArray[np.str_]
    changes: list[float]


def main() -> int:
    """Measure, print tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--grid", type=int, default=15, help="conversations that compare windows")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give the folder of the corpora with --data or SEROTONE_DATA")

    recognizer = Recognizer(arguments.bundle)
    clips = Clips(Path(arguments.data), recognizer.bundle.labels)
    print(f"{arguments.bundle}: {len(clips.groups)} groups of a speaker and an emotion; none trained it")
    made = [
        clips.conversation(seed, PAUSES[seed // len(CORPORA) % len(PAUSES)]) for seed in range(arguments.conversations)
    ]
    grid, rest = made[: arguments.grid], made[arguments.grid :] or made
    print(f"\n{'window, hop, pause that ends a turn':38}{'UA':>7}{'boundary s':>12}{'changes':>9}")
    figures: dict[str, object] = {}
    if grid:
        compared = {f"{s}": show(f"{s}", score(grid, timelines(recognizer, grid, *s))) for s in GRID}
        figures["grid"] = compared
    started = time.process_time()
    figures["timeline"] = show(f"timeline as it ships {SHIPPED}", score(rest, timelines(recognizer, rest, *SHIPPED)))
    heard = sum(len(c.samples) for c in rest) / RATE
    print(f"{'times real time, one core':38}{heard / (time.process_time() - started):7.0f}")
    whole_windows = [baseline(recognizer, conversation) for conversation in rest]
    figures["baseline"] = show("baseline: silence is heard too", score(rest, whole_windows))
    figures["pauses"] = pauses(recognizer, clips, max(6, arguments.conversations // 4))
    figures["adapting"] = adapting(recognizer, clips, max(2, arguments.conversations // 20))
    if arguments.out:
        about = {"schema": 1, "bundle": arguments.bundle, "python": platform.python_version()}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(about | figures, indent=2) + "\n", encoding="utf-8")
    return 0


class Clips:
    """Clips of speakers that trained nothing, by speaker and emotion, of the emotions that a bundle knows."""

    def __init__(self, data: Path, labels: Sequence[str]) -> None:
        self.groups: dict[tuple[str, str, str], list[Utterance]] = defaultdict(list)
        for corpus, place in CORPORA.items():
            for utterance in read_corpus(corpus, data / place):
                emotion = NEUTRAL.get(str(utterance.emotion), str(utterance.emotion))
                if emotion in labels and (corpus != "ravdess" or utterance.speaker in HELD_OUT):
                    self.groups[corpus, str(utterance.speaker), emotion].append(utterance)
        self.speakers: dict[tuple[str, str], list[str]] = defaultdict(list)
        for folder, speaker, emotion in sorted(self.groups):
            self.speakers[folder, speaker].append(emotion)
        self.speakers = {key: found for key, found in self.speakers.items() if len(found) > 2}

    def conversation(self, seed: int, pause: float, *, turns: Sequence[str] = (), clips: int = CLIPS) -> Conversation:
        """Twelve clips of one corpus; ``turns`` are their emotions, drawn where there are none."""
        rng = np.random.default_rng([seed, 12])
        folder = list(CORPORA)[seed % len(CORPORA)]
        there = [key for key in self.speakers if key[0] == folder]
        chosen = [there[i] for i in rng.choice(len(there), min(2, len(there)), replace=False)]
        emotions = list(turns)
        while len(emotions) < clips:
            emotions += [str(rng.choice(sorted(set(self.speakers[chosen[0]]))))] * int(rng.integers(1, 4))
        parts: list[tuple[Samples, str]] = []
        for emotion in emotions[:clips]:
            voices = [voice for voice in chosen if emotion in self.speakers[voice]] or chosen[:1]
            group = self.groups[(*voices[int(rng.integers(len(voices)))], emotion)]
            parts.append((audio.read(group[int(rng.integers(len(group)))].path, sample_rate=RATE).samples, emotion))
        return spliced(parts, pause)


def spliced(parts: Sequence[tuple[Samples, str]], pause: float) -> Conversation:
    """Clips in a row, with a pause of digital silence in between."""
    gap = np.zeros(round(pause * RATE) // FRAME * FRAME, np.float32)
    samples, truth, changes, before = [], [], [], ""
    at = 0
    for clip, emotion in parts:
        clip = clip[: len(clip) // FRAME * FRAME]
        levels = block_levels(clip.reshape(-1, FRAME))
        samples += [clip, gap]
        truth += [np.where(levels >= levels.max() - RELATIVE_DB, emotion, ""), np.full(len(gap) // FRAME, "")]
        if before and emotion != before:
            changes.append((at - len(gap) / 2) / RATE)
        before, at = emotion, at + len(clip) + len(gap)
    return Conversation(np.concatenate(samples), np.concatenate(truth), changes)


def timelines(
    recognizer: Recognizer, made: Sequence[Conversation], window: float, hop: float, pause: float
) -> list[NDArray[np.str_]]:
    """The label of each 10 ms of conversations, by segments from this window, hop and pause that ends a turn."""
    changed = copy.copy(recognizer)
    changed.bundle = dataclasses.replace(recognizer.bundle, window_seconds=window, hop_seconds=hop)
    with mock.patch.object(hearing, "TURN_PAUSE_SECONDS", pause):
        return [timeline(changed, conversation) for conversation in made]


def timeline(recognizer: Recognizer, conversation: Conversation) -> NDArray[np.str_]:
    """The label of each 10 ms of one conversation."""
    said = np.full(len(conversation.truth), "", "U16")
    for segment in recognizer.predict(conversation.samples, source_rate=RATE, timeline=True).segments:
        said[round(segment.start * 100) : round(segment.end * 100)] = segment.label or ""
    return said


def baseline(recognizer: Recognizer, conversation: Conversation) -> NDArray[np.str_]:
    """The label of each 10 ms, by windows of 4 s every 2 s, each heard with its silence, answering for its middle."""
    window, hop, total = 4 * RATE, 2 * RATE, len(conversation.samples)
    said = np.full(len(conversation.truth), "", "U16")
    for start in range(0, max(1, total - window + hop), hop):
        heard = conversation.samples[start : start + window]
        probabilities, _ = recognizer.graph(np.pad(heard, (0, max(0, RATE // 2 - len(heard)))))
        first = 0 if start == 0 else start + hop // 2
        said[first // FRAME :] = recognizer.bundle.labels[int(probabilities.argmax())]
    return said


def score(made: Sequence[Conversation], said: Sequence[NDArray[np.str_]]) -> dict[str, float]:
    """UA over frames, the median boundary error in seconds, and changes of label for each true one."""
    truth = np.concatenate([conversation.truth for conversation in made])
    answers = np.concatenate(said)
    recalls = [np.mean(answers[truth == emotion] == emotion) for emotion in np.unique(truth[truth != ""])]
    errors, changes = [], 0
    for conversation, labels in zip(made, said, strict=True):
        spoken = np.flatnonzero(labels != "")
        places = spoken[1:][labels[spoken][1:] != labels[spoken][:-1]] / 100
        changes += len(places)
        errors += [float(np.min(np.abs(places - change), initial=10.0)) for change in conversation.changes]
    true_changes = sum(len(conversation.changes) for conversation in made)
    return {
        "ua": round(100 * float(np.mean(recalls)), 1),
        "boundary_seconds": round(float(np.median(errors)), 2),
        "changes_for_each_true_one": round(changes / max(1, true_changes), 2),
        "conversations": len(made),
    }


def show(name: str, row: dict[str, float]) -> dict[str, float]:
    """Print a row of the table."""
    print(
        f"{name:38}{row['ua']:7.1f}{row['boundary_seconds']:12.2f}{row['changes_for_each_true_one']:9.2f}", flush=True
    )
    return row


def pauses(recognizer: Recognizer, clips: Clips, count: int) -> dict[str, object]:
    """Clips of one emotion with pauses between them: UA of the whole, and the share of time that is right."""
    print(f"\n{'eight clips of one emotion':38}{'UA':>7}{'time right':>12}{'as without':>12}")
    emotions = [emotion for emotion in recognizer.bundle.labels if any(key[2] == emotion for key in clips.groups)]
    rows: dict[str, object] = {}
    first: list[str | None] = []
    for pause in PAUSES:
        right: dict[str, list[bool]] = defaultdict(list)
        shares: dict[str, list[float]] = defaultdict(list)
        labels = []
        for seed, emotion in one_emotion(clips, emotions, count):
            made = clips.conversation(seed, pause, turns=[emotion] * 8, clips=8)
            answer: Prediction = recognizer.predict(made.samples, source_rate=RATE, timeline=True)
            right[emotion].append(answer.label == emotion)
            shares[emotion].append(answer.shares.get(emotion, 0.0))
            labels.append(answer.label)
        first = first or labels
        row = {
            "ua": round(100 * float(np.mean([np.mean(found) for found in right.values()])), 1),
            "time_right": round(100 * float(np.mean([np.mean(found) for found in shares.values()])), 1),
            SAME: round(100 * float(np.mean(np.array(labels) == np.array(first))), 1),
            "recordings": count,
        }
        shown = "".join(f"{row[key]:{width}.1f}" for key, width in (("ua", 7), ("time_right", 12), (SAME, 12)))
        print(f"{f'{pause:g} s between them':38}{shown}", flush=True)
        rows[f"{pause:g}"] = row
    return rows


def one_emotion(clips: Clips, emotions: Sequence[str], count: int) -> Iterator[tuple[int, str]]:
    """Seeds and emotions of recordings of one emotion, of which both speakers of the conversation have clips."""
    made = seed = 0
    while made < count:
        emotion = emotions[seed // len(CORPORA) % len(emotions)]
        folder = list(CORPORA)[seed % len(CORPORA)]
        if all(emotion in found for key, found in clips.speakers.items() if key[0] == folder):
            made += 1
            yield seed, emotion
        seed += 1


def adapting(recognizer: Recognizer, clips: Clips, count: int) -> dict[str, object]:
    """UA of a stream's updates in each half minute, plain and with a profile of its own."""
    print(f"\n{'stream: UA of updates in each 30 s':38}{'plain':>7}{'adapting':>12}{'updates':>9}")
    hits: dict[tuple[int, bool], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(count):
        made = clips.conversation(seed, 0.3, clips=5 * CLIPS)
        for adapt in (False, True):
            stream = recognizer.stream(sample_rate=RATE, adapt=adapt, every_seconds=None)
            for update in stream.feed(made.samples):
                middle = (update.segment.start + update.segment.end) / 2
                emotion = made.truth[int(middle * 100) :][made.truth[int(middle * 100) :] != ""][:1]
                if update.segment.label is not None and len(emotion):
                    hits[int(middle // 30), adapt][emotion[0]].append(update.segment.label == emotion[0])
    rows: dict[str, object] = {}
    for part in sorted({part for part, _ in hits}):
        plain, own = (
            round(100 * float(np.mean([np.mean(found) for found in hits[part, adapt].values()])), 1)
            for adapt in (False, True)
        )
        updates = sum(len(found) for found in hits[part, True].values())
        print(f"{f'{30 * part} to {30 * part + 30} s':38}{plain:7.1f}{own:12.1f}{updates:9}")
        rows[f"{30 * part}"] = {"plain": plain, "adapting": own, "updates": updates}
    return rows


if __name__ == "__main__":
    sys.exit(main())
