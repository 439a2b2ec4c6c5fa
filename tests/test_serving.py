"""The server's API: recordings, bundles, profiles, probes, and every error as a problem."""

import asyncio
import errno
import gc
import gzip
import io
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from starlette.testclient import TestClient, WebSocketDenialResponse

from made_server import check_problem, make_server, until, wav
from serotone import Recognizer
from serotone.audio.sources import name_of
from serotone.errors import BundleError
from serotone.recognition.loading import load_bundle
from serotone.recognition.profile import load_profile
from serotone.serving import app as application
from serotone.serving import decoding, schemas, uploads
from serotone.serving.decoding import Decoder
from serotone.serving.pool import Pool
from toy_bundle import SAMPLE_RATE, buzz, make_adaptable_bundle, make_toy_bundle, tone

LOUD, QUIET = wav(tone(1, 0.9)), wav(tone(1, 0.02))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    make_adaptable_bundle(folder / "toy")
    data = [{"name": "toy", "licence": "CC BY-NC 4.0", "utterances": 3, "non_commercial": True}]
    make_toy_bundle(folder / "bound", name="bound", data=data)
    return folder / "toy", folder / "bound"


@pytest.fixture(scope="module")
def client(bundles):
    app = make_server(*bundles, body_bytes=400_000, max_seconds=6.0, files=12, profiles=None)
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


def recognised(client, content, *, status=200, name="clip.wav", **options):
    answer = client.post("/v1/recognize", params=options, files={"file": (name, content)})
    assert answer.status_code == status, answer.text
    if status == 200:
        schemas.Recognition.model_validate(answer.json())
    else:
        check_problem(answer)
    return answer.json()


def form(content, charset=""):
    """What sends a form as it stands."""
    return {"content": content, "headers": {"Content-Type": f"multipart/form-data; boundary=x{charset}"}}


def test_an_upload_is_recognised(client):
    answer = recognised(client, LOUD, name="call.wav")
    assert (answer["name"], answer["label"], answer["bundle"]) == ("call.wav", "angry", "toy 1")
    assert answer["segments"] == []
    assert answer["non_commercial"] is False


def test_a_raw_body_is_recognised_whatever_its_type_says(client):
    for kind in ("application/octet-stream", "audio/wav", "application/x-www-form-urlencoded"):
        answer = client.post("/v1/recognize?name=raw", content=QUIET, headers={"Content-Type": kind})
        assert (answer.json()["name"], answer.json()["label"]) == ("raw", "sad")


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("a\u3000b.wav", "a\u3000b.wav"),
        ("Screenshot 9.41\u202fAM\xa0x.wav", "Screenshot 9.41\u202fAM\xa0x.wav"),  # as macOS writes the time
        ("\u0645\u06cc\u200c\u062e \U0001f468\u200d\U0001f469.wav",) * 2,  # Persian, and a family
        ("a\tb\x7f\x85\u2028c\u2029.wav", "a?b???c?.wav"),
        ("\u202eexe\u2066.wav", "?exe?.wav"),
        ("calls/" * 600 + "monday.wav", "monday.wav"),
        ("n" * 4096, "n" * uploads.LONGEST_NAME),
    ],
)
def test_a_recording_keeps_its_name_but_for_controls(client, sent, name):
    answer = client.post("/v1/recognize", params={"name": sent}, content=LOUD)
    assert (answer.status_code, answer.json().get("name")) == (200, name), answer.text
    assert uploads.clean(sent) == name


def test_a_surrogate_in_a_name_is_no_text():
    assert uploads.clean("a\ud800b.wav") == "a?b.wav"


def test_a_large_part_without_a_filename_is_told_so(bundles):
    with TestClient(make_server(bundles[0])) as client:
        part = b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n%b\r\n--x--\r\n" % bytes(2_000_000)
        problem = check_problem(client.post("/v1/recognize", **form(part)))
        assert problem["status"] == 422
        assert "no parameter filename" in problem["detail"]


