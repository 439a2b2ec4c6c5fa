"""The bundle: what is written is what is read, and nothing else is accepted."""

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest

from serotone.errors import BundleError
from serotone.recognition import loading
from serotone.recognition.loading import list_bundles, load_bundle, shipped_digests, verify
from toy_bundle import LABELS, make_toy_bundle, write_toy_manifest


@pytest.fixture
def folder(tmp_path):
    make_toy_bundle(tmp_path / "toy")
    return tmp_path / "toy"


def rewrite(folder, **changes):
    """Change keys of a manifest; a value of ``...`` removes the key."""
    path = folder / "bundle.json"
    raw = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in raw.items() if v is not ...}), encoding="utf-8")


def test_written_is_read_back(folder):
    bundle = load_bundle(folder)
    assert (bundle.name, bundle.version, bundle.labels) == ("toy", "1", LABELS)
    assert (bundle.min_seconds, bundle.max_seconds, bundle.window_seconds, bundle.hop_seconds) == (0.25, 4.0, 2.0, 1.0)
    assert bundle.thresholds == {"uncertain": 0.5}
    assert bundle.data == ({"name": "toy", "licence": "CC0-1.0", "utterances": 3},)
    assert set(bundle.files) == {"model.onnx", "CARD.md"}
    assert bundle.files["CARD.md"].size == len(b"# toy\n")
    assert bundle.files["CARD.md"].sha256 == hashlib.sha256(b"# toy\n").hexdigest()
    assert bundle.read("CARD.md") == b"# toy\n"
    assert bundle.temperature == 1.0
    assert json.loads(json.dumps(bundle.to_dict()))["schema"] == 1


def test_the_same_files_give_the_same_digest(folder):
    first = load_bundle(folder).sha256
    assert make_toy_bundle(folder).sha256 == first
    assert first == hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()


def test_no_temporary_file_is_left(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["CARD.md", "bundle.json", "model.onnx"]


def test_unknown_keys_are_ignored(folder):
    rewrite(folder, tomorrow={"anything": [1, 2]})
    assert load_bundle(folder).labels == LABELS


def test_extra_keys_are_written_and_may_not_replace_others(tmp_path):
    make_toy_bundle(tmp_path, extra={"attention_step_seconds": 0.04})
    assert json.loads((tmp_path / "bundle.json").read_text())["attention_step_seconds"] == 0.04
    with pytest.raises(BundleError, match="labels"):
        make_toy_bundle(tmp_path, extra={"labels": []})


@pytest.mark.parametrize("value", [2, 0, "1", True, None, ...])
def test_unknown_format_is_refused_with_the_remedy(folder, value):
    rewrite(folder, format=value)
    with pytest.raises(BundleError, match=r"format.*reads format 1.*pip install -U serotone"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ["angry", "angry"]},
        {"labels": ["angry"]},
        {"labels": "angry"},
        {"labels": ["angry", "\x1b[2J"]},
        {"labels": ...},
        {"name": ""},
        {"name": 3},
        {"sample_rate": 0},
        {"sample_rate": 16000.5},
        {"sample_rate": True},
        {"min_seconds": -1},
        {"min_seconds": 3.0},
        {"max_seconds": 1.0},
        {"window_seconds": float("nan")},
        {"max_seconds": float("inf")},
        {"hop_seconds": 2.5},
        {"hop_seconds": 0},
        {"thresholds": {"uncertain": "low"}},
        {"thresholds": []},
        {"data": {"name": "x"}},
        {"files": {}},
        {"files": []},
        {"opset": "17"},
        {"temperature": 0},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_wrong_value_is_named(folder, changes):
    rewrite(folder, **changes)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", "", "bundle.json", "a\\b", "model.onnx\n", "a" * 200]
)
def test_file_names_stay_in_the_folder(folder, name):
    (folder.parent / "secret").write_text("s", encoding="utf-8")
    raw = json.loads((folder / "bundle.json").read_text())
    rewrite(folder, files=raw["files"] | {name: {"size": 1, "sha256": hashlib.sha256(b"s").hexdigest()}})
    with pytest.raises(BundleError, match="file name"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}', b'{"format": 1, "data": [NaN]}', b"[1e400]"],
)
def test_a_manifest_that_is_none(folder, content):
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(folder)


def test_a_huge_manifest_is_not_read(folder):
    (folder / "bundle.json").write_bytes(b" " * (loading.MAX_MANIFEST_BYTES + 1))
    with pytest.raises(BundleError, match="more than"):
        load_bundle(folder)


def test_every_flipped_byte_is_noticed(folder):
    good = (folder / "model.onnx").read_bytes()
    for at in range(0, len(good), 97):
        (folder / "model.onnx").write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(BundleError, match=r"model\.onnx.*damaged"):
            load_bundle(folder)


