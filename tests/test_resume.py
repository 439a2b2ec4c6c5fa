"""A training that was stopped at the end of any epoch ends as an unbroken one: with and without a validation part."""

import errno
import json
from pathlib import Path

import pytest
import torch

from serotone.corpora import Utterance, parse_corpora, synthetic
from serotone.errors import RunError
from serotone.experiments.planning import gather, plan
from serotone.files import write_whole
from serotone.recipes import Recipe, load
from serotone.runs.layout import CHECKPOINT
from serotone.training import fit as fitting
from serotone.training import versions
from serotone.training.fit import run_fold

COMMON = ("schedule=budget", "schedules.budget.batch_size=4", "schedules.budget.precision=float32")
WITHOUT = (
    *COMMON,
    "protocol={name: stratified-holdout, test_share: 0.5}",
    "schedules.budget.validate_every=null",
    "clip_seconds=0.8",
    "bundle={max_seconds: 0.8, window_seconds: 0.8, hop_seconds: 0.4}",
)
RUNS = {
    "validation in mid-epoch": load(
        "crnn-mel",
        [
            *COMMON,
            "max_frames=80",
            "frontend.num_mels=64",
            "protocol=leave-one-speaker-out",
            "schedules.budget={steps: 18, validate_every: 3, select_from: 0}",
        ],
    ),
    "no validation": load("dycnn-static-lstm", [*WITHOUT, "schedules.budget.steps=30"]),
    "averaged, shaped, statistics taken anew": load(
        "dycnn-static-lstm",
        [
            *WITHOUT,
            "protocol={name: stratified-holdout, test_share: 0.4, validation_share: 0.3}",
            "monitor=ua",
            "schedules.budget={steps: 24, validate_every: 4, average: 0.8, norm_statistics: re-estimated}",
            "schedules.budget={optimiser: adamw, weight_decay: 0.1, shape: one-cycle, learning_rates: {head: 0.01}}",
        ],
    ),
    "dropout": load(
        "cnn-blstm-attention-ams",
        [
            *WITHOUT,
            "protocol={name: stratified-holdout, test_share: 0.4, validation_share: 0.3}",
            "schedules.budget={steps: 24, validate_every: 4, select_from: 0}",
            "encoder.filters=[8, 8, 8, 8, 8, 8]",
        ],
    ),
    "a frozen part, averaged, no validation": load(
        "dycnn-static-lstm",
        [
            *WITHOUT,
            "schedules.budget={steps: 24, average: 0.8, norm_statistics: re-estimated}",
            "schedules.budget={shape: cosine, warm_up_steps: 3, learning_rates: {encoder: 0}}",
        ],
    ),
    "epochs and patience": load(
        "dycnn-bilstm",
        [
            *WITHOUT,
            "protocol={name: stratified-holdout, test_share: 0.4, validation_share: 0.3}",
            "monitor=wa",
            "schedules.budget={steps: null, epochs: 7, patience: 2}",
        ],
    ),
}


class StoppedError(Exception):
    """In the place of a kill, right after a checkpoint was written."""


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    root = tmp_path_factory.mktemp("corpora") / "synthetic"
    synthetic.make(root, speakers=3, seed=0, sentences=2)
    return parse_corpora([f"synthetic={root}"])


def run(recipe: Recipe, voices: list[Utterance], folder: Path) -> dict[str, bytes]:
    material, _ = gather(recipe, voices)
    run_fold(recipe, plan(recipe, voices)[0], material, folder)
    kept = ("predictions.csv", "validation.csv", "curves.csv", "selection.json")
    return {name: (folder / name).read_bytes() for name in kept if (folder / name).is_file()}


@pytest.mark.parametrize("kind", RUNS)
def test_stopped_at_the_end_of_any_epoch_it_ends_the_same(
    kind: str, voices: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RUNS[kind]
    unbroken = run(recipe, voices, tmp_path / "unbroken")
    write = fitting.write_whole

    def write_and_stop(path: Path, *rest: object) -> None:
        write(path, *rest)
        if path.name == CHECKPOINT:
            raise StoppedError

    written: list[Path] = []

    def second_write_and_stop(path: Path, *rest: object) -> None:
        written.append(path)
        (write if len(written) == 1 else write_and_stop)(path, *rest)

    folder = tmp_path / "broken"
    for blows in range(30):
        with monkeypatch.context() as patched:
            if blows != 1:  # two epochs in one go are another thing than one after one
                patched.setattr(fitting, "write_whole", write_and_stop)
            else:
                patched.setattr(fitting, "write_whole", second_write_and_stop)
            try:
                assert run(recipe, voices, folder) == unbroken
                break
            except StoppedError:
                pass
    assert blows >= 2
    assert len(unbroken["curves.csv"].splitlines()) > 3


def stop_after_an_epoch(recipe: Recipe, voices: list[Utterance], folder: Path, patched: pytest.MonkeyPatch) -> None:
    """Stop a training right after it has written its first checkpoint."""
    write = fitting.write_whole

    def write_and_stop(path: Path, *rest: object) -> None:
        write(path, *rest)
        raise StoppedError

    patched.setattr(fitting, "write_whole", write_and_stop)
    with pytest.raises(StoppedError):
        run(recipe, voices, folder)


def test_a_full_disk_is_called_by_the_checkpoint_and_not_by_what_was_to_be_moved_there(tmp_path: Path) -> None:
    def move(temporary: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/tmpab12", None, str(temporary))

    with pytest.raises(OSError, match="No space left on device") as caught:
        write_whole(tmp_path / CHECKPOINT, move)
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / CHECKPOINT), None)


