"""aider, headless: `aider --message-file`.

It talks to the model until its edits fit, and runs no commands; it prints text. It cannot go on with a session. It ends with status 0
whatever happens: how it went is known by its words. They were seen with 0.86.2.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from adw.agents.base import ANTHROPIC, OPENAI, Api, Call, Job, Login, Reader, own_path
from adw.agents.events import WIDTH, api_error
from adw.config import AgentConfig
from adw.errors import AgentFailed, Misuse
from adw.model import digest, one_line
from adw.money import Tokens

# It writes a cache into the repository, and has no setting for that: a command of sh takes it away.
CLEANED = '"$@"; status=$?; rm -rf .aider.tags.cache.v*; exit $status'
# It adds each new file to git's index before it writes it, and gives up if it cannot: in the sandbox git can only be read.
GIT = '#!/bin/sh\ntest "$1" = add || exec git "$@"\n'
SETTINGS = {
    "yes-always": True,
    "auto-commits": False,
    "dirty-commits": False,
    "auto-lint": False,
    "gitignore": False,
    "pretty": False,
    "stream": False,
    "fancy-input": False,
    "check-update": False,
    "show-release-notes": False,
    "show-model-warnings": False,
    "analytics-disable": True,
    "detect-urls": False,
    "suggest-shell-commands": False,
    "disable-playwright": True,
}
ERROR = re.compile(r"^litellm\.(?:\w+\.)?(\w+): (.*)")
STATUSES = {
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "RateLimitError": 429,
    "Timeout": 408,
    "APIConnectionError": 503,
    "APIError": 500,
    "InternalServerError": 500,
    "ServiceUnavailableError": 503,
}
SPENT = re.compile(r"^Tokens: (.*?)\.(?: Cost: .*?\$([\d.,]+) session\.)?$")
PART = re.compile(r"([\d.,]+)([kM]?) (sent|received|cache hit|cache write)")
SCALE = {"": 1, "k": 1_000, "M": 1_000_000}


@dataclass(frozen=True, slots=True)
class AiderAgent:
    """Drives the CLI. It has no limits of turns or money of its own."""

    program: ClassVar[str] = "aider"
    tried: ClassVar[str] = "0.86.2"
    install: ClassVar[str] = "pip install aider-chat"
    apis: ClassVar[tuple[Api, ...]] = (ANTHROPIC, OPENAI)
    keys: ClassVar[tuple[str, ...]] = (ANTHROPIC.key, OPENAI.key, "GEMINI_API_KEY", "OPENROUTER_API_KEY", "DEEPSEEK_API_KEY")
    login: ClassVar[Login | None] = None
    structured: ClassVar[bool] = True

    model: str

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:  # noqa: ARG003 - it needs nothing of the repository
        """Misuse if no model is named: without one it may wait for a login in a browser."""
        if not config.model:
            msg = "aider needs a model: set agent.model in adw.toml, such as anthropic/claude-sonnet-4-5"
            raise Misuse(msg)
        return cls(config.model)

    @property
    def identity(self) -> str:
        """Its name and the model."""
        return digest("aider", self.model)

    def call(self, job: Job) -> Call:
        """Its settings and its history are in the job's folder; to read only is to ask, in its words."""
        folder = job.folder
        given = {**SETTINGS, "model": self.model, "message-file": str(job.prompt), "env-file": str(folder / "env")}
        given |= {f"{name}-history-file": str(folder / f"{name}.history") for name in ("input", "chat", "llm")}
        given |= {"edit-format": "ask"} if job.tools == "read" else {}
        own_path(job, "aider.conf.yml").write_text(json.dumps(given), encoding="utf-8")  # JSON is YAML
        git = own_path(job, "git")
        git.write_text(GIT, encoding="utf-8")
        git.chmod(0o700)
        argv = ["sh", "-c", CLEANED, "sh", self.program, "--config", str(folder / "aider.conf.yml")]
        return Call(argv, {"GIT_PYTHON_GIT_EXECUTABLE": str(git), "COLUMNS": "10000"})  # of fewer columns it breaks its lines

    def reader(self, job: Job) -> Reader:  # noqa: ARG002 - it tells no paths
        """Reads its text."""
        return AiderReader(self.model)


class AiderReader(Reader):
    """Finds in its text what was spent, what was edited, and what went wrong last."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self._talk: list[str] = []  # since the last answer ended
        self._last, self._error = "", ("", "")
        self._stopped = False

    def take(self, line: str) -> None:
        """Take in a line."""
        self.text.append(line)
        if line.startswith(("Repo-map:", "Retrying in")):
            self._talk = []
        elif found := ERROR.match(line):
            self._error = (found[1], found[2])
            self.doing = one_line(f"waits for the API ({found[1]})")[:WIDTH]
        elif found := SPENT.match(line):
            self._answered(found[1], found[2])
        elif line.startswith("Applied edit to "):
            self.doing = f"Edit {line.removeprefix('Applied edit to ')}"[:WIDTH]
        elif "reflections allowed, stopping" in line or line.startswith("Cmd('git') failed"):
            self._stopped = True
        else:
            self._talk.append(line)

    def _answered(self, parts: str, usd: str | None) -> None:
        used = {what: int(float(number.replace(",", "")) * SCALE[scale]) for number, scale, what in PART.findall(parts)}
        read, written = used.get("cache hit", 0), used.get("cache write", 0)
        given = max(0, used.get("sent", 0) - read - written)  # it counts them as sent, too
        tokens = Tokens(calls=1, input=given, output=used.get("received", 0), cache_read=read, cache_write=written)
        self.spent = {self._model: self.spent.get(self._model, Tokens()) + tokens}
        self.usd = float(usd.replace(",", "")) if usd else self.usd
        self._last, self._talk, self._error = "\n".join(self._talk), [], ("", "")

    @property
    def said(self) -> str:
        """The model's last answer; before there is one, all that was printed."""
        return self._last.strip() or super().said

    def end(self, status: int) -> None:
        """Done if the last question had an answer, and its edits fit."""
        kind, words = self._error
        if kind:
            raise api_error(STATUSES.get(kind, 0), f"{kind}: {words}")
        if self._stopped:
            msg = f"the agent's edits did not fit the files, or it looked for files in vain; the end of what it printed:\n{super().said[-2000:]}"
            raise AgentFailed(msg)
        if status or not self.spent:
            msg = f"aider ended without an answer (exit status {status}):\n{self.said}"
            raise AgentFailed(msg)
