"""How long will it take? A few steps of each recipe are timed, and the rest is multiplication.

Convex recipes take no steps, so they are not timed.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from serotone.experiments.units import Materials, Unit
from serotone.recipes import Recipe
from serotone.training.data import in_order
from serotone.training.fit import check_classes, check_steps, fit_standardiser, prepare
from serotone.training.versions import device_of

STEPS = 4
"""Steps timed, after one that is not: the first pays for what is set up once."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of one unit of a recipe on this machine, as it is now."""

    seconds_per_step: float
    steps: int
    """The schedule's; with patience, at most."""
    seconds_per_validation: float
    validations: int
    at_most: bool

    @property
    def seconds(self) -> float:
        """Training and validations together."""
        return self.seconds_per_step * self.steps + self.seconds_per_validation * self.validations


def estimate(unit: Unit, materials: Materials) -> Estimate:
    """Time a few steps and one validation of a unit; nothing is written.

    Raises:
        RunError: It cannot be trained: a class has no clip, or the schedule is too short.
    """
    recipe, split = unit.recipe, unit.split
    material = materials(recipe)
    train = material.clips(split.train, piece=recipe.clip_samples if recipe.segments else None)
    validation = material.clips(split.validation)
    check_classes(train, validation, material.labels)
    module = prepare(recipe, train, material.labels, seed=0, mixture=material.mixture(train))
    check_steps(module, train, validation)
    if recipe.standardise:
        some = material.clips(list(islice((name for name in split.train if name in material.waveforms), 16)))
        fit_standardiser(module.system, some)
    device = device_of(recipe)
    module.to(device)
    optimiser = module.configure_optimizers()
    module.system.train()
    seconds = []
    for index, batch in enumerate(islice(module.batches(0), STEPS + 1)):
        start = _now(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.training.precision == "bfloat16"):
            loss = module.training_step(module.transfer_batch_to_device(batch, device, 0), index)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        seconds.append(_now(device) - start)
    module.system.eval()
    start = _now(device)
    with torch.no_grad(), module.counting():
        for index, batch in enumerate(in_order(validation, batch_size=recipe.training.batch_size)):
            module.validation_step(module.transfer_batch_to_device(batch, device, 0), index)
    return Estimate(
        seconds_per_step=statistics.fmean(seconds[1:] or seconds),
        steps=module.steps,
        seconds_per_validation=_now(device) - start,
        validations=_validations(recipe, module.steps, recipe.training.steps_per_epoch(len(train)))
        if len(validation)
        else 0,
        at_most=recipe.training.patience is not None,
    )


def _now(device: torch.device) -> float:
    """Seconds, once all that the device was asked to do is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()


def _validations(recipe: Recipe, steps: int, steps_per_epoch: int) -> int:
    return steps // (recipe.training.validate_every or steps_per_epoch)


def hours(estimates: dict[str, Estimate], units: Sequence[Unit], *, jobs: int = 1) -> float:
    """Hours for units that wait, shared by so many jobs; ``estimates`` by row."""
    return sum(estimates[unit.row].seconds for unit in units) / jobs / 3600
