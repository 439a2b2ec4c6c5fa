"""How right the heads are on voices and corpora that trained nothing: the figures of results/strangers.

`python benchmarks/strangers.py --corpus NAME=ROOT... [--recipe default] [--set KEY=VALUE...] [--only SECTION...]
[--out results/strangers]`; one thread. Every clip is encoded once, by the recipe's frozen parts, and kept in the cache;
heads are fitted on the vectors. Prints tables and writes one JSON file for each section.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from serotone.corpora import Utterance, fingerprint, parse_corpora
from serotone.emotions import merged
from serotone.experiments.planning import gather
from serotone.files import write_json
from serotone.metrics import expected_calibration_error
from serotone.recipes import Recipe, load
from serotone.splits import make_splits
from serotone.training.calibrate import fit_temperature
from serotone.training.convex import Linear, balance
from serotone.training.data import derived_seed
from serotone.training.held_out import accuracy_among, doubt, held_out_logits, shared_accuracies
from serotone.training.solving import Memory, frozen_system, terms_of, vectors_of, vectors_of_copies
from serotone.training.states import fingerprint as fingerprint_of
from serotone.training.strangers import LEVELS, Level, Standard, Table, fit_head, statistics_of

FOUR = ("angry", "happy", "neutral", "sad")
COUNTS = (1, 2, 3, 5, 10, 20, 50, 100, 200)
SHARES = (0.25, 0.4, 0.6, 0.8, 0.9, 1.0)
ONE_SIDED = 50
DRAWS = 5
EMODB = ("angry", "bored", "disgusted", "fearful", "happy", "neutral", "sad")
RAVDESS = ("angry", "calm", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")


def main(arguments: Sequence[str] | None = None) -> None:
    """Encode, or measure and write the sections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", required=True, metavar="NAME=ROOT")
    parser.add_argument("--vectors", type=Path, help="an .npz file (id, vectors, key) to measure instead of encoding")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("results/strangers"))
    parser.add_argument(
        "--exchange",
        action="append",
        default=[],
        metavar="CORPUS/A=B",
        help="take a corpus's A for B and its B for A: for labels that were mixed up; stated in every file",
    )
    parser.add_argument("--only", action="append", choices=tuple(SECTIONS), help="sections; all unless given")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = load(given.recipe, given.set)
    utterances = exchanged(parse_corpora(given.corpus), given.exchange)
    if given.vectors is None:
        (rows, *copies), key = vectors(recipe, utterances)
    else:
        with np.load(given.vectors) as file:
            rows, key = dict(zip(file["id"].tolist(), file["vectors"], strict=True)), str(file["key"])
        copies = []
    study = Study(recipe, utterances, rows, key, copies)
    for name in given.only or SECTIONS:
        found = study.header | {"exchanged": given.exchange, "section": name} | SECTIONS[name](study)
        write_json(given.out / f"{name}.json", found)
        print(f"{name}: {given.out / f'{name}.json'}\n", flush=True)


def exchanged(utterances: Sequence[Utterance], wanted: Sequence[str]) -> list[Utterance]:
    """The utterances with emotions A and B of a corpus taken for each other, as ``CORPUS/A=B`` asks."""
    swaps: dict[tuple[str, str], str] = {}
    for text in wanted:
        corpus, _, pair = text.partition("/")
        first, _, second = pair.partition("=")
        swaps |= {(corpus, first): second, (corpus, second): first}
    known = {(u.corpus, u.emotion) for u in utterances}
    if unknown := set(swaps) - known:
        raise SystemExit(f"--exchange names {sorted(unknown)}; the corpora have {sorted(known)}")
    return [replace(u, emotion=swaps.get((u.corpus, u.emotion), u.emotion)) for u in utterances]


