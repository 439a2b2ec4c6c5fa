"""``serotone demo``: where its clips come from, what is fetched and from whom, what it prints."""

import io
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from serotone.cli import app, demo_clips
from serotone.cli.remote import RemoteFile
from serotone.corpora import ravdess, synthetic
from serotone.errors import CorpusError, FetchError
from toy_bundle import SAMPLE_RATE, buzz, tone

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LEVELS = {"angry": 0.9, "sad": 0.002, "neutral": 0.002}


def wav(emotion: str) -> bytes:
    """What the toy bundle takes for the emotion; its bundle has no neutral, so that one is called sad."""
    file = io.BytesIO()
    sound = buzz(1, 0.2) if emotion == "happy" else tone(1, LEVELS[emotion])
    soundfile.write(file, sound, SAMPLE_RATE, format="WAV")
    return file.getvalue()


def archive(*, leave_out: str = "") -> bytes:
    """A zip like RAVDESS's: the eight clips between members that are larger by far and of no use here."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for clip in demo_clips.CLIPS:
            out.writestr(f"Actor_{clip.actor}/03-01-02-02-02-02-{clip.actor}-{clip.emotion}.wav", bytes(3_000_000))
            if clip.name != leave_out:
                out.writestr(f"Actor_{clip.actor}/{clip.name}.wav", wav(clip.emotion), zipfile.ZIP_DEFLATED)
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """Serves one file under any path; says how many bytes of bodies it sent."""

    daemon_threads = True

    def __init__(
        self, content: bytes, *, ranges: bool = True, answer: Callable[["Handler"], bool] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.answer, self.sent = content, ranges, answer, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/speech.zip?download=1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gives up early is what some of these tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.server.answer is not None and self.server.answer(self):
            return
        content = self.server.content
        if self.server.ranges:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            part = content[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(content)}")
        else:
            part = content
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        self.server.sent += len(part)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Starts servers, which `serotone demo` takes for Zenodo; the last one started counts."""
    servers = []

    def start(content: bytes, **options: object) -> Server:
        server = Server(content, **options)  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(demo_clips, "ARCHIVE", server.url)
        return server

    monkeypatch.setenv("no_proxy", "*")
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def voices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthetic clips as they lie in examples/, which takes less time than making them again."""

    def copy(folder: Path) -> list[Path]:
        return [Path(shutil.copy(path, folder)) for path in sorted(EXAMPLES.glob("*.wav"))]

    monkeypatch.setattr(synthetic, "make_examples", copy)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SEROTONE_DATA", raising=False)
    monkeypatch.setenv("SEROTONE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ravdess"


def copy_of_ravdess(folder: Path, *, suffix: str = ".wav", leave_out: str = "") -> Path:
    for clip in demo_clips.CLIPS:
        path = folder / f"Actor_{clip.actor}" / f"{clip.name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if clip.name != leave_out:
            samples, rate = soundfile.read(io.BytesIO(wav(clip.emotion)))
            soundfile.write(path, samples, rate)
    return folder


def run(*arguments: str, status: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["demo", *arguments])
    assert result.exit_code == status, result.output
    return result.stdout, result.stderr


def test_the_rule_names_what_the_reader_of_ravdess_reads(tmp_path: Path) -> None:
    read = {u.id: u for u in ravdess.read(copy_of_ravdess(tmp_path))}
    assert set(read) == {clip.name for clip in demo_clips.CLIPS}
    assert len(read) == 8
    for clip in demo_clips.CLIPS:
        utterance = read[clip.name]
        assert (utterance.emotion, utterance.speaker) == (clip.emotion, clip.actor)
        assert (utterance.sentence, utterance.intensity) == ("01", "normal")
        assert utterance.gender == clip.speaker.split(", ")[1]


def test_hits_are_counted_and_the_source_is_named(toy: Path, cache: Path, tmp_path: Path) -> None:
    out, err = run("--bundle", str(toy), "--ravdess", str(copy_of_ravdess(tmp_path / "r", suffix=".flac")))
    assert "6 of 8 right; guessing among 3 emotions would get 2.7" in out
    assert "Livingstone & Russo 2018" in out
    assert "CC BY-NC-SA 4.0" in out
    assert "no class neutral, so those clips cannot be right" in out
    rows = [line.split() for line in out.splitlines() if line.startswith("03-01-")]
    assert [row[-1] for row in rows] == ["right", "right", "wrong", "right"] * 2
    assert [row[3] for row in rows] == ["angry", "happy", "neutral", "sad"] * 2
    assert "\x1b" not in out
    assert "any shipped bundle" not in out, "a bundle of the user's own may have heard anyone"
    assert err == ""


def test_a_folder_that_was_named_must_hold_the_clips(toy: Path, cache: Path, tmp_path: Path) -> None:
    lacking = copy_of_ravdess(tmp_path / "r", leave_out=demo_clips.CLIPS[3].name)
    out, err = run("--bundle", str(toy), "--ravdess", str(lacking), status=1)
    assert out == ""
    assert "1 of the demo's eight clips are missing, such as 03-01-04-01-01-01-19" in err


def test_the_data_folder_comes_before_cache_and_network(
    toy: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Server]
) -> None:
    server = serve(archive())
    copy_of_ravdess(tmp_path / "data" / "ravdess")
    monkeypatch.setenv("SEROTONE_DATA", str(tmp_path / "data"))
    out, err = run("--bundle", str(toy))
    assert "6 of 8 right" in out
    assert err == ""
    assert server.sent == 0
    assert not cache.exists()


def test_clips_are_fetched_once_and_little_of_the_archive_with_them(
    toy: Path, cache: Path, serve: Callable[..., Server]
) -> None:
    server = serve(archive())
    out, err = run("--bundle", str(toy))
    assert "6 of 8 right" in out
    assert "downloading eight clips" in err
    assert sorted(path.name for path in cache.rglob("*.*")) == sorted(f"{clip.name}.wav" for clip in demo_clips.CLIPS)
    for clip in demo_clips.find_clips(cache):
        assert clip.path is not None
        assert clip.path.read_bytes() == wav(clip.emotion)
    assert 0 < server.sent < len(server.content) / 10
    before = server.sent
    again, err = run("--bundle", str(toy))
    assert (again, err, server.sent) == (out, "", before)


def test_a_data_folder_without_ravdess_is_named_and_the_next_place_tried(
    toy: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_of_ravdess(cache)
    monkeypatch.setenv("SEROTONE_DATA", str(tmp_path / "nothing"))
    out, err = run("--bundle", str(toy))
    assert "6 of 8 right" in out
    assert "the folder in SEROTONE_DATA cannot be used" in err


def test_a_part_in_the_cache_is_fetched_again(toy: Path, cache: Path, serve: Callable[..., Server]) -> None:
    copy_of_ravdess(cache, leave_out=demo_clips.CLIPS[0].name)
    serve(archive())
    out, _ = run("--bundle", str(toy))
    assert "6 of 8 right" in out


def damaged() -> bytes:
    """One byte of the last clip's data is another, so its CRC is wrong."""
    content = bytearray(archive())
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        member = file.getinfo(f"Actor_20/{demo_clips.CLIPS[-1].name}.wav")
    content[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 0xFF
    return bytes(content)


def refuse(handler: Handler) -> bool:
    handler.send_error(404, "Not Found")
    return True


def lead_away(handler: Handler) -> bool:
    handler.send_response(302)
    handler.send_header("Location", "http://example.org/speech.zip")
    handler.end_headers()
    return True


def send_another_part(handler: Handler) -> bool:
    handler.send_response(206)
    handler.send_header("Content-Range", "bytes 5-5/1000")
    handler.send_header("Content-Length", "1")
    handler.end_headers()
    handler.wfile.write(b"x")
    return True


def break_off(handler: Handler) -> bool:
    first, last = handler.headers["Range"].removeprefix("bytes=").split("-")
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first}-{last}/100000000")
    handler.end_headers()
    handler.wfile.write(bytes(int(last) - int(first)))
    return True