def test_truncated_or_missing_files_are_named(folder):
    bundle = load_bundle(folder)
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[:-1])
    with pytest.raises(BundleError, match=rf"{len(content) - 1} bytes; its manifest says {len(content)}"):
        verify(bundle)
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx: missing"):
        load_bundle(folder)
    with pytest.raises(BundleError, match="no weights"):
        bundle.read("weights.safetensors")


def test_links_are_refused(folder):
    target = folder.parent / "elsewhere.onnx"
    (folder / "model.onnx").rename(target)
    (folder / "model.onnx").symlink_to(target)
    with pytest.raises(BundleError, match="a link"):
        load_bundle(folder)
    with pytest.raises(BundleError, match="plain files only"):
        write_toy_manifest(folder)


def test_nothing_is_written_that_no_reader_would_accept(folder):
    before = (folder / "bundle.json").read_bytes()
    with pytest.raises(BundleError, match="hop_seconds"):
        make_toy_bundle(folder, hop_seconds=3.0)
    assert (folder / "bundle.json").read_bytes() == before
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"no model\.onnx"):
        write_toy_manifest(folder)


def test_the_callers_digest(folder):
    digest = load_bundle(folder).sha256
    assert load_bundle(folder, sha256=digest.upper()).sha256 == digest
    with pytest.raises(BundleError, match="another bundle"):
        load_bundle(folder, sha256="0" * 64)
    with pytest.raises(BundleError, match="64 hexadecimal"):
        load_bundle(folder, sha256="abc")


def test_names_and_paths(folder, tmp_path, monkeypatch):
    with pytest.raises(BundleError, match="neither a shipped bundle nor a folder"):
        load_bundle("nosuch")
    with pytest.raises(BundleError, match=r"the bundle's name is empty; give .* \(shipped bundles: default, "):
        load_bundle("")
    with pytest.raises(BundleError, match=r"neither a shipped bundle nor a folder \(did you mean light\?\)"):
        load_bundle("ligth")
    with pytest.raises(BundleError, match=f"the folder that holds this file; give {re.escape(str(folder))}"):
        load_bundle(folder / "bundle.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"no bundle\.json in this folder"):
        load_bundle(tmp_path / "empty")
    (tmp_path / "run").mkdir()
    folder.rename(tmp_path / "run" / "bundle")
    with pytest.raises(BundleError, match="a run, not a bundle"):
        load_bundle(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    assert load_bundle("bundle").name == "toy"


def test_a_shipped_bundle_goes_before_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "SHIPPED", tmp_path / "shipped")
    make_toy_bundle(tmp_path / "shipped" / "toy", version="shipped")
    make_toy_bundle(tmp_path / "toy", version="local")
    monkeypatch.chdir(tmp_path)
    assert list_bundles() == ["toy"]
    with pytest.raises(BundleError, match="has none"):
        load_bundle("toy")
    assert loading.record_shipped_digests() == shipped_digests()
    assert load_bundle("toy").version == "shipped"
    assert load_bundle("./toy").version == "local"
    make_toy_bundle(tmp_path / "shipped" / "toy", version="substituted")
    with pytest.raises(BundleError, match="this version of serotone ships"):
        load_bundle("toy")


def test_a_shipped_bundle_is_checked_however_its_path_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "SHIPPED", tmp_path / "shipped")
    folder = make_toy_bundle(tmp_path / "shipped" / "toy").path
    loading.record_shipped_digests()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path / "shipped")
    paths = (
        str(folder),
        folder,
        "./toy",
        "../shipped/toy",
        folder.relative_to(tmp_path / "shipped"),
        tmp_path / "link",
    )
    for path in paths:
        assert load_bundle(path).name == "toy"
    monkeypatch.chdir(folder)
    assert load_bundle(".").name == "toy"
    monkeypatch.chdir(tmp_path / "shipped")
    make_toy_bundle(folder, version="substituted")
    for path in paths:
        with pytest.raises(BundleError, match="this version of serotone ships"):
            load_bundle(path)


def test_every_shipped_bundle_is_known_and_whole():
    assert sorted(shipped_digests()) == list_bundles()
    for name in list_bundles():
        assert load_bundle(name).name == load_bundle(str(loading.SHIPPED / name)).name == name


def test_reading_needs_the_standard_library_alone(folder):
    program = (
        "import sys; from serotone.recognition.loading import load_bundle; load_bundle(sys.argv[1]);"
        "print({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names) - {'serotone'})"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}", str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert "numpy" not in done.stdout
    assert "onnx" not in done.stdout
