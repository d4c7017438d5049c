"""The proxy itself: takes requests of agents, asks the model with adw's key, hands the answer on as it comes, and counts it.

Nothing of the framework's routing is needed: there is one way through.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adw.config import BudgetConfig, Price
from adw.gateway.call import Call, Lease
from adw.gateway.pace import Limiter, Pace, pause_asked
from adw.gateway.protocol import NOT_ANSWERED, PROTOCOLS, Meter, refusal, signed, token_of, with_usage
from adw.gateway.record import Record, redacted
from adw.money import Ledger, Prices, Spent, Tokens, spent

THROTTLED = {429, 529}  # too many requests of ours; of all
OVERLOADED = {"overloaded_error", "rate_limit_error"}
FINAL = (b"insufficient_quota",)  # in a 429: no waiting helps, the account is empty
TRIES = 8  # how often one request is asked again
PATIENCE = 480.0  # seconds that it may take in all; CLIs themselves wait for 600
CONNECT = 15.0  # seconds to reach the API
IDLE = 30.0  # seconds that a connection to the API is kept for the next request


class Proxy:
    """An ASGI application. What happens is told, an event a call, to `tell`."""

    def __init__(self, settings: Mapping[str, Any], tell: Callable[[dict[str, Any]], None], record: Path | None) -> None:
        self._tell = tell
        self._record = Record(record) if record else None
        self._limiter = Limiter(settings["requests"])
        self._prices = Prices({name: Price.model_validate(price) for name, price in settings["prices"].items()})
        self._ledger = Ledger(BudgetConfig.model_validate(settings["budget"]))
        for issue, so_far in settings["spent"].items():
            self._ledger.add(issue, Spent(**{**so_far, "tokens": Tokens.of(so_far["tokens"])}))
        self._leases: dict[str, Lease] = {}
        self._paces: dict[str, Pace] = {}
        self._secrets: set[str] = set()  # also of leases that have ended
        self._numbers = itertools.count()
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=CONNECT),  # a model may think for as long as it likes
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings["requests"], keepalive_expiry=IDLE),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none: agents share nothing
        )

    def lease(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Have these leases in force, by their tokens, and no others."""
        self._leases = {token: self._made(one) for token, one in found.items()}
        self._secrets |= {secret for token, one in found.items() for secret in (token, one["key"]) if secret}

    def _made(self, one: Mapping[str, Any]) -> Lease:
        pace = self._paces.setdefault(one["key"], Pace(one["key"]))
        return Lease(**{**one, "protocol": PROTOCOLS[one["protocol"]], "openai": one["protocol"] == "openai", "pace": pace})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        path, lease = request.url.path, self._leases.get(token_of(request.headers))
        if path == "/":
            await Response()(scope, receive, send)  # asked before the first request, without a key, to see whether we are there
        elif lease is None:
            await _refused("anthropic-version" not in request.headers and "/messages" not in path, 401, "adw: this token is of no lease now")(
                scope, receive, send
            )
        elif not path.startswith(lease.path) or not lease.protocol.allowed.fullmatch(f"{request.method} {path.removeprefix(lease.path)}"):
            await _refused(lease.openai, 404, f"adw: the gateway does not let through {request.method} {path}")(scope, receive, send)
        else:
            await self._while_it_is_there(request, lease, send)

    async def _while_it_is_there(self, request: Request, lease: Lease, send: Send) -> None:
        """Answer an agent, and drop the request as soon as it goes away: nobody pays for what nobody reads."""
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path, number = request.url.path.removeprefix(lease.path), next(self._numbers)
        place = (-lease.priority, number)
        call = Call(lease, request.method, path, request.url.query, request.headers, with_usage(path, body), place, number)
        async with anyio.create_task_group() as tasks:

            async def follow() -> None:
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(follow)
            await self._answered(call, request, send)
            tasks.cancel_scope.cancel()

    async def _answered(self, call: Call, request: Request, send: Send) -> None:
        """Ask until there is an answer to hand on, at most `TRIES` times, each time when all may ask and it is our turn."""
        again = True
        while again:
            await call.lease.pace.passed()
            async with self._limiter.slot(call.place):
                if call.lease.pace.left():
                    continue  # another was told to wait while we waited for our turn
                if over := self._ledger.over(call.lease.order["issue"]):
                    await _refused(call.lease.openai, 403, f"adw: {over}")(request.scope, request.receive, send)
                    return
                again = await self._asked(call, request, send)

    async def _asked(self, call: Call, request: Request, send: Send) -> bool:
        """Ask once; whether to ask again. It is counted before the next request gets its turn."""
        call.tries, call.sent, call.status, again = call.tries + 1, time.monotonic(), 0, False
        try:
            headers = signed(call.headers, call.lease.key)
            async with self._http.stream(call.method, call.url, headers=headers, content=call.body) as answer:
                call.status, call.answer = answer.status_code, answer.headers
                if answer.is_error:
                    again = await self._failed(call, answer, request, send)
                else:
                    await self._handed_on(call, answer, send)
        except httpx.RequestError as away:
            if not call.status:  # else it is cut: what ends without its last piece is seen as cut by the agent, too
                call.status = 502
                text = f"adw: {call.lease.upstream} cannot be reached: {type(away).__name__} {away}"
                await _refused(call.lease.openai, 502, redacted(text, self._secrets))(request.scope, request.receive, send)
        finally:
            self._write(call)
            if not again:
                self._count(call)
        return again

    async def _failed(self, call: Call, answer: httpx.Response, request: Request, send: Send) -> bool:
        """See to an error of the API: whether to ask again, else it is handed on. It should not, but might, name the key."""
        body = await answer.aread()
        self._keep(call, body)
        if call.status in THROTTLED and not any(sign in body for sign in FINAL) and self._wait(call):
            return True
        call.first_byte = time.monotonic() - call.sent
        text = redacted(body.decode(errors="surrogateescape"), self._secrets).encode(errors="surrogateescape")
        headers = {name: value for name, value in answer.headers.items() if name not in NOT_ANSWERED}
        await Response(text, call.status, headers)(request.scope, request.receive, send)
        return False

    def _wait(self, call: Call) -> bool:
        """Have all who use the key wait; whether the request is worth another try then."""
        pause = call.lease.pace.throttled(call.answer, call.sent)
        call.retry_after = pause_asked(call.answer, time.time())
        about = {"model": call.model, "status": call.status, "retry_after": call.retry_after, "pause": pause}
        self._tell({"event": "throttled", **call.lease.order, **about})
        final = call.answer.get("x-should-retry") == "false"
        return not final and call.tries < TRIES and time.monotonic() + pause - call.came < PATIENCE

    async def _handed_on(self, call: Call, answer: httpx.Response, send: Send) -> None:
        """Hand on an answer as it comes."""
        call.lease.pace.answered()
        call.meter = Meter(streamed=answer.headers.get("content-type", "").startswith("text/event-stream"))
        headers = [(name, value) for name, value in answer.headers.raw if name.decode().lower() not in NOT_ANSWERED]
        await send({"type": "http.response.start", "status": call.status, "headers": headers})
        async for chunk in answer.aiter_bytes():
            call.first_byte = call.first_byte or time.monotonic() - call.sent
            if call.meter.take(chunk) and call.path in call.lease.protocol.paid:
                self._tell(call.told("open"))  # before the agent sees it: whatever kills us now, it is counted
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._keep(call, chunk)
        call.meter.end()
        if call.meter.error in OVERLOADED:
            self._wait(call)  # told in the stream, after its 200
        await send({"type": "http.response.body"})

    def _keep(self, call: Call, chunk: bytes) -> None:
        if self._record:
            call.kept.append(chunk)

    def _count(self, call: Call) -> None:
        """Count a call that has ended, and tell of it."""
        if call.path in call.lease.protocol.paid:
            event = call.told("call")
            self._ledger.add(call.lease.order["issue"], spent(self._prices, call.model, Tokens.of(event)))
            self._tell(event)

    def _write(self, call: Call) -> None:
        """Record what was asked and answered."""
        if self._record:
            about = {**call.lease.order, "method": call.method, "path": call.path, "query": call.query, "status": call.status, "cut": call.cut}
            self._record.add(about, call.body, call.answer, b"".join(call.kept), self._secrets)
            call.kept.clear()


def _refused(openai: bool, status: int, text: str) -> Response:  # noqa: FBT001 - one of two shapes
    """An answer of adw's own. It is final: a CLI that asked again would hear the same."""
    headers = {"x-should-retry": "false"} if status == 403 else {}  # noqa: PLR2004 - the budget
    return Response(refusal(openai, status, text), status, headers, media_type="application/json")
