"""The folds of the accuracy of alternatives: EmoDB, RAVDESS, and every corpus left out in turn."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import learning
import numpy as np

from serotone import Recognizer
from serotone.corpora import Utterance
from serotone.emotions import merged
from serotone.recipes import load
from serotone.training.strangers import Level, Table
from strangers import BY_SPEAKER, FOUR, Study, folds

STRANGERS = Path(__file__).resolve().parents[2] / "results" / "strangers"
SEED = 0
Extract = Callable[[Sequence[Utterance], str], Mapping[str, Any]]


def measured(utterances: Sequence[Utterance], cap: int, kinds: Sequence[str], extract: Extract) -> dict[str, Any]:
    """UA of each alternative, per level: by the speakers of a corpus, and on corpora that are left out."""
    found: dict[str, Any] = {"cap": cap, "seed": SEED, "epochs": learning.EPOCHS, "costs": learning.COSTS}
    for corpus in BY_SPEAKER:
        labels = BY_SPEAKER[corpus][0]
        own = [u for u in utterances if u.corpus == corpus and u.emotion in labels]
        if own:
            table, groups = folds(numbered(own), corpus)
            rows = learned(table, groups, kinds, extract(own, corpus), "speaker")
            found[corpus] = {"folds": len(np.unique(groups)), "clips": len(own)} | rows | reused(corpus)
            tell(corpus, found[corpus])
    some = capped(utterances, cap)
    if len({u.corpus for u in some}) > 1:
        table = numbered(some).table(FOUR)
        rows = learned(table, table.corpora, kinds, extract(some, f"corpora-{cap}"), "collection")
        counts = {c: int((table.corpora == c).sum()) for c in np.unique(table.corpora)}
        found["corpora"] = {"clips": counts} | rows | reused("corpora") | {"light": unheard(some)}
        tell("corpora", found["corpora"])
    return found


def numbered(utterances: Sequence[Utterance]) -> Study:
    """A study in which the only "vector" of a clip is its number."""
    rows = {u.id: np.array([number]) for number, u in enumerate(utterances)}
    return Study(load("default"), utterances, rows, "")


def capped(utterances: Sequence[Utterance], cap: int) -> list[Utterance]:
    """At most so many clips of each corpus, drawn among the four emotions."""
    merge = load("default").merge
    chosen: list[Utterance] = []
    for corpus in sorted({u.corpus for u in utterances}):
        own = [u for u in utterances if u.corpus == corpus and merged(u.emotion, merge) in FOUR]
        drawn = random.Random(f"{SEED} {corpus}").sample(own, min(cap, len(own)))
        chosen += sorted(drawn, key=lambda u: u.id)
    return chosen


def learned(table: Table, groups: Any, kinds: Sequence[str], arrays: Mapping[str, Any], level: Level) -> dict[str, Any]:
    """UA per fold, of clips as they are and standardised by their own speaker or corpus."""
    rows: dict[str, Any] = {}
    for kind in kinds:
        if kind == "librosa":
            frames = np.split(arrays["frames"], np.cumsum(arrays["lengths"])[:-1])
            fits = {"plain": learning.network(frames, SEED)}
        else:
            fits = {name: learning.support_vectors(arrays[kind], name) for name in ("plain", level)}
        rows[kind] = {
            name: learning.accuracies(table, learning.held_out(fit, table, groups), groups)
            for name, fit in fits.items()
        }
    return rows


def reused(name: str) -> dict[str, Any]:
    """What results/strangers has for `default` and `light`, with the file and its date."""
    found: dict[str, Any] = {}
    for kind, file in (("default", name), ("light", f"light-{name}")):
        path = STRANGERS / f"{file}.json"
        if not path.is_file():
            continue
        kept = json.loads(path.read_text(encoding="utf-8"))
        about = {"from": f"results/strangers/{path.name}", "date": kept["date"]}
        if name == "corpora":
            found[kind] = about | {level: kept["ua"][level] for level in ("plain", "collection")}
        else:
            strength = kept["strengths"][0] if "strengths" in kept else 0.01
            rows = {level: kept["rows"][f"{level}, {strength:g}"] for level in ("plain", "speaker")}
            found[kind] = about | {level: {"mean": row["ua_mean_of_folds"]} for level, row in rows.items()}
    return found


def unheard(utterances: Sequence[Utterance]) -> dict[str, Any]:
    """UA of the shipped `light` on the corpora that it was not trained on."""
    recognizer = Recognizer("light", threads=1)
    heard = {str(item["name"]) for item in recognizer.bundle.data}
    own = [u for u in utterances if u.corpus not in heard]
    table = numbered(own).table(FOUR)
    scores = np.array([[answer[label] for label in FOUR] for answer in map(recognizer_of(recognizer), own)])
    found = learning.accuracies(table, scores, table.corpora)
    return {"from": f"the shipped {recognizer.bundle.name} {recognizer.bundle.version}", "plain": found}


def recognizer_of(recognizer: Recognizer) -> Callable[[Utterance], Mapping[str, float]]:
    """Probabilities of a clip; all alike where nobody is heard to speak."""

    def answer(clip: Utterance) -> Mapping[str, float]:
        found = recognizer.predict(clip.path, start=clip.start, end=clip.end).probabilities
        return found or dict.fromkeys(FOUR, 0.25)

    return answer


def tell(title: str, rows: Mapping[str, Any]) -> None:
    """Print the means."""
    print(f"{title}: UA, mean of folds")
    for kind, levels in rows.items():
        if isinstance(levels, dict) and any(isinstance(value, dict) for value in levels.values()):
            cells = "  ".join(
                f"{name} {value['mean']:.1%}" for name, value in levels.items() if isinstance(value, dict)
            )
            print(f"  {kind:10} {cells}", flush=True)
