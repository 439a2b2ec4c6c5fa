"""Every condition under which speech is recognised, by name, in the order in which tables list them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from conditions import distortions, signals
from conditions.clips import RATE, Clip, generator_for
from conditions.signals import Samples

Source = tuple[NDArray[np.float32] | bytes, int | None]
"""What a recogniser hears: samples and their rate in Hz, or the bytes of a file."""

SNR = (20, 10, 0)
NOISES = ("babble", "music", "street", "white")
BABBLE_VOICES = 6
KILOBITS = (16, 32)
RT60 = (0.3, 0.6, 1.0)
GAINS = (-30, -20, -10, 6, 12)
SILENCE_SECONDS = (0.2, 0.5, 1.5)
CUT_SECONDS = (0.5, 1.0, 2.0)
JOINED_SECONDS = (5.0, 10.0, 30.0)
JOINED_SHARE = 1 / 3
"""Long recordings cost most, so a part of the clips stands for all of them."""

NON_SPEECH_DBFS = (-50.0, -30.0, -15.0)
NON_SPEECH_SECONDS = (1.0, 3.0, 8.0)
NON_SPEECH_TAKES = 2


@dataclass(frozen=True, slots=True)
class Condition:
    """``apply`` turns a clip into what is heard, None where that cannot be done with this clip.

    It is measured on that ``share`` of the clips.
    """

    name: str
    apply: Callable[[Clip], Source | None]
    share: float = 1.0


@lru_cache(maxsize=1024)
def load(clip: Clip) -> Samples:
    """The samples of a clip, kept."""
    return clip.samples()


def as_recorded(clip: Clip) -> Source:
    """The clip itself."""
    return heard(load(clip))


def heard(samples: Samples) -> Source:
    """Samples as a recogniser takes them."""
    return samples.astype(np.float32), RATE


def conditions(sampled: Sequence[Clip], everything: Sequence[Clip], seed: int) -> list[Condition]:
    """All of them. Babble is made of ``sampled`` clips, long recordings of any clips of one speaker and emotion."""
    kin: defaultdict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in everything:
        kin[clip.speaker, clip.truth].append(clip)

    def noise(kind: str, clip: Clip, count: int) -> Samples | None:
        generator = generator_for(seed, "noise", kind, clip.id)  # the same noise at every ratio
        if kind != "babble":
            make = {"music": signals.music, "street": signals.street, "white": signals.white, "pink": signals.pink}
            return make[kind](generator, count, RATE)
        others = [other for other in sampled if other.speaker != clip.speaker]
        if not others:
            return None
        chosen = generator.choice(len(others), min(BABBLE_VOICES, len(others)), replace=False)
        voices = [voice for voice in (load(others[place]) for place in chosen) if voice.any()]
        return distortions.babble(voices, generator, count)

    def noisy(kind: str, decibels: float) -> Callable[[Clip], Source | None]:
        def apply(clip: Clip) -> Source | None:
            added = noise(kind, clip, len(load(clip)))
            return None if added is None else heard(distortions.mixed(load(clip), added, decibels))

        return apply

    def in_room(rt60: float) -> Callable[[Clip], Source]:
        def apply(clip: Clip) -> Source:
            response = distortions.room_response(generator_for(seed, "room", rt60, clip.id), RATE, rt60)
            return heard(distortions.reverberated(load(clip), response))

        return apply

    def quiet_around(seconds: float, *, room: bool) -> Callable[[Clip], Source]:
        def apply(clip: Clip) -> Source:
            count = len(load(clip)) + 2 * round(seconds * RATE)
            return heard(distortions.padded(load(clip), RATE, seconds, noise("pink", clip, count) if room else None))

        return apply

    def cut(seconds: float) -> Callable[[Clip], Source | None]:
        def apply(clip: Clip) -> Source | None:
            part = distortions.loudest(load(clip), round(seconds * RATE))
            return None if part is None else heard(part)

        return apply

    def joined(seconds: float) -> Callable[[Clip], Source | None]:
        def apply(clip: Clip) -> Source | None:
            others = [other for other in kin[clip.speaker, clip.truth] if other.id != clip.id]
            generator_for(seed, "joined", clip.id).shuffle(others)
            parts, count = [load(clip)], round(seconds * RATE)
            while sum(map(len, parts)) < count and others:
                parts.append(load(others.pop()))
            whole = np.concatenate(parts)
            return heard(whole[:count]) if len(whole) >= count else None

        return apply

    def file(make: Callable[..., bytes], *arguments: object) -> Callable[[Clip], Source]:
        return lambda clip: (make(load(clip), RATE, *arguments), None)

    def gained(decibels: float) -> Callable[[Clip], Source]:
        return lambda clip: heard(distortions.louder(load(clip), decibels))

    channels = {"stereo-left": ((0,), 2), "stereo-both": ((0, 1), 2), "5.1-centre": ((2,), 6), "5.1-front": ((0, 1), 6)}
    return [
        *(Condition(f"noise/{kind}/{snr}", noisy(kind, snr)) for kind in NOISES for snr in SNR),
        Condition("telephone", file(distortions.telephone)),
        *(Condition(f"codec/{c}/{k}", file(distortions.encoded, c, k)) for c in distortions.CODECS for k in KILOBITS),
        *(Condition(f"reverberation/{rt60}", in_room(rt60)) for rt60 in RT60),
        *(Condition(f"gain/{gain:+d}", gained(gain)) for gain in GAINS),
        *(Condition(f"channels/{n}", file(distortions.in_channels, *where)) for n, where in channels.items()),
        *(Condition(f"silence/digital/{s}", quiet_around(s, room=False)) for s in SILENCE_SECONDS),
        *(Condition(f"silence/room/{s}", quiet_around(s, room=True)) for s in SILENCE_SECONDS),
        *(Condition(f"duration/{seconds:g}", cut(seconds)) for seconds in CUT_SECONDS),
        *(Condition(f"duration/{seconds:g}", joined(seconds), JOINED_SHARE) for seconds in JOINED_SECONDS),
    ]


def non_speech(seed: int) -> list[tuple[str, float, Source]]:
    """Kind, level in dBFS and sound of every signal that is no speech: each kind at several levels and lengths."""
    sounds = []
    for kind, make in signals.NON_SPEECH.items():
        for dbfs in NON_SPEECH_DBFS if kind != "digital-silence" else (-np.inf,):
            for seconds in NON_SPEECH_SECONDS:
                for take in range(NON_SPEECH_TAKES):
                    samples = make(generator_for(seed, kind, seconds, take), round(seconds * RATE), RATE)
                    sounds.append((kind, float(dbfs), heard(distortions.at_level(samples, dbfs))))
    return sounds
