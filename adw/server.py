"""The Prefect server: the user's own where a profile or `PREFECT_API_URL` names one, else one on loopback that adw keeps.

adw's own server is looked after by a small process (`python -m adw.server`). It owns the listening socket and hands it to the
server: when the server dies it is started again at once, and calls made meanwhile wait in the socket's queue instead of failing.
It ends by itself when no run has used it for a while.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from adw import lock, proc, unencrypted
from adw.errors import AdwError, Misuse
from adw.home import home
from adw.login import PASSWORD, credentials, own_login, users_setting
from adw.model import digest

PORTS = (*range(4210, 4220), 0)  # the first that is free; 0 is any
START_LIMIT = 120  # seconds
IDLE_MINUTES = 30.0
UNASKED = {"PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false"}  # else each client that writes asks for a token first, which our server has not
WORK_POOL = "adw"  # where `adw serve` looks for runs
KEEP_DAYS = 30.0  # how long the history of runs is kept
LOOPBACK = "127.0.0.1"
DATABASE = "PREFECT_API_DATABASE_CONNECTION_URL"
LARGEST_LOG = 10_000_000  # bytes
UNUSED = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}  # else the server calls home


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server that answers. `login` is `user:password`, for adw's own; one that an older adw started has none."""

    api: str
    own: bool
    login: str = field(default="", repr=False)

    @property
    def ui(self) -> str:
        """The address for people."""
        return self.api.removesuffix("/api")

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use it."""
        own = {"PREFECT_HOME": str(folder()), "PREFECT_PROFILES_PATH": str(folder() / "profiles.toml"), **UNASKED} if self.own else {}
        login = {"PREFECT_API_AUTH_STRING": self.login} if self.login else {}
        return {**UNUSED, "PREFECT_API_URL": self.api, **unencrypted.settings(self.api), **own, **login}


def folder() -> Path:
    """Where adw's own server keeps its database, its login, its log and its state."""
    return home() / "prefect"


def users_own() -> str:
    """The API address that the user has set for Prefect; empty if none, or if it is that of adw's own server, whose login is known here."""
    api = users_setting("PREFECT_API_URL").rstrip("/")
    return "" if api and api == own_api() and kept() else api


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


def check_version(api: str, otherwise: str = "unset PREFECT_API_URL (or the profile's) to use adw's own") -> None:
    """Misuse if the user's own server does not answer, does not take the login that is set, or is of another version than the Prefect that adw runs on."""
    try:
        answer = httpx.get(f"{api.rstrip('/')}/admin/version", timeout=10, headers=credentials())
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            msg = f"the Prefect server at {api} asks for a login: set PREFECT_API_AUTH_STRING=user:password (`adw ui` prints that of adw's own), or {otherwise}"
            raise Misuse(msg)
        found = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as no:
        msg = f"the Prefect server at {api} does not answer ({no}): start it, or {otherwise}"
        raise Misuse(msg) from no
    ours = version("prefect")
    if str(found).split(".")[:2] != ours.split(".")[:2]:
        msg = f"the Prefect server at {api} is version {found}, and adw needs {ours}: upgrade it, or {otherwise}"
        raise Misuse(msg)


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
                _agree(state)
                return Server(state["api"], own=True, login=state["login"])
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


def _agree(state: dict[str, Any]) -> None:
    """Misuse if the server that runs is another one than the environment asks for."""
    for name, value in _asked().items():
        if os.environ.get(name) and state["asked"].get(name) != value:
            msg = f"adw's Prefect server runs already, with another {name}: stop it with `adw clean --server`, then call this again"
            raise Misuse(msg)


def _asked() -> dict[str, str]:
    """What decides how the server is started, as far as the environment says; what is secret only as a digest."""
    named = {name: os.environ.get(name, "") for name in ("ADW_SERVER_HOST", "ADW_SERVER_PORT", DATABASE, PASSWORD)}
    named["ADW_SERVER_HOST"] = named["ADW_SERVER_HOST"] or LOOPBACK
    return {name: digest(value) if name in {DATABASE, PASSWORD} else value for name, value in named.items()}


