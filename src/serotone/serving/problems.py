"""Every error as RFC 9457 has it: ``application/problem+json``, whatever part of the server it comes from.

``type`` is ``about:blank``, so ``title`` is the phrase of the status; ``error`` is the name of the class, the same that
``serotone predict --format json`` gives under ``failures``; ``detail`` says what was given, what was expected, and what
to do.
"""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from serotone.errors import NO_ROOM, AudioTooLongError, BundleError, SerotoneError
from serotone.expectations import expectation, message
from serotone.names import guess
from serotone.serving.decoding import GoneError, NotStartedError
from serotone.serving.limits import NAME_IN_WORDS

MEDIA_TYPE = "application/problem+json"

GONE = 499
"""The status that the log and the metrics have where the client went away before its answer; nobody receives it."""

_log = logging.getLogger("serotone.serving")


class ProblemError(Exception):
    """A request that is refused: the status, what to tell the client, and headers of the answer."""

    def __init__(self, status: int, detail: str, *, error: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.error, self.headers = status, detail, error, dict(headers or {})

    def to_dict(self) -> dict[str, object]:
        """The problem as JSON holds it."""
        return body(self.status, self.detail, error=self.error)


def body(status: int, detail: str, *, error: str = "", **members: object) -> dict[str, object]:
    """The members of a problem; ``error`` is left out where there is no class to name."""
    named = {"error": error} if error else {}
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **named, **members}


def response(
    status: int, detail: str, *, error: str = "", headers: Mapping[str, str] | None = None, **members: object
) -> JSONResponse:
    """A problem as an answer."""
    content = body(status, detail, error=error, **members)
    return JSONResponse(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of_error(error: SerotoneError) -> ProblemError:
    """The problem that an error of the package is: what the client sent cannot be used, or the server fails.

    It fails where no decoder started, or where one of its bundles is damaged. The log has the reason of the latter,
    which names a path.
    """
    if isinstance(error, NotStartedError):
        return ProblemError(503, f"{error}; try again in 60 s", headers={"Retry-After": "60"})
    if isinstance(error, BundleError):
        _log.error("a bundle that is served cannot be used: %s", error)
        why = "the server's recogniser cannot be used; the server's log has the reason"
        return ProblemError(500, why, error=type(error).__name__)
    status = 413 if isinstance(error, AudioTooLongError) else 422
    return ProblemError(status, str(error), error=type(error).__name__)


def in_words(fault: Mapping[str, Any], options: Iterable[str] = ()) -> str:
    """What is wrong with an option, for people who do not know the library that found it.

    Args:
        fault: One of ``errors()`` of pydantic's ValidationError or of FastAPI's.
        options: Those that the request takes.

    >>> in_words({"type": "extra_forbidden", "loc": ("query", "timline"), "msg": ""}, ["start", "timeline"])
    'no such option (did you mean timeline?); expected one of start, timeline'
    >>> in_words({"type": "float_parsing", "input": "x"})
    "'x'; expected a number"
    """
    match fault["type"]:
        case "extra_forbidden":
            known = list(options)
            return f"no such option{guess(str(fault['loc'][-1]), known)}; expected one of {', '.join(known)}"
        case "value_error":
            return message(fault)
        case "string_pattern_mismatch":
            expected = NAME_IN_WORDS
        case _:
            expected = expectation(fault)
    return f"{str(fault.get('input'))[:80]!r}; expected {expected}"


def install(app: FastAPI) -> None:
    """Let every error of an application be a problem."""

    @app.exception_handler(ProblemError)
    def problem(request: Request, error: ProblemError) -> Response:
        return response(error.status, error.detail, error=error.error, headers=error.headers)

    @app.exception_handler(SerotoneError)
    def foreseen(request: Request, error: SerotoneError) -> Response:
        return problem(request, of_error(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        options, found = _options(request), error.errors()
        faults = [{"where": ".".join(map(str, item["loc"])), "message": in_words(item, options)} for item in found]
        detail = "; ".join(f"{item['where']}: {item['message']}" for item in faults)
        return response(422, detail, errors=faults)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        path, headers = request.url.path, dict(error.headers or {})
        detail = error.detail
        if error.status_code == 404:
            detail = f"there is nothing at {path}; /openapi.json lists the addresses"
        elif error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(request))
            detail = f"{path} does not take {request.method}, but {headers['Allow']}"
        return response(error.status_code, detail, headers=headers)

    @app.exception_handler(GoneError)
    @app.exception_handler(ClientDisconnect)
    def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=GONE)  # to nobody

    @app.exception_handler(OSError)
    def full(request: Request, error: OSError) -> Response:
        if error.errno not in NO_ROOM:
            raise error
        _log.error("%s %s: the disk is full: %s", request.method, request.url.path, error)
        return response(503, "the server's disk is full; try again in 60 s", headers={"Retry-After": "60"})

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> Response:
        # What went wrong is in the log; a stranger learns nothing of it.
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return response(500, "the server failed on this request; its log has the reason", error="InternalError")


def _options(request: Request) -> list[str]:
    """The options that a request's address takes, as the API is described."""
    operations = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    described = operations.get(request.method.lower(), {}).get("parameters", [])
    return [parameter["name"] for parameter in described if parameter["in"] == "query"]


def _methods(request: Request) -> list[str]:
    """What the address of a request takes, whichever of the routes has it."""
    here = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in getattr(route, "methods", None) or ()})
