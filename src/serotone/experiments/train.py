"""One training: a split of the recipe's protocol -> a run folder that ends in a bundle."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from serotone.corpora import CORPORA, Utterance, non_commercial
from serotone.errors import RunError
from serotone.experiments.planning import check_folds, gather, opened, plan
from serotone.recipes import Recipe
from serotone.recognition.bundle import MANIFEST, Bundle
from serotone.recognition.loading import load_bundle
from serotone.runs.layout import BUNDLE, SUMMARY
from serotone.runs.reading import read_selection, read_split
from serotone.runs.reading import read_summary as read
from serotone.runs.writing import write_leaks
from serotone.splits import leak_report
from serotone.training.card import write_card
from serotone.training.export import export
from serotone.training.fit import run_fold, training_table
from serotone.training.held_out import held_out_groups
from serotone.training.loggers import require
from serotone.training.solving import levels_of
from serotone.training.versions import versions

NO_LICENCE = "none stated"
"""The licence of a corpus of one's own, where the recipe's ``licences`` says nothing of it."""


def train(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    fold: int = 0,
    evidence: Mapping[str, Path] | None = None,
    graph_only: bool = False,
    log: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Train on one fold of the recipe's protocol (``protocol=all``: on everything) and export ``out/bundle``.

    The checkpoint stays: with the bundle taken away, the same call exports it anew, with other evidence in its card,
    and trains nothing twice.

    Args:
        recipe: What is trained.
        utterances: On what.
        out: The run folder; a finished one is returned as it is, an interrupted one is taken up again.
        fold: Which split of the protocol.
        evidence: Folders of crossval runs whose figures the card shows, by the words that introduce them.
        graph_only: Leave weights and recipe out of the bundle.
        log: Tools that the training is logged to: keys of `serotone.training.loggers.KINDS`.
        tell: Called with one line of progress at a time.

    Raises:
        RunError: No such fold, the folder is another run's, or no speakers can be held out that a head needs.
        MissingExtraError: The package of such a tool is not installed.
    """
    require(log)
    summaries = {words: read_summary(folder) for words, folder in (evidence or {}).items()}
    splits = plan(recipe, utterances)
    check_folds([fold], splits, recipe.protocol.name)
    split = splits[fold]
    if recipe.convex is not None:  # here, before hours of vectors
        speakers = {u.id: (u.corpus, u.speaker) for u in utterances}
        held_out_groups(*np.array([speakers[name] for name in split.train]).T)
    with opened(out, recipe, utterances):
        if (out / BUNDLE / MANIFEST).is_file():
            kept = read_split(out)
            if kept["fold"] != fold:
                raise RunError(f"{out}: holds a bundle trained on fold {kept['fold']}, not {fold}; use another --out")
            tell(
                f"{out}: finished already; to export it again, with other evidence or without weights, remove its"
                " bundle"
            )
            return load_bundle(out / BUNDLE)
        material, problems = gather(recipe, utterances)
        for problem in problems:
            tell(problem)
        system, results = run_fold(recipe, split, material, out, log=log)
        shared = leak_report(split, utterances)
        copies = material.copies(split)
        write_leaks(out, shared.to_dict(), copies)
        levels = None
        if recipe.convex is not None:
            tell("fitting the heads for adaptation, the temperatures and the thresholds, each on held-out parts")
            table = training_table(recipe, system, material.clips(split.train), material)
            levels = levels_of(recipe, table, out)
        heard = {*split.train, *split.validation} & set(material.waveforms)
        data = provenance(recipe, [utterance for utterance in utterances if utterance.id in heard])
        card = write_card(
            recipe,
            name=recipe.name,
            labels=material.labels,
            data=data,
            trained={
                "clips": len(material.clips(split.train)),
                "step": read_selection(out)["step"],
                "test": results.get("test"),
                "shared": shared,
                "copies": len(copies),
            },
            evidence=summaries,
            levels=levels,
        )
        return export(
            system,
            recipe,
            out / BUNDLE,
            labels=material.labels,
            data=data,
            versions=versions(recipe),
            card=card,
            graph_only=graph_only,
            temperature=levels["plain"].calibration.temperature if levels else 1.0,
            levels=levels,
        )


def provenance(recipe: Recipe, utterances: Sequence[Utterance]) -> list[dict[str, object]]:
    """One mapping per corpus: name, licence, whether that is non-commercial, languages, utterances, speakers."""
    rows: list[dict[str, object]] = []
    for corpus in sorted({utterance.corpus for utterance in utterances}):
        mine = [utterance for utterance in utterances if utterance.corpus == corpus]
        licence = recipe.licences.get(corpus) or (CORPORA[corpus].licence if corpus in CORPORA else NO_LICENCE)
        rows.append(
            {
                "name": corpus,
                "licence": licence,
                "non_commercial": non_commercial(licence),
                "languages": sorted({u.language for u in mine if u.language}),
                "utterances": len(mine),
                "speakers": len({utterance.speaker for utterance in mine}),
            }
        )
    return rows


def read_summary(run: Path) -> dict[str, object]:
    """The summary of a crossval run.

    Raises:
        RunError: The folder holds none.
    """
    if not (run / SUMMARY).is_file():
        raise RunError(f"{run}: no {SUMMARY} here; --evidence takes WORDS=FOLDER of a finished crossval")
    return read(run)
