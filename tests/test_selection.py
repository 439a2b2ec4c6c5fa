"""Which weights of a training count: those that the validation part chooses, by the score that the recipe names."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from serotone.recipes import load
from serotone.splits import Split
from serotone.training import fit as fitting
from serotone.training.data import Clips, derived_seed
from serotone.training.fit import fit, prepare
from serotone.training.material import Material
from serotone.training.module import Training

FIXED = ("clip_seconds=0.8", "bundle={max_seconds: 0.8, window_seconds: 0.8, hop_seconds: 0.4}")
LABELS = ("angry", "sad")
TRUTH = ["angry", "angry", "angry", "sad"]
ANSWERS = {
    "by WA": ["angry"] * 4,  # WA 3/4, UA 1/2
    "by UA": ["angry", "sad", "sad", "sad"],  # WA 1/2, UA 2/3
    "worse": ["sad"] * 4,  # WA 1/4, UA 1/2
}


def waveforms(names: str) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {name: generator.standard_normal(12_800).astype(np.float32) * 0.1 for name in names}


def training(*changes: str) -> Training:
    clips = Clips(list("abcdefgh"), waveforms("abcdefgh"), {name: "abcdefgh".index(name) % 2 for name in "abcdefgh"})
    return prepare(load("dycnn-static-lstm", [*FIXED, *changes]), clips, LABELS, seed=1)


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a training validate at a step with these answers; the head's bias then is the step. Says if it stops."""
    trainer = SimpleNamespace(current_epoch=0, should_stop=False)
    monkeypatch.setattr(Training, "trainer", trainer, raising=False)

    def validate(module: Training, step: int, answers: str) -> bool:
        monkeypatch.setattr(Training, "global_step", step, raising=False)
        with torch.no_grad():
            module.system.head.classifier.bias.fill_(step)
        module._truth, module._prediction = list(TRUTH), list(ANSWERS[answers])
        module.on_validation_epoch_end()
        return trainer.should_stop

    return validate


@pytest.mark.parametrize(("monitor", "step", "score"), [("wa", 10, 3 / 4), ("ua", 20, 2 / 3)])
def test_the_score_that_is_monitored_chooses_and_of_equals_the_first(
    validated: Any, monitor: str, step: int, score: float
) -> None:
    module = training(f"monitor={monitor}")
    for at, answers in ((10, "by WA"), (20, "by UA"), (30, "by WA"), (40, "by UA"), (50, "worse")):
        validated(module, at, answers)
    assert (module.kept_step, module.kept_score) == (step, pytest.approx(score))
    assert [point["wa"] for point in module.curves] == [3 / 4, 1 / 2, 3 / 4, 1 / 2, 1 / 4]
    assert module.finish().head.classifier.bias.tolist() == [step, step]


def test_no_validation_counts_before_its_time_and_patience_counts_from_there(validated: Any) -> None:
    module = training("monitor=wa", "schedules.paper.select_from=20", "schedules.paper.patience=2")
    stopped = [
        validated(module, at, answers) for at, answers in ((10, "by WA"), (20, "by UA"), (30, "worse"), (40, "by UA"))
    ]
    assert stopped == [False, False, False, True]
    assert module.kept_step == 20


def test_each_epoch_has_batches_of_its_own() -> None:
    module = training()
    orders = [[list(batch) for batch in module.batches(epoch).batch_sampler] for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]


def test_a_fold_learns_from_its_training_part_and_is_chosen_by_its_validation_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics of frames and the clips that validate; its test part is in neither. Folds have their own seeds."""
    recipe = load("crnn-mel", ["max_frames=80", "frontend.num_mels=64"])
    names = "abcdefghijkl"
    material = Material(
        LABELS,
        waveforms(names),
        {name: names.index(name) % 2 for name in names},
        dict.fromkeys(names, "toy"),
        dict.fromkeys(names, "toy/s"),
    )
    seen: list[tuple[int, list[str], list[str]]] = []
    statistics: list[list[str]] = []
    monkeypatch.setattr(fitting, "fit_standardiser", lambda system, clips: statistics.append(clips.utterances))
    monkeypatch.setattr(
        fitting,
        "run_loop",
        lambda module, validation, *_: seen.append(
            (module.seed, validation.utterances, sorted(name for b in module.batches(0) for name in b.ids))
        ),
    )
    for fold, parts in enumerate((("abcdef", "ghi", "jkl"), ("ghijkl", "abc", "def"))):
        train, validation, test = map(tuple, parts)
        fit(recipe, Split(fold, 3, train, validation, test), material, tmp_path / str(fold))
        assert statistics[fold] == list(train)
        assert seen[fold] == (derived_seed(recipe.seed, 3, fold), list(validation), list(train))
    assert len({seed for seed, *_ in seen}) == 2
