"""Google's Gemini CLI, headless: `gemini -o stream-json`.

It prints its tokens only in the end; it writes them down, answer by answer, in the file of the session. What both look like was seen
with 0.61.0. Its exit status is that of HTTP, cut to a byte: 145 for 401.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from adw.agents.base import Api, Call, Job, Login, Reader, own_path
from adw.agents.events import EventReader, Growing, about, api_error
from adw.agents.shown import ended, gave, uses
from adw.config import AgentConfig, Tools
from adw.errors import AgentCut, AgentFailed, KeyRefused, ModelAway, SessionLost
from adw.model import digest
from adw.money import Tokens

MODES: dict[Tools, str] = {"read": "default", "edit": "auto_edit", "run": "yolo"}  # what would need a yes is not offered to the model at all
GEMINI = Api(protocol="", key="GEMINI_API_KEY", url="GOOGLE_GEMINI_BASE_URL", vendor="https://generativelanguage.googleapis.com")
STATUS = re.compile(r"^\s*(?:status|code): (\d{3})\b", re.MULTILINE)
CODE = re.compile(r'"code": ?(\d{3})\b')
DELAY = re.compile(r"retryDelayMs: (\d+)")
WRONG_START, NO_LOGIN = 42, 41  # exit statuses


@dataclass(frozen=True, slots=True)
class GeminiAgent:
    """Drives the CLI. It has no limit of money of its own, and adw's gateway does not speak its protocol."""

    program: ClassVar[str] = "gemini"
    tried: ClassVar[str] = "0.61.0"
    install: ClassVar[str] = "npm install -g @google/gemini-cli"
    apis: ClassVar[tuple[Api, ...]] = (GEMINI,)
    keys: ClassVar[tuple[str, ...]] = (GEMINI.key,)
    login: ClassVar[Login | None] = Login(home=".gemini/oauth_creds.json", own=".gemini/oauth_creds.json")
    structured: ClassVar[bool] = True

    model: str = ""

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:  # noqa: ARG003 - it needs nothing of the repository
        """Of the configuration it needs the model."""
        return cls(config.model)

    @property
    def identity(self) -> str:
        """Its name and the model."""
        return digest("gemini", self.model)

    def call(self, job: Job) -> Call:
        """Its settings and sessions are in the job's folder; the prompt comes on standard input."""
        own = job.folder / ".gemini"
        own_path(job, f"{own.name}/settings.json").write_text(json.dumps(_settings(job, own)), encoding="utf-8")
        argv = [self.program, "-o", "stream-json", "--skip-trust", "--approval-mode", MODES[job.tools]]
        argv += ["-m", self.model] if self.model else []
        if job.session:
            kept = chat(job.folder, job.session)  # by its id it is found from the same tree only
            argv += ["--session-file", str(kept)] if kept else ["--resume", job.session]
        elif job.new_session:
            argv += ["--session-id", job.new_session]
        return Call(argv, {"GEMINI_CLI_HOME": str(job.folder)})

    def reader(self, job: Job) -> Reader:
        """Reads its events and its session."""
        return GeminiReader(job)


def _settings(job: Job, own: Path) -> dict[str, Any]:
    return {
        "security": {"auth": {"selectedType": "oauth-personal" if (own / "oauth_creds.json").exists() else "gemini-api-key"}},
        "general": {"maxAttempts": 2, "enableAutoUpdate": False, "enableAutoUpdateNotification": False},  # the rest is for adw
        "privacy": {"usageStatisticsEnabled": False},
        "model": {"maxSessionTurns": job.turns or -1},
    }


def chat(folder: Path, session: str) -> Path | None:
    """The file that a session is kept in, in whatever tree it began; None if there is none."""
    found = folder.glob(f".gemini/tmp/*/chats/session-*-{session[:8]}.jsonl")
    return max(found, key=lambda path: path.lstat().st_mtime, default=None)


