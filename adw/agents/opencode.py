"""opencode, headless: `opencode run --format json`.

Its model is named with its provider, as in `anthropic/claude-sonnet-4-5`. What it prints was seen with 1.18.33.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from adw.agents.base import ANTHROPIC, OPENAI, Api, Call, Job, Login, Reader
from adw.agents.events import EventReader, about, api_error
from adw.agents.shown import ended, gave, joined, uses
from adw.config import AgentConfig, Tools
from adw.errors import AgentCut, AgentFailed, ModelAway, SessionLost
from adw.model import digest
from adw.money import Tokens

PROVIDERS = {ANTHROPIC.key: ("anthropic", "/v1"), OPENAI.key: ("openai", "")}  # by key: its name, and what it wants at the end of the address
DENIED: dict[Tools, tuple[str, ...]] = {"read": ("edit", "bash", "task"), "edit": ("bash", "task"), "run": ("task",)}  # the tokens of a task are not told
QUIET = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1", "OPENCODE_DISABLE_PROJECT_CONFIG": "1"}
NETWORK = ("Unable to connect", "ECONNREFUSED", "fetch failed", "Cannot connect", "socket")


@dataclass(frozen=True, slots=True)
class OpencodeAgent:
    """Drives the CLI. It has no limit of money of its own."""

    program: ClassVar[str] = "opencode"
    tried: ClassVar[str] = "1.18.33"
    install: ClassVar[str] = "npm install -g opencode-ai"
    apis: ClassVar[tuple[Api, ...]] = (ANTHROPIC, OPENAI)
    keys: ClassVar[tuple[str, ...]] = (ANTHROPIC.key, OPENAI.key)
    login: ClassVar[Login | None] = Login(home=".local/share/opencode/auth.json", own="data/opencode/auth.json")
    structured: ClassVar[bool] = True

    model: str = ""

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:  # noqa: ARG003 - it needs nothing of the repository
        """Of the configuration it needs the model."""
        return cls(config.model)

    @property
    def identity(self) -> str:
        """Its name and the model."""
        return digest("opencode", self.model)

    def call(self, job: Job) -> Call:
        """Its configuration is in the environment, its sessions are in the job's folder; SessionLost if those cannot be read."""
        argv = [self.program, "run", "--format", "json", "--auto", "--title", job.phase]  # without a title it asks a model for one
        argv += ["-m", self.model] if self.model else []
        if job.session:
            bring(job.folder, job.tree)
            argv += ["--session", job.session]
        folders = {f"XDG_{name.upper()}_HOME": str(job.folder / name) for name in ("config", "data", "state", "cache")}
        return Call(argv, {"OPENCODE_CONFIG_CONTENT": json.dumps(_configuration(job)), **QUIET, **folders})

    def reader(self, job: Job) -> Reader:
        """Reads its events."""
        return OpencodeReader(job, self.model)


def _configuration(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {"autoupdate": False, "share": "disabled", "snapshot": False}
    found["permission"] = dict.fromkeys(DENIED[job.tools], "deny")
    known = ((*PROVIDERS[key], url.rstrip("/")) for key, url in job.urls.items() if key in PROVIDERS)
    found["provider"] = {name: {"options": {"baseURL": url + end}} for name, end, url in known}
    found["agent"] = {"build": {"steps": job.turns}} if job.turns else {}
    return found


def bring(folder: Path, tree: Path) -> None:
    """Let the sessions of a folder go on in another tree: from there, opencode would wait for its own answer for ever."""
    try:
        with closing(sqlite3.connect(f"{(folder / 'data/opencode/opencode.db').as_uri()}?mode=rw", uri=True)) as sessions, sessions:
            sessions.execute("UPDATE session SET directory = ?", [str(tree)])
    except sqlite3.Error as no:
        msg = f"opencode's sessions in {folder} cannot be read: {no}"
        raise SessionLost(msg) from no


class OpencodeReader(EventReader):
    """Folds the events of one run."""

    def __init__(self, job: Job, model: str) -> None:
        super().__init__(job)
        self._model = model or "opencode"
        self._error: dict[str, Any] = {}
        self._reason = ""

    def event(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        self.session = event.get("sessionID") or self.session
        kind, part = event.get("type"), event.get("part") or {}
        if kind == "text":
            self.last = part["text"]
            self.does("", self.last)
        elif kind == "tool_use":
            self.does(part["tool"].capitalize(), about(part["state"]["input"]))
        elif kind == "step_finish":
            self._step(part)
        elif kind == "error":
            self._error = event["error"]

    @staticmethod
    def shown(event: dict[str, Any]) -> str:
        """An event for people."""
        kind, part = event["type"], event.get("part") or {}
        if kind == "text":
            return str(part["text"])
        if kind == "tool_use":
            state = part["state"]
            given = gave(state.get("output") or state.get("error") or "", failed=state["status"] == "error")
            return joined([uses(part["tool"].capitalize(), about(state["input"])), given])
        if kind == "error":
            return ended(error=_words(event["error"]))
        return ended() if kind == "step_finish" and part["reason"] == "stop" else ""

    def _step(self, part: dict[str, Any]) -> None:
        used = part["tokens"]
        tokens = Tokens(
            calls=1,
            input=int(used["input"]),
            output=int(used["output"]) + int(used.get("reasoning") or 0),
            cache_read=int(used["cache"]["read"]),
            cache_write=int(used["cache"]["write"]),
        )
        self.spent = {self._model: self.spent.get(self._model, Tokens()) + tokens}
        self.usd = (self.usd or 0.0) + float(part.get("cost") or 0)
        self._reason = part.get("reason", "")

    def end(self, status: int) -> None:
        """Done with status 0, and no error."""
        if "Session not found" in "\n".join(self.text):
            raise SessionLost(self.said)
        if self._error:
            self._failed()
        if status or not self._reason:
            msg = f"opencode ended without a result (exit status {status}):\n{self.said}"
            raise AgentFailed(msg)
        if self.job.turns and self._calls() > self.job.turns:
            msg = f"the agent used up its turns ({self.job.turns}): {self.said}"
            raise AgentCut(msg)

    def _calls(self) -> int:
        return sum(tokens.calls for tokens in self.spent.values())

    def _failed(self) -> None:
        data = self._error.get("data") or {}
        said = _words(self._error)
        if not data.get("statusCode") and any(word in said for word in NETWORK):
            msg = f"the model's API is away: {said}"
            raise ModelAway(msg)
        wait = str((data.get("responseHeaders") or {}).get("retry-after") or "")
        no_key = 401 if self._error.get("name") == "ProviderAuthError" else 0  # it does not even ask
        raise api_error(int(data.get("statusCode") or no_key), said, float(wait) if wait.isdecimal() else None)


def _words(error: dict[str, Any]) -> str:
    """What an error says."""
    return str((error.get("data") or {}).get("message") or error.get("name"))
