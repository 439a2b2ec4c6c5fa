"""How right the recipe `light` is on speakers that trained nothing, and how fast: results/strangers/light-*.json.

`python benchmarks/light.py --corpus emodb=ROOT --corpus ravdess=ROOT --start RUN [--runs runs/light]
[--teacher-weights FILE] [--only SECTION...] [--out results/strangers]`; one thread. RUN is a finished
`serotone train light` on other corpora than those tested, whose encoder every fold starts from. A fold then distils on
its own training speakers, and on nobody else, and its head is solved on them: teacher and pupil never heard the test
speakers, with labels or without. Folds that are finished are kept in --runs; a killed one is taken up again.

The section `corpora` asks RUN's encoder about whole corpora that it never heard, with a head solved on those that it
did: UA, the temperature that these answers ask for, and how many times the one fitted on the heard corpora that is. It
needs both kinds of corpora as --corpus.
"""

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from scipy.special import softmax

from serotone.corpora import Utterance, fingerprint, parse_corpora
from serotone.experiments.planning import gather
from serotone.files import write_json
from serotone.metrics import expected_calibration_error
from serotone.recipes import Recipe, load
from serotone.recognition.bundle import MODEL
from serotone.recognition.loading import load_bundle
from serotone.recognition.squeeze import squeezed
from serotone.runs import layout
from serotone.runs.reading import read_json
from serotone.splits import Split, make_splits
from serotone.training.calibrate import fit_temperature
from serotone.training.export import glides
from serotone.training.fit import clear, fit
from serotone.training.held_out import accuracy_among, fit_levels, shared_accuracies
from serotone.training.material import Material
from serotone.training.pretrained import digest
from serotone.training.solving import table_of, terms_of, vectors_of
from serotone.training.strangers import Shrinkage, Table, at_level, fit_heads
from strangers import BY_SPEAKER, FOUR, Study, scored, vectors

FOLD = (
    "distil.batch_size=16",
    "distil.learning_rate=1.0e-3",
    "distil.warm_up=0.1",
    "distil.emotion_weight=1.0",
    "distil.crop_seconds=2.7",
    "distil.augmentation=1.0",
    "schedules.convex.strength=0.01",
)
"""What differs from the recipe in a fold, which is small and starts from an encoder that has learned already."""

EPOCHS = {"emodb": 20, "ravdess": 10}
"""Of a fold: as many steps in either corpus."""

SECTIONS = ("emodb", "ravdess", "corpora", "latency")
STRENGTHS = (0.003, 0.01, 0.03)
UNSEEN_STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01)
SECONDS = 3.0
CALLS = 60


class Given(NamedTuple):
    """What was asked for on the command line."""

    utterances: list[Utterance]
    start: Path | None
    runs: Path
    teacher_weights: str | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the sections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", default=[], metavar="NAME=ROOT")
    parser.add_argument("--start", type=Path, help="a run of `serotone train light` on other corpora")
    parser.add_argument("--runs", type=Path, default=Path("runs/light"), help="where folds are kept")
    parser.add_argument("--teacher-weights", help="a copy of the teacher's weights, instead of the hub's")
    parser.add_argument("--out", type=Path, default=Path("results/strangers"))
    parser.add_argument("--only", action="append", choices=SECTIONS, help="all unless given")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    utterances = parse_corpora(given.corpus) if given.corpus else []
    asked = Given(utterances, given.start, given.runs, given.teacher_weights)
    for name in given.only or SECTIONS:
        header = {"schema": 1, "date": f"{datetime.now(UTC):%Y-%m-%d}", "section": f"light-{name}"}
        path = given.out / f"light-{name}.json"
        write_json(path, header | measured(name, asked))
        print(f"{name}: {path}\n", flush=True)


def measured(name: str, given: Given) -> dict[str, Any]:
    """One section."""
    if name == "latency":
        return latency()
    return strangers(given) if name == "corpora" else speakers(given, name)


