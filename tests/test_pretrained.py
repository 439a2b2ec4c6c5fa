"""Weights that a recipe names: found, fitted, refused in words, recorded, and never needed again by a bundle."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from file_server import Files, serving
from serotone.errors import RecipeError, RunError, WeightsError
from serotone.files import cache
from serotone.modeling.encoders import Whisper
from serotone.options.encoders import WhisperOptions
from serotone.recipes import load
from serotone.recipes.parts import Weights
from serotone.splits import Split
from serotone.training.build import build_system
from serotone.training.download import digest
from serotone.training.export import export, glides, reload
from serotone.training.fit import fit
from serotone.training.material import Material
from serotone.training.pretrained import FILE, load_pretrained, locate
from serotone.training.quantise import rounded

MELS, WIDTH = 8, 16


def made(layers: tuple[int, ...] = (2,), *, width: int = WIDTH, mels: int = MELS, heads: int = 4) -> Whisper:
    torch.manual_seed(1)
    return Whisper(WhisperOptions(width=width, heads=heads, layers=layers), num_features=mels)


def checkpoint() -> dict[str, Tensor]:
    """The tensors of a published checkpoint: the whole encoder in half precision, and something of a decoder."""
    torch.manual_seed(2)
    config = WhisperConfig(
        num_mel_bins=MELS, d_model=WIDTH, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=4 * WIDTH
    )
    tensors = {f"model.encoder.{name}": value.half() for name, value in WhisperEncoder(config).state_dict().items()}
    return {**tensors, "model.decoder.layer_norm.weight": torch.ones(WIDTH)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(checkpoint(), tmp_path / FILE, metadata={"encoder_attention_heads": "4"})
    return tmp_path


def weights(source: Path | str, **choices: str) -> Weights:
    return Weights(source=str(source), licence="MIT", **choices)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["model.encoder.", "encoder.", ""])
def test_a_checkpoints_lower_layers_are_taken_under_any_of_its_prefixes(tmp_path: Path, prefix: str) -> None:
    tensors = {name.replace("model.encoder.", prefix): value for name, value in checkpoint().items()}
    save_file(tensors, tmp_path / "some.safetensors")
    encoder = made()
    loaded = load_pretrained(encoder, weights(tmp_path / "some.safetensors"))
    assert len(encoder.state_dict()) == 4 + 2 * 15
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(value, tensors[prefix + name].float(), rtol=0, atol=0)
    assert loaded.to_dict() == {
        "source": str(tmp_path / "some.safetensors"),
        "sha256": digest(tmp_path / "some.safetensors"),
        "licence": "MIT",
    }


def test_a_folder_is_enough(folder: Path) -> None:
    assert locate(weights(folder)) == folder / FILE


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"width": 32}, r"model\.encoder\.conv1\.weight is \(16, 8, 3\), and the recipe's encoder has \(32, 8, 3\)"),
        ({"mels": 9}, r"conv1\.weight is \(16, 8, 3\).*\(16, 9, 3\).*the frontend's bands"),
        ({"layers": (4,)}, r"has no model\.encoder\.layers\.3\..* and 14 more.*as many layers as encoder\.layers"),
        ({"heads": 8}, r"has 4 attention heads; the recipe says encoder\.heads 8"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_words(folder: Path, encoder: dict[str, int], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        load_pretrained(made(**encoder), weights(folder))  # type: ignore[arg-type]


def test_another_file_than_the_recipe_names_is_refused(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"its SHA-256 is [0-9a-f]{64}, but weights\.sha256 is 0000"):
        load_pretrained(made(), weights(folder, sha256="0" * 64))


def test_pickles_damaged_files_and_names_of_nothing_are_refused(tmp_path: Path) -> None:
    pickle = tmp_path / "pytorch_model.bin"
    pickle.write_bytes(b"\x80\x02")
    with pytest.raises(WeightsError, match=r"expected a .safetensors file; other formats can run code"):
        locate(weights(pickle))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        load_pretrained(made(), weights(damaged))
    for source in (tmp_path / "none.safetensors", "whisper-base", "../../nowhere/weights", "a/b/c"):
        with pytest.raises(WeightsError, match=r"no such file; weights.source is a .safetensors file, a folder"):
            locate(weights(source))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> Iterator[Files]:
    with serving() as files:
        files.contents["/openai/whisper-some/resolve/main/model.safetensors"] = (folder / FILE).read_bytes()
        monkeypatch.setenv("HF_ENDPOINT", files.address)
        monkeypatch.setenv("SEROTONE_CACHE", str(tmp_path / "cache"))
        yield files


def test_a_name_on_the_hub_is_fetched_once_and_kept(hub: Files, folder: Path, tmp_path: Path) -> None:
    choice = weights("openai/whisper-some", sha256=digest(folder / FILE))
    assert load_pretrained(made(), choice).source == "openai/whisper-some"
    hub.contents.clear()
    load_pretrained(made(), choice)
    assert (tmp_path / "cache" / "weights" / "openai" / "whisper-some" / "main" / FILE).is_file()


def test_a_name_that_the_hub_has_no_safetensors_of_says_what_to_do(hub: Files) -> None:
    with pytest.raises(
        WeightsError, match=r"answers 404.*set weights.source to the path of a model.safetensors of a/b"
    ):
        locate(weights("a/b"))


WHISPER = (
    "frontend={name: whisper-log-mel, num_mels: 8}",
    "standardise=null",
    "max_frames=3000",
    "encoder={name: whisper, width: 16, heads: 4, layers: [2]}",
    "pooling=mean-sd",
    "head={name: linear}",
)


def test_a_recipe_says_which_weights_and_refuses_what_cannot_have_any(folder: Path) -> None:
    choice = f"weights={{source: {folder}, licence: MIT}}"
    recipe = load("vlcrnn-variable-length", [*WHISPER, choice])
    assert recipe.weights == weights(folder)
    with pytest.raises(RecipeError, match="no pretrained weights for the encoder vlcrnn"):
        load("vlcrnn-variable-length", [choice])
    with pytest.raises(RecipeError, match="pretrained weights expect frames as the frontend makes them"):
        load("vlcrnn-variable-length", [*WHISPER, choice, "standardise=per-bin"])
    with pytest.raises(ValidationError, match="sha256"):
        weights(folder, sha256="abc")


def test_a_run_keeps_what_it_started_from_and_its_bundle_needs_the_file_no_more(folder: Path, tmp_path: Path) -> None:
    recipe = load(
        "vlcrnn-variable-length",
        [
            *WHISPER,
            f"weights={{source: {folder}, licence: MIT}}",
            "schedule=paper",
            "schedules.paper={steps: 1, epochs: null, patience: null, learning_rates: {encoder: 0}}",
            "monitor=none",
        ],
    )
    clips = dict(zip("abcd", glides(4, 0.6, sample_rate=16000, seed=0), strict=True))
    corpora, speakers = dict.fromkeys(clips, "made"), dict.fromkeys(clips, "one")
    material = Material(("angry", "sad"), clips, {"a": 0, "b": 1, "c": 0, "d": 1}, corpora, speakers)
    run = tmp_path / "run"
    system, _ = fit(recipe, Split(0, 0, ("a", "b", "c", "d"), (), ()), material, run / "fold-0-0")
    kept = json.loads((run / "fold-0-0" / "weights.json").read_text())
    assert kept == {"source": str(folder), "sha256": digest(folder / FILE), "licence": "MIT"}
    conv1 = checkpoint()["model.encoder.conv1.weight"].float()
    assert torch.equal(system.encoder.state_dict()["conv1.weight"], conv1)
    (run / "fold-0-0" / "metrics.json").write_text("{}")
    save_file({name: 2 * value for name, value in checkpoint().items()}, folder / FILE)
    with pytest.raises(RunError, match=r"weights.json: sha256 is .*, but fold-0-1 would begin with .*; put back"):
        fit(recipe, Split(0, 1, ("a", "b", "c", "d"), (), ()), material, run / "fold-0-1")
    (folder / FILE).unlink()
    bundle = export(system, recipe, tmp_path / "bundle", labels=material.labels, data=[], versions={}, card="")
    again, _ = reload(bundle)
    torch.testing.assert_close(again.state_dict(), system.state_dict(), rtol=0, atol=0)


def test_an_average_begins_with_the_pretrained_weights_and_8_bits_are_those_that_are_tested(
    folder: Path, tmp_path: Path
) -> None:
    few = "schedules.paper={steps: 1, epochs: null, patience: null, learning_rate: 1.0e-9, average: 0.9}"
    given = [*WHISPER, f"weights={{source: {folder}, licence: MIT}}", "schedule=paper", few, "monitor=none"]
    clips = dict(zip("abcd", glides(4, 0.6, sample_rate=16000, seed=0), strict=True))
    corpora, speakers = dict.fromkeys(clips, "made"), dict.fromkeys(clips, "one")
    material = Material(("angry", "sad"), clips, {"a": 0, "b": 1, "c": 0, "d": 1}, corpora, speakers)
    split = Split(0, 0, ("a", "b", "c", "d"), (), ())
    system, _ = fit(load("vlcrnn-variable-length", given), split, material, tmp_path / "float")
    conv1 = checkpoint()["model.encoder.conv1.weight"].float()
    torch.testing.assert_close(system.encoder.state_dict()["conv1.weight"], conv1, rtol=0, atol=1e-7)
    eight, _ = fit(load("vlcrnn-variable-length", [*given, "bundle.precision=int8"]), split, material, tmp_path / "8")
    torch.testing.assert_close(eight.state_dict(), rounded(system).state_dict(), rtol=0, atol=1e-7)


def test_a_clip_longer_than_the_encoder_takes_is_refused_when_the_system_is_built() -> None:
    recipe = load("vlcrnn-variable-length", [*WHISPER, "bundle.max_seconds=31"])
    with pytest.raises(RecipeError, match=r"bundle.max_seconds is 31.0, but the encoder whisper takes at most 30 s"):
        build_system(recipe, 4)


def test_downloads_are_kept_where_the_variable_says_and_else_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEROTONE_CACHE", "~/kept")
    assert cache() == tmp_path / "kept"
    monkeypatch.delenv("SEROTONE_CACHE")
    assert cache() == tmp_path / ".cache" / "serotone"
