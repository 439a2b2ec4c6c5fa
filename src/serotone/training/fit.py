"""One fold: a split and its waveforms -> a trained system, its predictions and its scores, in a run folder.

A fold that was killed takes up its last whole epoch when it is started again, and ends as an unbroken one would:
every epoch re-seeds from (seed, repetition, fold, epoch), and the checkpoint holds everything else.
"""

import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from serotone.errors import RunError
from serotone.files import write_json, write_whole
from serotone.modeling.system import System
from serotone.recipes import Recipe
from serotone.runs import layout, writing
from serotone.runs.reading import check_beginning
from serotone.splits import Split
from serotone.training.allocation import enough_memory, keep_freed_memory
from serotone.training.answers import write_embeddings, write_predictions
from serotone.training.build import build_system
from serotone.training.checkpoint import read_checkpoint
from serotone.training.data import Clips, derived_seed, in_order, shuffled
from serotone.training.distil import distil, taught
from serotone.training.loggers import logged
from serotone.training.material import Material
from serotone.training.module import Training
from serotone.training.objective import Mixture, Objective
from serotone.training.pretrained import load_pretrained
from serotone.training.progress import bars
from serotone.training.quantise import as_bundled
from serotone.training.solving import solve, table_of, vectors_of, vectors_of_copies
from serotone.training.strangers import Table
from serotone.training.versions import device_of, record

STANDARDISER_BATCH = 16


