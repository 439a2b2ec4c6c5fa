"""Recipes: what they say, what they refuse."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serotone.errors import BundleError, RecipeError
from serotone.recipes import load, shipped
from serotone.recognition.bundle import MODEL
from toy_bundle import write_toy_manifest


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


SECONDS = st.floats(0.01, 20.0)


@given(st.tuples(SECONDS, SECONDS, SECONDS, SECONDS))
@settings(max_examples=40)
def test_what_a_recipe_says_of_its_bundle_is_what_a_bundle_may_say(seconds: tuple[float, ...]) -> None:
    lengths = {f"{name}_seconds": value for name, value in zip(("min", "window", "max", "hop"), seconds, strict=True)}
    changes = [f"bundle.{name}={value!r}" for name, value in lengths.items()]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MODEL).touch()
        try:
            load("vlcrnn-variable-length", changes)
        except RecipeError:
            with pytest.raises(BundleError, match="window_seconds"):
                write_toy_manifest(Path(folder), **lengths)
        else:
            assert write_toy_manifest(Path(folder), **lengths).hop_seconds == seconds[3]


RESULTS = Path(__file__).resolve().parent.parent / "results"
TRAINED = sorted(path for path in RESULTS.rglob("recipe.yaml") if "leave_out_failed" not in path.read_text())


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: str(path.relative_to(RESULTS)))
def test_recipes_of_kept_runs_are_still_read(path: Path, tmp_path: Path) -> None:
    recipe = load(path)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load(tmp_path / "again.yaml") == recipe


def test_null_means_no_merges_whatever_the_recipe_has(tmp_path: Path) -> None:
    assert load("default").merge == {"calm": "neutral"}
    plain = load("default", ["merge=null"])
    assert plain.merge == {}
    (tmp_path / "again.yaml").write_text(plain.to_yaml())
    assert load(tmp_path / "again.yaml") == plain


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
        (
            "labels=[angry, angry, sad]",
            r"labels is \[angry, angry, sad\]; expected at least two emotions, each of them once",
        ),
        ("labels=[angry]", r"labels is \[angry\]; expected at least two emotions"),
        ("center.weight=.inf", r"center.weight is .inf; expected a finite number"),
        ("schedules.budget.learning_rate=1e400", r"schedules.budget.learning_rate is .inf; expected a finite number"),
        ('name="a\\tb"', r"name: 'a\\tb'; expected printable characters on one line"),
        ("bundle.version=1.5", "bundle.version is 1.5; expected text"),
        ("nonsense=1", "unknown key 'nonsense'; expected one of schema, name, .*, bundle, on"),
        ("center.lambda=1", "unknown key 'center.lambda'; expected one of weight, alpha, update, warm_up_steps"),
        ("schedul=budget", r"unknown key 'schedul' \(did you mean schedule\?\)"),
        ("encoder.hiden=3", r"unknown key 'encoder.hiden' \(did you mean hidden\?\)"),
        (
            "batch_size=3",
            r"unknown key 'batch_size' \(did you mean schedules.paper.batch_size, schedules.budget.batch_size or"
            r" schedules.long.batch_size\?\)",
        ),
        ("schedule=fast", "schedule 'fast' is not in this recipe; choose one of paper, budget"),
        ("seed", "--set 'seed': expected key=value"),
        ("encoder.hidden=yes", "encoder.hidden is true, .* reads yes, .* expected a number"),
        ("loss.gamma=false", "loss.gamma is false, .* expected a number"),
        ("encoder={name: vlcrnn, filters: [16, yes]}", "encoder.filters.1 is true, .* expected a number"),
        ("seed.deeper=1", "seed is {deeper: 1}; expected a whole number"),
        ("schedules.budget.learning_rate=null", "schedules.budget.learning_rate is null; expected a number"),
        ("schedules.quick.steps=5", "schedules.quick.learning_rate is missing; add it"),
        ("schedules.budget.solver=adam", "schedules.budget: solver must be convex, or left out"),
        ("center.alpha=2", "center.alpha is 2; expected at most 1"),
        (
            "schedules.budget={validate_every: 90, select_from: 280}",  # of 352 steps: the last at 270
            "schedules.budget ends at step 352 before a validation counts: validate_every is 90 and select_from 280",
        ),
        (
            "schedules.budget={validate_every: 353, select_from: 1}",
            "schedules.budget ends at step 352 before a validation counts: validate_every is 353 and select_from 1",
        ),
        ("loss.alpha=[1]", r"loss.alpha is \[1\]; expected a number, or inverse-frequency, or keys and values"),
        (
            "loss.class_weights=even",
            "loss.class_weights is even; expected one of inverse-frequency, corpus-and-emotion",
        ),
        ("encoder=resnet", r"encoder.name is resnet; expected one of .* \(did you mean resnet18\?\)"),
        ("encoder=3", "encoder is 3; expected keys and values"),
        ("labels=[cheerful, sad]", "labels and merge name cheerful, which serotone does not know; use emotions among"),
        ("protocol=loso", "protocol.name: no protocol 'loso'; choose one of leave-one-speaker-out"),
        ("schema=2", "schema is 2; expected 1"),
        (
            "center={weight: 1, weight: 2}",
            "--set .*: the value is not YAML .*: line 1: the key 'weight' is given twice",
        ),
        ("center={alpha: 2, weigth: 1}", "unknown key 'center.weigth'. center.alpha is 2; expected at most 1"),
    ],
)
def test_a_wrong_override_says_what_was_given_and_what_was_expected(change: str, words: str) -> None:
    where = "" if words.startswith("--set") else "crnn-mel: "
    with pytest.raises(RecipeError, match=f"^{where}{words}"):
        load("crnn-mel", [change])


@pytest.mark.parametrize(
    "change",
    [
        "segments=true",
        "clip_seconds=3",
        "loss.margin=0.3",
        "schedules.budget={epochs: 3}",
        "schedules.budget.warm_up_steps=9000",
        "schedules.paper.weight_decay=0.1",
        "annealing={start: 3}",
        "weights={source: x, licence: y}",
        "pooling=loud-mean-sd",
        "standardise_over=speech-frames",
        "bundle.min_seconds=9",
        "bundle.products=int8",
        "distil={epochs: 3}",
    ],
)
def test_values_that_do_not_fit_together_are_named_without_the_rest_of_the_recipe(change: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load("crnn-mel", [change])
    given = change.partition("=")[0].rpartition(".")[2]
    assert given in str(caught.value) or "steps" in str(caught.value)
    assert "; " in str(caught.value)  # what is wrong; what to do
    assert "description" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", r"expected lines of the form key: value, got \[a, b\]"),
        ("", "expected lines of the form key: value, got null"),
        ("a: [", "not YAML that serotone reads: line 1: "),
        ("extends: crnn-mel\nseed: 1\nseed: 2\n", "line 3: the key 'seed' is given twice"),
        ("extends: crnn-mel\ncenter: {weight: 1, weight: 2}\n", "the key 'weight' is given twice"),
        ("extends: crnn-mel\ndescription: 2026-13-01\n", "month must be in 1..12"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("on=3", "on is 3; expected keys and values"),
        ("on=null", "on is null; expected keys and values"),
        ("on.emodb=3", "on.emodb is 3; expected keys and values"),
        ("training_only=3", "training_only is 3; expected a list"),
        ("training_only=emodb", "training_only is emodb; expected a list"),
        ("training_only=[[emodb]]", r"training_only.0 is \[emodb\]; expected text"),
    ],
)
def test_what_is_no_corpus_is_named_with_and_without_one(change: str, words: str, tmp_path: Path) -> None:
    key, value = change.split("=")
    path = tmp_path / "me.yaml"
    path.write_text(f'extends: crnn-mel\n"{key}": {value}\n')
    for corpora in (None, ["emodb"], ["emodb", "savee"]):
        with pytest.raises(RecipeError, match=f"^crnn-mel: {words}$"):
            load("crnn-mel", [change], corpora=corpora)
        if "." not in key and (corpora is None or change != "on=null"):
            with pytest.raises(RecipeError, match=f"me.yaml: {words}$"):
                load(path, corpora=corpora)


def test_a_file_in_another_encoding_says_so(tmp_path: Path) -> None:
    path = tmp_path / "me.yaml"
    path.write_bytes("extends: crnn-mel\ndescription: café\n".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"not a text file in UTF-8: .*; save it as UTF-8"):
        load(path)


def test_a_missing_recipe_lists_those_that_ship() -> None:
    with pytest.raises(RecipeError, match="crnn-center-mel"):
        load("crnn-centre-mel")


def test_the_shipped_bundles_recipe_holds_one_speaker_out() -> None:
    protocol = load("emodb-crnn").protocol
    assert (protocol.name, protocol.folds) == ("leave-one-speaker-out", None)