def vectors(recipe: Recipe, utterances: Sequence[Utterance]) -> tuple[list[dict[str, Any]], str]:
    """The vector of every utterance, whatever its emotion, and of each copy, kept on disk; what made them, in short."""
    every = recipe.model_copy(update={"labels": None, "merge": {}, "held_out_speakers": ()})
    material, problems = gather(every, utterances)
    for problem in problems:
        print(problem, file=sys.stderr)
    system, _ = frozen_system(recipe)
    clips = material.clips([u.id for u in utterances])
    memory: Memory = {}
    clean = dict(vectors_of(system, recipe, clips, memory))
    return [clean, *vectors_of_copies(system, recipe, clips, memory)], fingerprint_of(system, recipe, "vectors")


class Study:
    """Vectors of all corpora, and what every section says of them."""

    def __init__(
        self,
        recipe: Recipe,
        utterances: Sequence[Utterance],
        rows: dict[str, Any],
        key: str,
        copies: Sequence[dict[str, Any]] = (),
    ) -> None:
        assert recipe.convex is not None
        self.recipe, self.rows, self.copies = recipe, rows, copies
        self.utterances = [u for u in utterances if u.id in rows]
        self.strengths = recipe.convex.choices
        self.shrinkage, self.manner = terms_of(recipe)
        self.header: dict[str, Any] = {
            "schema": 1,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "recipe": recipe.name,
            "corpora": {c: sum(u.corpus == c for u in self.utterances) for c in sorted({u.corpus for u in utterances})},
            "data_sha256": fingerprint(self.utterances),
            "frozen_parts_sha256": key,
            "seed": recipe.seed,
            "strengths": list(self.strengths),
            "shrinkage": list(self.shrinkage),
            "distorted_copies": len(copies),
            "own_heads": self.manner.own_heads,
            "emphasis": self.manner.emphasis,
        }
        self._scores: dict[Level, dict[float, Any]] = {}
        self.collection_heads: dict[str, Linear] = {}

    def table(self, labels: Sequence[str], *, corpus: str | None = None, merge: bool = True) -> Table:
        """The clips of these labels, of one corpus or of all."""
        emotion = {u.id: merged(u.emotion, self.recipe.merge) if merge else u.emotion for u in self.utterances}
        used = [u for u in self.utterances if emotion[u.id] in labels and corpus in (None, u.corpus)]
        return Table(
            tuple(labels),
            np.stack([self.rows[u.id] for u in used]),
            np.array([labels.index(emotion[u.id]) for u in used], dtype=np.int64),
            np.array([u.corpus for u in used]),
            np.array([u.speaker for u in used]),
            tuple(np.stack([copy[u.id] for u in used]) for copy in self.copies),
        )

    def everything(self) -> Table:
        """All corpora with the recipe's labels."""
        return self.table(self.recipe.labels or FOUR)

    def scores(self, level: Level) -> dict[float, Any]:
        """Scores of every clip by heads that saw nothing of its corpus, for each strength."""
        if level not in self._scores:
            table = self.everything()
            self._scores[level] = held_out_logits(
                table,
                table.corpora,
                level=level,
                strengths=self.strengths,
                shrinkage=self.shrinkage,
                manner=self.manner,
            )
        return self._scores[level]

    def among(self, labels: Sequence[str]) -> list[int]:
        """The four emotions as numbers of the labels."""
        return [labels.index(label) for label in FOUR]

    def chosen(self, level: Level, corpus: str) -> float:
        """The strength that the other corpora choose for this one: what is tested chooses nothing."""
        table = self.everything()
        among = self.among(table.labels)
        means = {
            strength: float(np.mean([ua for c, ua in shared_accuracies(table, s, among=among).items() if c != corpus]))
            for strength, s in self.scores(level).items()
        }
        return max(sorted(means), key=lambda strength: means[strength])

    def level_scores(self, level: Level) -> Any:
        """Scores of every clip at the strength that the other corpora choose."""
        table = self.everything()
        found = np.zeros((len(table.targets), len(table.labels)))
        for corpus in np.unique(table.corpora):
            own = table.corpora == corpus
            found[own] = self.scores(level)[self.chosen(level, str(corpus))][own]
        return found


