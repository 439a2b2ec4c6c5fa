"""The server as a process: how it begins, how it ends, and clients that vanish or send without end."""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import httpx
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect
from websockets.uri import parse_uri

from made_server import SOURCE, check_problem, running, until, wav
from serotone.serving.streams import MESSAGE_BYTES
from toy_bundle import tone

LOUD = wav(tone(1, 0.9))
LONG = wav(np.tile(tone(10, 0.9), 120), subtype="PCM_16")  # twenty minutes


@pytest.fixture(scope="module")
def server(toy):
    with running("--bundle", toy, "--workers", "1", "--idle-seconds", "2", "--max-megabytes", "50") as server:
        yield server


def figure(server, name):
    """A figure of /metrics."""
    with server.client() as client:
        rows = client.get("/metrics").text.splitlines()
    return float(next(row for row in rows if row.startswith(f"{name} ")).split()[1])


def test_it_listens_on_this_machine_only_and_answers(server):
    assert server.url.startswith("http://127.0.0.1:")
    with server.client() as client:
        assert client.post("/v1/recognize", content=LOUD).json()["label"] == "angry"


def raw(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_clients_that_vanish_cost_nothing(server):
    head = b"POST /v1/recognize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
    for sent in (b"", head[:20], head, head + LOUD[:1000]):
        with raw(server) as connection:
            connection.sendall(sent)
    with server.client(timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/recognize", content=LONG, params={"timeline": True})
    until(lambda: figure(server, "serotone_uploads") == 0 and figure(server, "serotone_requests_held") == 0)
    assert figure(server, "serotone_decoder_failures") == 0
    with server.client() as client:
        assert client.post("/v1/recognize", content=LOUD).json()["label"] == "angry"


def test_a_client_that_stops_sending_is_told(server):
    with raw(server) as connection:
        connection.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nRIFF")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost:"])
def test_a_connection_that_asks_nothing_is_closed(server, sent):
    with raw(server) as connection:
        connection.sendall(sent)
        begun = time.monotonic()
        assert connection.makefile("rb").read() == b""
        assert 1 < time.monotonic() - begun < 15


def test_what_is_no_http_gets_a_problem(server):
    for sent in (b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * 100_000):
        with raw(server) as connection:
            connection.sendall(sent)
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        head, _, content = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert json.loads(content)["status"] == 400


def answer_to(server, *lines):
    """The whole answer to the head of a request."""
    with raw(server) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return connection.makefile("rb").read()


def test_a_probe_of_an_old_client_needs_no_host(server):
    for path, status in [("/healthz", 200), ("/readyz", 200), ("/v1/bundles", 421)]:
        assert answer_to(server, f"GET {path} HTTP/1.0").startswith(b"HTTP/1.1 %d " % status)


def test_a_request_as_a_proxy_gets_it_is_answered_and_its_host_is_the_one_that_counts(server):
    own, other = server.url.removeprefix("http://"), "elsewhere.example"
    for target, host, words in [
        (f"http://{own}/healthz", own, b"200 OK"),
        (f"HTTP://{own}/v1/bundles?", other, b"200 OK"),
        (f"http://{own}/v1/%62undles", own, b"200 OK"),
        (f"http://{own}", own, b"200 OK"),
        (f"http://{other}/v1/bundles", own, b"421 Misdirected Request"),
        (f"http://{own}/nothing", own, b"404 Not Found"),
        (f"ftp://{own}/healthz", own, b"404 Not Found"),
    ]:
        answer = answer_to(server, f"GET {target} HTTP/1.1", f"Host: {host}")
        assert answer.startswith(b"HTTP/1.1 " + words), target


