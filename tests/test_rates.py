"""Learning rates: by hand, against PyTorch's schedulers, and in the optimiser."""

import pytest
import torch

from serotone.errors import RecipeError
from serotone.recipes import load
from serotone.training.rates import rate


def scheduled(steps: int, make) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("steps", [10, 57])
def test_one_cycle_is_that_of_torch(steps: int) -> None:
    def make(optimiser):
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=steps, cycle_momentum=False)

    assert [rate(k, steps=steps, shape="one-cycle") for k in range(steps)] == pytest.approx(scheduled(steps, make))


def test_cosine_and_linear_are_those_of_torch() -> None:
    cosine = scheduled(20, lambda optimiser: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20))
    assert [rate(k, steps=20, shape="cosine") for k in range(20)] == pytest.approx(cosine)
    linear = scheduled(20, lambda optimiser: torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, 20))
    assert [rate(k, steps=20, shape="linear") for k in range(20)] == pytest.approx(linear)


def test_warming_up_by_hand() -> None:
    assert [rate(k, steps=9, warm_up_steps=4) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [rate(k, steps=4, shape="linear", warm_up_steps=4) for k in range(4)] == [0.25, 0.5, 0.75, 1.0]
    cycle = [rate(k, steps=9, shape="one-cycle", warm_up_steps=3) for k in range(9)]
    assert cycle.index(max(cycle)) == 2
    assert (cycle[0], cycle[2], cycle[8]) == pytest.approx((1 / 25, 1.0, 1 / 25e4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("weight_decay=0.1", r"schedules\.budget: weight_decay is 0\.1, but only the optimiser adamw decays weights"),
        ("warm_up_steps=353", "warm_up_steps is 353, but the schedule has 352 steps"),
        ("learning_rates.head=0", "the head must learn"),
        ("learning_rates.ear=1", "learning_rates.ear"),
        ("learning_rates.encoder=-1", "learning_rates.encoder is -1; expected at least 0"),
        ("average=1", "schedules.budget.average"),
    ],
)
def test_what_a_schedule_refuses(change: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load("crnn-mel", [f"schedules.budget.{change}"])