def test_a_body_that_says_that_it_is_as_it_is_is_taken(client):
    answer = client.post("/v1/recognize", content=LOUD, headers={"Content-Encoding": "Identity"})
    assert answer.status_code == 200
    refused = client.post("/v1/recognize", content=LOUD, headers={"Content-Encoding": "gzip"})
    assert refused.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "options", [{}, {"timeline": True}, {"start": 0.5, "end": 4.5, "timeline": True}, {"channel": 1}, {"start": 2.0}]
)
def test_the_server_answers_as_the_recogniser_does(client, bundles, tmp_path, options):
    said = np.concatenate([tone(2, 0.9), np.zeros(SAMPLE_RATE, np.float32), buzz(2, 0.3)])
    path = tmp_path / "call.wav"
    path.write_bytes(wav(np.stack([said, said[::-1]], axis=1), subtype="PCM_16"))
    answer = recognised(client, path.read_bytes(), name="call.wav", **options)
    offline = Recognizer(bundles[0]).predict(path, **options).to_dict()
    assert answer.pop("non_commercial") is False
    for key in ("probabilities",):
        assert answer.pop(key) == pytest.approx(offline.pop(key), abs=1e-4)
    assert [s["label"] for s in answer["segments"]] == [s["label"] for s in offline["segments"]]
    assert answer == offline | {"name": "call.wav"}


def test_each_channel_is_answered_apart_as_by_the_command(client, bundles, tmp_path):
    said = np.stack([tone(2, 0.9), tone(2, 0.02), buzz(2, 0.3)], axis=1)
    path = tmp_path / "call.wav"
    path.write_bytes(wav(said, subtype="PCM_16"))
    files = {"file": ("call.wav", path.read_bytes())}
    answer = client.post("/v1/recognize/channels", params={"timeline": True, "start": 0.5}, files=files)
    assert answer.status_code == 200, answer.text
    schemas.Recognitions.model_validate(answer.json())
    recognizer = Recognizer(bundles[0])
    for channel, found in enumerate(answer.json()["predictions"]):
        expected = recognizer.predict(path, channel=channel, timeline=True, start=0.5).to_dict()
        assert (found["channel"], found["label"]) == (channel, ("angry", "sad", "happy")[channel])
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)
        assert found["segments"][0]["start"] == expected["segments"][0]["start"]
    (single,) = client.post("/v1/recognize/channels", content=LOUD).json()["predictions"]
    assert (single["channel"], single["label"]) == (None, "angry")


def test_channels_are_counted_without_decoding_all_of_them(client, monkeypatch):
    send, asked = Decoder.send, []
    monkeypatch.setattr(Decoder, "send", lambda self, request: asked.append(request) or send(self, request))
    answer = client.post("/v1/recognize/channels", content=wav(np.stack([tone(1, 0.9), tone(1, 0.02)], axis=1)))
    assert len(answer.json()["predictions"]) == 2
    assert [request["channel"] for request in asked if request] == [0, 0, 1]  # None would measure all of both


@pytest.mark.parametrize(
    ("query", "content", "status", "words"),
    [
        ("", wav(np.zeros((2000, 33))), 413, "33 channels; at most 32 are answered separately"),
        ("", b"no audio", 422, "not audio"),
        ("?start=9", LOUD, 422, "ends at 1.00 s"),
        ("?channel=1", LOUD, 422, "query.channel"),
    ],
)
def test_channels_that_cannot_be_answered_apart_are_a_problem(client, query, content, status, words):
    problem = check_problem(client.post(f"/v1/recognize/channels{query}", content=content))
    assert problem["status"] == status
    assert words in problem["detail"]


def test_every_name_that_is_made_up_is_in_the_guide(client):
    made_up = {name_of(source) for source in (b"RIFF", np.zeros(1, np.float32), io.BytesIO())}
    unnamed = client.post("/v1/recognize", content=LOUD).json()["name"]
    assert (unnamed, schemas.StreamOptions().name) == ("upload", "stream")
    guide = (Path(__file__).parent.parent / "docs" / "prediction.md").read_text(encoding="utf-8")
    (row,) = (line for line in guide.splitlines() if line.startswith("| `name` |"))
    assert [name for name in (*made_up, unnamed, "stream", "<stdin>") if f"`{name}`" not in row] == []


def test_another_bundle_answers_when_asked_and_says_its_terms(client):
    answer = recognised(client, LOUD, bundle="bound")
    assert (answer["bundle"], answer["non_commercial"]) == ("bound 1", True)


def test_bundles_are_listed_with_colours_and_terms(client):
    listed = schemas.Bundles.model_validate(client.get("/v1/bundles").json())
    assert [(b.name, b.adaptable, b.non_commercial) for b in listed.bundles] == [
        ("toy", True, False),
        ("bound", False, True),
    ]
    assert listed.bundles[0].colours["angry"] == "#D55E00"