def test_a_client_that_sends_all_before_it_reads_learns_that_it_is_too_much(server):
    request = urllib.request.Request(f"{server.url}/v1/recognize", data=bytes(60_000_000), method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    assert refused.value.code == 413
    assert "more than 50 MB" in json.load(refused.value)["detail"]
    refused.value.close()


def test_a_client_that_sends_no_more_of_what_is_too_much_is_not_waited_for_long(server):
    with raw(server) as connection:
        connection.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000000\r\n\r\nRIFF")
        begun = time.monotonic()
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - begun < 10


def test_a_body_without_an_end_is_stopped_at_the_bound(server):
    with raw(server) as connection:
        connection.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent, piece = 0, bytes(1 << 20)
        try:
            while sent < 200:
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += 1
        except OSError:
            pass  # it hung up
        assert sent < 100
    until(lambda: figure(server, "serotone_uploads") == 0)


def test_a_stream_over_the_network_is_heard(server):
    address = server.url.replace("http", "ws") + "/v1/stream?encoding=f32le"
    with connect(address) as stream:
        assert json.loads(stream.recv())["kind"] == "ready"
        for piece in np.split(tone(5, 0.9), 50):
            stream.send(piece.tobytes())
        stream.send(json.dumps({"kind": "end"}))
        messages = [json.loads(message) for message in stream]
    assert [message["kind"] for message in messages[-2:]] == ["update", "summary"]
    assert messages[-1]["label"] == "angry"
    with connect(address) as stream:
        stream.recv()
        stream.send(bytes(2 << 20))
        with pytest.raises(ConnectionClosed) as closed:
            stream.recv()
    assert closed.value.rcvd.code == 1009


def test_the_example_of_the_guide_streams_a_recording_larger_than_a_message(server, capsys):
    guide = Path(__file__).parent.parent / "docs" / "serving.md"
    (example,) = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    assert "ws://127.0.0.1:8000" in example
    names = {}
    exec(example.replace("ws://127.0.0.1:8000", server.url.replace("http", "ws")), names)
    samples = tone(27, 0.9)
    assert samples.nbytes > MESSAGE_BYTES
    asyncio.run(names["main"](samples))
    *_, last = capsys.readouterr().out.splitlines()
    assert "'kind': 'summary'" in last
    assert "'duration_seconds': 27.0" in last


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/v1/bundles", "/openapi.json"])
def test_a_head_is_what_a_get_has_without_its_body(server, path):
    with server.client() as client:
        expected = client.get(path)
    with raw(server) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head, _, content = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"content-type: {expected.headers['content-type']}".encode() in head
    assert path == "/metrics" or f"content-length: {len(expected.content)}\r\n".encode() in head + b"\r\n"
    assert content == b""


@pytest.mark.slow
def test_it_ends_in_order_with_a_request_and_a_stream_in_flight(toy):
    with running("--bundle", toy, "--workers", "1") as server:
        answers = []
        with (
            server.client() as client,
            connect(server.url.replace("http", "ws") + "/v1/stream?encoding=f32le") as stream,
        ):
            stream.send(tone(3, 0.9).tobytes())
            assert json.loads(stream.recv())["kind"] == "ready"
            assert json.loads(stream.recv())["kind"] == "update"
            asking = threading.Thread(
                target=lambda: answers.append(client.post("/v1/recognize?timeline=true", content=LONG))
            )
            asking.start()
            until(lambda: figure(server, "serotone_requests_held") == 1)
            server.ask_to_end()
            messages = [json.loads(message) for message in stream]
            asking.join()
        assert messages[-1]["kind"] == "summary"
        assert stream.close_code == 1001
        assert answers[0].status_code == 200
        assert answers[0].json()["duration_seconds"] == 1200
        assert server.wait() in (0, -15, 143)
        server.reading.join()
        assert "Traceback" not in "".join(server.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stream_that_is_sent_faster_than_it_is_heard_is_summed_up_at_the_end(toy, number):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("this process was started to ignore the signal, and hands that on")
    with running("--bundle", toy, "--grace-seconds", "60") as server:
        block, more = tone(3, 0.9).tobytes(), threading.Event()

        def send():
            with contextlib.suppress(ConnectionClosed):
                while not more.is_set():
                    stream.send(block)

        with connect(server.url.replace("http", "ws") + "/v1/stream?encoding=f32le") as stream:
            sending = threading.Thread(target=send)
            sending.start()
            assert json.loads(stream.recv())["kind"] == "ready"
            assert json.loads(stream.recv())["kind"] == "update"
            os.kill(server.process.pid, number)
            began = time.monotonic()
            messages = [json.loads(message) for message in stream]
            more.set()
            sending.join()
        assert messages[-1]["kind"] == "summary"
        assert (stream.close_code, time.monotonic() - began < 30) == (1001, True)
        server.wait()


def test_a_stream_is_not_cut_before_its_client_has_closed_it_too(toy):
    """What is sent when a connection is reset takes what was received along; a summary would be lost."""
    with running("--bundle", toy) as server, raw(server) as connection:
        client = ClientProtocol(parse_uri(server.url.replace("http", "ws") + "/v1/stream?encoding=f32le"))
        messages = []

        def sent():
            connection.sendall(b"".join(client.data_to_send()))

        def received(kind):
            while not any(message["kind"] == kind for message in messages):
                client.receive_data(connection.recv(1 << 16))
                events = [event for event in client.events_received() if isinstance(event, Frame)]
                messages.extend(json.loads(event.data) for event in events if event.opcode is Opcode.TEXT)

        client.send_request(client.connect())
        sent()
        received("ready")
        client.send_binary(tone(3, 0.9).tobytes())
        sent()
        received("update")
        server.ask_to_end()
        received("summary")
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while connection.recv(1 << 16):  # its closing frame, which is not answered yet
                pass
            pytest.fail("the server hung up")
        assert server.process.poll() is None
        connection.settimeout(20)
        connection.sendall(b"\x88\x80" + bytes(4))  # a closing frame of no content
        assert connection.recv(1 << 16) == b""
        server.wait()


def test_a_body_that_takes_longer_than_the_time_of_grace_is_told(toy):
    with running("--bundle", toy, "--workers", "1", "--grace-seconds", "1") as server:
        head = b"POST /v1/recognize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
        with raw(server) as connection:
            connection.sendall(head + LOUD[:1000])
            until(lambda: figure(server, "serotone_uploads") == 1)
            server.ask_to_end()
            answer = connection.makefile("rb").read()
        server.wait()
        server.reading.join()
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 10" in head
    assert "shut down before" in json.loads(content)["detail"]
    assert "Traceback" not in "".join(server.log)
    assert "shutting down; 1 requests and 0 streams are open" in "".join(server.log)


def test_a_second_ctrl_c_tells_a_request_that_it_gets_no_answer(toy):
    with running("--bundle", toy, "--workers", "1") as server, server.client() as client:
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(client.post("/v1/recognize?timeline=true", content=LONG))
        )
        asking.start()
        until(lambda: figure(server, "serotone_requests_held") == 1)
        server.process.send_signal(signal.SIGINT)
        until(lambda: any("shutting down" in line for line in server.log))
        server.process.send_signal(signal.SIGINT)
        asking.join()
        server.wait()
        server.reading.join()
    problem = check_problem(answers[0])
    assert (problem["status"], answers[0].headers["retry-after"]) == (503, "10")
    assert "shut down before" in problem["detail"]
    assert "Traceback" not in "".join(server.log)


@contextlib.contextmanager
def opened(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def test_what_a_killed_server_was_sent_is_removed_when_the_next_one_begins(toy, tmp_path):
    """No server can tidy up after `kill -9`; a live one's uploads stay."""
    place = {"TMPDIR": str(tmp_path)}
    with running("--bundle", toy, **place) as alive, running("--bundle", toy, **place) as killed:
        kept = set(tmp_path.glob("serotone-serve-*"))
        assert len(kept) == 2
        for folder in kept:  # by this systemd-tmpfiles knows that it is in use, however old it is
            with opened(folder) as lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        head = f"POST /v1/recognize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(LOUD)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", int(killed.url.rsplit(":", 1)[1]))) as client:
            client.sendall(head + LOUD[:-1])
            until(lambda: any(tmp_path.glob("serotone-serve-*/*/*")))
            killed.process.kill()
            killed.wait()
        (left,) = {path.parents[1] for path in tmp_path.glob("serotone-serve-*/*/*")}
        with running("--bundle", toy, **place):
            assert not left.exists()
            assert kept - {left} < set(tmp_path.glob("serotone-serve-*"))
        assert alive.process.poll() is None


