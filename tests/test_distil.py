"""Distillation: what is taught, that it is learned, that a killed training ends as an unbroken one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from sklearn.decomposition import PCA

from serotone.corpora import Utterance, parse_corpora, synthetic
from serotone.errors import RecipeError, RunError
from serotone.experiments.planning import gather
from serotone.experiments.train import train
from serotone.modeling.system import System
from serotone.recipes import Recipe, load
from serotone.recognition.loading import verify
from serotone.recognition.recognizer import Recognizer
from serotone.runs.layout import DISTIL_CHECKPOINT, STUDENT
from serotone.splits import Split
from serotone.training import distil as module
from serotone.training.build import build_system
from serotone.training.distil import (
    crops,
    frames_of,
    lessons_of,
    principal_components,
    smoothed_cross_entropy,
    taught,
)
from serotone.training.fit import fit
from serotone.training.material import Material
from serotone.training.strangers import Table

TEACHER: dict[str, Any] = {
    "schema": 1,
    "extends": "default",
    "description": "a Whisper of no size",
    "labels": ["angry", "happy", "neutral", "sad"],
    "encoder": {"width": 16, "heads": 4, "layers": [1, 2]},
}
SMALL: dict[str, Any] = {
    "schema": 1,
    "extends": "light",
    "description": "a student of no size",
    "labels": ["angry", "happy", "neutral", "sad"],
    "held_out_speakers": [],
    "protocol": "all",
    "encoder": {"filters": [16, 16, 16, 16]},
    "distil": {"components": 8, "epochs": 3, "batch_size": 8},
    "schedules": {"convex": {"strength": 0.01}},
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("recipes")
    weights = folder / "teacher.safetensors"
    (folder / "teacher.yaml").write_text(yaml.safe_dump(TEACHER | {"weights": {"source": str(weights)}}))
    torch.manual_seed(0)
    encoder = build_system(load(folder / "teacher.yaml"), 2).encoder
    save_file({name: value.contiguous() for name, value in encoder.state_dict().items()}, weights)
    lines = SMALL | {"distil": SMALL["distil"] | {"teacher": str(folder / "teacher.yaml")}}
    (folder / "student.yaml").write_text(yaml.safe_dump(lines))
    return load(folder / "student.yaml")


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    root = tmp_path_factory.mktemp("voices")
    synthetic.make(root, speakers=4, seed=0, sentences=1)
    return parse_corpora([f"synthetic={root}"])


@pytest.fixture(scope="module")
def material(recipe: Recipe, utterances: list[Utterance]) -> Material:
    return gather(recipe, utterances)[0]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEROTONE_CACHE", str(tmp_path / "cache"))


def changed(recipe: Recipe, **values: object) -> Recipe:
    assert recipe.distil is not None
    return recipe.model_copy(update={"distil": recipe.distil.model_copy(update=values)})


def fitted(recipe: Recipe, material: Material, folder: Path) -> System:
    everyone = Split(0, 0, tuple(sorted(material.targets)), (), ())
    return fit(recipe, everyone, material, folder)[0]


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_components_are_those_of_scikit_learn_up_to_sign() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((60, 6)) @ np.diag([9, 5, 3, 1, 0.5, 0.1]) @ rng.standard_normal((6, 20))
    found = principal_components(values, count=3, whitening=0.0)
    expected = PCA(3, svd_solver="full").fit_transform(values)
    expected /= np.sqrt((expected**2).mean())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)
    np.testing.assert_allclose(principal_components(values, count=3, whitening=1.0).std(axis=0), np.ones(3), atol=1e-6)


def test_a_room_is_no_lesson_and_an_emotion_that_a_corpus_lacks_no_negative() -> None:
    """Two corpora with the same clips, one of them moved and stretched: their lessons are the same."""
    rng = np.random.default_rng(2)
    clips = rng.standard_normal((1000, 5))
    targets = np.tile([0, 1], 500)
    table = Table(
        ("angry", "happy", "sad"),
        np.concatenate([clips, 3 * clips + 7]),
        np.concatenate([targets, targets]),
        np.array(["a"] * 1000 + ["b"] * 1000),
        np.array(["x"] * 2000),
    )
    choice = load("light").distil
    assert choice is not None
    lessons = lessons_of(table, choice)
    torch.testing.assert_close(lessons.components[:1000], lessons.components[1000:], atol=0.05, rtol=0)
    assert lessons.possible.tolist() == [[True, True, False]] * 2000


def test_smoothed_cross_entropy_is_torchs_where_all_is_possible() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    everything = torch.ones(5, 4, dtype=torch.bool)
    expected = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    torch.testing.assert_close(smoothed_cross_entropy(logits, targets, everything, smoothing=0.1), expected)
    # A class that is not possible might as well not exist.
    three = everything.clone()
    three[:, 3] = False
    kept = targets != 3
    found = smoothed_cross_entropy(logits[kept], targets[kept], three[kept], smoothing=0.1)
    expected = torch.nn.functional.cross_entropy(logits[kept, :3], targets[kept], label_smoothing=0.1)
    torch.testing.assert_close(found, expected)


def test_crops_are_pieces_of_their_clips_of_one_length_and_every_clip_comes_once() -> None:
    frames = [torch.arange(100 * k, 100 * k + size)[:, None].float() for k, size in enumerate((30, 35, 40, 60, 90))]
    seen = []
    for members, values in crops(frames, batch_size=2, longest=50, seed=3):
        assert values.shape[1] <= min(50, *(len(frames[member]) for member in members))
        for member, piece in zip(members, values, strict=True):
            start = int(piece[0, 0]) - 100 * member
            assert torch.equal(piece, frames[member][start : start + len(piece)])
        seen += members
    assert len(seen) == len(set(seen)) == 4  # and the one that is left over has no deviation
    again = [values for _, values in crops(frames, batch_size=2, longest=50, seed=3)]
    first = [values for _, values in crops(frames, batch_size=2, longest=50, seed=3)]
    assert all(torch.equal(a, b) for a, b in zip(again, first, strict=True))


def test_frames_are_those_of_a_clip_alone(recipe: Recipe, material: Material) -> None:
    clips = material.clips(list(material.targets)[:5])
    system = build_system(recipe, 4)
    for name, found in zip(clips.utterances, frames_of(system, clips), strict=True):
        waveform = torch.from_numpy(clips.waveforms[name])[None]
        expected = system.analyse(waveform, torch.tensor([waveform.shape[1]]))[0][0]
        torch.testing.assert_close(found.float(), expected, atol=2e-3, rtol=0)


def test_a_pupil_comes_nearer_to_its_teacher(recipe: Recipe, material: Material, tmp_path: Path) -> None:
    fitted(changed(recipe, epochs=16, augmentation=0.0), material, tmp_path)
    lines = (tmp_path / "curves.csv").read_text(encoding="utf-8").splitlines()
    losses = [float(line.split(",")[1]) for line in lines[1:]]
    assert lines[0] == "epoch,loss_teacher,loss_emotion"
    assert losses[-1] < 0.95 * losses[0]


def test_a_killed_training_ends_as_an_unbroken_one_and_a_seed_decides(
    recipe: Recipe, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = fitted(recipe, material, tmp_path / "unbroken").state_dict()
    whole = module.write_bytes

    def killed(path: Path, content: bytes) -> None:
        whole(path, content)
        if path.name == DISTIL_CHECKPOINT:
            raise KeyboardInterrupt

    for _ in range(2):
        monkeypatch.setattr(module, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted(recipe, material, tmp_path / "broken")
    monkeypatch.setattr(module, "write_bytes", whole)
    checkpoint = tmp_path / "broken" / DISTIL_CHECKPOINT
    kept = checkpoint.read_bytes()
    state = torch.load(checkpoint, weights_only=True)
    weights = {name: value[None] for name, value in state["student"].items()}
    for damage in (
        lambda: checkpoint.write_bytes(kept[:-100]),
        lambda: torch.save({"a": 1}, checkpoint),
        lambda: torch.save(state | {"student": weights}, checkpoint),
    ):
        damage()
        with pytest.raises(RunError, match=r"distil.ckpt: damaged; delete it"):
            fitted(recipe, material, tmp_path / "broken")
    checkpoint.write_bytes(kept)
    assert same(unbroken, fitted(recipe, material, tmp_path / "broken").state_dict())
    # One that is finished does not ask its teacher again.
    with monkeypatch.context() as without:
        without.setattr(module, "teacher_of", lambda choice: pytest.fail("the teacher was asked again"))
        assert same(unbroken, fitted(recipe, material, tmp_path / "broken").state_dict())
    other = fitted(recipe.model_copy(update={"seed": 1}), material, tmp_path / "other").state_dict()
    assert not same(unbroken, other)


def test_it_ends_in_a_bundle_that_answers_and_adapts(
    recipe: Recipe, utterances: list[Utterance], tmp_path: Path
) -> None:
    bundle = train(recipe, utterances, tmp_path / "run")
    verify(bundle)
    assert set(bundle.adaptation) == {"collection", "speaker"}
    answer = Recognizer(bundle.path).predict(utterances[0].path)
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-4)


def test_another_run_starts_from_the_student(recipe: Recipe, material: Material, tmp_path: Path) -> None:
    fitted(recipe, material, tmp_path / "first")
    student = load_file(tmp_path / "first" / STUDENT)
    weights = {"source": str(tmp_path / "first" / STUDENT), "licence": "none"}
    second = Recipe.model_validate(
        changed(recipe, epochs=1, learning_rate=1e-12).model_dump(by_alias=True) | {"weights": weights}
    )
    fitted(second, material, tmp_path / "second")
    for name, value in load_file(tmp_path / "second" / STUDENT).items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(value, student[name], atol=1e-6, rtol=0)


def test_teacher_and_pupil_hear_the_same(recipe: Recipe, material: Material, tmp_path: Path) -> None:
    deaf = recipe.model_copy(update={"bundle": recipe.bundle.model_copy(update={"speech": None})})
    known = {"labels": material.labels, "corpora": material.corpora, "speakers": material.speakers}
    with pytest.raises(RunError, match="both must use the same audio"):
        taught(deaf, material.clips(list(material.targets)), tmp_path, **known)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["standardise=per-bin"], "set both to null"),
        (["frontend.logarithm=db"], "set frontend.logarithm to relative, or distil.augmentation to 0"),
        (["schedules.plain={epochs: 1, learning_rate: 0.1}", "schedule=plain"], "choose a convex schedule"),
    ],
)
def test_what_does_not_fit_is_refused(changes: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load("light", changes)


def test_a_teacher_that_knows_nothing_is_refused(recipe: Recipe) -> None:
    choice = changed(recipe, teacher="crnn-mel").distil
    assert choice is not None
    with pytest.raises(RecipeError, match="without pretrained weights; name one with weights"):
        module.teacher_of(choice)