class _KeepEpoch(pl.Callback):
    """Writes the checkpoint at the end of every epoch: whole, or the previous one stays."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.end_epoch()
        write_whole(self.path, lambda temporary: trainer.save_checkpoint(temporary, weights_only=False))


def fit(
    recipe: Recipe, split: Split, material: Material, folder: Path, callbacks: Sequence[pl.Callback] = ()
) -> tuple[System, float]:
    """Train on a split, or take an interrupted training up again: the system that counts, and seconds spent before.

    The callbacks hear of every step; a head that is solved has none. Leaves ``curves.csv``, ``selection.json``,
    ``versions.json`` and, until :func:`clear`, the checkpoint in ``folder``.
    """
    keep_freed_memory()
    seed = derived_seed(recipe.seed, split.repetition, split.fold)
    train = material.clips(split.train, piece=recipe.clip_samples if recipe.segments else None)
    validation = material.clips(split.validation)
    check_classes(train, validation, material.labels)
    folder.mkdir(parents=True, exist_ok=True)
    record(folder, recipe)
    if recipe.convex is not None:
        return _solved(recipe, train, material, folder, seed=seed), 0.0
    checkpoint = folder / layout.CHECKPOINT
    module = prepare(recipe, train, material.labels, seed=seed, mixture=material.mixture(train))
    check_steps(module, train, validation)
    if not checkpoint.is_file():
        _begin(module.system, recipe, train, folder)
        module.begin_average()
    run_loop(module, validation, folder, callbacks)
    finished = as_bundled(module.finish(), recipe.bundle)
    writing.write_training(folder, module.curves, step=module.kept_step, monitor=recipe.monitor, score=_score(module))
    return finished, module.seconds_before


def check_classes(train: Clips, validation: Clips, labels: Sequence[str]) -> None:
    """Make sure that a training part has clips of every class.

    Raises:
        RunError: It has none of one.
    """
    trained, validated = (clips.counts(len(labels)) for clips in (train, validation))
    missing = [label for label, count in zip(labels, trained, strict=True) if count == 0]
    if missing:
        others = any(count for count, own in zip(validated, trained, strict=True) if own == 0)
        nobody = ", or validate on nobody, where the protocol takes that (protocol.validation_speakers=0)"
        raise RunError(
            f"the training part has no clip of {', '.join(missing)}; leave that out of labels, or merge it into another"
            f" emotion{nobody if others else ''}"
        )


def check_steps(module: Training, train: Clips, validation: Clips) -> None:
    """Make sure that a schedule is long enough for its rate to rise, and for a validation to count.

    Raises:
        RunError: It is not.
    """
    schedule, name = module.recipe.training, f"schedules.{module.recipe.schedule}"
    epoch = schedule.steps_per_epoch(len(train))
    if schedule.warm_up_steps > module.steps:
        raise RunError(
            f"{name}.warm_up_steps is {schedule.warm_up_steps}, but the schedule has {module.steps} steps, {epoch} an"
            " epoch; lower it, or train longer"
        )
    every, first = schedule.validate_every or epoch, max(1, module.select_from)
    if module.recipe.monitor != "none" and len(validation) and module.steps // every * every < first:
        often = f"every {every} steps" if schedule.validate_every else f"an epoch, which is {every} steps"
        remedy = "lower validate_every" if schedule.validate_every else "set validate_every to fewer steps"
        if first > every and first == schedule.select_from:
            remedy = "lower select_from"
        elif first > every:
            remedy = "lower annealing.share"
        raise RunError(
            f"{name} ends at step {module.steps} before a validation counts: there is one {often}, and the first that"
            f" counts is at step {first} or later; {remedy}, train longer, or set monitor to none"
        )


def _begin(system: System, recipe: Recipe, train: Clips, folder: Path) -> None:
    """Give a system what it begins with: pretrained weights, which ``weights.json`` names, or statistics of clips."""
    if recipe.weights is not None:
        loaded = load_pretrained(system.encoder, recipe.weights).to_dict()
        check_beginning(folder, layout.WEIGHTS, loaded)
        write_json(folder / layout.WEIGHTS, loaded)
    if recipe.standardise:
        fit_standardiser(system, train)


def _solved(recipe: Recipe, train: Clips, material: Material, folder: Path, *, seed: int) -> System:
    """A system whose head is solved, on parts that are frozen, or were distilled before; the curve is theirs."""
    torch.manual_seed(seed)
    system = build_system(recipe, len(material.labels))
    _begin(system, recipe, train, folder)
    curve: list[dict[str, float]] = []
    if recipe.distil is not None:

        def by_teacher() -> Table:
            corpora, speakers = material.corpora, material.speakers
            return taught(recipe, train, folder, labels=material.labels, corpora=corpora, speakers=speakers)

        curve = distil(system, recipe, train, by_teacher, folder, seed=seed)
    system = as_bundled(system, recipe.bundle)  # heads are fitted on what the bundle will compute
    solve(system, recipe, training_table(recipe, system, train, material), folder)
    writing.write_training(folder, curve, step=0, monitor=recipe.monitor, score=None)
    return system


def training_table(recipe: Recipe, system: System, clips: Clips, material: Material) -> Table:
    """The vectors of clips and what is known of them, as a convex recipe fits its heads on."""
    assert recipe.convex is not None
    return table_of(
        vectors_of(system, recipe, clips, material.vectors),
        labels=material.labels,
        targets=material.targets,
        corpora=material.corpora,
        speakers=material.speakers,
        copies=vectors_of_copies(system, recipe, clips, material.vectors),
    )


def _score(module: Training) -> float | None:
    return module.kept_score if module.kept is not None else None


def prepare(
    recipe: Recipe, train: Clips, labels: tuple[str, ...], *, seed: int, mixture: Mixture | None = None
) -> Training:
    """An untrained system, its class weights and its batches: all from the recipe, the training part and the seed."""
    torch.manual_seed(seed)
    schedule = recipe.training
    system = build_system(recipe, len(labels))
    return Training(
        system,
        recipe,
        labels=labels,
        objective=Objective(
            recipe,
            system,
            labels=labels,
            counts=train.counts(len(labels)),
            longest=max(train.samples()),
            mixture=mixture,
        ),
        batches=lambda epoch: shuffled(
            train,
            batch_size=schedule.batch_size,
            pool_batches=schedule.pool_batches,
            seed=derived_seed(seed, "batches", epoch),
        ),
        part=lambda: in_order(train, batch_size=schedule.batch_size),
        steps=schedule.steps or (schedule.epochs or 0) * schedule.steps_per_epoch(len(train)),
        seed=seed,
    )


def fit_standardiser(system: System, clips: Clips) -> None:
    """Fit the standardiser on the training part's frames, and nothing else."""
    with torch.no_grad():
        batches = in_order(clips, batch_size=STANDARDISER_BATCH)
        analysed = ((batch.lengths, *system.analyse(batch.waveforms, batch.lengths)) for batch in batches)
        system.standardiser.fit((frames, system.standardised(lengths, counts)) for lengths, frames, counts in analysed)