BY_SPEAKER: dict[str, tuple[Sequence[str], str, dict[str, Any]]] = {
    "emodb": (EMODB, "leave-one-speaker-out", {}),
    "ravdess": (RAVDESS, "speakers-out", {"folds": 5}),
}
"""Labels, protocol and its options, for a corpus that is tested by its own speakers."""


def folds(study: Study, corpus: str) -> tuple[Table, Any]:
    """The clips of one corpus with its labels, none of them merged, and the fold (N,) that tests each."""
    labels, protocol, options = BY_SPEAKER[corpus]
    table = study.table(labels, corpus=corpus, merge=False)
    mine = [u for u in study.utterances if u.corpus == corpus and u.emotion in labels]
    place = {u.id: k for k, u in enumerate(mine)}
    fold_of = np.zeros(len(mine), dtype=int)
    for split in make_splits(mine, protocol, seed=study.recipe.seed, validation_speakers=0, **options):
        fold_of[[place[name] for name in split.test]] = split.fold
    return table, fold_of.astype(str)


def speakers(study: Study, corpus: str) -> dict[str, Any]:
    """What heads are worth on the speakers of one corpus that they did not hear, per level and strength."""
    table, groups = folds(study, corpus)
    scores = {}
    for level in ("plain", "speaker"):
        every = held_out_logits(
            table, groups, level=level, strengths=study.strengths, shrinkage=study.shrinkage, manner=study.manner
        )
        scores |= {f"{level}, {strength:g}": values for strength, values in every.items()}
    return scored(corpus, table, groups, scores, seed=study.recipe.seed)


def scored(corpus: str, table: Table, groups: Any, scores: dict[str, Any], *, seed: int) -> dict[str, Any]:
    """UA, and ECE at the temperature of the other folds, of scores (N, C) of every clip by a head that saw nothing of
    its fold; printed, too.
    """
    labels, protocol, _ = BY_SPEAKER[corpus]
    rows: dict[str, Any] = {}
    for name, values in scores.items():
        per_fold = [accuracy_among(table.targets[groups == g], values[groups == g]) for g in np.unique(groups)]
        rows[name] = {
            "ua_pooled": accuracy_among(table.targets, values),
            "ua_mean_of_folds": float(np.mean(per_fold)),
            "ua_sd_of_folds": float(np.std(per_fold, ddof=1)),
            "ece_cross_fitted": calibrated(table, values, groups)["pooled"],
        }
    count = len(np.unique(groups))
    print(f"{corpus}, {len(labels)} classes, {protocol}, {count} folds, {len(groups)} clips, seed {seed}")
    for name, row in rows.items():
        print(
            f"  {name:16} UA pooled {row['ua_pooled']:.1%}  mean of folds {row['ua_mean_of_folds']:.1%}"
            f" ± {100 * row['ua_sd_of_folds']:.1f}  ECE {row['ece_cross_fitted']:.1%}"
        )
    return {"corpus": corpus, "labels": list(labels), "protocol": protocol, "folds": count, "rows": rows}


def calibrated(table: Table, scores: Any, groups: Any) -> dict[str, Any]:
    """ECE of each group at the temperature that all the others ask for, and of all answers together."""
    probabilities = np.zeros_like(scores)
    temperatures, by_group = {}, {}
    for group in np.unique(groups):
        own = groups == group
        rest = ~own & (scores[np.arange(len(scores)), table.targets] > -1000)
        temperatures[str(group)] = fit_temperature(scores[rest], table.targets[rest]).temperature
        probabilities[own] = softmax(scores[own] / temperatures[str(group)], axis=1)
        by_group[str(group)] = expected_calibration_error(
            probabilities[own], table.targets[own].tolist(), labels=range(len(table.labels))
        )
    return {
        "pooled": expected_calibration_error(probabilities, table.targets.tolist(), labels=range(len(table.labels))),
        "mean": float(np.mean(list(by_group.values()))),
        "by_group": by_group,
        "temperatures": temperatures,
        "probabilities": probabilities,
    }


