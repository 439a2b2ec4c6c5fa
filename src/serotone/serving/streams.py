"""``WS /v1/stream``: live speech in, updates out, and a summary at the end.

The client sends samples in binary messages of any size, and the text ``{"kind": "end"}`` when there are no more. The
server sends ``ready``, ``update`` and ``summary`` as JSON objects with that ``kind``, and ``problem`` before it closes
for a reason of its own.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from serotone.errors import SerotoneError
from serotone.recognition.prediction import SCHEMA, Prediction
from serotone.recognition.recognizer import Recognizer
from serotone.recognition.stream import Stream, Update
from serotone.serving.limits import Limits
from serotone.serving.metrics import Metrics
from serotone.serving.problems import ProblemError, in_words, of_error, response
from serotone.serving.schemas import StreamOptions
from serotone.serving.service import check_adaptable
from serotone.serving.uploads import clean

Result = TypeVar("Result")

PROTOCOL = "serotone"
"""What a browser that gives a token offers next to it; one of those that are offered must be chosen."""

MESSAGE_BYTES = 1 << 20
"""The largest message that a client may send: 5 s of float32 at 48 kHz."""

NORMAL, GOING_AWAY, UNACCEPTABLE, POLICY, FAILED = 1000, 1001, 1003, 1008, 1011


class Samples:
    """Bytes in pieces of any size to samples: (T,) float32 of -1 to 1."""

    def __init__(self, encoding: str) -> None:
        self._type, self._scale = {"s16le": ("<i2", np.float32(32768)), "f32le": ("<f4", np.float32(1))}[encoding]
        self._rest = b""

    def take(self, data: bytes) -> NDArray[np.float32]:
        """The samples that are whole now."""
        data = self._rest + data
        size = len(data) - len(data) % np.dtype(self._type).itemsize
        self._rest = data[size:]
        return np.frombuffer(data[:size], self._type).astype(np.float32) / self._scale


class Streams:
    """The streams that are live: a bounded number, each with one piece at a time in the threads that hear them.

    A client that sends faster than it is heard has to wait: its messages stay on its side of the connection.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="serotone-stream")
        self._ending = asyncio.Event()
        self._none_live = asyncio.Event()
        self._none_live.set()
        self.live = 0

    async def drain(self, seconds: float) -> None:
        """Let every stream send its summary and end, and take no more; at most this long."""
        self._ending.set()
        try:
            await asyncio.wait_for(self._none_live.wait(), seconds)
        except TimeoutError:
            return  # the server closes what is left

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def serve(self, socket: WebSocket, recognizer_of: Callable[[str | None, str | None], Recognizer]) -> None:
        """Hear one stream from its first message to its end."""
        try:
            options = _options(socket)
            recognizer = recognizer_of(options.bundle, options.profile)
            if self._ending.is_set() or self.live >= self._limits.streams:
                why = "is shutting down" if self._ending.is_set() else f"is busy with {self.live} streams"
                raise ProblemError(503, f"the server {why}; try again in 10 s", headers={"Retry-After": "10"})
            if options.adapt:
                check_adaptable(recognizer)
            stream = recognizer.stream(
                sample_rate=options.rate, name=clean(options.name), speaker=options.speaker, adapt=options.adapt
            )
        except SerotoneError as error:
            await refuse(socket, of_error(error))
            return
        except ProblemError as error:
            await refuse(socket, error)
            return
        self.live += 1
        self._none_live.clear()
        try:
            await self._hold(socket, recognizer, stream, options)
        except WebSocketDisconnect:
            return  # nobody is there to tell
        finally:
            self.live -= 1
            self._metrics.audio.labels("stream").inc(stream.seconds)
            if not self.live:
                self._none_live.set()

    async def _hold(self, socket: WebSocket, recognizer: Recognizer, stream: Stream, options: StreamOptions) -> None:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        bundle = recognizer.bundle
        terms = {"non_commercial": bundle.non_commercial}
        named = {"bundle": f"{bundle.name} {bundle.version}", "labels": list(bundle.labels)}
        await self._send(socket, {"schema": SCHEMA, "kind": "ready", **named, "rate": options.rate, **terms})
        try:
            code = await self._hear(socket, stream, Samples(options.encoding))
            prediction: Prediction = await self._off_loop(stream.finish)
        except SerotoneError as error:
            problem = of_error(error)
            await self._end(socket, problem, FAILED if problem.status == 500 else UNACCEPTABLE)
        except ProblemError as error:
            await self._end(socket, error, UNACCEPTABLE if error.status == 422 else POLICY)
        else:
            self._metrics.answers.labels(bundle.name, str(prediction.profile is not None).lower()).inc()
            for update in stream.last_updates:
                await self._send(socket, _json(update))
            await self._send(socket, {"schema": SCHEMA, "kind": "summary", **prediction.to_dict(), **terms})
            await socket.close(code)

    async def _hear(self, socket: WebSocket, stream: Stream, samples: Samples) -> int:
        """Answer messages until there are no more; the code to close with."""
        begun = heard = time.monotonic()
        most = self._limits.stream_seconds
        while stream.seconds < most and time.monotonic() - begun < most:
            message = await self._message(socket, heard + self._limits.idle_seconds - time.monotonic())
            if message is None:
                return GOING_AWAY
            if message.get("bytes") is None:
                _check_end(message.get("text") or "")
                return NORMAL
            piece = samples.take(message["bytes"])
            updates = await self._off_loop(partial(stream.feed, piece))
            for update in updates:
                await self._send(socket, _json(update))
            if len(piece):  # less than a sample is nothing, however often it comes
                heard = time.monotonic()
        return NORMAL

    async def _message(self, socket: WebSocket, seconds: float) -> dict[str, Any] | None:
        """The next message within this time; None where the server is about to end, whatever else has come."""
        if self._ending.is_set():
            return None
        coming = asyncio.ensure_future(socket.receive())
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({coming, ending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                message = dict(coming.result())
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", NORMAL))
                return message
            if ending.done():
                return None
        finally:
            coming.cancel()
            ending.cancel()
        raise ProblemError(408, f"nothing arrived for {self._limits.idle_seconds:g} s; send zeros for silence, or end")

    async def _off_loop(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _send(self, socket: WebSocket, value: dict[str, object]) -> None:
        """Send JSON; a client that does not read is taken for gone."""
        await self._in_time(socket.send_text(json.dumps(value, ensure_ascii=False)))

    async def _end(self, socket: WebSocket, error: ProblemError, code: int) -> None:
        await self._send(socket, {"kind": "problem", **error.to_dict()})
        await self._in_time(socket.close(code))

    async def _in_time(self, sending: Coroutine[Any, Any, None]) -> None:
        try:
            await asyncio.wait_for(sending, self._limits.idle_seconds)
        except TimeoutError:
            raise WebSocketDisconnect(POLICY) from None


def _options(socket: WebSocket) -> StreamOptions:
    """What the address asks for; raises ProblemError where that has no meaning."""
    try:
        return StreamOptions.model_validate(dict(socket.query_params))
    except ValidationError as error:
        known = list(StreamOptions.model_fields)
        found = [f"{'.'.join(('query', *map(str, item['loc'])))}: {in_words(item, known)}" for item in error.errors()]
        raise ProblemError(422, "; ".join(found)) from None


def _check_end(text: str) -> None:
    """Raise ProblemError where a text is anything but the end of the stream."""
    try:
        said = json.loads(text[:1000])
    except (ValueError, RecursionError):
        said = None
    if said != {"kind": "end"}:
        raise ProblemError(422, f'the text {text[:80]!r}; expected binary messages of samples, then {{"kind": "end"}}')


async def refuse(socket: WebSocket, error: ProblemError) -> None:
    """Answer the request for a WebSocket with a problem."""
    answer = response(error.status, error.detail, error=error.error, headers=error.headers)
    await socket.send_denial_response(answer)


def _json(update: Update) -> dict[str, object]:
    """An update, as `serotone listen` prints it."""
    return {"schema": SCHEMA, "kind": "update", **update.to_dict()}
