"""The server's live streams: samples in, updates out, and how a stream ends."""

import json
import threading
import time

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from made_server import make_server, until
from serotone import Recognizer
from serotone.errors import BundleError
from serotone.recognition.stream import Stream
from toy_bundle import SAMPLE_RATE, buzz, make_adaptable_bundle, make_toy_bundle, tone

SAID = np.concatenate([tone(5, 0.9), np.zeros(3 * SAMPLE_RATE, np.float32), buzz(4, 0.3)])
"""Angry, nobody, happy."""

END = json.dumps({"kind": "end"})


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    make_adaptable_bundle(folder / "toy")
    make_toy_bundle(folder / "plain", name="plain")
    return folder / "toy", folder / "plain"


@pytest.fixture(scope="module")
def client(bundles):
    with TestClient(make_server(*bundles), base_url="http://127.0.0.1:8000") as client:
        yield client


def heard(client, pieces, address="/v1/stream"):
    """What a stream says to pieces of bytes: its first message, the updates, the summary."""
    with client.websocket_connect(address) as socket:
        ready = socket.receive_json()
        for piece in pieces:
            socket.send_bytes(piece)
        socket.send_text(END)
        messages = [socket.receive_json()]
        while messages[-1]["kind"] == "update":
            messages.append(socket.receive_json())
        assert socket.receive()["code"] == 1000
    return ready, messages[:-1], messages[-1]


def offline(bundle, samples, rate=SAMPLE_RATE):
    stream = Recognizer(bundle).stream(sample_rate=rate)
    updates, prediction = stream.feed(samples), stream.finish()
    return [update.to_dict() for update in (*updates, *stream.last_updates)], prediction.to_dict()


@pytest.mark.parametrize("size", [3, 3201, 1 << 18])
def test_the_server_hears_as_the_recogniser_does_in_pieces_of_any_size(client, bundles, size):
    said = SAID if size > 3 else SAID[: 2 * SAMPLE_RATE]
    data = np.round(said * 32767).astype("<i2").tobytes()
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size > 3 else [data[:1], data[1:4], data[4:]]
    ready, updates, summary = heard(client, pieces)
    expected, whole = offline(bundles[0], np.frombuffer(data, "<i2").astype(np.float32) / 32768)
    assert (ready["kind"], ready["bundle"], ready["non_commercial"]) == ("ready", "toy 1", False)
    assert [{key: update[key] for key in update if key not in ("schema", "kind")} for update in updates] == expected
    assert summary.pop("probabilities") == pytest.approx(whole.pop("probabilities"), abs=1e-4)
    assert {key: summary[key] for key in whole} == whole


def test_floats_at_another_rate_are_heard_too(client, bundles):
    rate = 48000
    said = np.concatenate([tone(4, 0.9, rate=rate), tone(4, 0.02, rate=rate)])
    _, updates, summary = heard(client, [said.tobytes()], f"/v1/stream?rate={rate}&encoding=f32le&name=mike")
    assert updates[0]["label"] == "angry"
    assert summary["name"] == "mike"
    _, whole = offline(bundles[0], said, rate)
    assert summary["probabilities"] == pytest.approx(whole["probabilities"], abs=1e-4)


def test_a_stream_that_adapts_says_to_what(client):
    _, updates, summary = heard(client, [np.tile(tone(6, 0.4), 2).tobytes()], "/v1/stream?encoding=f32le&adapt=true")
    assert updates[0]["profile"] is None
    assert updates[-1]["profile"]["count"] >= 5
    assert summary["profile"]["name"] == "stream"


def test_a_stream_without_a_sample_has_no_label(client):
    _, updates, summary = heard(client, [])
    assert (updates, summary["label"], summary["duration_seconds"]) == ([], None, 0)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (np.array([0, np.nan], "<f4").tobytes(), "NaN or infinity"),
        ("finish", "expected binary messages"),
        (json.dumps({"kind": "stop"}), "expected binary messages"),
        ("[" * 100_000, "expected binary messages"),
    ],
)
def test_what_makes_no_sense_is_a_problem_and_the_end(client, message, words):
    with client.websocket_connect("/v1/stream?encoding=f32le") as socket:
        socket.receive_json()
        (socket.send_text if isinstance(message, str) else socket.send_bytes)(message)
        problem = socket.receive_json()
        assert (problem["kind"], problem["status"]) == ("problem", 422)
        assert words in problem["detail"]
        assert socket.receive()["code"] == 1003


