"""Downloads against a server on this machine: whole, resumed, bounded, checked, and errors that say what to do."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from file_server import Files, serving
from serotone.errors import WeightsError
from serotone.training.download import digest, download

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def files() -> Iterator[Files]:
    with serving() as server:
        server.contents["/model"] = CONTENT
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model"


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {"model.lock"}


def test_a_file_comes_whole_and_only_once(files: Files, target: Path) -> None:
    for _ in range(2):
        download(f"{files.address}/model", target, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert target.read_bytes() == CONTENT
    assert digest(target) == hashlib.sha256(CONTENT).hexdigest()
    assert left(target) == {"model"}
    assert files.ranges == [None]


def test_a_download_that_broke_off_is_gone_on_with(files: Files, target: Path) -> None:
    files.break_after = 500_000
    with pytest.raises(WeightsError, match=r"only 500000 of 1280000 bytes arrived.*same command again.*give the path"):
        download(f"{files.address}/model", target, remedy="give the path")
    assert not target.exists()
    files.break_after = None
    download(f"{files.address}/model", target)
    assert target.read_bytes() == CONTENT
    assert files.ranges == [None, "bytes=500000-"]


def test_another_version_on_the_server_is_fetched_from_its_start(files: Files, target: Path) -> None:
    files.break_after = 500_000
    with pytest.raises(WeightsError):
        download(f"{files.address}/model", target)
    files.break_after, files.version, files.contents["/model"] = None, '"2"', CONTENT[::-1]
    download(f"{files.address}/model", target)
    assert target.read_bytes() == CONTENT[::-1]


def test_stopped_as_another_version_begins_it_does_not_mix_the_two(
    files: Files, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.break_after = 500_000
    with pytest.raises(WeightsError):
        download(f"{files.address}/model", target)
    files.break_after, files.version, files.contents["/model"] = None, '"2"', CONTENT[::-1]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("serotone.training.download._copy", stop)
        with pytest.raises(KeyboardInterrupt):
            download(f"{files.address}/model", target)
    download(f"{files.address}/model", target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_download_that_was_killed_at_its_very_end_is_fetched_again(files: Files, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("model.part").write_bytes(CONTENT)
    target.with_name("model.part.version").write_text(files.version)
    download(f"{files.address}/model", target)
    assert target.read_bytes() == CONTENT
    assert files.ranges == [f"bytes={len(CONTENT)}-", None]


def test_without_a_version_nothing_is_gone_on_with(files: Files, target: Path) -> None:
    files.version, files.break_after = "", 500_000
    with pytest.raises(WeightsError):
        download(f"{files.address}/model", target)
    files.break_after = None
    download(f"{files.address}/model", target)
    assert target.read_bytes() == CONTENT
    assert files.ranges == [None, None]


def test_another_file_than_was_asked_for_is_not_kept(files: Files, target: Path) -> None:
    with pytest.raises(WeightsError, match=f"has the SHA-256 {hashlib.sha256(CONTENT).hexdigest()}, expected 0000"):
        download(f"{files.address}/model", target, sha256="0" * 64)
    assert left(target) == set()


@pytest.mark.parametrize("announce", [True, False])
def test_more_than_the_bound_is_refused_whether_announced_or_not(files: Files, target: Path, announce: bool) -> None:
    files.announce = announce
    with pytest.raises(WeightsError, match=r"larger than 0\.000977 GiB"):
        download(f"{files.address}/model", target, maximum_bytes=2**20)
    assert not target.exists()


def test_a_redirect_is_followed_and_keeps_the_range(files: Files, target: Path) -> None:
    files.redirects["/hub"] = f"{files.address}/model"
    files.break_after = 500_000
    with pytest.raises(WeightsError):
        download(f"{files.address}/hub", target)
    files.break_after = None
    download(f"{files.address}/hub", target)
    assert target.read_bytes() == CONTENT
    assert files.ranges[1] == "bytes=500000-"


def test_a_redirect_to_an_address_that_is_not_secure_is_refused(files: Files, target: Path) -> None:
    files.redirects["/hub"] = "http://example.org/model"
    with pytest.raises(WeightsError, match=r"http://example\.org/model: expected an address that starts with https"):
        download(f"{files.address}/hub", target)


@pytest.mark.parametrize("url", ["http://example.org/model", "file:///etc/hostname", "ftp://example.org/model"])
def test_an_address_that_is_not_secure_is_refused(url: str, target: Path) -> None:
    with pytest.raises(WeightsError, match="expected an address that starts with https"):
        download(url, target)


def test_a_file_that_the_server_has_not_says_so(files: Files, target: Path) -> None:
    with pytest.raises(WeightsError, match="answers 404 Not Found; give a path"):
        download(f"{files.address}/other", target, remedy="give a path")


def test_somebody_offline_reads_what_to_do(files: Files, target: Path) -> None:
    closed = files.address.rsplit(":", 1)[0] + ":9"
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(.*\); go online.*or give a path"):
        download(f"{closed}/model", target, remedy="give a path")
