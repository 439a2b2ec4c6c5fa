"""Augmentation of frames: what each step does, seen on frames that are small enough to compute by hand."""

import math

import pytest
import torch

from serotone.training.augment import (
    FLOOR,
    MASKED,
    augmented,
    band_limited,
    equalised,
    masked,
    mixed,
    relative,
    resampled,
    spread,
)


def ramp(steps: int = 9, bands: int = 8) -> torch.Tensor:
    """A frame's value is its number; a band's is ten times its own."""
    return (torch.arange(steps)[:, None] + 10.0 * torch.arange(bands))[None]


def test_twice_as_fast_is_every_second_frame() -> None:
    torch.testing.assert_close(resampled(ramp(), 2.0, dim=1), ramp()[:, [0, 2, 4, 6]])


def test_between_two_frames_there_is_a_straight_line() -> None:
    slower = resampled(ramp(4), 0.5, dim=1)
    torch.testing.assert_close(slower[0, :, 0], torch.tensor([0, 0.5, 1, 1.5, 2, 2.5, 3, 3]))


def test_warped_bands_keep_their_number_and_repeat_the_last() -> None:
    warped = resampled(ramp(), 1.5, dim=2)
    expected = torch.tensor([0.0, 15, 30, 45, 60, 70, 70, 70])
    torch.testing.assert_close(warped[0, 0], expected)


def test_an_equaliser_is_a_line_through_its_points() -> None:
    gains = torch.tensor([[0.0, 0.6, 0.0]])
    torch.testing.assert_close(spread(gains, 5)[0, 0], torch.tensor([0, 0.3, 0.6, 0.3, 0]))
    added = equalised(ramp(bands=5), gains) - ramp(bands=5)
    torch.testing.assert_close(added, torch.tensor([0, 0.3, 0.6, 0.3, 0]).expand(1, 9, 5))


def test_mixing_adds_powers() -> None:
    frames, noise = torch.full((1, 2, 3), -1.0), torch.full((1, 2, 3), -1.0)
    torch.testing.assert_close(mixed(frames, noise), torch.full((1, 2, 3), math.log10(0.2)))
    assert torch.equal(mixed(frames, torch.full((1, 2, 3), -20.0)), frames)


def test_a_telephone_leaves_nothing_above_its_band() -> None:
    limited = band_limited(torch.zeros(2, 3, 8), torch.tensor([5.0, 8.0]))
    assert (limited[0, :, :5] == 0).all()
    assert (limited[0, :, 5:] == FLOOR).all()
    assert (limited[1] == 0).all()


def test_relative_frames_have_their_maximum_at_0_and_a_floor() -> None:
    frames = torch.tensor([[[-1.0, -3.0], [-12.0, -2.0]]])
    assert relative(frames).tolist() == [[[0.0, -2.0], [FLOOR, -1.0]]]


def test_a_mask_hides_a_span_of_each() -> None:
    hidden = masked(
        torch.zeros(1, 6, 5),
        times=(torch.tensor([1.0]), torch.tensor([3.0])),
        bands=(torch.tensor([4.0]), torch.tensor([4.5])),
    )[0]
    expected = torch.zeros(6, 5)
    expected[1:3] = MASKED
    expected[:, 4] = MASKED
    assert torch.equal(hidden, expected)


def clips() -> torch.Tensor:
    return relative(-3 * torch.rand(6, 40, 16, generator=torch.Generator().manual_seed(0)))


def test_a_seed_says_everything_and_another_one_something_else() -> None:
    first, again, other = (augmented(clips(), torch.Generator().manual_seed(seed), strength=1.0) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_no_strength_changes_nothing_and_strength_keeps_the_range() -> None:
    assert torch.equal(augmented(clips(), torch.Generator().manual_seed(1), strength=0), clips())
    for seed in range(20):
        values = augmented(clips(), torch.Generator().manual_seed(seed), strength=1.0)
        assert values.isfinite().all()
        assert values.min() >= FLOOR
        assert values.max() <= 0


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_more_strength_goes_further(strength: float) -> None:
    """Only equaliser and masks are compared: bands that are moved by a stretch would hide them."""

    def change(strength: float) -> float:
        moved = []
        for seed in range(30):
            values = augmented(clips(), torch.Generator().manual_seed(seed), strength=strength)
            if values.shape == clips().shape:
                moved.append(float((values - clips()).abs().mean()))
        return sum(moved) / len(moved)

    assert change(strength) > 1.5 * change(strength / 4)