def speakers(given: Given, corpus: str) -> dict[str, Any]:
    """UA, and ECE at the temperature of the other folds, of one corpus by speaker-independent folds, per strength."""
    labels, protocol, options = BY_SPEAKER[corpus]
    mine = [u for u in given.utterances if u.corpus == corpus and u.emotion in labels]
    if not mine:
        raise SystemExit(f"--corpus {corpus}=ROOT is missing; section {corpus} tests that corpus")
    changes = [*FOLD, f"distil.epochs={EPOCHS[corpus]}", *start_of(given.start, corpus)]
    changes += [f"distil.teacher_weights={given.teacher_weights}"] if given.teacher_weights else []
    own = {"labels": tuple(labels), "merge": {}, "held_out_speakers": ()}
    recipe = load("light", changes).model_copy(update=own)
    material, problems = gather(recipe, mine)
    if problems:
        raise SystemExit(f"not all clips can be used as they are: {problems[0]}")
    splits = make_splits(mine, protocol, seed=recipe.seed, validation_speakers=0, **options)
    ids = [u.id for u in mine]
    targets = np.array([material.targets[name] for name in ids])
    fold_of = np.zeros(len(ids), dtype=int)
    scores: dict[str, Any] = {}
    for split in splits:
        test = np.isin(ids, split.test)
        fold_of[test] = split.fold
        table = vectors_in(recipe, split, material, ids, given.runs / corpus / f"fold-{split.fold}")
        for name, rows in answers(table, test).items():
            scores.setdefault(name, np.zeros((len(ids), len(labels))))[test] = rows
        print(f"{corpus} fold {split.fold}: " + accuracies(scores, targets, test), flush=True)
    found = scored(corpus, table, fold_of.astype(str), scores, seed=recipe.seed)
    return found | {
        "recipe": "light",
        "in_a_fold": [*FOLD, f"distil.epochs={EPOCHS[corpus]}"],
        "start": provenance(given.start),
        "clips": len(ids),
        "seed": recipe.seed,
        "data_sha256": fingerprint(mine),
    }


def strangers(given: Given) -> dict[str, Any]:
    """UA and calibration on corpora that RUN's encoder never heard, by heads solved on those that it did."""
    if given.start is None:
        raise SystemExit("--start RUN is missing; section corpora asks its encoder")
    heard_before = corpora_of(given.start)
    weights = f"weights={{source: {given.start / layout.STUDENT}, licence: of the corpora it was trained on}}"
    recipe = load("light", [weights]).model_copy(update={"held_out_speakers": ()})
    assert recipe.convex is not None
    labels = load(given.start / layout.RECIPE).labels
    rows, key = vectors(recipe, given.utterances)
    table = Study(recipe, given.utterances, rows[0], key).table(labels or FOUR)
    heard = np.isin(table.corpora, heard_before)
    if heard.all() or not heard.any():
        raise SystemExit(
            f"--corpus has {sorted(set(table.corpora))}; section corpora needs some of {heard_before} and some others"
        )
    training, unseen = table.part(heard), table.part(~heard)
    shrinkage, manner = terms_of(recipe)
    standardised = training.standard().apply(unseen.vectors)
    found: dict[str, Any] = {}
    four = [unseen.labels.index(emotion) for emotion in FOUR]
    for level, fitted in fit_levels(
        training, strengths=recipe.convex.choices, shrinkage=shrinkage, manner=manner, seed=recipe.seed
    ).items():
        values = at_level(standardised, unseen.corpora, unseen.speakers, level=level, shrinkage=shrinkage)
        heads = fit_heads(training, level=level, strengths=UNSEEN_STRENGTHS, shrinkage=shrinkage, manner=manner)
        scores = fitted.linear.logits(values)
        wanted = fit_temperature(scores, unseen.targets)
        used = fitted.calibration.temperature
        confident = softmax(scores / used, axis=1)
        found[level] = {
            "strength": fitted.strength,
            "ua_among_four": shared_accuracies(unseen, scores, among=four),
            "ua_by_strength": {
                f"{strength:g}": shared_accuracies(unseen, linear.logits(values), among=four)
                for strength, linear in heads
            },
            "temperature_fitted_on_heard_corpora": used,
            "temperature_wanted": wanted.temperature,
            "factor": wanted.temperature / used,
            "ece_at_fitted": expected_calibration_error(
                confident, unseen.targets.tolist(), labels=range(len(unseen.labels))
            ),
            "ece_at_wanted": wanted.ece_after,
        }
        row = found[level]
        for strength, accuracies_there in row["ua_by_strength"].items():
            print(f"  {level:11} {strength:7}" + "".join(f"{k:>10} {ua:.1%}" for k, ua in accuracies_there.items()))
        print(
            f"  {level:11} "
            + "  ".join(f"{name} {ua:.1%}" for name, ua in row["ua_among_four"].items())
            + f"  temperature {wanted.temperature:.2f}, {row['factor']:.2f} times that of heard corpora;"
            f" ECE {row['ece_at_wanted']:.1%}, else {row['ece_at_fitted']:.1%}"
        )
    return {
        "recipe": "light",
        "start": provenance(given.start),
        "clips": {str(name): int((unseen.corpora == name).sum()) for name in np.unique(unseen.corpora)},
        "seed": recipe.seed,
        "levels": found,
    }


def corpora_of(run: Path) -> list[str]:
    """The corpora that a run's encoder has heard, in order."""
    with (run / layout.UTTERANCES).open(encoding="utf-8", newline="") as file:
        return sorted({line["corpus"] for line in csv.DictReader(file)})


