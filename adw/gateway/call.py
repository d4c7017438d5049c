"""One request of an agent, and how it goes."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adw.gateway.pace import Pace, Place
from adw.gateway.protocol import Meter, Protocol, model_asked

BAD = 400  # HTTP's line between an answer and an error


@dataclass(frozen=True, slots=True)
class Lease:
    """Whose requests carry a token, and what they are done with."""

    protocol: Protocol
    openai: bool
    key: str
    upstream: str  # the API's base URL
    path: str  # what the agent's base URL ends with, instead
    order: dict[str, Any]  # run, issue, phase, try
    priority: int
    pace: Pace


@dataclass(slots=True)
class Call:
    """One request, and how it goes."""

    lease: Lease
    method: str
    path: str  # below the lease's
    query: str
    headers: Mapping[str, str]
    body: bytes
    place: Place
    number: int
    came: float = field(default_factory=time.monotonic)
    tries: int = 0
    sent: float = 0.0  # the last time
    first_byte: float | None = None
    status: int = 0  # of the answer; 0: there was none
    answer: Mapping[str, str] = field(default_factory=dict)  # its headers
    kept: list[bytes] = field(default_factory=list)  # its body, where it is recorded
    retry_after: float | None = None  # the last pause that the API asked for
    meter: Meter = field(default_factory=lambda: Meter(streamed=False))

    @property
    def url(self) -> str:
        """Where the API is asked."""
        return self.lease.upstream.rstrip("/") + self.path + (f"?{self.query}" if self.query else "")

    @property
    def model(self) -> str:
        """The model that answered, or that was asked."""
        return self.meter.model or model_asked(self.body)

    @property
    def cut(self) -> bool:
        """Whether there is no answer, or only a part of one."""
        return not self.status or (self.status < BAD and not self.meter.whole)

    def told(self, event: str) -> dict[str, Any]:
        """What is told of it, as far as it has gone. Times are seconds since the last time that it was sent."""
        tokens = asdict(self.meter.tokens) | {"calls": int(0 < self.status < BAD)}
        about = {"event": event, "call": self.number, **self.lease.order, "model": self.model, "status": self.status, **tokens}
        times = {"seconds": time.monotonic() - self.sent, "first_byte": self.first_byte, "queued": self.sent - self.came}
        return {**about, **times, "retry_after": self.retry_after, "cut": self.cut}