def _heads(study: Study, table: Table, corpus: str) -> tuple[Table, Standard, Linear]:
    """The test clips among the four emotions, and standard and collection head of all other corpora."""
    training = table.part(table.corpora != corpus)
    if corpus not in study.collection_heads:
        study.collection_heads[corpus] = fit_head(
            training,
            level="collection",
            strength=study.chosen("collection", corpus),
            shrinkage=study.shrinkage,
            manner=study.manner,
        )
    return table.part(table.corpora == corpus), training.standard(), study.collection_heads[corpus]


def _by_draws(
    study: Study, corpus: str, test: Table, standard: Standard, linear: Linear, pick: Callable[[Any], Any], *key: object
) -> float:
    """Mean UA over draws of recordings whose statistics standardise the corpus."""
    among = study.among(test.labels)
    values = standard.apply(test.vectors)
    accuracies = []
    for draw in range(DRAWS):
        drawn = pick(np.random.default_rng(derived_seed(study.recipe.seed, corpus, draw, *key)))
        mean, sd = statistics_of(values[drawn], study.shrinkage.collection)
        accuracies.append(accuracy_among(test.targets, linear.logits((values - mean) / sd), among=among))
    return float(np.mean(accuracies))


def corpora(study: Study) -> dict[str, Any]:
    """Leave-one-corpus-out, four classes or those a corpus has: plain, 20 recordings, collection, then speaker."""
    table = study.everything()
    among = study.among(table.labels)
    rows: dict[str, dict[str, float]] = {
        level: shared_accuracies(table, study.level_scores(level), among=among) for level in LEVELS
    }
    rows["20 recordings"] = {}
    for corpus in rows["plain"]:
        test, standard, linear = _heads(study, table, corpus)
        rows["20 recordings"][corpus] = _by_draws(study, corpus, test, standard, linear, _any(test, 20), "count", 20)
    order = ("plain", "20 recordings", "collection", "speaker")
    names = list(rows["plain"])
    print(f"leave-one-corpus-out, UA among {', '.join(FOUR)} (or those a corpus has), draws {DRAWS}")
    print(f"  {'':14} {'mean':>6} " + " ".join(f"{name:>10}" for name in names))
    for name in order:
        cells = " ".join(f"{rows[name][c]:>10.1%}" for c in names)
        print(f"  {name:14} {np.mean(list(rows[name].values())):6.1%} {cells}")
    return {
        "protocol": "leave-one-corpus-out",
        "draws": DRAWS,
        "strength": {level: {c: study.chosen(level, c) for c in names} for level in LEVELS},
        "ua": {name: rows[name] | {"mean": float(np.mean(list(rows[name].values())))} for name in order},
    }


def curves(study: Study) -> dict[str, Any]:
    """Over the number of recordings that a profile is made of, and over the share of one emotion among 50."""
    table = study.everything()
    by_count: dict[str, dict[str, float]] = {}
    by_share: dict[str, dict[str, float]] = {}
    for corpus in np.unique(table.corpora).tolist():
        test, standard, linear = _heads(study, table, corpus)
        by_count[corpus] = {
            str(count): _by_draws(study, corpus, test, standard, linear, _any(test, count), "count", count)
            for count in COUNTS
            if count <= len(test.targets)
        }
        emotions = [c for c in study.among(test.labels) if (test.targets == c).any()]
        by_share[corpus] = {
            str(share): float(
                np.mean(
                    [
                        _by_draws(
                            study, corpus, test, standard, linear, _one_sided(test, emotion, share), share, emotion
                        )
                        for emotion in emotions
                    ]
                )
            )
            for share in SHARES
        }
    for words, found, values in (
        ("recordings", by_count, COUNTS),
        (f"share of one emotion in {ONE_SIDED}", by_share, SHARES),
    ):
        print(f"leave-one-corpus-out, UA by {words}, mean of {DRAWS} draws")
        print("  " + " " * 12 + " ".join(f"{v:>7}" for v in values))
        for corpus, row in found.items():
            print(f"  {corpus:12}" + " ".join(f"{row[str(v)]:7.1%}" if str(v) in row else " " * 7 for v in values))
        means = [np.mean([row[str(v)] for row in found.values() if str(v) in row]) for v in values]
        print(f"  {'mean':12}" + " ".join(f"{mean:7.1%}" for mean in means))
    return {"draws": DRAWS, "one_sided_of": ONE_SIDED, "by_count": by_count, "by_share": by_share}