def run_loop(module: Training, validation: Clips, folder: Path, callbacks: Sequence[pl.Callback] = ()) -> pl.Trainer:
    """Let Lightning drive the epochs, from the checkpoint where there is one."""
    schedule = module.recipe.training
    checkpoint = folder / layout.CHECKPOINT
    for name in ("utilities.rank_zero", "accelerators.cuda", "trainer.connectors.signal_connector"):
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Clips lie decoded in memory: there is nothing for worker processes to do.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning's own call into torch's key-word spelling.
        warnings.filterwarnings("ignore", message=".*isinstance.*LeafSpec.*")
        # A protocol may have no validation part; the last step then counts.
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
        # The step decides the end, not the epoch.
        warnings.filterwarnings("ignore", message=".*max_epochs.*")
        trainer = pl.Trainer(
            accelerator=device_of(module.recipe).type,
            devices=1,
            max_steps=module.steps,
            max_epochs=-1,
            gradient_clip_val=schedule.clip_norm,
            precision="bf16-mixed" if schedule.precision == "bfloat16" else "32-true",
            val_check_interval=schedule.validate_every if len(validation) else None,
            check_val_every_n_epoch=None if len(validation) and schedule.validate_every else 1,
            limit_val_batches=None if len(validation) else 0,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            deterministic=True,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            default_root_dir=folder,
            callbacks=[_KeepEpoch(checkpoint), *bars(folder.name), *callbacks],
        )
        if checkpoint.is_file():
            read_checkpoint(checkpoint, module, under="state_dict", beside=("loops", "optimizer_states"))
        try:
            trainer.fit(
                module,
                val_dataloaders=in_order(validation, batch_size=schedule.batch_size) if len(validation) else None,
                ckpt_path=checkpoint if checkpoint.is_file() else None,
                weights_only=True,
            )
        except SystemExit as ended:
            # Lightning turns Ctrl-C into an exit of its own; the caller decides what it means.
            if not trainer.interrupted:
                raise
            why = ended.__context__
            raise (why if isinstance(why, KeyboardInterrupt) else KeyboardInterrupt()) from None
    return trainer


def clear(folder: Path) -> None:
    """Forget the checkpoint of a fold that is finished."""
    for name in (layout.CHECKPOINT, layout.DISTIL_CHECKPOINT):
        (folder / name).unlink(missing_ok=True)


def run_fold(
    recipe: Recipe,
    split: Split,
    material: Material,
    folder: Path,
    *,
    embeddings: bool = False,
    log: Sequence[str] = (),
) -> tuple[System, dict[str, object]]:
    """Fit a split, predict its validation and test parts, and write what came of it.

    ``predictions.csv`` and ``validation.csv`` hold truth, prediction and probabilities; ``embeddings.npz``, where it is
    asked for, those of the training and the test part; ``metrics.json`` comes last: where it lies, the fold is done.
    ``log`` names the tools that hear of all this too (`serotone.training.loggers`).
    """
    start = time.perf_counter()
    if split.test and not len(material.clips(split.test)):
        raise RunError(
            f"none of the {len(split.test)} test clips could be read, such as {split.test[0]}; repair the"
            " files, or leave them out of the corpus"
        )
    writing.tidy(folder)
    writing.check_parts(folder, split)
    writing.write_parts(folder, split)
    remedy = f"lower schedules.{recipe.schedule}.batch_size, or crop clips by max_frames"
    with logged(log, recipe, split, folder) as callbacks, enough_memory(RunError, "a batch of this training", remedy):
        system, before = fit(recipe, split, material, folder, callbacks)
        results: dict[str, Any] = {"fold": split.fold, "repetition": split.repetition}
        for part, ids, name in (
            ("validation", split.validation, layout.VALIDATION),
            ("test", split.test, layout.PREDICTIONS),
        ):
            clips = material.clips(ids)
            if len(clips):
                results[part] = write_predictions(system, recipe, clips, material, folder / name)
        if test := results.get("test"):
            for callback in callbacks:
                callback.tested(test["wa"], test["ua"])
        results["seconds"] = round(before + time.perf_counter() - start, 1)
        train, validation = material.clips(split.train), material.clips(split.validation)
        results["clips"] = {"train": len(train), "validation": len(validation)}
        if embeddings:
            write_embeddings(system, {"train": train, "test": material.clips(split.test)}, material.labels, folder)
        writing.finish(folder, results)
    return system, results