def test_a_full_disk_is_called_by_the_checkpoint_in_a_folder_of_a_relative_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moves a file there names it in full."""

    def move(temporary: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/tmpab12", None, str(temporary.absolute()))

    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_whole(Path("run") / CHECKPOINT, move)
    assert caught.value.filename == str(Path("run") / CHECKPOINT)


def test_a_damaged_checkpoint_is_named(
    voices: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_after_an_epoch(RUNS["no validation"], voices, tmp_path, patched)
    (checkpoint,) = tmp_path.rglob(CHECKPOINT)
    whole = checkpoint.read_bytes()
    middle = len(whole) // 2
    state = torch.load(checkpoint, weights_only=True)

    def other() -> None:
        state["state_dict"] |= {name: value[..., :1] for name, value in state["state_dict"].items() if value.dim() > 1}
        torch.save(state, checkpoint)

    damages = {
        "cut": lambda: checkpoint.write_bytes(whole[:-100]),
        "a byte": lambda: checkpoint.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]),
        "something else": lambda: torch.save({"a": 1}, checkpoint),
        "of another network": other,
    }
    for damage in damages.values():
        damage()
        with pytest.raises(
            RunError, match=rf"{CHECKPOINT}: damaged; delete it, and run the same command again, which trains this fold"
        ):
            run(RUNS["no validation"], voices, tmp_path)


def test_a_fold_that_other_software_takes_up_says_so_and_counts_all_its_seconds(
    voices: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RUNS["no validation"]
    with monkeypatch.context() as patched:
        patched.setattr(versions, "versions", lambda recipe: {"torch": "1.0"})
        stop_after_an_epoch(recipe, voices, tmp_path, patched)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert 0 < state["serotone"]["seconds"] < 600
    state["serotone"]["seconds"] = 5000.0
    torch.save(state, tmp_path / CHECKPOINT)
    (tmp_path / f".{CHECKPOINT}.123.tmp").touch()  # of a process that was killed as it wrote
    run(recipe, voices, tmp_path)
    assert not list(tmp_path.glob(".*.tmp"))
    assert 5000 < json.loads((tmp_path / "metrics.json").read_text())["seconds"] < 5600
    assert json.loads((tmp_path / "versions.json").read_text()) == [{"torch": "1.0"}, versions.versions(recipe)]
    versions.record(tmp_path, recipe)
    assert len(json.loads((tmp_path / "versions.json").read_text())) == 2


def test_without_a_validation_part_the_last_step_counts_and_the_curve_is_the_loss(
    voices: list[Utterance], tmp_path: Path
) -> None:
    answers = run(RUNS["no validation"], voices, tmp_path)
    lines = answers["curves.csv"].decode().splitlines()
    assert lines[0] == "step,epoch,loss"
    assert [line.split(",")[0] for line in lines[1:]] == ["6.0", "12.0", "18.0", "24.0", "30.0"]
    assert b'"step": 30' in answers["selection.json"]
    assert "validation.csv" not in answers


def test_patience_stops_before_the_last_epoch_and_the_best_validation_counts(
    voices: list[Utterance], tmp_path: Path
) -> None:
    answers = run(RUNS["epochs and patience"], voices, tmp_path)
    rows = [line.split(",") for line in answers["curves.csv"].decode().splitlines()]
    at = rows[0].index("wa")
    scores = [float(row[at]) for row in rows[1:]]
    best = scores.index(max(scores))
    assert len(scores) == min(best + 3, 7)
    assert f'"step": {int(float(rows[1 + best][0]))}'.encode() in answers["selection.json"]


def test_a_diverging_training_ends_with_an_error_that_names_the_step(voices: list[Utterance], tmp_path: Path) -> None:
    changes = [*WITHOUT, "schedules.budget.steps=18", "schedules.budget.learning_rate=1e30"]
    recipe = load("dycnn-static-lstm", [*changes, "schedules.budget.clip_norm=null"])
    with pytest.raises(RunError, match=r"diverged|answers NaN"):
        run(recipe, voices, tmp_path)
    assert not (tmp_path / "predictions.csv").exists()
    assert not (tmp_path / "metrics.json").exists()