def _any(test: Table, count: int) -> Callable[[Any], Any]:
    """A pick of so many recordings, whatever they are."""

    def pick(generator: Any) -> Any:
        return generator.permutation(len(test.targets))[:count]

    return pick


def _one_sided(test: Table, emotion: int, share: float) -> Callable[[Any], Any]:
    """A pick of 50 recordings, such a share of them of one emotion and the others of all others."""

    def pick(generator: Any) -> Any:
        own, rest = np.flatnonzero(test.targets == emotion), np.flatnonzero(test.targets != emotion)
        many = min(round(share * ONE_SIDED), len(own))
        few = min(round(many / share) - many, len(rest))
        return np.concatenate([generator.permutation(own)[:many], generator.permutation(rest)[:few]])

    return pick


def calibration(study: Study) -> dict[str, Any]:
    """ECE and risk against coverage on corpora that trained nothing, at the temperature of the other corpora."""
    table = study.everything()
    found: dict[str, Any] = {}
    print(
        "on corpora that trained nothing; temperature and threshold of each by the others; free answers over all labels"
    )
    for level in LEVELS:
        scores = study.level_scores(level)
        result = calibrated(table, scores, table.corpora)
        probabilities = result.pop("probabilities")
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == table.targets
        weights = balance(table.corpora.tolist(), table.targets)
        doubts: dict[str, Any] = {}
        for corpus in np.unique(table.corpora).tolist():
            own = table.corpora == corpus
            threshold = doubt(confidence[~own], right[~own], weights[~own]).threshold
            certain = confidence[own] >= threshold
            doubts[corpus] = {
                "threshold": threshold,
                "coverage": float(certain.mean()),
                "right_certain": float(right[own][certain].mean()) if certain.any() else None,
                "right_uncertain": float(right[own][~certain].mean()) if (~certain).any() else None,
            }
        order = np.argsort(-confidence, kind="stable")
        spent, wrong = np.cumsum(weights[order]), np.cumsum((weights * ~right)[order])
        places = [int(np.searchsorted(spent, share * spent[-1] - 1e-9)) for share in np.arange(0.1, 1.01, 0.1)]
        risk = {f"{share:.1f}": float(wrong[k] / spent[k]) for share, k in zip(np.arange(0.1, 1.01, 0.1), places)}
        found[level] = result | {"doubt": doubts, "risk_by_coverage": risk}
        print(f"  {level}: ECE pooled {result['pooled']:.1%}, mean {result['mean']:.1%}")
        for corpus, row in doubts.items():
            sure, unsure = ("-" if row[k] is None else f"{row[k]:.1%}" for k in ("right_certain", "right_uncertain"))
            print(
                f"    {corpus:10} ECE {result['by_group'][corpus]:6.1%}  T {result['temperatures'][corpus]:.2f} "
                f" certain {row['coverage']:.1%}, right {sure}; uncertain right {unsure}"
            )
        print("    risk by coverage " + "  ".join(f"{k}: {v:.1%}" for k, v in risk.items()))
    return {"levels": found}


SECTIONS: dict[str, Callable[[Study], dict[str, Any]]] = {
    **{corpus: partial(speakers, corpus=corpus) for corpus in BY_SPEAKER},
    "corpora": corpora,
    "curves": curves,
    "calibration": calibration,
}


if __name__ == "__main__":
    main()
