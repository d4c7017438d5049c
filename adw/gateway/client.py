"""The gateway as the process that runs phases sees it: kept up, told of leases, and heard."""

import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

from adw import proc
from adw.agents.base import Api
from adw.config import GatewayConfig
from adw.errors import ModelAway
from adw.model import Order
from adw.money import Ledger, Prices, Tokens, spent

PATIENCE = 30.0  # seconds for the gateway to come up
LAST_CHANCE = 3.0  # seconds for it to end by itself
PAUSE = 0.2  # seconds before one that died is replaced
PASSED_ON = (
    *("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "ADW_HOME", "XDG_STATE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


@dataclass(frozen=True, slots=True)
class Access:
    """What an agent is given instead of the API's address and key."""

    url: str
    token: str = field(repr=False)


class Gateway:
    """One for each process that runs phases; threads may use it.

    What each call took is added to the ledger, and then told to `heard`, from a thread of the gateway's own. The events:
    `call` (run, issue, phase, try, model, status, calls, input, output, cache_read, cache_write, seconds, first_byte, queued,
    retry_after, cut; status 0 if the agent went away before there was one), `throttled` (run, issue, phase, try, model, status,
    retry_after, pause) and `restarted`.
    """

    def __init__(self, config: GatewayConfig, ledger: Ledger, prices: Prices, heard: Callable[[dict[str, Any]], None], folder: Path) -> None:
        self._config, self._ledger, self._prices, self._heard, self._folder = config, ledger, prices, heard, folder
        self._leases: dict[str, dict[str, Any]] = {}
        self._version = 0  # of the leases
        self._known = -1  # the version that the gateway has taken in
        self._changed = threading.Condition()
        self._process: proc.Process | None = None
        self._closing = threading.Event()
        self._open: dict[int, dict[str, Any]] = {}  # calls that have begun to cost, and have not ended: as far as is known
        self.pid = 0  # of the gateway's process

    @contextmanager
    def opened(self) -> Iterator["Gateway"]:
        """Keep it up for the block."""
        with socket.create_server(("127.0.0.1", 0), backlog=128) as self._socket:
            keeper = threading.Thread(target=self._keep_up, name="gateway", daemon=True)
            keeper.start()
            try:
                yield self
            finally:
                self._close(keeper)

    @contextmanager
    def lease(self, api: Api, key: str, upstream: str, order: Order, priority: int = 0) -> Iterator[Access]:
        """Let an agent ask the API at `upstream`, a base URL, with a key that it does not see, for the block. More priority is sooner.

        ModelAway if the gateway does not come up.
        """
        token = f"adw-{secrets.token_urlsafe(24)}"
        lease = {"protocol": api.protocol, "key": key, "upstream": upstream, "path": api.path, "order": order.fields, "priority": priority}
        try:
            with self._changed:
                self._leases[token] = lease
                if not self._in_force():
                    msg = f"adw's gateway does not come up; see {self._folder / 'gateway.log'}"
                    raise ModelAway(msg)
            yield Access(f"http://127.0.0.1:{self._socket.getsockname()[1]}{api.path}", token)
        finally:
            with self._changed:
                del self._leases[token]
                self._in_force()

    def _in_force(self) -> bool:
        """Tell the gateway of the leases, and wait until it has taken them in; whether it has."""
        self._version += 1
        version = self._version
        self._say()
        return self._changed.wait_for(lambda: self._known >= version or self._closing.is_set(), PATIENCE) and not self._closing.is_set()

    def _say(self) -> None:
        if self._process:
            with suppress(OSError):  # it has died: the next one is told
                self._process.say(json.dumps({"version": self._version, "leases": self._leases}))

    def _keep_up(self) -> None:
        """Start a gateway, hear what it tells until it ends, and start the next."""
        while not self._closing.is_set():
            process = self._started()
            for line in process.lines():
                with suppress(ValueError):  # cut by its death
                    self._take(json.loads(line))
            self._ended(process)

    def _started(self) -> proc.Process:
        record = [str(self._folder / "gateway.jsonl")] if self._config.record else []
        fd = self._socket.fileno()
        env = {name: os.environ[name] for base in PASSED_ON for name in (base, base.lower()) if name in os.environ}  # no key of the user's
        argv = [sys.executable, "-m", "adw.gateway.serve", str(fd), *record]
        process = proc.converse(argv, env=env, log=self._folder / "gateway.log", cwd=self._folder, fds=[fd])
        settings = {
            "requests": self._config.requests,
            "budget": self._ledger.budget.model_dump(),
            "prices": {name: price.model_dump() for name, price in self._prices.own.items()},
            "spent": {issue: asdict(so_far) for issue, so_far in self._ledger.by_issue.items()},
        }
        with self._changed:
            self._process, self.pid = process, process.pid
            with suppress(OSError):
                process.say(json.dumps(settings))
            self._say()
            if self._closing.is_set():
                process.hang_up()
        return process

    def _ended(self, process: proc.Process) -> None:
        """It died, or was closed: count what it could not count any more."""
        process.signal(SIGKILL)
        process.wait(PATIENCE)
        with self._changed:
            self._process = None
            process.hang_up()
        for event in list(self._open.values()):
            self._take({**event, "event": "call", "cut": True})
        if not self._closing.wait(PAUSE):
            self._heard({"event": "restarted"})

    def _take(self, event: dict[str, Any]) -> None:
        """Take in what the gateway tells."""
        match event["event"]:
            case "ready":
                with self._changed:
                    self._known = event["version"]
                    self._changed.notify_all()
            case "open":
                self._open[event["call"]] = event
            case "call":
                self._open.pop(event["call"], None)
                self._ledger.add(event["issue"], spent(self._prices, event["model"], Tokens.of(event)))
                self._heard(event)
            case _:
                self._heard(event)

    def _close(self, keeper: threading.Thread) -> None:
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
            if self._process:
                self._process.hang_up()
        keeper.join(LAST_CHANCE)
        with self._changed:
            if self._process:
                self._process.signal(SIGKILL)
        keeper.join()
