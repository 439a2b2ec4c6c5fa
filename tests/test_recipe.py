"""Recipes: what they say, what they refuse."""

from pathlib import Path

import pytest

from serotone.errors import RecipeError
from serotone.recipes import load, shipped


def test_the_four_published_settings_differ_only_in_what_they_study() -> None:
    mel, center = load("crnn-mel").model_dump(), load("crnn-center-mel").model_dump()
    different = {key for key in mel if mel[key] != center[key]}
    assert different == {"name", "description", "center"}
    assert center["center"]["weight"] == 0.3
    stft = load("crnn-stft")
    assert (stft.frontend.name, stft.frontend.offset, stft.training.steps) == ("spectrogram", 1e-8, 2920)


@pytest.mark.parametrize("name", shipped())
def test_a_resolved_recipe_reads_back_as_itself(name: str, tmp_path: Path) -> None:
    recipe = load(name)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load(tmp_path / "again.yaml") == recipe
    assert recipe.convex is not None or "budget" in recipe.schedules
    pretrained = recipe.weights is not None or recipe.distil is not None
    assert pretrained or {"paper", "budget"} <= set(recipe.schedules)


RESULTS = Path(__file__).resolve().parent.parent / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("recipe.yaml")), ids=lambda path: str(path.relative_to(RESULTS)))
def test_recipes_of_kept_runs_are_still_read(path: Path, tmp_path: Path) -> None:
    recipe = load(path)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize("part", ["pooling=mean", "encoder=vlcrnn", "head=linear", "frontend=spectrogram"])
def test_a_part_may_be_given_by_its_name_alone(part: str) -> None:
    key, name = part.split("=")
    assert load("crnn-mel", [part]) == load("crnn-mel", [f"{key}={{name: {name}}}"])


def test_overrides_reach_inside() -> None:
    recipe = load("crnn-mel", ["center.weight=3", "schedule=budget", "protocol=leave-one-speaker-out"])
    assert recipe.center.weight == 3
    assert recipe.training.steps == 352
    assert recipe.protocol.name == "leave-one-speaker-out"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nonsense=1", "unknown key 'nonsense'"),
        ("center.lambda=1", "unknown key 'center.lambda'"),
        ("schedule=fast", "is not in this recipe"),
        ("seed", "expected key=value"),
        ("seed.deeper=1", "seed: .*integer"),
        ("center.alpha=2", "center.alpha"),
        ("labels=[cheerful, sad]", "cheerful"),
        ("schema=2", "schema"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(change: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load("crnn-mel", [change])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", "expected a mapping"),
        ("a: [", "not YAML"),
        ("schema: 1\nextends: nothing\n", "no recipe 'nothing'"),
        ("schema: 1\nextends: crnn-centre-mel\n", r"no recipe 'crnn-centre-mel' \(did you mean crnn-center-mel\?\)"),
        ("schema: 1\nextends: me.yaml\n", "circle"),
        ("extends: crnn-mel\nsize: 4\n", "unknown key 'size'"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "me.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words):
        load(path)


def test_a_missing_recipe_lists_those_that_ship() -> None:
    with pytest.raises(RecipeError, match="crnn-center-mel"):
        load("crnn-centre-mel")


def test_the_shipped_bundles_recipe_holds_one_speaker_out() -> None:
    protocol = load("emodb-crnn").protocol
    assert (protocol.name, protocol.folds) == ("leave-one-speaker-out", None)