def serve(*arguments, **environment):
    command = [sys.executable, "-m", "serotone", "serve", *map(str, arguments)]
    return subprocess.run(
        command,
        env={"PATH": "", "PYTHONPATH": str(SOURCE)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "words"),
    [
        (("--host", "0.0.0.0"), {}, 2, "can be reached from other machines"),
        (("--host", "192.0.2.1"), {}, 2, "SEROTONE_TOKEN"),
        ((), {"SEROTONE_TOKEN": "short"}, 1, "at least 16"),
        (("--token-file", "nofile"), {}, 2, "nofile cannot be read (No such file or directory); give the path"),
        (("--token-file", "/"), {}, 2, "/ cannot be read (Is a directory); give the path of a file that holds"),
        (("--token-file", sys.executable), {}, 1, "expected at least 16 of ASCII"),
        (("--bundle", "nothing-of-this-name"), {}, 1, "nothing-of-this-name"),
        (("--max-seconds", "nan"), {}, 2, "--max-seconds"),
        (("--max-megabytes", "inf"), {}, 2, "--max-megabytes"),
        (("--decode-seconds", "nan"), {}, 2, "--decode-seconds"),
        (("--idle-seconds", "nan"), {}, 2, "--idle-seconds"),
        (("--grace-seconds", "inf"), {}, 2, "--grace-seconds"),
        (("--name", "https://emotion.example.org"), {}, 2, "is not the name of a host"),
        (("--name", "emotion.example.org:8000"), {}, 2, "leave out http://, port and path"),
    ],
)
def test_what_is_not_safe_or_not_there_is_refused_at_the_start(arguments, environment, status, words):
    done = serve(*arguments, **environment)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told(server):
    port = server.url.rsplit(":", 1)[1]
    done = serve("--port", port)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert port in done.stderr


