"""A recipe whose head is solved, over two corpora, from the command line to the bundle that adapts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from serotone.corpora import Utterance, parse_corpora, synthetic
from serotone.errors import RecipeError, RunError
from serotone.experiments.crossval import crossval
from serotone.experiments.planning import gather, plan
from serotone.experiments.train import train
from serotone.recipes import Recipe, load
from serotone.recipes.parts import ProtocolChoice
from serotone.recognition.adaptation import Adaptation
from serotone.recognition.loading import load_bundle
from serotone.training.answers import predict
from serotone.training.build import build_system
from serotone.training.data import Clips
from serotone.training.distort import distorted
from serotone.training.export import probabilities, reload
from serotone.training.fit import run_fold, training_table
from serotone.training.solving import levels_of, vectors_of
from serotone.training.states import fingerprint
from serotone.training.strangers import Table

LINES: dict[str, Any] = {
    "schema": 1,
    "extends": "crnn-mel",
    "description": "A frozen random encoder with a head that is solved",
    "labels": ["angry", "happy", "neutral", "sad"],
    "licences": {"home": "CC BY-NC 4.0"},
    "protocol": "leave-one-corpus-out",
    "encoder": {"hidden": 8},
    "pooling": "mean",
    "head": "standardised-linear",
    "monitor": "none",
    "schedule": "solved",
    "schedules": {"solved": {"solver": "convex", "strength": 0.03, "strengths": [0.003, 0.03]}},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEROTONE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "solved.yaml"
    path.write_text(yaml.safe_dump(LINES))
    return load(path)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Three corpora; one is a manifest that has no sad clip, and whose room is louder."""
    root = tmp_path_factory.mktemp("corpora")
    synthetic.make(root / "a", speakers=3, seed=0, sentences=1)
    synthetic.make(root / "b", speakers=3, seed=1, sentences=1, first_speaker=4)
    rows = ["path,emotion,speaker,language"]
    for path in synthetic.make(root / "home", speakers=3, seed=2, sentences=1, first_speaker=8):
        samples, rate = soundfile.read(path)
        soundfile.write(path, np.clip(2 * samples, -1, 1), rate)
        if "_sad_" not in path.name:
            rows.append(f"{path.name},{path.stem.split('_')[1]},{path.stem[:5]},xx")
    (root / "home" / "clips.csv").write_text("\n".join(rows))
    found = parse_corpora([f"synthetic={root / 'a'}", f"home={root / 'home' / 'clips.csv'}"])
    return found + [  # a second synthetic corpus, under a name of its own
        Utterance(f"other/{u.id}", u.path, u.emotion, f"other/{u.speaker}", "other", sentence=u.sentence)
        for u in synthetic.read(root / "b")
    ]


def test_a_bundle_of_several_corpora_adapts(recipe: Recipe, utterances: list[Utterance], tmp_path: Path) -> None:
    everything = recipe.model_copy(update={"protocol": recipe.protocol.model_copy(update={"name": "all"})})
    bundle = train(everything, utterances, tmp_path / "run")
    assert set(bundle.adaptation) == {"collection", "speaker"}
    assert bundle.adaptation["speaker"].shrinkage == 15.0
    heads = Adaptation(load_bundle(tmp_path / "run" / "bundle"))
    by_name = {str(item["name"]): item for item in bundle.data}
    assert by_name["home"]["licence"] == "CC BY-NC 4.0"
    assert by_name["home"]["non_commercial"] is True
    assert by_name["home"]["languages"] == ["xx"]
    assert by_name["other"]["licence"] == "none stated"

    material, _ = gather(everything, utterances)
    (split,) = plan(everything, utterances)
    system, _ = reload(bundle)
    table = training_table(everything, system, material.clips(split.train), material)
    levels = levels_of(everything, table, tmp_path / "run")
    assert bundle.temperature == pytest.approx(levels["plain"].calibration.temperature)
    assert bundle.thresholds["uncertain"] == levels["plain"].doubt.threshold
    np.testing.assert_allclose(
        heads.heads["collection"].weight, levels["collection"].linear.weight, rtol=1e-4, atol=1e-5
    )
    # the head's embedding is the vector standardised, every corpus and emotion counting alike
    waveform = torch.from_numpy(material.waveforms[split.train[0]])[None]
    with torch.no_grad():
        embedding = system(waveform, torch.tensor([waveform.shape[1]])).embedding
    np.testing.assert_allclose(embedding, table.standard().apply(table.vectors[:1]), atol=2e-3)
    assert np.isfinite(probabilities(system, waveform.numpy())).all()

    card = (tmp_path / "run" / "bundle" / "CARD.md").read_text()
    assert "**Non-commercial.** The licences of home allow" in card
    assert "| home | xx | 9 | 3 |" in card
    assert "| collection | 0.0" in card
    assert f"less\n  than {levels['plain'].doubt.threshold} for" in card


