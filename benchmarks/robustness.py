"""What a bundle is worth on speech that is noisy, far away, quiet, cut or encoded, and on sound that is no speech.

    SEROTONE_DATA=/data python benchmarks/robustness.py [BUNDLE] [--speakers ravdess/19,ravdess/20,ased]
        [--corpus NAME ...] [--limit N] [--clean N] [--only PREFIX ...] [--seed N] [--data DIR] [--out F]

Writes results/robustness/<bundle>.json and prints tables. Needs the core install and, for MP3 and Opus, the extra
`codecs`. By default 108 clips go through every condition and 480 are heard as recorded, on one thread: in all about
4,900 answers to 5.2 hours of audio. For a bundle that takes 60 ms for 3 s of audio that is about 8.5 minutes, 2 of them
spent on making the conditions (estimated from the processor time of 18 clips).

Clips are the beginning of one seeded order in which corpora take turns, and in each its emotions do. Random numbers
depend on the seed, the condition and the clip alone, so the same call gives the same figures; babble is made of the
other speakers among the clips. UA is taken among the emotions that the bundle shares with each corpus, then averaged
over corpora; an answer without a label counts as wrong.

Keys of the JSON (`schema` 1: keys may join, none changes its meaning); shares are between 0 and 1, None where there was
nothing to count:

- `schema`; `bundle`: name, version, sha256, labels; `date`; `machine`; `versions`; `seed`; `speakers`: the option;
- `selection`: by corpus `clips`, `speakers` (how many were used), `labels` (shared emotions),
  `chance` (1 / labels), `trained_on` (whether the bundle names the corpus as its data: its figures are those of unseen
  speakers only where `speakers` left out those who trained it);
- `cost`: `predictions`, `audio_seconds`, `seconds`, `cpu_seconds`, `recognition_cpu_seconds` (recognition alone);
- `clean`: scores of the `--clean` clips as recorded: `clips`, `ua`, `chance` (mean over corpora), `no_label`;
- `conditions`: by name (`noise/babble/20` in dB, `telephone`, `codec/opus/16` in kbit/s, `reverberation/0.6` as RT60 in
  s, `gain/-30` in dB, `channels/5.1-centre`, `silence/room/1.5` in s on each side, `duration/0.5` in s): `clips`, `ua`,
  `ua_clean` (the same clips as recorded), `same_label` (share of those with a label when clean that keep it),
  `no_label`, `failed` (not readable, too short for the bundle; wrong in `ua`), `first_error`, `ua_by_corpus`;
- `groups`: `gender`, `corpus`, `language`, by value: `clips`, `speakers`, `corpora`, `ua`, `accuracy` (of the label
  as it was answered, any of the bundle's);
- `doubt`: by corpus: `no_label`, and for `certain` and `uncertain` answers `clips`, `accuracy`, `accuracy_shared` (the
  answer restricted to the shared emotions), `mean_confidence`;
- `non_speech`: by kind: `signals`, `labelled`, `labelled_certain` (shares that got a label, and one not marked
  uncertain), `labels` (which), `mean_confidence`, `highest_confidence`, `labelled_by_dbfs`.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from conditions.clips import Clip, of_speakers, read_clips, sample
from conditions.scores import Answer, condition_scores, doubt, groups, non_speech_scores, share, shared_labels, ua
from conditions.suite import Source, as_recorded, conditions, non_speech
from machine import machine
from serotone import Recognizer, SerotoneError
from serotone.errors import SerotoneWarning
from serotone.recognition.loading import DEFAULT_BUNDLE
from serotone.recognition.prediction import Prediction

RESULTS = Path(__file__).resolve().parent.parent / "results" / "robustness"
LIMIT, CLEAN = 108, 480
PACKAGES = ("serotone", "numpy", "onnxruntime", "soundfile", "soxr", "av")


class Listener:
    """A recogniser that counts what it hears and how long it takes."""

    def __init__(self, recognizer: Recognizer, labels: Mapping[str, Sequence[str]]) -> None:
        self.recognizer = recognizer
        self.labels = labels
        self.predictions = 0
        self.audio_seconds = 0.0
        self.cpu_seconds = 0.0

    def predict(self, source: Source) -> Prediction:
        """The answer to a sound."""
        began = time.process_time()
        self.predictions += 1
        try:
            prediction = self.recognizer.predict(source[0], source_rate=source[1])
        finally:
            self.cpu_seconds += time.process_time() - began
        self.audio_seconds += prediction.duration_seconds
        return prediction

    def answer(self, clip: Clip, source: Source) -> Answer:
        """The answer to a clip; an error where it cannot be heard."""
        try:
            prediction = self.predict(source)
        except SerotoneError as error:
            return Answer(clip, None, None, 0.0, True, str(error))
        shared = None
        if prediction.label is not None:
            shared = max(self.labels[clip.corpus], key=lambda label: prediction.probabilities[label])
        return Answer(clip, prediction.label, shared, prediction.confidence, prediction.uncertain)


def measure(
    recognizer: Recognizer, clips: Sequence[Clip], *, limit: int, clean: int, seed: int, only: Sequence[str] = ()
) -> dict[str, Any]:
    """Every figure but date and machine, from the clips of the speakers that are held out.

    ``only`` chooses conditions by the beginnings of their names; all where it is empty.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    labels = shared_labels(clips)
    listener = Listener(recognizer, labels)
    order = sample(clips, seed)[: max(limit, clean)]
    chosen = order[:limit]
    answers = []
    for clip in order:
        answers.append(listener.answer(clip, as_recorded(clip)))
        progress("clean", len(answers), len(order))
    as_clean = {answer.clip.id: answer for answer in answers}

    results = {}
    for condition in conditions(chosen, clips, seed):
        if only and not condition.name.startswith(tuple(only)):
            continue
        under = []
        part = chosen[: max(1, round(condition.share * len(chosen)))]
        for done, clip in enumerate(part):
            progress(condition.name, done, len(part))
            source = condition.apply(clip)
            if source is not None:
                under.append(listener.answer(clip, source))
        results[condition.name] = condition_scores(under, as_clean, labels)

    sounds = []
    for kind, dbfs, source in non_speech(seed) if not only or "non-speech" in only else ():
        progress("non-speech", len(sounds), len(sounds) + 1)
        prediction = listener.predict(source)
        sounds.append((kind, dbfs, prediction.label, prediction.confidence, prediction.uncertain))
    progress("", 0, 0)

    known = {str(item.get("name")) for item in recognizer.bundle.data}
    return {
        "selection": {
            corpus: {
                "clips": sum(clip.corpus == corpus for clip in order),
                "speakers": len({clip.speaker for clip in order if clip.corpus == corpus}),
                "labels": shared,
                "chance": 1 / len(shared),
                "trained_on": corpus in known,
            }
            for corpus, shared in labels.items()
        },
        "cost": {
            "predictions": listener.predictions,
            "audio_seconds": listener.audio_seconds,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "recognition_cpu_seconds": listener.cpu_seconds,
        },
        "clean": {
            "clips": len(answers),
            "ua": ua(answers, labels),
            "chance": sum(1 / len(shared) for shared in labels.values()) / len(labels),
            "no_label": share([answer.label is None for answer in answers]),
        },
        "conditions": results,
        "groups": groups(answers, labels),
        "doubt": {corpus: doubt([answer for answer in answers if answer.clip.corpus == corpus]) for corpus in labels},
        "non_speech": non_speech_scores(sounds),
    }


