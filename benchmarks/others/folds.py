"""The folds of the accuracy of alternatives: EmoDB, RAVDESS, and every corpus left out in turn."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import learning
import numpy as np

from serotone.corpora import Utterance
from serotone.emotions import merged
from serotone.recipes import load
from serotone.training.strangers import Level, Table
from strangers import BY_SPEAKER, FOUR, Study, folds

STRANGERS = Path(__file__).resolve().parents[2] / "results" / "strangers"
SEED = 0
Extract = Callable[[Sequence[Utterance], str], Mapping[str, Any]]


def measured(
    utterances: Sequence[Utterance], cap: int, kinds: Sequence[str], protocols: Sequence[str], extract: Extract
) -> Iterator[tuple[str, dict[str, Any]]]:
    """UA of each alternative, per level, as it is known: by the speakers of a corpus, and on corpora left out."""
    for corpus in BY_SPEAKER:
        own = [u for u in utterances if u.corpus == corpus and u.emotion in BY_SPEAKER[corpus][0]]
        if corpus in protocols and own:
            table, groups = folds(numbered(own), corpus)
            yield corpus, {"clips": len(own), "folds": len(np.unique(groups))} | reused(corpus)
            for kind, row in learned(table, groups, kinds, partial(extract, own, corpus), "speaker"):
                yield corpus, {kind: tell(corpus, kind, row)}
    if "corpora" in protocols:
        some = capped(utterances, cap)
        table = numbered(some).table(FOUR)
        counts = {c: int((table.corpora == c).sum()) for c in np.unique(table.corpora).tolist()}
        yield "corpora", {"clips": counts, "cap": cap} | reused("corpora")
        for kind, row in learned(table, table.corpora, kinds, partial(extract, some, f"corpora-{cap}"), "collection"):
            yield "corpora", {kind: tell("corpora", kind, row)}


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


def learned(
    table: Table, groups: Any, kinds: Sequence[str], extract: Callable[[], Mapping[str, Any]], level: Level
) -> Iterator[tuple[str, dict[str, Any]]]:
    """UA per fold of what can be trained here, of clips as they are and standardised by their own speaker or corpus."""
    for kind in [kind for kind in kinds if kind in ("egemaps", "compare", "librosa")]:
        arrays = extract()
        fits: dict[str, learning.Fit] = {}
        if kind == "librosa":
            fits["plain"] = learning.network(np.split(arrays["frames"], np.cumsum(arrays["lengths"])[:-1]), SEED)
        else:
            fits |= {name: learning.support_vectors(arrays[kind], name) for name in ("plain", level)}
        row: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d}"}
        for name, fit in fits.items():
            row[name] = learning.accuracies(table, learning.held_out(fit, table, groups), groups)
        yield kind, row


def reused(name: str) -> dict[str, Any]:
    """What results/strangers has for `default` and `light`, with the file and its date."""
    found: dict[str, Any] = {}
    for kind, file in (("default", name), ("light", f"light-{name}")):
        path = STRANGERS / f"{file}.json"
        if not path.is_file():
            continue
        kept = json.loads(path.read_text(encoding="utf-8"))
        about = {"from": f"results/strangers/{path.name}", "date": kept["date"]}
        if "levels" in kept:
            found[kind] = about | {level: kept["levels"][level]["ua_among_four"] for level in ("plain", "collection")}
        elif name == "corpora":
            found[kind] = about | {level: kept["ua"][level] for level in ("plain", "collection")}
        else:
            strength = kept["strengths"][0] if "strengths" in kept else 0.01
            rows = {level: kept["rows"][f"{level}, {strength:g}"] for level in ("plain", "speaker")}
            found[kind] = about | {level: {"mean": row["ua_mean_of_folds"]} for level, row in rows.items()}
    return found


def tell(title: str, kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """Print the means of a row; the row."""
    cells = [f"{level} {value['mean']:.1%}" for level, value in row.items() if isinstance(value, dict)]
    print(f"{title}, {kind}: UA, mean of folds: {', '.join(cells)}", flush=True)
    return row