def start_of(run: Path | None, corpus: str) -> list[str]:
    """Overrides by which a fold starts from the encoder of a run that never heard the corpus; none without a run."""
    if run is None:
        return []
    if corpus in corpora_of(run):
        raise SystemExit(f"--start {run} has heard {corpus}, which is tested here; train one on other corpora")
    return [f"weights={{source: {run / layout.STUDENT}, licence: of the corpora it was trained on}}"]


def provenance(run: Path | None) -> dict[str, Any] | None:
    """What the encoder that folds start from was trained on."""
    if run is None:
        return None
    corpus = read_json(run / layout.CORPUS)
    distilled = load(run / layout.RECIPE).distil
    return {
        "corpora": corpora_of(run),
        "utterances": corpus["utterances"],
        "data_sha256": corpus["fingerprint"],
        "epochs": None if distilled is None else distilled.epochs,
        "student_sha256": digest(run / layout.STUDENT),
    }


def vectors_in(recipe: Recipe, split: Split, material: Material, ids: Sequence[str], folder: Path) -> Table:
    """The vectors of every clip by the pupil of a fold; kept once the fold is trained."""
    path = folder / "vectors.npz"
    if not path.is_file():
        system, _ = fit(recipe, split, material, folder)
        vectors = vectors_of(system, recipe, material.clips(ids), {})
        with path.with_suffix(".tmp").open("wb") as file:
            np.savez(file, ids=np.array(ids), vectors=np.stack([vectors[name] for name in ids]))
        path.with_suffix(".tmp").replace(path)
        clear(folder)
    with np.load(path) as kept:
        vectors = dict(zip(kept["ids"].tolist(), kept["vectors"], strict=True))
    known = {"targets": material.targets, "corpora": material.corpora, "speakers": material.speakers}
    return table_of({name: vectors[name] for name in ids}, labels=material.labels, **known)


def answers(table: Table, test: Any) -> dict[str, Any]:
    """Scores of the test clips by heads solved on the others, at two levels and several strengths."""
    training = table.part(~test)
    standardised = training.standard().apply(table.vectors)
    found = {}
    for level in ("plain", "speaker"):
        shrinkage = Shrinkage()
        values = at_level(standardised, table.corpora, table.speakers, level=level, shrinkage=shrinkage)[test]
        for strength, linear in fit_heads(training, level=level, strengths=STRENGTHS, shrinkage=shrinkage):
            found[f"{level}, {strength:g}"] = linear.logits(values)
    return found


def accuracies(scores: dict[str, Any], targets: Any, test: Any) -> str:
    """UA of one fold in words."""
    return "  ".join(f"{name} {accuracy_among(targets[test], rows[test]):.1%}" for name, rows in scores.items())


def latency() -> dict[str, Any]:
    """Milliseconds for 3 s of speech on one thread, and bytes, of `light` next to `default`; turns are taken.

    The processor's time is what other work on the machine disturbs least; the best call says what the clock can do.
    """
    clip = glides(1, SECONDS, sample_rate=16000, seed=0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {}
    rows: dict[str, Any] = {}
    for name in ("light", "default"):
        bundle = load_bundle(name)
        rows[name] = {"bytes": bundle.size + (bundle.path / "bundle.json").stat().st_size}
        sessions[name] = onnxruntime.InferenceSession(bundle.read(MODEL), options, providers=["CPUExecutionProvider"])
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in (*sessions, "speech detector")}
    for _ in range(CALLS):
        for name, session in sessions.items():
            spent[name].append(timed(lambda session=session: session.run(["probabilities"], {"waveform": clip})))
        spent["speech detector"].append(timed(lambda: squeezed(clip[0])))
    for name, values in spent.items():
        processor, clock = (np.array(column) for column in zip(*values, strict=True))
        rows.setdefault(name, {}).update(
            processor_milliseconds_median=round(float(np.median(processor)), 2),
            milliseconds_median=round(float(np.median(clock)), 2),
            milliseconds_best=round(float(clock.min()), 2),
        )
        size = f"{rows[name]['bytes'] / 1e6:.2f} MB" if "bytes" in rows[name] else ""
        print(
            f"  {name:16} processor {np.median(processor):6.2f} ms  clock {np.median(clock):6.2f} ms"
            f" (best {clock.min():.2f})  {size}"
        )
    return {"seconds": SECONDS, "calls": CALLS, "threads": 1, "rows": rows}


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the processor, and of the clock."""
    processor, clock = time.process_time(), time.perf_counter()
    call()
    return 1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - clock)


if __name__ == "__main__":
    main()
