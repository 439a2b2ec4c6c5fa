"""``serotone serve``: recognisers over HTTP and WebSocket, and a page that uses them."""

import ipaddress
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from serotone.cli.messages import remark, remark_terms
from serotone.cli.output import check_out_folder
from serotone.cli.usage import LONGEST, finite
from serotone.errors import MissingExtraError, SerotoneError
from serotone.recognition.loading import DEFAULT_BUNDLE

TOKEN_VARIABLE = "SEROTONE_TOKEN"
SHORTEST_TOKEN = 16
"""Characters of a token; fewer might be guessed."""


def serve(
    bundle: Annotated[
        list[str] | None,
        typer.Option(help="A recogniser to serve; may be repeated. The first answers requests that name none."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on. Any address but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 picks a free one.")] = 8000,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="A host name that clients may use for this server, such as emotion.example.org; may be repeated."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"Require the token in this file. By default, the one in the variable {TOKEN_VARIABLE}."),
    ] = None,
    open_to_all: Annotated[
        bool,
        typer.Option(
            "--open", help="Serve other machines without a token: everybody who can reach this server may use it."
        ),
    ] = False,
    profiles: Annotated[
        Path | None,
        typer.Option(
            help="Keep profiles in this folder, and serve those in it that are called NAME.profile.json. By default, "
            "profiles are kept in memory until the server stops."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Recordings to answer at a time. By default, one per core.")
    ] = None,
    queue: Annotated[
        int, typer.Option(min=0, help="Requests that may wait. Any further one gets the answer 503.")
    ] = 16,
    streams: Annotated[int, typer.Option(min=0, help="Live streams to serve at a time.")] = 8,
    max_seconds: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="The longest recording to accept.")
    ] = 3600,
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, callback=finite, help="The largest request body to accept.")
    ] = 100,
    decode_seconds: Annotated[
        float,
        typer.Option(
            min=0.1, max=LONGEST, callback=finite, help="The longest time that decoding one recording may take."
        ),
    ] = 60,
    decode_megabytes: Annotated[
        int, typer.Option(min=32, help="The most memory that decoding one recording may take.")
    ] = 512,
    idle_seconds: Annotated[
        float,
        typer.Option(min=0.1, max=LONGEST, callback=finite, help="The longest time that a client may send nothing."),
    ] = 30,
    grace_seconds: Annotated[
        float,
        typer.Option(
            min=1, max=LONGEST, callback=finite, help="How long to wait for running requests when the server stops."
        ),
    ] = 30,
    threads: Annotated[int, typer.Option(min=1, help="Threads to use for each recording.")] = 1,
) -> None:
    """Serve recognisers: an API and a web page, by default for this machine only.

    The page is at /, the API below /v1 and described at /openapi.json; docs/serving.md explains both. On SIGTERM and
    Ctrl-C, the server finishes the running requests, then stops.
    """
    needed = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")
    if not all(map(find_spec, needed)):
        raise MissingExtraError("a server", "serve")
    for given in name or ():
        if not re.fullmatch(r"[\w.-]+", given):
            raise typer.BadParameter(
                f"{given!r} is not the name of a host; leave out http://, port and path: emotion.example.org",
                param_hint="--name",
            )
    token = _token(token_file)
    loopback = _is_loopback(host)
    if token is None and not loopback and not open_to_all:
        raise typer.BadParameter(
            f"{host} can be reached from other machines; set {TOKEN_VARIABLE} or give --token-file, or give --open to "
            "serve everybody who can reach it",
            param_hint="--host",
        )
    if token is None and not loopback:
        remark(f"{host} can be reached from other machines, and needs no token")
    from serotone.serving.app import make_app
    from serotone.serving.guard import LOOPBACK
    from serotone.serving.limits import Limits
    from serotone.serving.running import bind, run
    from serotone.serving.service import Service

    limits = Limits(
        **({} if workers is None else {"workers": workers}),
        queue=queue,
        body_bytes=round(max_megabytes * 1e6),
        max_seconds=max_seconds,
        decode_seconds=decode_seconds,
        decode_bytes=decode_megabytes << 20,
        streams=streams,
        idle_seconds=idle_seconds,
        grace_seconds=grace_seconds,
    )
    if len(set(bundle or ())) < len(bundle or ()):
        raise typer.BadParameter("one is given twice; leave out one of the two", param_hint="--bundle")
    if profiles is not None:
        check_out_folder(profiles, "--profiles")
    with bind(host, port) as bound:
        service = Service(bundle or [DEFAULT_BUNDLE], limits=limits, profiles=profiles, threads=threads)
        for recognizer in service.recognizers.values():
            remark_terms(recognizer.bundle)
        hosts = {*LOOPBACK, host, *(name or ())} if loopback or name else None
        run(make_app(service, token=token, hosts=hosts), bound)


def _token(file: Path | None) -> str | None:
    """The token that is asked for, None for none.

    Raises typer.BadParameter (exit status 2): the file cannot be read. Raises SerotoneError: what is there is no token.
    """
    if file is not None:
        try:
            token, where = file.read_text(encoding="utf-8", errors="replace").strip(), str(file)
        except OSError as error:
            raise typer.BadParameter(
                f"{file} cannot be read ({error.strerror}); give the path of a file that holds the token",
                param_hint="--token-file",
            ) from error
    else:
        token, where = os.environ.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE
        if not token:
            return None
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise SerotoneError(
            f"{where}: a token of {len(token)} characters; expected at least {SHORTEST_TOKEN} of ASCII without spaces, "
            "such as those of: openssl rand -hex 32"
        )
    return token


def _is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