FAULTS: dict[str, tuple[Callable[[], bytes], dict[str, object], str]] = {
    "no parts": (archive, {"ranges": False}, "cannot send parts of a file"),
    "no zip": (lambda: bytes(100_000), {}, "the archive arrived damaged"),
    "cut short": (lambda: archive()[:-3000], {}, "the archive arrived damaged"),
    "wrong CRC": (damaged, {}, "the archive arrived damaged"),
    "clip missing": (
        lambda: archive(leave_out=demo_clips.CLIPS[2].name), {}, "the archive holds no 03-01-01-01-01-01-19.wav"
    ),
    "no such file": (archive, {"answer": refuse}, "answered 404 Not Found"),
    "redirect without https": (archive, {"answer": lead_away}, "expected an address that starts with https://"),
    "another part": (archive, {"answer": send_another_part}, "sent bytes 5 to 5 instead of those asked for"),
    "broken off": (archive, {"answer": break_off}, "broke off after 0 of 1 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_fetched_is_said_and_synthetic_voices_answer(
    fault: str, toy: Path, cache: Path, serve: Callable[..., Server], voices: None
) -> None:
    content, options, message = FAULTS[fault]
    serve(content(), **options)
    out, err = run("--bundle", str(toy))
    assert "real speech could not be fetched" in err
    assert message in err
    assert "SEROTONE_DATA" in err
    assert "make demo CLIP=my.wav" in err
    assert out.startswith("Synthetic voices")
    assert "right;" not in out, "hits on synthetic voices say nothing and are not counted"
    assert "RAVDESS" not in out
    assert len([line for line in out.splitlines() if line.startswith("syn1")]) == 8
    assert not list(cache.rglob("*.tmp"))


def test_offline_is_said(toy: Path, cache: Path, serve: Callable[..., Server]) -> None:
    server = serve(b"")
    server.shutdown()
    server.server_close()
    out, err = run("--bundle", str(toy))
    assert "no connection to 127.0.0.1: Connection refused" in err
    assert out.startswith("Synthetic voices")


def test_a_cache_that_cannot_be_written_is_said(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Server], cache: Path, voices: None
) -> None:
    serve(archive())
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("SEROTONE_CACHE", str(tmp_path / "file"))
    out, err = run("--bundle", str(toy))
    assert "Not a directory; set SEROTONE_CACHE" in err
    assert out.startswith("Synthetic voices")


