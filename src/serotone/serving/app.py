"""The application: routes over the service, each a few lines; what all have in common is in `Desk`."""

import asyncio
import hashlib
import logging
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi import Path as PathParameter
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from serotone import __version__
from serotone.recognition.bundle import Bundle
from serotone.recognition.picture import look_of
from serotone.recognition.prediction import Prediction
from serotone.recognition.profile import Profile
from serotone.recognition.recognizer import Recognizer
from serotone.serving import problems, schemas
from serotone.serving.ending import Cut
from serotone.serving.guard import Guard
from serotone.serving.limits import NAME
from serotone.serving.metrics import Counted, Metrics
from serotone.serving.pool import Pool
from serotone.serving.problems import ProblemError
from serotone.serving.service import Service, Wish
from serotone.serving.streams import Streams, refuse
from serotone.serving.uploads import Place, Upload, received

Answer = TypeVar("Answer")

ABOUT = """The emotion of speech. Recordings are answered by `POST /v1/recognize`:

    curl -F file=@call.wav 'http://127.0.0.1:8000/v1/recognize?timeline=true'
    curl --data-binary @call.wav -H 'Content-Type: application/octet-stream' http://127.0.0.1:8000/v1/recognize

Live speech goes through the WebSocket `/v1/stream`, which OpenAPI cannot describe; `docs/serving.md` does. Every error
is a problem as RFC 9457 has it.
"""

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

SCHEMA = 1

_log = logging.getLogger("serotone.serving")


class Desk:
    """Where requests are taken in: the service, the pool that answers, the streams, and what is being received."""

    def __init__(self, service: Service) -> None:
        limits = service.limits
        self.service, self.limits = service, limits
        self._place = Place()
        self.folder = self._place.path
        self.pool = Pool(limits.workers, limits.queue)
        self.metrics = Metrics()
        self.streams = Streams(limits, self.metrics)
        self.uploads = 0
        self.draining = False
        self.over = asyncio.Event()
        self.metrics.gauge("requests_held", "Requests that are being answered or are waiting.", lambda: self.pool.held)
        self.metrics.gauge("requests_waiting", "Requests that are waiting for a worker.", lambda: self.pool.waiting)
        self.metrics.gauge("uploads", "Bodies that are being received or answered.", lambda: self.uploads)
        self.metrics.gauge("streams", "Streams that are live.", lambda: self.streams.live)
        self.metrics.gauge("profiles", "Profiles that the server keeps.", lambda: len(service.profiles.all()))
        self.metrics.gauge("decoder_failures", "Decoders that failed.", lambda: service.decoders.failures)

    @asynccontextmanager
    async def taken(self, request: Request, *, most: int, name: str | None = None) -> AsyncIterator[list[Upload]]:
        """The recordings that a request brings; raises ProblemError where there is no room for them, or none."""
        self.check_open()
        self.pool.check()  # before anything is received
        if self.uploads >= self.limits.uploads:
            raise ProblemError(
                503,
                f"the server is busy: {self.uploads} requests are being received; try again in 5 s",
                headers={"Retry-After": "5"},
            )
        self.uploads += 1
        try:
            async with received(request, self.folder, most=most, name=name) as uploads:
                yield uploads
        finally:
            self.uploads -= 1

    def check_open(self) -> None:
        """Raise ProblemError where the server is about to end."""
        if self.draining:
            raise ProblemError(503, "the server is shutting down; try again in 10 s", headers={"Retry-After": "10"})

    async def answer(self, request: Request, call: Callable[[threading.Event], Answer]) -> Answer:
        """What a blocking call returns; the event that it gets is set when the client goes away."""
        cancelled = threading.Event()
        work = asyncio.ensure_future(self.pool.run(lambda: call(cancelled)))
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                cancelled.set()
            return await work
        finally:
            cancelled.set()
            gone.cancel()
            work.cancel()

    async def drain(self) -> None:
        """Take nothing new, and let the streams end in order."""
        self.draining = True
        await self.streams.drain(self.limits.grace_seconds)

    def close(self) -> None:
        """Let go of the threads, the children, the recognisers and the folder of what is received."""
        self.draining = True
        self.pool.close()
        self.streams.close()
        self.service.close()
        self._place.remove()