def test_a_profile_is_made_used_read_and_forgotten(client, bundles, tmp_path):
    files = [("file", (f"{i}.wav", wav(tone(1, 0.05 + 0.02 * i)))) for i in range(6)]
    files.append(("file", ("notes.txt", b"not audio at all")))
    made = client.post("/v1/profiles?name=office", files=files)
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/profiles/office"
    assert made.json()["count"] == 6
    assert [failure["name"] for failure in made.json()["failures"]] == ["notes.txt"]
    schemas.NewProfile.model_validate(made.json())
    answer = recognised(client, LOUD, profile="office")
    assert answer["profile"] == {"name": "office", "count": 6, "speaker": None}

    written = tmp_path / "office.profile.json"
    written.write_text(client.get("/v1/profiles/office").text, encoding="utf-8")
    clip = tmp_path / "clip.wav"
    clip.write_bytes(LOUD)
    offline = Recognizer(bundles[0]).with_profile(load_profile(written)).predict(clip)
    assert answer["probabilities"] == pytest.approx(offline.probabilities, abs=1e-4)

    assert [row["name"] for row in client.get("/v1/profiles").json()["profiles"]] == ["office"]
    assert check_problem(client.post("/v1/profiles?name=office", files=files))["status"] == 409
    recognised(client, LOUD, profile="office", bundle="bound", status=422)
    assert client.delete("/v1/profiles/office").status_code == 204
    assert check_problem(client.delete("/v1/profiles/office"))["status"] == 404
    recognised(client, LOUD, profile="office", status=404)


def test_profiles_outlive_the_server_in_a_folder(bundles, tmp_path):
    files = [("file", (f"{i}.wav", LOUD)) for i in range(5)]
    (tmp_path / "broken.profile.json").write_text("{", encoding="utf-8")
    with TestClient(make_server(*bundles, profiles=tmp_path, workers=1, max_seconds=6.0)) as client:
        assert client.post("/v1/profiles?name=kept", files=files).status_code == 201
    with TestClient(make_server(*bundles, profiles=tmp_path, profiles_kept=1)) as client:
        assert [row["name"] for row in client.get("/v1/profiles").json()["profiles"]] == ["kept"]
        full = client.post("/v1/profiles?name=more", files=files)
        assert check_problem(full)["status"] == 409
        assert "kept" in full.json()["detail"]
        client.delete("/v1/profiles/kept")
        taken = client.post("/v1/profiles?name=broken", files=files)  # by a file, which somebody may miss
        assert "has not read" in check_problem(taken)["detail"]
    assert [path.name for path in tmp_path.iterdir()] == ["broken.profile.json"]


def test_the_name_of_its_file_is_how_a_profile_is_asked_for(bundles, tmp_path, caplog):
    profile = Recognizer(bundles[0]).profile([tone(1, 0.02)] * 5, source_rate=SAMPLE_RATE, name="office")
    for name in ("other.profile.json", "office.json", "notes.json"):
        profile.save(tmp_path / name)
    with TestClient(make_server(*bundles, profiles=tmp_path)) as client:
        assert [row["name"] for row in client.get("/v1/profiles").json()["profiles"]] == ["other"]
        assert recognised(client, LOUD, profile="other")["profile"]["name"] == "office"
        recognised(client, LOUD, profile="office", status=404)
    left_out = f"left out: notes.json, office.json in {tmp_path}; to serve a profile, call its file NAME.profile.json"
    assert [record.getMessage() for record in caplog.records if "left out" in record.getMessage()] == [left_out]


def test_profiles_are_listed_while_one_is_deleted(bundles, monkeypatch):
    files = [("file", (f"{i}.wav", LOUD)) for i in range(5)]
    describe = application._kept
    with TestClient(make_server(bundles[0])) as client:
        kept = client.app.state.desk.service.profiles
        for name in "ab":
            assert client.post(f"/v1/profiles?name={name}", files=files).status_code == 201

        def delete_meanwhile(name, profile):
            if "b" in kept._kept:
                kept.remove("b")
            return describe(name, profile)

        monkeypatch.setattr(application, "_kept", delete_meanwhile)
        assert [row["name"] for row in client.get("/v1/profiles").json()["profiles"]] == ["a", "b"]
        assert [row["name"] for row in client.get("/v1/profiles").json()["profiles"]] == ["a"]