def test_a_clip_that_cannot_be_read_is_an_error_and_the_others_are_answered(
    toy: Path, cache: Path, tmp_path: Path
) -> None:
    folder = copy_of_ravdess(tmp_path / "r")
    (folder / "Actor_19" / f"{demo_clips.CLIPS[0].name}.wav").write_bytes(b"no sound")
    out, err = run("--bundle", str(toy), "--ravdess", str(folder), status=1)
    assert "5 of 8 right" in out
    assert f"error: {folder / 'Actor_19' / demo_clips.CLIPS[0].name}.wav" in err


def test_a_remote_file_reads_like_a_local_one(serve: Callable[..., Server]) -> None:
    content = bytes(range(256)) * 40
    remote = RemoteFile(serve(content).url)
    local = io.BytesIO(content)
    for offset, whence, count in ((0, 0, 3), (5000, 0, 100), (-7, 1, 20), (-10, 2, 50), (10, 2, 5), (0, 0, 20_000)):
        assert remote.seek(offset, whence) == local.seek(offset, whence)
        assert remote.read(count) == local.read(count)
        assert remote.tell() == local.tell()


def test_a_remote_file_reads_no_more_than_its_bound(serve: Callable[..., Server]) -> None:
    remote = RemoteFile(serve(bytes(10_000)).url, max_bytes=5000)
    assert remote.read(4000) == bytes(4000)
    with pytest.raises(FetchError, match="too large"):
        remote.read(4000)


@pytest.mark.parametrize("url", ["http://zenodo.org/a.zip", "file:///etc/hostname", "ftp://127.0.0.1/a.zip"])
def test_only_https_is_asked(url: str) -> None:
    with pytest.raises(FetchError, match="expected an address that starts with https://"):
        RemoteFile(url)


def test_a_server_that_stays_silent_is_not_waited_for(serve: Callable[..., Server]) -> None:
    released = threading.Event()
    server = serve(b"x", answer=lambda handler: released.wait(10))
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"did not answer within 0\.1 s"):
        RemoteFile(server.url, timeout=0.1)
    released.set()
    assert time.monotonic() - began < 5


def test_a_server_that_is_too_slow_is_left(serve: Callable[..., Server]) -> None:
    with pytest.raises(FetchError, match="too slow: not finished after 0 s"):
        RemoteFile(serve(b"x").url, deadline=0)


def test_clips_are_sought_in_any_format_and_missing_ones_named(tmp_path: Path) -> None:
    found = demo_clips.find_clips(copy_of_ravdess(tmp_path / "a", suffix=".flac"))
    assert [clip.path.suffix for clip in found if clip.path] == [".flac"] * 8
    with pytest.raises(CorpusError, match=r"1 of the demo's eight clips are missing, such as 03-01-05-01-01-01-19"):
        demo_clips.find_clips(copy_of_ravdess(tmp_path / "b", leave_out="03-01-05-01-01-01-19"))


def test_the_synthetic_clips_are_those_of_examples(tmp_path: Path) -> None:
    made = synthetic.make_examples(tmp_path)
    assert [path.name for path in made] == sorted(path.name for path in EXAMPLES.glob("*.wav"))
    for path in made:
        ours, kept = (soundfile.read(folder / path.name, dtype="int16")[0] for folder in (tmp_path, EXAMPLES))
        assert len(ours) == len(kept)
        assert abs(ours.astype(int) - kept).max() <= 1, "another processor may round a sample differently"