def make_app(service: Service, *, token: str | None = None, hosts: Collection[str] | None = None) -> FastAPI:
    """The application over a service, which it closes at its end; ``app.state.desk`` is its `Desk`.

    ``token`` is asked of everything but the page and the probes; None asks for none. ``hosts`` are the names under
    which the server may be called; None allows any.
    """
    desk = Desk(service)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for line in service.profiles.left_out:  # only now is the log set up
            _log.warning("left out: %s", line)
        try:
            yield
        finally:
            await asyncio.to_thread(desk.close)

    app = FastAPI(
        title="serotone",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,  # they fetch scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.desk = desk
    problems.install(app)
    _add_recognition(app, desk)
    _add_profiles(app, desk)
    _add_probes(app, desk)
    _add_page(app)
    _add_heads(app)
    _add_end(app)
    app.add_middleware(Cut, over=desk.over)
    app.add_middleware(Guard, token=token, hosts=hosts, limits=service.limits)
    app.add_middleware(Counted, metrics=desk.metrics)  # the outermost: it counts what is refused, too
    app.openapi = lambda: _openapi(app, secured=token is not None)  # type: ignore[method-assign]
    return app


def _add_recognition(app: FastAPI, desk: Desk) -> None:
    service = desk.service
    one_recording: dict[str, Any] = {
        "responses": schemas.problems(400, 404, 408, 415, 422, 503),
        "openapi_extra": schemas.recordings(several=False),
        "tags": ["recognition"],
    }

    async def asked(
        request: Request,
        options: schemas.ApartOptions,
        call: Callable[[Recognizer, Upload, Wish, threading.Event], Answer],
    ) -> tuple[Recognizer, Answer]:
        """The recogniser that is asked for, and what a call with it makes of the recording in the request."""
        recognizer = service.recognizer(options.bundle, options.profile)
        async with desk.taken(request, most=1, name=options.name) as (upload,):
            wish = options.wish()
            return recognizer, await desk.answer(request, lambda cancelled: call(recognizer, upload, wish, cancelled))

    def told(recognizer: Recognizer, prediction: Prediction) -> dict[str, object]:
        """An answer as it is sent; it is counted."""
        bundle = recognizer.bundle
        desk.metrics.audio.labels("recording").inc(prediction.duration_seconds)
        desk.metrics.answers.labels(bundle.name, str(prediction.profile is not None).lower()).inc()
        return {**prediction.to_dict(), "non_commercial": bundle.non_commercial}

    @app.post("/v1/recognize", response_model=schemas.Recognition, **one_recording)
    async def recognize(request: Request, options: Annotated[schemas.RecognizeOptions, Query()]) -> Response:
        """The emotion of a recording: the body itself, or a form with a part named `file`."""
        recognizer, prediction = await asked(request, options, service.predict)
        return JSONResponse(told(recognizer, prediction))

    @app.post("/v1/recognize/channels", response_model=schemas.Recognitions, **one_recording)
    async def recognize_apart(request: Request, options: Annotated[schemas.ApartOptions, Query()]) -> Response:
        """The emotion of each channel of a recording apart, such as the two sides of a call."""
        recognizer, predictions = await asked(request, options, service.predict_apart)
        return JSONResponse({"schema": SCHEMA, "predictions": [told(recognizer, found) for found in predictions]})

    @app.get("/v1/bundles", response_model=schemas.Bundles, responses=schemas.problems(), tags=["recognition"])
    async def bundles() -> Response:
        """The recognisers that this server has, the one that answers unless another is asked for first."""
        served = [_described(recognizer.bundle) for recognizer in service.recognizers.values()]
        return JSONResponse({"schema": SCHEMA, "bundles": served})

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await desk.streams.serve(socket, service.recognizer)

    @app.get("/v1/stream", include_in_schema=False)
    async def no_stream() -> Response:
        """Tell whoever asks for a stream by plain HTTP, such as a proxy that does not pass WebSockets on."""
        why = "/v1/stream is a WebSocket, and this request is none; does a proxy in between pass WebSockets on?"
        raise ProblemError(426, why, headers={"Connection": "Upgrade", "Upgrade": "websocket"})


def _add_profiles(app: FastAPI, desk: Desk) -> None:
    service, kept = desk.service, desk.service.profiles
    name_parameter = PathParameter(pattern=f"^{NAME}$", examples=["office"])

    @app.post(
        "/v1/profiles",
        status_code=201,
        response_model=schemas.NewProfile,
        responses=schemas.problems(400, 404, 408, 409, 415, 422, 503),
        openapi_extra=schemas.recordings(several=True),
        tags=["profiles"],
    )
    async def adapt(request: Request, options: Annotated[schemas.AdaptOptions, Query()]) -> Response:
        """Make a profile of unlabelled recordings of one kind: a form with parts named `file`. No audio is kept."""
        name = options.name or f"profile-{secrets.token_hex(4)}"
        plain = service.recognizer(options.bundle, None)
        kept.check(name)  # before anything is received
        async with desk.taken(request, most=desk.limits.files) as uploads:
            recognizer, failures = await desk.answer(
                request,
                lambda cancelled: service.adapt(plain, uploads, name, strict=options.strict, cancelled=cancelled),
            )
        await asyncio.to_thread(kept.add, name, recognizer)
        content = {**_kept(name, recognizer.current_profile), "failures": failures}
        return JSONResponse(content, 201, headers={"Location": f"/v1/profiles/{name}"})

    @app.get("/v1/profiles", response_model=schemas.KeptProfiles, responses=schemas.problems(), tags=["profiles"])
    async def profiles() -> Response:
        """The profiles that the server keeps."""
        rows = [_kept(name, recognizer.current_profile) for name, recognizer in kept.all().items()]
        return JSONResponse({"schema": SCHEMA, "profiles": rows})

    @app.get("/v1/profiles/{name}", responses=schemas.problems(404, 422), tags=["profiles"])
    async def profile(name: Annotated[str, name_parameter]) -> dict[str, Any]:
        """A profile as `serotone adapt` writes it, for `serotone predict --profile`."""
        found = kept.get(name).current_profile
        assert found is not None
        return found.to_dict()

    @app.delete("/v1/profiles/{name}", status_code=204, responses=schemas.problems(404, 422), tags=["profiles"])
    async def forget(name: Annotated[str, name_parameter]) -> None:
        """Forget a profile, and delete its file where the server keeps them in a folder."""
        await asyncio.to_thread(kept.remove, name)


def _add_probes(app: FastAPI, desk: Desk) -> None:
    @app.get("/healthz", response_model=schemas.State, responses=schemas.problems(), tags=["probes"])
    async def alive() -> Response:
        """Whether the process answers at all."""
        return JSONResponse({"status": "alive", "version": __version__})

    @app.get("/readyz", response_model=schemas.State, responses=schemas.problems(503), tags=["probes"])
    async def ready() -> Response:
        """Whether it takes new work: not while its queue is full, nor when it is about to end."""
        desk.check_open()
        desk.pool.check()
        return JSONResponse({"status": "ready", "version": __version__})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={**schemas.problems(), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        tags=["probes"],
    )
    async def metrics() -> Response:
        """The server's figures, for Prometheus."""
        return Response(generate_latest(desk.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_end(app: FastAPI) -> None:
    """What answers where nothing else does: for a request there is a handler, for a stream there was an empty 403."""

    @app.websocket("/{path:path}")
    async def nothing(socket: WebSocket) -> None:
        await refuse(socket, ProblemError(404, f"there is no stream at {socket.url.path}; use /v1/stream"))


def _add_page(app: FastAPI) -> None:
    page = {item.name: item.read_bytes() for item in files("serotone.serving").joinpath("page").iterdir()}
    tags = {name: f'"{hashlib.sha256(content).hexdigest()[:32]}"' for name, content in page.items()}

    def shown(request: Request, name: str) -> Response:
        if name not in page:
            raise ProblemError(404, f"there is nothing at {request.url.path}")
        headers = {"ETag": tags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(page[name], headers=headers, media_type=MEDIA_TYPES[Path(name).suffix])

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return shown(request, "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        return shown(request, name)


def _add_heads(app: FastAPI) -> None:
    """Answer HEAD wherever GET is answered, as HTTP asks (RFC 9110, section 9.1); uvicorn leaves out the body."""
    for route in list(app.routes):
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], include_in_schema=False)


async def _gone(request: Request) -> None:
    """Return when the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _described(bundle: Bundle) -> dict[str, object]:
    looks = {label: look_of(label) for label in bundle.labels}
    return {
        "name": bundle.name,
        "version": bundle.version,
        "sha256": bundle.sha256,
        "labels": list(bundle.labels),
        "colours": {label: colour for label, (colour, _) in looks.items()},
        "patterns": {label: pattern for label, (_, pattern) in looks.items()},
        "languages": list(bundle.languages),
        "licences": sorted({str(item.get("licence", "not stated")) for item in bundle.data}),
        "non_commercial": bundle.non_commercial,
        "adaptable": bool(bundle.adaptation),
        "sample_rate": bundle.sample_rate,
        "min_seconds": bundle.min_seconds,
        "hop_seconds": bundle.hop_seconds,
    }


def _kept(name: str, profile: Profile | None) -> dict[str, object]:
    assert profile is not None
    return {
        "schema": SCHEMA,
        "name": name,
        "bundle": profile.bundle,
        "count": profile.count,
        "speakers": len(profile.speakers),
    }


def _openapi(app: FastAPI, *, secured: bool) -> dict[str, Any]:
    """OpenAPI with the problem that every error is and, where a token is asked for, how to give it."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        parts = described.setdefault("components", {})
        known = parts.setdefault("schemas", {})
        template = "#/components/schemas/{model}"
        own = schemas.Problem.model_json_schema(ref_template=template)
        known.update(own.pop("$defs", {}))
        known["Problem"] = own
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which `problems` replaces
            known.pop(unused, None)
        if secured:
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, item in described["paths"].items():
                for operation in item.values():
                    operation["security"] = [] if path in ("/healthz", "/readyz") else [{"token": []}]
        app.openapi_schema = described
    return app.openapi_schema
