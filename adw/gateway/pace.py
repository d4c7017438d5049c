"""How fast the gateway asks: so many requests at once, the urgent ones first, and none before the API wants to be asked again."""

import asyncio
import math
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from heapq import heappop, heappush

from adw.cooldown import Cooldown

FIRST, LONGEST = 2.0, 60.0  # seconds of a pause that the API did not ask for
EPOCH = 1e9  # a larger number is a time, not a number of seconds
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

Place = tuple[int, int]  # in the queue: the priority, negative, and the number of the request


class Limiter:
    """Lets so many in at once; the others wait by their place."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[tuple[Place, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def slot(self, place: Place) -> AsyncIterator[None]:
        """Be one of them for the block."""
        await self._enter(place)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, place: Place) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (place, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was our turn, and we are gone
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = heappop(self._waiting)[1]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Pace:
    """The pauses of one key. They are those of all processes of this host that use it."""

    def __init__(self, key: str) -> None:
        self._cooldown = Cooldown(key)
        self._failures = 0  # in a row; those of requests that were under way at once are one
        self._paused = 0.0

    def left(self) -> float:
        """Seconds until the API may be asked again."""
        return self._cooldown.left()

    async def passed(self) -> None:
        """Wait until the API may be asked."""
        while left := self._cooldown.left():  # noqa: ASYNC110 - it is a file of other processes, too
            await asyncio.sleep(left)

    def throttled(self, headers: Mapping[str, str], sent: float) -> float:
        """Have all wait because of an answer to a request that was sent then (monotonic seconds); for how many seconds."""
        self._failures += sent >= self._paused
        self._paused = time.monotonic()
        asked = pause_asked(headers, time.time())
        grown = min(LONGEST, FIRST * 2 ** min(max(self._failures - 1, 0), 10)) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        pause = grown if asked is None else asked
        self._cooldown.push(pause)
        return pause

    def answered(self) -> None:
        """The API answered: the next pause is a short one."""
        self._failures = 0


def pause_asked(headers: Mapping[str, str], now: float) -> float | None:
    """The pause in seconds that the headers of an answer ask for, at a time (epoch seconds); None if they name none."""
    if (ms := _seconds(headers.get("retry-after-ms", ""), now)) is not None:
        return ms / 1000
    if (seconds := _seconds(headers.get("retry-after", ""), now)) is not None:
        return seconds
    spent = [name for name, value in headers.items() if "ratelimit" in name and "remaining" in name and value.strip() == "0"]
    resets = [_seconds(headers.get(name.replace("remaining", "reset"), ""), now) for name in spent]
    return max((reset for reset in resets if reset is not None), default=None)


def _seconds(text: str, now: float) -> float | None:
    """Seconds from now, of `2`, `6m0s`, `120ms`, an epoch time, an ISO time or an HTTP date."""
    text = text.strip()
    if parts := re.findall(r"([\d.]+)(ms|[smhd])", text) if re.fullmatch(r"(\d+\.?\d*(ms|[smhd]))+", text) else []:
        return sum(float(number) * UNITS[unit] for number, unit in parts)
    for read in (float, _iso, _http):
        try:
            found = read(text)
        except ValueError:
            continue
        if math.isfinite(found):
            return max(0.0, found - now if found > EPOCH else found)
    return None


def _iso(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _http(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()
