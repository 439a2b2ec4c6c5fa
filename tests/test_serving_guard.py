"""Who may use the server: tokens, names, origins; and what every answer carries."""

import asyncio
import base64
import random
import string

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from starlette.responses import Response
from starlette.testclient import TestClient, WebSocketDenialResponse

from made_server import make_server, wav
from serotone.serving.guard import LOOPBACK, Guard
from serotone.serving.limits import Limits
from serotone.serving.schemas import Problem
from toy_bundle import tone

TOKEN = "correct-horse-battery-staple"
LOUD = wav(tone(1, 0.9))
STREAM = "ws://127.0.0.1:8000/v1/stream"


@pytest.fixture(scope="module")
def client(toy):
    app = make_server(toy, token=TOKEN, hosts={*LOOPBACK, "Emotion.Example.org"})
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


def allowed(token):
    return {"Authorization": f"Bearer {token}"}


def refused(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    Problem.model_validate(answer.json())


def guessed(token, path="/v1/bundles"):
    """The status that the guard alone answers to a token; 204 where it lets a request pass."""
    seen = []

    async def application(scope, receive, send):
        await Response(status_code=204)(scope, receive, send)

    async def send(message):
        seen.append(message)

    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    asyncio.run(Guard(application, token=TOKEN, hosts=None, limits=Limits())(scope, None, send))
    return seen[0]["status"]


def test_a_token_guessed_wrong_a_thousand_times_is_refused_a_thousand_times():
    draw = random.Random(0)
    near = [TOKEN[:-1], TOKEN + "x", TOKEN.upper(), TOKEN[:-1] + "f", "", TOKEN[::-1]]
    guesses = near + [
        "".join(draw.choices(string.ascii_letters + string.digits, k=draw.choice([1, 16, len(TOKEN), 500])))
        for _ in range(1000 - len(near))
    ]
    assert [guessed(guess) for guess in guesses] == [401] * 1000
    assert guessed(TOKEN) == 204


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer é" * 3}]
)
def test_without_the_token_nothing_is_answered(client, headers):
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    for method, path in [("GET", "/v1/bundles"), ("POST", "/v1/recognize"), ("GET", "/metrics"), ("GET", "/nothing")]:
        answer = client.request(method, path, headers=sent)
        refused(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_page_and_the_probes_need_no_token(client):
    for path in ("/", "/page/index.html", "/healthz", "/readyz", "/openapi.json"):
        assert client.get(path).status_code == 200
    refused(client.get("/page/../v1/bundles"), 401)
    described = client.get("/openapi.json").json()
    assert described["paths"]["/v1/recognize"]["post"]["security"] == [{"token": []}]
    assert described["paths"]["/healthz"]["get"]["security"] == []


def test_a_stream_takes_the_token_as_a_protocol_or_a_header(client):
    encoded = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
    with client.websocket_connect(STREAM, subprotocols=["serotone", f"bearer.{encoded}"]) as socket:
        assert socket.accepted_subprotocol == "serotone"
    with client.websocket_connect(STREAM, headers=allowed(TOKEN)):
        pass
    for protocols in ([], ["serotone"], ["bearer."], ["bearer.!!!"], [f"bearer.{encoded[:-4]}"]):
        with (
            pytest.raises(WebSocketDenialResponse) as error,
            client.websocket_connect(STREAM, subprotocols=protocols),
        ):
            pass
        refused(error.value, 401)


def test_only_its_own_page_may_use_the_server(client):
    own, foreign = "http://127.0.0.1:8000", "http://127.0.0.1:9000"
    assert client.get("/v1/bundles", headers=allowed(TOKEN) | {"Origin": own}).status_code == 200
    for origin in (foreign, "https://evil.example.org", "null", "http://["):
        headers = allowed(TOKEN) | {"Origin": origin}
        refused(client.post("/v1/recognize", headers=headers, content=LOUD), 403)
        with pytest.raises(WebSocketDenialResponse) as error, client.websocket_connect(STREAM, headers=headers):
            pass
        refused(error.value, 403)
    for host, origin, status in [
        ("localhost:80", "http://localhost", 200),  # as some proxies have it
        ("localhost:443", "https://localhost", 200),
        ("localhost:443", "http://localhost", 403),
        ("localhost:80", "http://localhost:8000", 403),
    ]:
        headers = allowed(TOKEN) | {"Host": host, "Origin": origin}
        assert client.get("/v1/bundles", headers=headers).status_code == status
    answer = client.options("/v1/recognize", headers=allowed(TOKEN) | {"Access-Control-Request-Method": "POST"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_name_that_is_not_the_servers_is_refused(client):
    for host in ("evil.example.org", "127.0.0.1.example.org", "[::2]", ""):
        refused(client.get("/v1/bundles", headers=allowed(TOKEN) | {"Host": host}), 421)
    for host in ("localhost:1", "127.0.0.1", "[::1]:8000", "emotion.example.org", "EMOTION.example.org:443"):
        assert client.get("/v1/bundles", headers=allowed(TOKEN) | {"Host": host}).status_code == 200


def test_the_probes_answer_under_any_name(client):
    """HAProxy asks without one."""
    for path in ("/healthz", "/readyz"):
        for host in ("", "evil.example.org"):
            assert client.get(path, headers={"Host": host}).status_code == 200
            refused(client.get(path, headers={"Host": host, "Origin": "https://elsewhere.example"}), 403)


def test_every_answer_carries_the_headers_of_safety(client):
    for path, status in (("/", 200), ("/v1/bundles", 401), ("/healthz", 200)):
        answer = client.get(path)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