def test_a_profile_that_cannot_be_deleted_stays(bundles, tmp_path, monkeypatch):
    files = [("file", (f"{i}.wav", LOUD)) for i in range(5)]
    app = make_server(bundles[0], profiles=tmp_path)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/v1/profiles?name=kept", files=files).status_code == 201
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", lambda *_, **__: failing(errno.EROFS))
            assert client.delete("/v1/profiles/kept").status_code == 500
        assert client.get("/v1/profiles/kept").status_code == 200


def failing(number):
    raise OSError(number, os.strerror(number))


def test_a_full_disk_is_said_with_when_to_ask_again(client, monkeypatch, caplog):
    monkeypatch.setattr(uploads, "_copy", lambda *_: failing(errno.ENOSPC))
    answer = client.post("/v1/recognize", files={"file": LOUD})
    assert check_problem(answer)["status"] == 503
    assert answer.headers["retry-after"] == "60"
    assert "No space left" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "words"),
    [
        ("GET", "/nothing", {}, 404, "openapi.json"),
        ("GET", "/v1/bundles/", {}, 404, "nothing at"),
        ("GET", "/page/../../etc/passwd", {}, 404, "nothing at"),
        ("GET", "/v1/recognize", {}, 405, "does not take GET, but POST"),
        ("GET", "/v1/stream", {}, 426, "is a WebSocket"),
        (
            "POST",
            "/v1/recognize?timeline=perhaps",
            {"content": LOUD},
            422,
            "query.timeline: 'perhaps'; expected true or false",
        ),
        ("POST", "/v1/recognize?start=2&end=1", {"content": LOUD}, 422, "query: end is 1 s; expected more than start"),
        ("POST", "/v1/recognize?start=nan", {"content": LOUD}, 422, "query.start: 'nan'; expected a finite number"),
        ("POST", "/v1/recognize?start=soon", {"content": LOUD}, 422, "query.start: 'soon'; expected a number"),
        ("POST", "/v1/recognize?channel=1.5", {"content": LOUD}, 422, "query.channel: '1.5'; expected a whole number"),
        ("POST", "/v1/recognize?start=-1", {"content": LOUD}, 422, "query.start: '-1'; expected at least 0"),
        (
            "POST",
            "/v1/recognize?timelines=true",
            {"content": LOUD},
            422,
            "query.timelines: no such option (did you mean timeline?); expected one of bundle, profile, timeline",
        ),
        ("POST", "/v1/recognize?timeline=true&timeline=false", {"content": LOUD}, 422, "query.timeline: given 2 times"),
        ("POST", "/v1/recognize?bundle=tyo", {"content": LOUD}, 404, "did you mean toy?"),
        ("POST", "/v1/recognize?profile=none", {"content": LOUD}, 404, "no profile none"),
        ("POST", "/v1/recognize?speaker=anna", {"content": LOUD}, 422, "query: speaker works only with profile"),
        ("POST", "/v1/recognize/channels?speaker=a", {"content": LOUD}, 422, "query: speaker works only with profile"),
        ("POST", "/v1/recognize?channel=3", {"content": LOUD}, 422, "channel 3 was asked for"),
        ("POST", "/v1/recognize", {"content": b""}, 422, "the body is empty"),
        ("POST", "/v1/recognize", {"content": b"hello, I am text"}, 422, "upload: not audio"),
        ("POST", "/v1/recognize", {"content": LOUD[:2000]}, 422, "upload: "),
        ("POST", "/v1/recognize", {"content": wav(tone(7, 0.5), subtype="PCM_U8")}, 413, "at most 6 s"),
        ("POST", "/v1/recognize", {"content": bytes(400_001)}, 413, "more than 0.4 MB"),
        ("POST", "/v1/recognize", {"content": iter([bytes(90_000)] * 5)}, 413, "more than 0.4 MB"),
        ("POST", "/v1/recognize", {"files": {"sound": LOUD}}, 422, "other parts: sound"),
        ("POST", "/v1/recognize", {"files": {"file": (None, "call.wav")}}, 422, "write -F file=@call.wav"),
        (
            "POST",
            "/v1/recognize",
            form(b"--x\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''a.wav\r\n\r\nRIFF\r\n--x--\r\n"),
            422,
            "filename* does not count",
        ),
        ("POST", "/v1/recognize?name=" + "n" * 4097, {"content": LOUD}, 422, "query.name: 'nn"),
        (
            "POST",
            "/v1/recognize",
            {"content": gzip.compress(LOUD), "headers": {"Content-Encoding": "gzip"}},
            415,
            "Content-Encoding: gzip, which this server does not decode; send the recording as it is",
        ),
        (
            "POST",
            "/v1/profiles",
            {"files": [("file", LOUD)] * 5, "headers": {"Content-Encoding": "br"}},
            415,
            "Content-Encoding: br",
        ),
        ("POST", "/v1/recognize", form(b"--x\r\nContent-Disp"), 422, "was the form cut off?"),
        (
            "POST",
            "/v1/recognize",
            form(b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n--x--", "; charset=undefined"),
            400,
            "send them in UTF-8",
        ),
        ("POST", "/v1/recognize", {"files": [("file", LOUD), ("file", LOUD)]}, 413, "2 recordings"),
        ("POST", "/v1/recognize", {"files": [("file", LOUD)] * 3}, 413, "at most 1"),
        (
            "POST",
            "/v1/recognize",
            {"content": LOUD, "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "boundary",
        ),
        ("POST", "/v1/profiles", {"files": [("file", LOUD)] * 4}, 422, "needs at least 5"),
        ("POST", "/v1/profiles", {"files": [("file", b"x")] * 13}, 413, "at most 12"),
        ("POST", "/v1/profiles", {"files": [("file", b"x")] * 20}, 413, "at most 12"),
        ("POST", "/v1/profiles?bundle=bound", {"files": [("file", LOUD)] * 5}, 422, "cannot be adapted"),
        (
            "POST",
            "/v1/profiles?name=../x",
            {"files": [("file", LOUD)] * 5},
            422,
            "query.name: '../x'; expected at most 64",
        ),
        ("PATCH", "/v1/profiles/x", {}, 405, "but DELETE, GET"),
        ("GET", "/v1/profiles/-x", {}, 422, "path.name: '-x'; expected at most 64 letters"),
    ],
)
def test_every_error_is_a_problem(client, method, path, options, status, words):
    answer = client.request(method, path, **options)
    assert answer.status_code == status, answer.text
    assert words in check_problem(answer)["detail"]


def test_two_bundles_of_one_name_are_refused(bundles, tmp_path):
    toy, _ = bundles
    other = shutil.copytree(toy, tmp_path / "other")
    with pytest.raises(BundleError, match="another bundle here is also called toy"):
        make_server(toy, other)


def test_a_failure_of_the_server_tells_a_stranger_nothing(client, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("the secret reason")

    monkeypatch.setattr(client.app.state.desk.service, "predict", fail, raising=False)
    answer = client.post("/v1/recognize", content=LOUD)
    assert answer.status_code == 500
    assert "secret" not in json.dumps(check_problem(answer))
    assert "the secret reason" in caplog.text


@pytest.mark.parametrize("way", ["recording", "profile", "stream"])
def test_a_damaged_bundle_of_the_server_is_no_fault_of_a_client(tmp_path, caplog, monkeypatch, way):
    make_adaptable_bundle(tmp_path / "toy")
    where = tmp_path / "toy" / "adaptation.npz"
    files = [("file", (f"{i}.wav", LOUD)) for i in range(5)]
    app = make_server(tmp_path / "toy")
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        where.unlink()
        if way == "recording":
            monkeypatch.setattr(app.state.desk.service, "predict", lambda *_: load_bundle(where), raising=False)
            answer = client.post("/v1/recognize", content=LOUD)
        elif way == "profile":
            answer = client.post("/v1/profiles", files=files)
        else:
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client.websocket_connect("/v1/stream?adapt=true"),
            ):
                pass
            answer = refused.value
    problem = check_problem(answer)
    assert (problem["status"], problem["error"]) == (500, "BundleError")
    assert str(tmp_path) not in json.dumps(problem)
    assert f"cannot be used: {where}" in caplog.text


def stopped(monkeypatch, then):
    """Let children stop before they decode anything; ``then`` is called with the number of each."""
    send = Decoder.send

    def stop_and_send(self, request):
        os.kill(self.pid, signal.SIGSTOP)
        send(self, request)
        then(self.pid)

    monkeypatch.setattr(Decoder, "send", stop_and_send)


def test_a_decoder_that_is_killed_is_one_error(client, monkeypatch):
    decoders = client.app.state.desk.service.decoders
    before = decoders.failures
    with monkeypatch.context() as patch:
        stopped(patch, lambda pid: os.kill(pid, signal.SIGKILL))
        problem = recognised(client, LOUD, status=422)
    assert problem["error"] == "DecoderFailedError"
    assert "exit code -9" in problem["detail"]
    assert decoders.failures == before + 1
    assert recognised(client, LOUD)["label"] == "angry"


def test_a_bomb_of_silence_is_refused_without_decoding_it(bundles):
    app = make_server(bundles[0], decoded_values=3 * SAMPLE_RATE)
    with TestClient(app) as client:
        bomb = wav(np.zeros((2 * SAMPLE_RATE, 2), np.float32), format="FLAC", subtype="PCM_16")
        assert len(bomb) < 10_000
        answer = client.post("/v1/recognize", content=bomb)
        assert answer.status_code == 413
        assert "2 channels at 16000 Hz" in check_problem(answer)["detail"]
        assert client.post("/v1/recognize", content=LOUD).status_code == 200


def test_a_decoder_that_takes_too_long_is_ended(bundles, monkeypatch):
    with TestClient(make_server(bundles[0], decode_seconds=0.2)) as client:
        with monkeypatch.context() as patch:
            stopped(patch, lambda pid: None)
            answer = client.post("/v1/recognize", content=LOUD)
        assert answer.status_code == 422
        assert "did not finish in time" in check_problem(answer)["detail"]


def test_a_decoder_that_does_not_start_is_no_fault_of_the_recording(bundles, monkeypatch):
    with TestClient(make_server(bundles[0])) as client:
        service = client.app.state.desk.service
        with monkeypatch.context() as patch:
            stopped(patch, lambda pid: os.kill(pid, signal.SIGKILL))
            for _ in range(service.decoders._count):
                recognised(client, LOUD, status=422)
        failures = service.decoders.failures
        with monkeypatch.context() as patch:
            patch.setattr(decoding, "START_SECONDS", 0.0)
            answer = client.post("/v1/recognize", content=LOUD)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert "the process that decodes audio did not start" in check_problem(answer)["detail"]
        assert service.decoders.failures == failures + 1
        assert recognised(client, LOUD)["label"] == "angry"


def test_a_client_that_goes_away_is_noticed_before_the_decoder_says_anything(bundles, monkeypatch, tmp_path):
    """As while a recording of several channels is measured."""
    path = tmp_path / "call.wav"
    path.write_bytes(LOUD)
    monkeypatch.setattr(decoding, "STOP_SECONDS", 0.1)
    decoders, cancelled = decoding.Decoders(1, memory_bytes=2**29, seconds=10.0), threading.Event()
    asked = {"sample_rate": SAMPLE_RATE, "min_seconds": 0.5, "max_seconds": 60.0, "decoded_values": 2**29}
    begun = time.monotonic()
    with monkeypatch.context() as patch:
        stopped(patch, lambda pid: cancelled.set())
        with pytest.raises(decoding.GoneError), decoders.opened(path, "call.wav", cancelled=cancelled, **asked):
            pass
    assert time.monotonic() - begun < 5.0
    assert decoders.failures == 0
    with decoders.opened(path, "call.wav", **asked) as sound:
        assert sum(map(len, sound)) == SAMPLE_RATE
    decoders.close()


def test_what_a_client_that_goes_away_leaves_in_the_line_is_heard_by_nobody(bundles, monkeypatch, tmp_path):
    """Its upload is opened only after it has gone."""
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(wav(np.full(SAMPLE_RATE, number / 8, np.float32)))
    decoders, cancelled = decoding.Decoders(1, memory_bytes=2**29, seconds=10.0), threading.Event()
    asked = {"sample_rate": SAMPLE_RATE, "min_seconds": 0.5, "max_seconds": 60.0, "decoded_values": 2**29}
    monkeypatch.setattr(decoding, "STOP_SECONDS", 30.0)
    pids: list[int] = []

    def leave(pid: int) -> None:
        if pids:  # it is told to let go, and goes on to open what it was asked for before
            os.kill(pid, signal.SIGCONT)
        pids.append(pid)
        cancelled.set()

    with monkeypatch.context() as patch:
        stopped(patch, leave)
        with pytest.raises(decoding.GoneError), decoders.opened(paths[0], "0.wav", cancelled=cancelled, **asked):
            pass
    for number in (1, 2):
        with decoders.opened(paths[number], f"{number}.wav", **asked) as sound:
            assert np.concatenate(list(sound)) == pytest.approx((number + 1) / 8, abs=1e-3)
            assert sound._child.pid == pids[0]
    decoders.close()


def test_a_decoder_that_takes_too_much_memory_is_one_error(bundles):
    with TestClient(make_server(bundles[0], decode_bytes=1 << 20)) as client:
        wide = wav(np.zeros((3000, 900), np.float32), subtype="FLOAT")
        answer = client.post("/v1/recognize", content=wide)
        assert answer.status_code == 422
        assert "1 MiB of memory" in check_problem(answer)["detail"]
        assert client.get("/healthz").status_code == 200


def held(service, monkeypatch):
    """Let answers wait for an event."""
    begun, go_on, predict = threading.Semaphore(0), threading.Event(), type(service).predict

    def wait(self, *arguments):
        begun.release()
        assert go_on.wait(30)
        return predict(self, *arguments)

    monkeypatch.setattr(type(service), "predict", wait)
    return begun, go_on


def test_a_full_queue_is_said_with_when_to_ask_again(client, monkeypatch):
    desk = client.app.state.desk
    begun, go_on = held(desk.service, monkeypatch)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/recognize", content=LOUD))) for _ in "123"
    ]
    for thread in threads:
        thread.start()
    try:
        assert begun.acquire(timeout=20)
        until(lambda: desk.pool.held == 3)
        busy = client.post("/v1/recognize", content=LOUD)
        assert check_problem(busy)["status"] == 503
        assert int(busy.headers["retry-after"]) >= 1
        assert check_problem(client.get("/readyz"))["status"] == 503
        assert client.get("/healthz").json()["status"] == "alive"
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert [answer.status_code for answer in answers] == [200] * 3
    assert client.get("/readyz").status_code == 200


