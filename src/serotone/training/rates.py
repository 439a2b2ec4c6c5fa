"""The learning rate of a step, as a share of the schedule's; a function of the step alone, so nothing is carried."""

import math

from serotone.recipes.schedules import Shape

RISE, START, END = 0.3, 1 / 25, 1 / 25e4
"""Of one-cycle (Smith and Topin, "Super-convergence", 2017, as PyTorch has it): the share of the steps that it rises
over, where it starts and where it ends."""


def rate(step: int, *, steps: int, shape: Shape = "constant", warm_up_steps: int = 0) -> float:
    """Share of the learning rate at a step counted from 0, of so many ``steps``; between 0 and 1.

    Over the first ``warm_up_steps`` the rate rises in equal steps to 1. From there on ``linear`` and ``cosine`` fall
    toward 0, which the step after the last one would have. ``one-cycle`` rises by a cosine from 1/25 to 1 over the
    first 30 % of all steps, or over ``warm_up_steps`` where there are any, and falls by a cosine to 1/250,000.

    >>> [rate(step, steps=6, shape="linear", warm_up_steps=2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if shape == "one-cycle":
        top = (warm_up_steps or RISE * steps) - 1
        if step <= top:
            return _between(START, 1.0, step / top if top > 0 else 1.0)
        return _between(1.0, END, (step - top) / max(steps - 1 - top, 1))
    if step < warm_up_steps:
        return (step + 1) / warm_up_steps
    done = (step - warm_up_steps) / max(steps - warm_up_steps, 1)
    return {"constant": 1.0, "linear": 1.0 - done, "cosine": _between(1.0, 0.0, done)}[shape]


def _between(start: float, end: float, done: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1.0 + math.cos(math.pi * done)) / 2.0