def main() -> int:
    """Measure, print tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default=DEFAULT_BUNDLE, help="a shipped bundle or the folder of one")
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--corpus", action="append", default=[], help="a folder below the data; default: each of them")
    parser.add_argument("--speakers", default="", help="held-out speakers or corpora, as ravdess/19,ased; default: all")
    parser.add_argument("--limit", type=int, default=LIMIT, help=f"clips that go through every condition ({LIMIT})")
    parser.add_argument("--clean", type=int, default=CLEAN, help=f"clips that are heard as recorded ({CLEAN})")
    parser.add_argument("--only", action="append", default=[], help="conditions whose names begin so, or non-speech")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help=f"default: {RESULTS}/<bundle>.json")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("no corpora: set SEROTONE_DATA, or give --data, a folder with a folder for each corpus in it")
    if arguments.limit < 1 or arguments.clean < 1:
        parser.error("--limit and --clean: give at least 1")

    # That a copy of a corpus is not complete matters to no figure here.
    warnings.simplefilter("ignore", SerotoneWarning)
    speakers = [name for name in arguments.speakers.split(",") if name]
    try:
        recognizer = Recognizer(arguments.bundle, threads=1)
        bundle = recognizer.bundle
        clips = of_speakers(read_clips(arguments.data, arguments.corpus, bundle.labels, bundle.merge), speakers)
        figures = measure(
            recognizer, clips, limit=arguments.limit, clean=arguments.clean, seed=arguments.seed, only=arguments.only
        )
    except SerotoneError as error:
        parser.error(str(error))
    figures = {
        "schema": 1,
        "bundle": {
            "name": bundle.name,
            "version": bundle.version,
            "sha256": bundle.sha256,
            "labels": list(bundle.labels),
        },
        "date": datetime.date.today().isoformat(),
        "machine": f"{machine()}, 1 thread",
        "versions": {"python": platform.python_version()} | {name: installed(name) for name in PACKAGES},
        "seed": arguments.seed,
        "speakers": speakers,
        **figures,
    }
    print("\n".join(tables(figures)))
    out = arguments.out or RESULTS / f"{bundle.name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    print(f"\nfigures: {out}")
    return 0


def tables(figures: Mapping[str, Any]) -> list[str]:
    """The figures for people, in percent."""
    bundle, clean, cost = figures["bundle"], figures["clean"], figures["cost"]
    lines = [f"{bundle['name']} {bundle['version']}, {figures['date']}, seed {figures['seed']}"]
    for corpus, chosen in figures["selection"].items():
        note = "  NOTE: the bundle names this corpus as its training data" if chosen["trained_on"] else ""
        held = f"{chosen['clips']:5} clips, {chosen['speakers']:3} speakers: {', '.join(chosen['labels'])}"
        lines.append(f"  {corpus:12}{held}{note}")
    lines += ["", f"{'condition':24}{'clips':>6}{'UA':>8}{'clean':>8}{'same':>8}{'no label':>10}{'failed':>8}"]
    lines.append(f"{'as recorded':24}{clean['clips']:6}{percent(clean['ua'])}{'':16}{percent(clean['no_label'], 10)}")
    for name, scores in figures["conditions"].items():
        lines.append(
            f"{name:24}{scores['clips']:6}{percent(scores['ua'])}{percent(scores['ua_clean'])}"
            f"{percent(scores['same_label'])}{percent(scores['no_label'], 10)}{scores['failed']:8}"
        )
    lines += [f"{'chance':24}{'':6}{percent(clean['chance'])}"]
    lines += ["", f"{'as recorded':24}{'clips':>6}{'UA':>8}{'right':>8}"]
    for trait, values in figures["groups"].items():
        for value, scores in values.items():
            row = f"{trait} {value}"
            lines.append(f"{row:24}{scores['clips']:6}{percent(scores['ua'])}{percent(scores['accuracy'])}")
    lines += ["", f"{'share of answers right':24}{'certain':>17}{'uncertain':>17}{'no label':>10}"]
    for corpus, scores in figures["doubt"].items():
        both = scores["certain"], scores["uncertain"]
        cells = "".join(f"{percent(group['accuracy'], 10)} ({group['clips']:4})" for group in both)
        lines.append(f"{corpus:24}{cells}{scores['no_label']:10}")
    lines += ["", f"{'no speech':20}{'signals':>8}{'labelled':>10}{'certain':>9}{'conf.':>7}  labels"]
    for kind, scores in figures["non_speech"].items():
        labels = ", ".join(f"{label} {count}" for label, count in scores["labels"].items())
        confidence = "      -" if scores["mean_confidence"] is None else f"{scores['mean_confidence']:7.2f}"
        lines.append(
            f"{kind:20}{scores['signals']:8}{percent(scores['labelled'], 10)}"
            f"{percent(scores['labelled_certain'], 9)}{confidence}  {labels}"
        )
    lines += [
        "",
        f"{cost['predictions']} answers to {cost['audio_seconds'] / 60:.1f} min of audio in {cost['seconds']:.0f} s, "
        f"{cost['cpu_seconds']:.0f} s on the processor, {cost['recognition_cpu_seconds']:.0f} s of them in recognition",
    ]
    return lines


def percent(value: float | None, width: int = 8) -> str:
    """A share in percent, or a dash."""
    return f"{'-':>{width}}" if value is None else f"{100 * value:{width}.1f}"


def installed(name: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def progress(what: str, done: int, total: int) -> None:
    """One line on a terminal that says where it is; nothing elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{what} {done} of {total}" if total else "\r\033[K")


if __name__ == "__main__":
    sys.exit(main())