def test_one_speaker_is_refused_before_anything_is_computed(
    recipe: Recipe, utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = recipe.model_copy(update={"protocol": recipe.protocol.model_copy(update={"name": "all"})})
    alone = [u for u in utterances if u.speaker == utterances[-1].speaker]
    monkeypatch.setattr("serotone.experiments.train.gather", lambda *_: pytest.fail("clips were read"))
    with pytest.raises(RunError, match="all clips are of one speaker"):
        train(everything, alone, tmp_path / "run")


def test_crossval_leaves_each_corpus_out_and_encodes_each_clip_once(
    recipe: Recipe, utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    states = type(build_system(recipe, 4)).states

    def counted(self: Any, waveforms: Any, lengths: Any) -> Any:
        seen.append(len(lengths))
        return states(self, waveforms, lengths)

    monkeypatch.setattr("serotone.modeling.system.System.states", counted)
    fixed = recipe.model_copy(update={"standardise": None})  # else the frames' statistics are another fold's
    monkeypatch.setattr("serotone.training.fit.derived_seed", lambda *parts: 7)
    summary = crossval(fixed, utterances, tmp_path)
    assert summary["folds_finished"] == 3
    assert summary["length"] == "to convergence, strength 0.03"
    assert sum(seen) == 12 + 12 + 9


def test_all_speakers_but_the_one_who_tests_train_a_head(recipe: Recipe, utterances: list[Utterance]) -> None:
    apart = recipe.model_copy(update={"protocol": ProtocolChoice(name="leave-one-speaker-out")})
    for split in plan(apart, utterances):
        assert not split.validation
        assert len(split.train) + len(split.test) == sum(u.emotion in apart.labels for u in utterances)
    assert all(split.validation for split in plan(apart, utterances, judged=True))  # a search has nothing else


def test_frozen_vectors_answer_as_the_system_does(recipe: Recipe, utterances: list[Utterance], tmp_path: Path) -> None:
    material, _ = gather(recipe, utterances)
    split = plan(recipe, utterances)[0]
    system, results = run_fold(recipe, split, material, tmp_path)
    assert results["clips"] == {"train": 24, "validation": 0}
    clips = material.clips(split.test)
    rows = (tmp_path / "predictions.csv").read_text().splitlines()
    columns = rows[0].split(",")
    for name, row in predict(system, clips).items():
        (line,) = (line.split(",") for line in rows if line.startswith(f"{name},"))
        stated = [float(line[columns.index(f"p_{label}")]) for label in material.labels]
        assert stated == pytest.approx(row.tolist(), abs=1e-4)
    key = fingerprint(system, recipe)
    assert list(material.vectors) == [key]
    with torch.no_grad():
        next(system.encoder.parameters()).mul_(1.01)
    vectors_of(system, recipe, clips, material.vectors)
    assert list(material.vectors) == [fingerprint(system, recipe)] != [key]


def test_copies_are_encoded_once_and_train_alone(
    recipe: Recipe, utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = recipe.convex
    assert schedule is not None
    more = recipe.model_copy(
        update={"schedules": {"solved": schedule.model_copy(update={"distorted_copies": 2})}, "standardise": None}
    )
    material, _ = gather(more, utterances)
    split = plan(more, utterances)[0]
    system, results = run_fold(more, split, material, tmp_path / "run")
    assert results["clips"] == {"train": 24, "validation": 0}
    clips = material.clips(split.train)
    table = training_table(more, system, clips, material)
    assert table.vectors.shape == table.copies[0].shape == table.copies[1].shape
    name = clips.utterances[5]
    copy = distorted(material.waveforms[name], more.sample_rate, more.seed, name, 2)
    alone = vectors_of(system, more, Clips(["copy"], {"copy": copy}, {"copy": 0}), {})["copy"]
    np.testing.assert_allclose(table.copies[1][5], alone, atol=1e-5)
    other = more.model_copy(update={"seed": more.seed + 1})
    fresh = training_table(other, system, clips, replace(material, vectors={}))
    np.testing.assert_array_equal(training_table(other, system, clips, material).copies, fresh.copies)
    assert not np.array_equal(fresh.copies, table.copies)
    monkeypatch.setattr("serotone.modeling.system.System.states", None)  # all of them lie on disk
    again = training_table(more, system, clips, replace(material, vectors={}))
    np.testing.assert_array_equal(again.copies, table.copies)


def test_the_recipes_factor_raises_the_temperature_of_every_level(recipe: Recipe, tmp_path: Path) -> None:
    schedule = recipe.convex
    assert schedule is not None
    raised = recipe.model_copy(
        update={"schedules": {"solved": schedule.model_copy(update={"temperature_factor": 1.5})}}
    )
    generator = np.random.default_rng(0)
    targets = np.arange(96) % 4
    vectors = 0.7 * np.eye(4)[targets] + generator.standard_normal((96, 4))
    corpora, speakers = np.repeat(["a", "b"], 48), np.tile(np.repeat(["x", "y"], 24), 2)
    table = Table(("angry", "happy", "neutral", "sad"), vectors, targets, corpora, speakers)
    (tmp_path / "solved.json").write_text('{"strength": 0.03}')
    once, more = (levels_of(each, table, tmp_path) for each in (recipe, raised))
    assert list(more) == ["plain", "collection", "speaker"]
    for level, fitted in more.items():
        assert fitted.calibration.temperature == pytest.approx(1.5 * once[level].calibration.temperature)
        assert fitted.linear.weight == pytest.approx(once[level].linear.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "linear"}, "fits the head standardised-linear only"),
        ({"monitor": "ua"}, "set monitor to none and segments to false"),
        ({"schedules": {"solved": {"solver": "convex", "strength": 0}}}, "strength"),
        ({"schedules": {"solved": {"solver": "convex", "strength": 1, "distorted_copies": -1}}}, "distorted_copies"),
        ({"schedules": {"solved": {"solver": "simplex", "strength": 1}}}, "solver"),
    ],
)
def test_what_a_convex_recipe_cannot_say(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({**LINES, **change}))
    with pytest.raises(RecipeError, match=message):
        load(tmp_path / "r.yaml")
