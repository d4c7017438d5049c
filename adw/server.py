"""The Prefect server: the user's own where a profile or `PREFECT_API_URL` names one, else one on loopback that adw keeps.

adw's own server is looked after by a small process (`python -m adw.server`). It owns the listening socket and hands it to the
server: when the server dies it is started again at once, and calls made meanwhile wait in the socket's queue instead of failing.
It ends by itself when no run has used it for a while.
"""

import base64
import json
import os
import signal
import socket
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from adw import lock, proc
from adw.errors import AdwError, Misuse
from adw.home import home

PORTS = (*range(4210, 4220), 0)  # the first that is free; 0 is any
START_LIMIT = 120  # seconds
IDLE_MINUTES = 30.0
LARGEST_LOG = 10_000_000  # bytes
UNUSED = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}  # else the server calls home


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server that answers."""

    api: str
    own: bool

    @property
    def ui(self) -> str:
        """The address for people."""
        return self.api.removesuffix("/api")

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use it."""
        own = {"PREFECT_HOME": str(folder()), "PREFECT_PROFILES_PATH": str(folder() / "profiles.toml")} if self.own else {}
        return {**UNUSED, "PREFECT_API_URL": self.api, **own}


def folder() -> Path:
    """Where adw's own server keeps its database, its log and its state."""
    return home() / "prefect"


def users_own() -> str:
    """The API address that the user has set for Prefect, in the environment or in the active profile; empty if none."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or Path(os.environ.get("PREFECT_HOME", "~/.prefect")) / "profiles.toml").expanduser()
    try:
        data = tomllib.loads(profiles.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    active = os.environ.get("PREFECT_PROFILE") or data.get("active", "")
    return str(data.get("profiles", {}).get(active, {}).get("PREFECT_API_URL", ""))


@contextmanager
def in_use(tell: Callable[[str], None] = lambda _text: None) -> Iterator[Server]:
    """A server that answers, kept alive for the block."""
    with ExitStack() as stack:
        if api := users_own():
            check_version(api)
            yield Server(api, own=False)
            return
        stack.enter_context(lock.shared(folder() / "users"))
        yield ensure(tell)


def check_version(api: str) -> None:
    """Misuse if the user's own server does not answer, or is of another version than the Prefect that adw runs on."""
    try:
        found = httpx.get(f"{api.rstrip('/')}/admin/version", timeout=10, headers=_credentials()).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as no:
        msg = f"the Prefect server at {api} does not answer ({no}): start it, or unset PREFECT_API_URL (or the profile's) to use adw's own"
        raise Misuse(msg) from no
    ours = version("prefect")
    if str(found).split(".")[:2] != ours.split(".")[:2]:
        msg = f"the Prefect server at {api} is version {found}, and adw needs {ours}: upgrade it, or unset PREFECT_API_URL to use adw's own"
        raise Misuse(msg)


def _credentials() -> dict[str, str]:
    """What the user's own server wants to know of its caller."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if login := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    return {}


def ensure(tell: Callable[[str], None] = lambda _text: None) -> Server:
    """Adw's own server, started if it does not run; AdwError with the end of its log if it does not come up.

    Calls can be made at once: while the server starts they wait in the queue of its socket, which is there already.
    """
    until = time.monotonic() + START_LIMIT
    log = folder() / "server.log"
    with lock.held(folder() / "starting"):
        while time.monotonic() < until:
            state = _state()
            if kept() and state:
                return Server(state["api"], own=True)
            if not kept():
                tell("starting the Prefect server (the first time takes a little longer)")
                (folder() / "server.json").unlink(missing_ok=True)
                keeper = proc.spawn([sys.executable, "-m", "adw.server"], env={**os.environ, "ADW_HOME": str(home())}, log=log, cwd=home())
                while keeper.poll() is None and _state() is None and time.monotonic() < until:
                    time.sleep(0.05)
                if keeper.poll() is not None:
                    break
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
    msg = f"the Prefect server did not start; the end of {log}:\n{tail}"
    raise AdwError(msg)


def kept() -> bool:
    """Whether adw's own server is being looked after."""
    return not lock.wait_until_free(folder() / "keeper", 0)


def stop() -> bool:
    """End adw's own server; whether it ran."""
    state = _state()
    if state is None or not kept():
        return False
    with suppress(ProcessLookupError):
        os.kill(state["pid"], signal.SIGTERM)
    return lock.wait_until_free(folder() / "keeper", 15)


def _state() -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder() / "server.json").read_text()))
    except (OSError, ValueError):
        return None


def _bind(last: int) -> socket.socket:
    """A listening socket on loopback, on the port of last time if it is free."""
    for port in (last, *PORTS):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(512)
        except OSError:
            listener.close()
            continue
        return listener
    msg = "no port is free on 127.0.0.1"
    raise AdwError(msg)


def keep() -> None:
    """Run the server until it is told to stop, or was not used for a while; start it again whenever it dies."""
    held = lock.try_lock(folder() / "keeper")
    if held is None:
        return  # another one was faster
    log = folder() / "server.log"
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.write_text("")  # we have it open to append
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stopping.append(number))
    port_file = folder() / "port"
    listener = _bind(int(port_file.read_text()) if port_file.exists() else PORTS[0])
    port = listener.getsockname()[1]
    port_file.write_text(str(port))
    api = f"http://127.0.0.1:{port}/api"
    marker = f"adw-server-{os.getpid()}"
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        **Server(api, own=True).environment(),
        "PREFECT_SERVER_UI_API_URL": api,
        "PREFECT_UI_STATIC_DIRECTORY": str(folder() / "ui"),
        "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        # In memory, the default, a restart forgets who holds the slots of a tag limit, and they are lost for good.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        proc.MARKER: marker,
    }
    argv = [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), "--factory", "deployments.serving:create_app"]
    argv += ["--log-level", "warning", "--timeout-keep-alive", "600"]  # a client that meets a closed connection waits 2 s and more
    (folder() / "server.json").write_text(json.dumps({"api": api, "pid": os.getpid()}))
    used = [time.monotonic()]
    idle = float(os.environ.get("ADW_SERVER_IDLE_MINUTES", IDLE_MINUTES)) * 60

    def over() -> str:
        if not lock.wait_until_free(folder() / "users", 0):
            used[0] = time.monotonic()
        return "stop" if stopping or time.monotonic() - used[0] > idle else ""

    quick_deaths = 0
    while not over() and quick_deaths < 3:  # noqa: PLR2004 - then its log says why, and nobody is helped by a fourth
        began = time.monotonic()
        proc.kept(argv, cwd=folder(), env=env, log=folder() / "server.log", minutes=float("inf"), fds=[listener.fileno()], watch=over)
        quick_deaths = quick_deaths + 1 if time.monotonic() - began < 5 else 0  # noqa: PLR2004
    (folder() / "server.json").unlink(missing_ok=True)


if __name__ == "__main__":
    keep()
