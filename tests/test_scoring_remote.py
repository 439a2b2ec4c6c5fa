"""``serotone score`` of object stores and web servers, on servers of this machine."""

import socket
import sys
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from file_server import serving
from serotone.cli import app
from serotone.recognition.recognizer import Recognizer
from toy_bundle import SAMPLE_RATE, buzz, tone

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'serotone[score]'")
from pyarrow import dataset

NAMES = {"calls/a.wav": tone(1, 0.9), "calls/deep/b.flac": buzz(1, 0.2), "other/c.wav": tone(1, 0.9)}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("remote")
    for name, samples in NAMES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, samples, SAMPLE_RATE)
    contents = {name: (folder / name).read_bytes() for name in NAMES}
    return contents | {"calls/bad.wav": b"hello", "calls/notes.txt": b"no audio"}


def score(*arguments, stdin=None):
    return CliRunner().invoke(app, ["score", *map(str, arguments), "--jobs", "1"], input=stdin)


def labels(out: Path) -> dict[str, str]:
    return {row["name"]: row["label"] for row in dataset.dataset(out / "clips").to_table().to_pylist()}


def errors(out: Path) -> dict[str, str]:
    return {row["name"]: row["error"] for row in dataset.dataset(out / "errors").to_table().to_pylist()}


@pytest.fixture
def bucket(files, monkeypatch):
    """A bucket on an S3 server of this machine."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server_module = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")
    boto3 = pytest.importorskip("boto3")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    try:
        client = boto3.client("s3")
        client.create_bucket(Bucket="speech")
        for name, content in files.items():
            client.put_object(Bucket="speech", Key=name, Body=content)
        yield client
    finally:
        server.stop()


def test_a_bucket_is_scored_and_continued(bucket, toy, tmp_path):
    out = tmp_path / "out"
    first = score("s3://speech/calls", "s3://speech/gone.wav", "--bundle", toy, "--out", out)
    assert first.exit_code == 1, first.output
    assert labels(out) == {"s3://speech/calls/a.wav": "angry", "s3://speech/calls/deep/b.flac": "happy"}
    assert errors(out) == {"s3://speech/calls/bad.wav": "AudioFormatError", "s3://speech/gone.wav": "AudioMissingError"}
    again = score("s3://speech/", "--bundle", toy, "--out", out)
    assert "2 of 4 recordings are answered, 1 failed; 1 to do" in again.output
    assert labels(out)["s3://speech/other/c.wav"] == "angry"
    assert len(dataset.dataset(out / "clips").to_table()) == 3


def test_a_web_server_and_what_is_no_store(files, toy, tmp_path):
    out = tmp_path / "out"
    with serving() as web:
        web.contents.update({f"/{name}": content for name, content in files.items()})
        listing = "".join(f"{web.address}/{name}\n" for name in ("calls/a.wav", "calls/gone.wav", "calls/bad.wav"))
        done = score("-", "nowhere://x/a.wav", "--bundle", toy, "--out", out, stdin=listing)
    assert done.exit_code == 1, done.output
    assert labels(out) == {f"{web.address}/calls/a.wav": "angry"}
    assert errors(out) == {
        f"{web.address}/calls/gone.wav": "AudioMissingError",
        f"{web.address}/calls/bad.wav": "AudioFormatError",
        "nowhere://x/a.wav": "AudioError",
    }
    (path,) = (out / "clips").iterdir()
    (tmp_path / "a.wav").write_bytes(files["calls/a.wav"])
    (row,) = dataset.dataset(path).to_table().to_pylist()
    assert row["confidence"] == pytest.approx(Recognizer(toy).predict(tmp_path / "a.wav").confidence, abs=1e-7)


def test_a_web_server_that_does_not_answer_is_not_called_one_without_the_file(toy, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.wav"
    done = score(url, "--bundle", toy, "--out", tmp_path / "out")  # nobody listens there any more
    assert done.exit_code == 1, done.output
    assert errors(tmp_path / "out") == {url: "AudioError"}
    assert f"{url}: cannot be opened: " in done.stderr
    assert "no such file" not in done.stderr


def test_a_web_server_that_does_not_say_how_long_a_file_is(files, toy, tmp_path):
    with serving() as web:
        web.contents["/a.wav"], web.announce = files["calls/a.wav"], False
        done = score(f"{web.address}/a.wav", "--bundle", toy, "--out", tmp_path / "out")
    assert errors(tmp_path / "out") == {f"{web.address}/a.wav": "AudioError"}
    assert f"error: {web.address}/a.wav: the server does not say how large this file is" in done.stderr
    assert "download it, and score the copy" in done.stderr


def test_a_store_that_cannot_be_reached_when_it_is_listed_is_one_error(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"ftp://127.0.0.1:{taken.getsockname()[1]}/calls"
    done = score(url, "--out", tmp_path / "out", "--bundle", "light")
    assert done.exit_code == 1
    assert f"{url}: cannot be reached: " in done.stderr


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [("https://host/a.wav", "aiohttp", "'serotone[score]'"), ("s3://bucket/a.wav", "s3fs", "s3fs")],
)
@pytest.mark.parametrize("listed", [True, False])
def test_a_store_whose_package_is_missing_is_refused(toy, tmp_path, monkeypatch, url, module, package, listed):
    registry = pytest.importorskip("fsspec.registry")
    for known in ("https", "s3"):
        monkeypatch.delitem(registry._registry, known, raising=False)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    inputs = ["-"] if listed else [url]
    done = score(*inputs, "--bundle", toy, "--out", tmp_path / "out", stdin=url)
    assert done.exit_code == 1
    assert f"{url}: reading from a store needs " in done.stderr
    assert done.stderr.rstrip().endswith(f"pip install {package}")
    assert not (tmp_path / "out").exists()
