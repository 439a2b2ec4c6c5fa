"""What a request gets whose answer the server, told to end, has no more time for."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serotone.serving.problems import response


class Cut:
    """Answers with a problem, status 503, each request that has no answer yet when ``over`` is set."""

    def __init__(self, app: ASGIApp, *, over: asyncio.Event) -> None:
        self._app, self._over = app, over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what works on its answer is cancelled where time is over."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_and_see(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        work = asyncio.ensure_future(self._app(scope, receive, send_and_see))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() or begun:
                await work
                return
            work.cancel()
            await asyncio.wait({work})
            why = "the server shut down before it had an answer; try again in 10 s"
            await response(503, why, headers={"Retry-After": "10", "Connection": "close"})(scope, receive, send)
        finally:
            over.cancel()
            work.cancel()