def test_the_log_holds_paths_and_no_options(server):
    with server.client() as client:
        client.post("/v1/recognize?name=secret-name", content=LOUD)
    until(lambda: any("POST /v1/recognize" in line for line in server.log))
    time.sleep(0.1)
    assert "secret-name" not in "".join(server.log)


def test_every_line_of_the_log_has_a_time_and_a_level(toy, tmp_path):
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    (tmp_path / "broken.profile.json").write_text("{", encoding="utf-8")
    with running("--bundle", toy, "--workers", "1", "--profiles", tmp_path) as server:
        with server.client() as client:
            head = {"Content-Type": "multipart/form-data; boundary=XX"}
            assert client.post("/v1/recognize", content=b"--XY\r\n", headers=head).status_code == 400
        server.ask_to_end()
        server.wait()
        server.reading.join()
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING) .*\n"
    assert [line for line in server.log if not re.fullmatch(form, line)] == []
    log = "".join(server.log)
    for words in ("left out: other.json", "left out: " + str(tmp_path / "broken.profile.json"), "boundary character"):
        assert f"WARNING {words}" in log.replace("Expected ", "")


def test_the_log_has_a_line_for_each_stream_whether_it_is_accepted_or_refused(server):
    begun = len(server.log)
    address = server.url.replace("http", "ws")
    statuses = []
    for path, origin in [
        ("/v1/stream?name=secret-name", None),
        ("/v1/stream?bundle=none&name=secret-name", None),
        ("/v1/stream?rate=10", None),
        ("/v1/stream", "http://elsewhere.example"),
        ("/v1/no%0Astream", None),
    ]:
        try:
            with connect(address + path, origin=origin) as stream:
                stream.recv()
                statuses.append(101)
        except InvalidStatus as refused:
            statuses.append(refused.response.status_code)
    assert statuses == [101, 404, 422, 403, 403]
    until(lambda: len(server.log) >= begun + 5)
    time.sleep(0.1)
    lines = "".join(server.log[begun:])
    assert "handshake" not in lines
    assert "secret-name" not in lines
    logged = re.findall(r'^\S+ \S+ INFO 127\.0\.0\.1:\d+ - "GET (\S+) HTTP/1\.1" (\d+)$', lines, re.MULTILINE)
    assert logged == [
        ("/v1/stream", "101"),
        ("/v1/stream", "404"),
        ("/v1/stream", "422"),
        ("/v1/stream", "403"),
        ("/v1/no%0Astream", "403"),
    ]
    assert figure(server, 'serotone_requests_total{method="WS",route="other",status="403"}') >= 2