def test_a_bundle_that_fails_within_a_stream_is_the_servers_fault(client, monkeypatch, caplog):
    def fail(*_):
        raise BundleError("/srv/secret/model.onnx: fails")

    with client.websocket_connect("/v1/stream?encoding=f32le") as socket:
        socket.receive_json()
        with monkeypatch.context() as patched:
            patched.setattr(Stream, "feed", fail)
            socket.send_bytes(SAID.tobytes()[: 1 << 18])
            problem = socket.receive_json()
        assert (problem["kind"], problem["status"]) == ("problem", 500)
        assert "secret" not in problem["detail"]
        assert socket.receive()["code"] == 1011
    assert "/srv/secret/model.onnx" in caplog.text


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("rate=10", 422, "query.rate: '10'; expected at least 1000"),
        ("encoding=mp3", 422, "query.encoding: 'mp3'; expected one of s16le, f32le"),
        ("rate=16000&rate=8000", 422, "query.rate: given 2 times; give it once"),
        ("speed=2", 422, "query.speed: no such option (did you mean speaker?); expected one of bundle, profile"),
        ("adapt=true&profile=x", 422, "query: give adapt or profile, not both"),
        ("speaker=anna", 422, "query: speaker works only with profile; add it, or leave speaker out"),
        ("adapt=true&speaker=anna", 422, "query: speaker works only with profile"),
        ("adapt=true&bundle=plain", 422, "cannot be adapted"),
        ("bundle=none", 404, "no bundle"),
        ("profile=none", 404, "no profile"),
    ],
)
def test_a_stream_that_cannot_begin_is_refused_with_a_problem(client, query, status, words):
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(f"/v1/stream?{query}"):
        pass
    assert refused.value.status_code == status
    assert refused.value.headers["content-type"] == "application/problem+json"
    assert words in refused.value.json()["detail"]


def test_a_stream_at_a_wrong_path_is_told_the_right_one(client):
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/v1/streams"):
        pass
    assert refused.value.status_code == 404
    assert "use /v1/stream" in refused.value.json()["detail"]


def test_streams_are_bounded_in_number_and_one_that_vanishes_makes_room(client):
    desk = client.app.state.desk
    with client.websocket_connect("/v1/stream") as first, client.websocket_connect("/v1/stream"):
        first.receive_json()
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/v1/stream"):
            pass
        assert refused.value.status_code == 503
        assert refused.value.headers["retry-after"] == "10"
    until(lambda: desk.streams.live == 0)
    heard(client, [SAID[:SAMPLE_RATE].tobytes()])


def test_a_stream_that_says_nothing_ends(bundles):
    with (
        TestClient(make_server(bundles[0], idle_seconds=0.2)) as client,
        client.websocket_connect("/v1/stream") as socket,
    ):
        socket.receive_json()
        problem = socket.receive_json()
        assert (problem["kind"], problem["status"]) == ("problem", 408)
        assert socket.receive()["code"] == 1008


def last_of(socket, message, seconds):
    """The last message of a stream that gets ``message`` again and again for 3 s, and then its end."""
    more = threading.Event()

    def send():
        for _ in range(round(3.0 / seconds)):
            if more.wait(seconds):
                return
            socket.send_bytes(message)
        socket.send_text(END)

    sending = threading.Thread(target=send)
    sending.start()
    messages = [socket.receive_json()]
    while messages[-1]["kind"] in ("ready", "update"):
        messages.append(socket.receive_json())
    more.set()
    sending.join()
    return messages[-1]


@pytest.mark.parametrize(("message", "seconds"), [(b"", 0.05), (b"\0", 0.15)])
def test_a_stream_of_messages_without_a_whole_sample_says_nothing(bundles, message, seconds):
    with (
        TestClient(make_server(bundles[0], idle_seconds=0.3)) as client,
        client.websocket_connect("/v1/stream?encoding=f32le") as socket,
    ):
        problem = last_of(socket, message, seconds)
        assert (problem["kind"], problem["status"]) == ("problem", 408)


def test_a_stream_of_little_audio_ends_when_its_time_is_over(bundles):
    with (
        TestClient(make_server(bundles[0], stream_seconds=0.5)) as client,
        client.websocket_connect("/v1/stream") as socket,
    ):
        begun = time.monotonic()
        assert last_of(socket, b"\0\0", 0.05)["kind"] == "summary"
        assert time.monotonic() - begun < 2.5


def test_a_stream_ends_where_it_is_longer_than_is_heard(bundles):
    with (
        TestClient(make_server(bundles[0], stream_seconds=2.0)) as client,
        client.websocket_connect("/v1/stream?encoding=f32le") as socket,
    ):
        socket.receive_json()
        socket.send_bytes(tone(3, 0.9).tobytes())
        kinds = [socket.receive_json()["kind"]]
        while kinds[-1] == "update":
            kinds.append(socket.receive_json()["kind"])
        assert kinds[-1] == "summary"
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()