class GeminiReader(EventReader):
    """Folds the events of one run, and follows its session."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._chat, self._began = Growing(job.folder), ""
        self._answers: dict[str, tuple[str, Tokens]] = {}
        self._result: dict[str, Any] = {}

    def event(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        kind = event.get("type")
        if kind == "init":
            self.session, self._began = event["session_id"], event["timestamp"]
        elif kind == "message" and event["role"] == "assistant":
            self.last += event["content"]
            self.does("", self.last)
        elif kind == "tool_use":
            self._tool(event["tool_name"], event["parameters"])
        elif kind == "result":
            self._result = event
        self._follow()
        if kind == "result":
            self._sum(event["stats"]["models"])

    def _tool(self, name: str, given: dict[str, Any]) -> None:
        self.last = ""  # what it said before was not its last word
        self.does(_named(name), about(given))

    @staticmethod
    def shown(event: dict[str, Any]) -> str:
        """An event for people. What the model says comes in pieces."""
        kind = event["type"]
        if kind == "message":
            return str(event["content"]) if event["role"] == "assistant" else ""
        if kind == "tool_use":
            return uses(_named(event["tool_name"]), about(event["parameters"]))
        if kind == "tool_result":
            return gave(event.get("output", ""), failed=event["status"] == "error")
        if kind == "result":
            stats, error = event["stats"], event.get("error") or {}
            return ended(f"{stats['input_tokens']:,} tokens in and {stats['output_tokens']:,} out", error=error.get("message", ""))
        return f"session {event['session_id']} with {event['model']}" if kind == "init" else ""

    def _follow(self) -> None:
        """Count the answers of this run that its session has; each comes twice, with its tools' results."""
        for message in self._chat.more(chat(self.job.folder, self.session) if self.session else None):
            with suppress(AttributeError, TypeError, ValueError, KeyError):
                if message.get("type") == "gemini" and message["timestamp"] >= self._began:
                    used = message["tokens"]
                    tokens = _tokens(used["input"], used["output"] + used.get("thoughts", 0), used["cached"], calls=1)
                    self._answers[message["id"]] = (message["model"], tokens)
        spent: dict[str, Tokens] = {}
        for model, tokens in self._answers.values():
            spent[model] = spent.get(model, Tokens()) + tokens
        self.spent = spent or self.spent

    def _sum(self, models: dict[str, Any]) -> None:
        """The result's own sum, for those models whose answers were not seen."""
        for model, used in models.items():
            if used["total_tokens"] > self.spent.get(model, Tokens()).total:
                output = used["total_tokens"] - used["input_tokens"]
                self.spent[model] = _tokens(used["input_tokens"], output, used["cached"], calls=max(1, self.spent.get(model, Tokens()).calls))

    def end(self, status: int) -> None:
        """Done with status 0 and a result that is a success."""
        said = "\n".join(self.text)
        if status == 0 and self._result.get("status") == "success":
            return
        error = self._result.get("error") or {}
        words = str(error.get("message") or said or self.said)
        if status == WRONG_START and "session" in said:
            raise SessionLost(said[:500])
        if status == NO_LOGIN:
            msg = f"the model's API refused the key: {said}"
            raise KeyRefused(msg)
        if "TurnLimited" in str(error.get("type")):
            msg = f"the agent used up its turns ({self.job.turns}): {words}"
            raise AgentCut(msg)
        if "fetch failed" in words or "ECONN" in words:
            msg = f"the model's API is away: {words}"
            raise ModelAway(msg)
        code = ([*STATUS.findall(said), *CODE.findall(words)] or ["0"])[0]
        if code == "0" and not error:
            msg = f"gemini ended without a result (exit status {status}):\n{words}"
            raise AgentFailed(msg)
        delay = DELAY.findall(said)
        raise api_error(int(code), f"Gemini: {words}", int(delay[-1]) / 1000 if delay else None)


def _named(tool: str) -> str:
    """A tool's name for people."""
    return tool.replace("_", " ").capitalize()


def _tokens(given: int, output: int, cached: int, calls: int) -> Tokens:
    """Gemini counts what the cache had as part of the input."""
    return Tokens(calls=calls, input=int(given) - int(cached), output=int(output), cache_read=int(cached))
