"""States that are kept: the same as computed anew, computed once, and never those of another system or clip."""

import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from serotone.errors import RunError
from serotone.modeling.system import System
from serotone.recipes import load
from serotone.training import states as kept
from serotone.training.build import build_system
from serotone.training.data import Clips
from serotone.training.export import glides
from serotone.training.quantise import rounded
from serotone.training.states import fetch_vectors, fingerprint

WHISPER = (
    "frontend={name: whisper-log-mel, num_mels: 8}",
    "standardise=null",
    "max_frames=3000",
    "encoder={name: whisper, width: 16, heads: 4, layers: [1, 2]}",
    "pooling=mean-sd",
    "head={name: linear}",
)
RECIPE = load("vlcrnn-variable-length", WHISPER)
CLIPS = {name: glides(1, 0.3 + 0.21 * index, sample_rate=16000, seed=index)[0] for index, name in enumerate("abcdefgh")}


def made(*changes: str, seed: int = 4) -> System:
    torch.manual_seed(seed)
    return build_system(load("vlcrnn-variable-length", [*WHISPER, *changes]), 3).eval()


def clips_of(waveforms: dict[str, NDArray[np.float32]]) -> Clips:
    return Clips(list(waveforms), waveforms, dict.fromkeys(waveforms, 0))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Clips that an encoder was given, call by call."""
    counts: list[int] = []
    original = System.states

    def counting(system: System, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        counts.append(len(waveforms))
        return original(system, waveforms, lengths)

    monkeypatch.setattr(System, "states", counting)
    return counts


def test_what_is_kept_is_what_the_system_makes_and_is_made_once(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "BATCH_CLIPS", 3)
    monkeypatch.setattr(kept, "SHARD_BYTES", 1000)
    system = made()
    for _ in range(2):
        answers = fetch_vectors(system, RECIPE, clips_of(CLIPS), tmp_path)
        assert computed == [3, 3, 2]
    assert list(answers) == list(CLIPS)
    assert len(list(tmp_path.rglob("*.safetensors"))) > 1
    for name, waveform in CLIPS.items():
        with torch.no_grad():
            alone = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
            expected = system(*alone).embedding[0]
        assert answers[name].dtype == np.float32
        torch.testing.assert_close(torch.from_numpy(answers[name]), expected, rtol=1e-5, atol=1e-5)


def test_only_what_is_new_is_computed_whatever_it_is_called(tmp_path: Path, computed: list[int]) -> None:
    system = made()
    fetch_vectors(system, RECIPE, clips_of({"a": CLIPS["a"], "b": CLIPS["b"]}), tmp_path)
    more = {"other": CLIPS["b"], "same": CLIPS["b"].copy(), "c": CLIPS["c"]}
    answers = fetch_vectors(system, RECIPE, clips_of(more), tmp_path)
    assert computed == [2, 1]
    np.testing.assert_array_equal(answers["other"], answers["same"])
    assert np.abs(answers["other"] - answers["c"]).max() > 1e-3


def test_what_was_whole_before_a_stop_is_not_computed_again(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "BATCH_CLIPS", 2)
    monkeypatch.setattr(kept, "SHARD_BYTES", 1)
    system = made()
    broken = dict(CLIPS) | {"h": np.full_like(CLIPS["h"], np.nan)}
    with pytest.raises(RunError, match="the encoder's output is NaN or infinite for clip h"):
        fetch_vectors(system, RECIPE, clips_of(broken), tmp_path)
    computed.clear()
    assert len(fetch_vectors(system, RECIPE, clips_of(CLIPS), tmp_path)) == len(CLIPS)
    assert computed == [1]


def test_the_fingerprint_changes_with_all_that_the_numbers_depend_on_and_with_nothing_else() -> None:
    system = made()
    same = fingerprint(system, RECIPE)
    assert fingerprint(made(), load("vlcrnn-variable-length", [*WHISPER, "seed=9"])) == same
    assert fingerprint(System(system.frontend, system.encoder, system.pooling, made().head), RECIPE) == same
    others = {
        fingerprint(rounded(made("encoder.width=64")), RECIPE),
        fingerprint(made("encoder.width=64"), RECIPE),
        fingerprint(made(seed=5), RECIPE),
    }
    for change in ("frontend.reference=maximum", "encoder.layers=[2]", "pooling=mean", "clip_seconds=2"):
        recipe = load("vlcrnn-variable-length", [*WHISPER, change, "bundle={max_seconds: 2, window_seconds: 2}"])
        others.add(fingerprint(build_system(recipe, 3), recipe))
    assert len(others | {same}) == 8


def test_damaged_shards_and_pieces_are_refused(tmp_path: Path) -> None:
    system = made()
    fetch_vectors(system, RECIPE, clips_of(CLIPS), tmp_path)
    (shard,) = tmp_path.rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(RunError, match=rf"{shard.name}: damaged.*delete it"):
        fetch_vectors(system, RECIPE, clips_of(CLIPS), tmp_path)
    pieces = load("vlcrnn-variable-length", [*WHISPER, "segments=true", "clip_seconds=1", "loss.length_weights=false"])
    with pytest.raises(RunError, match="cuts clips into segments"):
        fetch_vectors(system, pieces, clips_of(CLIPS), tmp_path)


def test_a_full_disk_is_an_error_of_the_operating_systems(tmp_path: Path) -> None:
    """What a library's own writer raises there is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    system = made()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(OSError, match=r"File too large: .*\.safetensors"):
            fetch_vectors(system, RECIPE, clips_of(CLIPS), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