def kept() -> bool:
    """Whether adw's own server is being looked after."""
    return not lock.wait_until_free(folder() / "keeper", 0)


def running() -> Server | None:
    """The server that is in use, if there is one now; nothing is started."""
    if api := users_own():
        return Server(api, own=False)
    state = _state()
    return Server(state["api"], own=True, login=state["login"]) if state and kept() else None


def database() -> str:
    """What kind of database adw's own server has; its address may hold a password."""
    return "PostgreSQL" if os.environ.get(DATABASE, "").startswith("postgres") else "SQLite"


def own_api() -> str:
    """The address of adw's own server, if it runs here."""
    state = _state()
    return state["api"] if state else ""


def own_pid() -> int:
    """The process that keeps adw's own server, with the server below it; 0 if it does not run here. Asked often: it takes no lock."""
    state = _state()
    if state is None:
        return 0
    with suppress(OSError):
        written = (folder() / "server.json").stat().st_mtime
        return int(state["pid"]) if 0 < proc.born(state["pid"]) <= written else 0  # one that began later has only got its number
    return 0


def asks_for_login(address: str) -> bool:
    """Whether an address is one of the UI of adw's own server, which asks a person for its login."""
    state = _state()
    return bool(state and state["login"] and address.startswith(f"{state['api'].removesuffix('/api')}/"))


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


def _bind(host: str, *ports: int) -> socket.socket:
    """A listening socket on the first of the ports that is free."""
    for port in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections have it from here: uvicorn, which is given a number, does not see that this is TCP. Without it each answer takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((host, port))
            listener.listen(512)
        except OSError:
            listener.close()
            continue
        return listener
    msg = f"cannot listen on {host} at {' or '.join(map(str, ports))}: name another address or port"
    raise AdwError(msg)


def _listener() -> socket.socket:
    """Where the server is reached: as the environment says, else on loopback at the port of last time if it is free."""
    host, port = os.environ.get("ADW_SERVER_HOST") or LOOPBACK, os.environ.get("ADW_SERVER_PORT")
    if port:
        return _bind(host, int(port))
    last = folder() / "port"
    listener = _bind(host, *([int(last.read_text())] if last.exists() else []), *PORTS)
    last.write_text(str(listener.getsockname()[1]))
    return listener


def _address(listener: socket.socket) -> str:
    """The API's address, for others too where it listens for all."""
    host, port = listener.getsockname()
    return f"http://{socket.gethostname() if host == '0.0.0.0' else host}:{port}/api"  # noqa: S104 - asked for by name


def _environment(api: str, login: str) -> dict[str, str]:
    """What the server's process gets: of the user's own Prefect settings only the database."""
    days = float(os.environ.get("ADW_SERVER_KEEP_DAYS", KEEP_DAYS))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_") or name == DATABASE},
        **Server(api, own=True, login=login).environment(),
        PASSWORD: login,
        "PREFECT_SERVER_UI_API_URL": "/api",  # as seen by the browser: also through a forwarded port
        "PREFECT_UI_STATIC_DIRECTORY": str(folder() / "ui"),
        "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        # In memory, the default, a restart forgets who holds the slots of a tag limit, and they are lost for good.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(int(days * 86400)),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        proc.MARKER: f"adw-server-{os.getpid()}",
    }


def keep() -> None:
    """Run the server until it is told to stop, or was not used for a while; start it again whenever it dies."""
    held = lock.try_lock(folder() / "keeper")
    if held is None:
        return  # another one was faster
    folder().chmod(0o700)  # who reads the database has all Secrets, too
    log = folder() / "server.log"
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.write_text("")  # we have it open to append
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stopping.append(number))
    listener = _listener()
    api, login = _address(listener), own_login(folder())
    env = _environment(api, login)
    argv = [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), "--factory", "deployments.serving:create_app"]
    argv += ["--log-level", "warning", "--timeout-keep-alive", "600"]  # a client that meets a closed connection waits 2 s and more
    state = folder() / "server.json"
    state.touch(mode=0o600)
    state.write_text(json.dumps({"api": api, "pid": os.getpid(), "login": login, "asked": _asked()}))
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
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        keep()
    except AdwError as no:
        sys.exit(f"adw: {no}")
