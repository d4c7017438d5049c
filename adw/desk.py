"""What all agents of a run share in one process: the money, the breaker, and the way to the model's API."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adw.agents import AGENTS
from adw.agents.base import Agent
from adw.breaker import Breaker
from adw.config import AgentConfig, Config
from adw.cooldown import Cooldown
from adw.errors import KeyRefused
from adw.gateway.client import Gateway
from adw.journal import Journal
from adw.model import Order
from adw.money import Ledger, Prices, Spent, Tokens, spent

WRONG_KEY = 401


@dataclass(frozen=True, slots=True)
class Access:
    """How an agent reaches its model: what goes into its environment, and the addresses of its APIs that are not the vendors'."""

    env: dict[str, str]
    urls: dict[str, str]
    tokens: tuple[str, ...] = ()  # of the gateway, which then counts what is spent


class Desk:
    """Of one run."""

    def __init__(self, config: Config, journal: Journal) -> None:
        self._journal, self._config = journal, config
        self.prices = Prices(config.prices)
        self.ledger = Ledger(config.budget)
        for issue, so_far in journal.progress().spent.items():
            self.ledger.add(issue, so_far)
        self.breaker = Breaker(config.breaker, lambda state, reason: journal.event("breaker", state=state, reason=reason))
        self.users = 0
        self._gateway: Gateway | None = None
        self._stack, self._guard = ExitStack(), threading.Lock()

    def count(self, order: Order, model: str, more: Spent) -> None:
        """Count what an agent says it has spent."""
        self.ledger.add(order.issue, more)
        self._journal.event("spent", **order.fields, model=model, **_told(more))

    def throttled(self, order: Order, reason: str) -> None:
        """Note that the model's API has too much to do."""
        self._journal.event("throttled", **order.fields, reason=reason)

    @contextmanager
    def access(self, agent: Agent, config: AgentConfig, secrets: Mapping[str, str], order: Order, priority: int) -> Iterator[Access]:
        """For the block, the way to the model: through the gateway where adw has the key, and can have the agent go there."""
        env, urls, tokens = own(agent, secrets), {}, []
        with ExitStack() as stack:
            for api in agent.apis:
                url = config.base_url.get(api.key) or os.environ.get(api.url, "")
                if config.gateway and api.protocol and api.key in env:
                    lent = stack.enter_context(self._open().lease(api, env[api.key], url or api.vendor, order, priority))
                    env[api.key], url = lent.token, lent.url
                    tokens.append(lent.token)
                if url:
                    env[api.url] = urls[api.key] = url
            yield Access(env, urls, tuple(tokens))

    def _open(self) -> Gateway:
        """The gateway, started when it is first needed."""
        with self._guard:
            if self._gateway is None:
                gateway = Gateway(self._config.gateway, self.ledger, self.prices, self._heard, self._journal.folder)
                self._gateway = self._stack.enter_context(gateway.opened())
            return self._gateway

    def _heard(self, event: dict[str, Any]) -> None:
        """Take in what the gateway says."""
        if event["event"] == "call":
            tokens = Tokens.of(event)
            about = {name: value for name, value in event.items() if name != "event"}
            self._journal.event("spent", **about | _told(spent(self.prices, event["model"], tokens)))
            if event["status"] == WRONG_KEY:
                self.breaker.halt(KeyRefused(wrong_key()))
        else:
            self._journal.event(**event)

    def close(self) -> None:
        """End the gateway."""
        self._stack.close()


def own(agent: Agent, secrets: Mapping[str, str]) -> dict[str, str]:
    """Those secrets that an agent is to have: not the keys that only other kinds of agents take."""
    others = {key for kind in AGENTS.values() for key in kind.keys}.difference(agent.keys) if agent.keys else set()
    return {name: value for name, value in secrets.items() if name not in others}


def wrong_key() -> str:
    """What to do about a key that is not taken."""
    return "the model's API does not take the key. What is done is kept: set the right one, as in `ANTHROPIC_API_KEY=… adw resume`"


def _told(more: Spent) -> dict[str, Any]:
    return dict(more.flat())


_desks: dict[Path, Desk] = {}
_guard = threading.Lock()


@contextmanager
def at_desk(config: Config, journal: Journal) -> Iterator[Desk]:
    """The desk of a run, for the block; it is closed when nobody of this process uses it any more."""
    with _guard:
        desk = _desks.get(journal.folder) or _desks.setdefault(journal.folder, Desk(config, journal))
        desk.users += 1
    try:
        yield desk
    finally:
        with _guard:
            desk.users -= 1
            last = not desk.users
            if last:
                del _desks[journal.folder]
        if last:
            desk.close()


def cooldown(config: AgentConfig, secrets: Mapping[str, str]) -> Cooldown:
    """The pause that all share who use the same key, or the same login."""
    return Cooldown("\0".join(secrets.values()) or f"login of {config.name}")