def test_a_server_that_is_about_to_end_takes_nothing_new(client, monkeypatch):
    monkeypatch.setattr(client.app.state.desk, "draining", True)
    for answer in (client.post("/v1/recognize", content=LOUD), client.get("/readyz")):
        assert check_problem(answer)["status"] == 503
        assert answer.headers["retry-after"]
    assert client.get("/healthz").status_code == 200


def test_what_has_no_answer_when_time_is_over_is_told_so(bundles, monkeypatch):
    app = make_server(bundles[0])
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        desk = app.state.desk
        begun, go_on = held(desk.service, monkeypatch)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(client.post("/v1/recognize", content=LOUD)))
        asking.start()
        assert begun.acquire(timeout=20)
        assert client.get("/healthz").status_code == 200
        client.portal.call(desk.over.set)
        asking.join()
        assert "shut down before it had an answer" in check_problem(answers[0])["detail"]
        assert (answers[0].status_code, desk.uploads, desk.pool.held) == (503, 0, 1)
        go_on.set()
        until(lambda: desk.pool.held == 0)


def test_what_fails_when_nobody_waits_for_it_any_more_is_no_line_in_the_log():
    async def left():
        complaints, go_on, pool = [], threading.Event(), Pool(1, 0)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

        def fail():
            assert go_on.wait(30)
            raise decoding.GoneError

        waiting = asyncio.ensure_future(pool.run(fail))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        go_on.set()
        while pool.held:
            await asyncio.sleep(0.01)
        pool.close()
        gc.collect()
        return complaints

    assert asyncio.run(left()) == []


def test_metrics_count_by_route_and_not_by_path(client):
    client.get("/somewhere/else")
    recognised(client, LOUD)
    text = client.get("/metrics").text
    assert 'serotone_requests_total{method="GET",route="other",status="404"}' in text
    assert 'serotone_requests_total{method="POST",route="/v1/recognize",status="200"}' in text
    assert 'serotone_answers_total{adapted="false",bundle="toy"}' in text
    assert "serotone_requests_held 0.0" in text
    assert "somewhere" not in text


def test_nothing_is_left_behind(client):
    desk = client.app.state.desk
    until(lambda: not list(desk.folder.iterdir()))
    assert (desk.uploads, desk.pool.held, desk.streams.live) == (0, 0, 0)
