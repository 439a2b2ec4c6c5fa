"""Made-up utterances for the tests of splits: even ones, uneven ones and some of IEMOCAP's shape."""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from serotone.corpora.base import Utterance
from serotone.errors import SerotoneWarning
from serotone.splits import Split, make_splits

EMOTIONS = ("angry", "happy", "neutral", "sad")
NEED_WHOLE = ("session-out", "sentence-out", "leave-one-corpus-out", "cross-corpus")


def corpus(speakers: int = 6, sentences: int = 5, emotions: Iterable[str] = EMOTIONS) -> list[Utterance]:
    return [
        Utterance(
            id=f"s{s:02}{e[0]}{t}",
            path=Path(f"s{s:02}{e[0]}{t}.wav"),
            emotion=e,
            speaker=f"s{s:02}",
            corpus="made",
            gender="female" if s % 2 else "male",
            sentence=f"t{t}",
        )
        for s in range(speakers)
        for e in emotions
        for t in range(sentences)
    ]


def whole(speakers: int = 6, sentences: int = 5) -> list[Utterance]:
    """What every protocol can deal: sessions of two speakers, the last of them in another corpus."""
    return [
        replace(
            u, session=str(int(u.speaker[1:]) // 2), corpus="other" if int(u.speaker[1:]) >= speakers - 2 else "made"
        )
        for u in corpus(speakers, sentences)
    ]


def iemocap_like(sessions: int = 5) -> list[Utterance]:
    """IEMOCAP's shape: sessions of a woman and a man, two styles, uneven emotions, no sentences."""
    return [
        Utterance(
            id=f"Ses{s:02}{gender[0].upper()}_{style[:5]}_{emotion[:3]}{n}",
            path=Path("x.wav"),
            emotion=emotion,
            speaker=f"Ses{s:02}{gender[0].upper()}",
            corpus="made",
            gender=gender,
            session=str(s),
            style=style,
        )
        for s in range(1, sessions + 1)
        for i, gender in enumerate(("female", "male"))
        for j, style in enumerate(("improvised", "scripted"))
        for k, emotion in enumerate(("angry", "excited", "happy", "neutral", "sad"))
        for n in range(3 + (7 * s + 5 * i + 3 * j + 2 * k) % 8)
    ]


def wanted(protocol: str) -> dict[str, object]:
    return {
        "speakers-out": {"folds": 3},
        "sentence-out": {"folds": 3},
        "cross-corpus": {"test_corpora": ("other",)},
    }.get(protocol, {})


def quietly(utterances: Iterable[Utterance], protocol: str, **options: object) -> list[Split]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SerotoneWarning)
        return make_splits(utterances, protocol, **options)


def digest(splits: Sequence[Split]) -> str:
    return hashlib.sha256(json.dumps([split.to_dict() for split in splits]).encode()).hexdigest()[:16]


@st.composite
def corpora(draw: st.DrawFn) -> list[Utterance]:
    """Uneven corpora with at least three speakers and ten utterances."""
    number = draw(st.integers(10, 60))
    speakers = draw(st.integers(3, 8))
    some = st.sampled_from
    return [
        Utterance(
            id=f"u{i}",
            path=Path(f"u{i}.wav"),
            emotion=draw(some(EMOTIONS)),
            speaker=f"s{i % speakers}",  # each speaks
            corpus="made",
            gender=(None, "female", "male")[i % speakers % 3],
            sentence=draw(some([None, "t1", "t2"])),
            session=draw(some([None, "1", "2"])),
            style=draw(some([None, "improvised", "scripted"])),
        )
        for i in range(number)
    ]


@st.composite
def whole_corpora(draw: st.DrawFn) -> list[Utterance]:
    """Uneven ones whose utterances have all that a protocol may ask for."""
    number = draw(st.integers(12, 60))
    sessions = draw(st.integers(2, 6))
    home = ["made", *(draw(st.sampled_from(["made", "other"])) for _ in range(sessions - 2)), "other"]
    return [
        Utterance(
            id=f"u{i}",
            path=Path(f"u{i}.wav"),
            emotion=draw(st.sampled_from(EMOTIONS)),
            speaker=f"s{i % (2 * sessions)}",  # each speaks
            corpus=home[i % sessions],
            gender=draw(st.sampled_from([None, "female", "male"])),
            sentence=f"t{i % draw(st.integers(5, 9))}",
            session=f"{i % sessions}",
            style=draw(st.sampled_from([None, "improvised", "scripted"])),
        )
        for i in range(number)
    ]


def corpora_for(protocol: str) -> st.SearchStrategy[list[Utterance]]:
    return whole_corpora() if protocol in NEED_WHOLE else corpora()


generated = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def spread(parts: Iterable[Iterable[str]], attribute: dict[str, object]) -> int:
    """The largest difference between two parts in how often they hold a value of the attribute."""
    counts = [Counter(attribute[name] for name in part) for part in parts]
    return max(max(c[value] for c in counts) - min(c[value] for c in counts) for value in set(attribute.values()))
