"""Claude Code, headless: `claude -p` with its stream of JSON events.

What its events and its ends look like was seen with 2.1.197 and 2.1.331; the exit status alone says little: an API error ends
with `subtype: success`, and an interrupt with status 0.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from adw.agents.base import ANTHROPIC, Api, Call, Job, Login, Reader
from adw.agents.claude_events import shown
from adw.agents.events import about, parsed
from adw.config import AgentConfig, Tools
from adw.errors import AgentCut, AgentFailed, Halted, KeyRefused, ModelAway, RateLimited, SessionLost
from adw.model import digest, one_line
from adw.money import Tokens

TOOLS: dict[Tools, list[str]] = {
    "read": ["--tools", "Read,Grep,Glob"],
    "edit": ["--tools", "Read,Grep,Glob,Edit,Write,NotebookEdit"],
    "run": ["--allowedTools", "Bash"],
}
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",  # else: telemetry, updates, and a side request for a title
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_MAX_RETRIES": "2",  # the rest is for adw, which makes all agents wait together
}
OVERLOADED = 529
TOO_MANY = 429
SERVER_ERRORS = 500
REFUSED = {401, 403}
NO_KEY = ("billing_error", "authentication_failed", "oauth_org_not_allowed")
LIMITS = {"error_max_turns": "turns", "error_max_budget_usd": "money", "error_max_structured_output_retries": "trials to answer in the form that was asked for"}


@dataclass(frozen=True, slots=True)
class ClaudeAgent:
    """Drives the CLI; it needs no more than its one binary."""

    program: ClassVar[str] = "claude"
    tried: ClassVar[str] = "2.1.331"
    install: ClassVar[str] = "npm install -g @anthropic-ai/claude-code"
    apis: ClassVar[tuple[Api, ...]] = (ANTHROPIC,)
    keys: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
    login: ClassVar[Login | None] = Login(home=".claude/.credentials.json", own=".credentials.json")
    structured: ClassVar[bool] = True

    model: str = ""

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:  # noqa: ARG003 - it needs nothing of the repository
        """Of the configuration it needs the model."""
        return cls(config.model)

    @property
    def identity(self) -> str:
        """Its name and the model."""
        return digest("claude", self.model)

    def call(self, job: Job) -> Call:
        """Its configuration and sessions are in the job's folder; settings and MCP servers of the user or the repository are not read."""
        argv = [self.program, "-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits", *TOOLS[job.tools]]
        argv += ["--strict-mcp-config", "--setting-sources", ""]
        argv += ["--model", self.model] if self.model else []
        argv += ["--resume", job.session] if job.session else ["--session-id", job.new_session]
        argv += ["--max-turns", str(job.turns)] if job.turns else []
        argv += ["--max-budget-usd", f"{job.usd:g}"] if job.usd else []
        argv += ["--json-schema", json.dumps(job.schema)] if job.schema else []
        return Call(argv, {"CLAUDE_CONFIG_DIR": str(job.folder), **QUIET})

    def reader(self, job: Job) -> Reader:
        """Reads its stream."""
        return ClaudeReader(job)


class ClaudeReader(Reader):
    """Folds the events of one run.

    Several events carry the same message, each with the usage known at its start: the last word on tokens is the result's.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._tree, self._schema = str(job.tree), job.schema
        self.result: dict[str, Any] = {}
        self._errors: list[str] = []  # what the API said, by the CLI's names
        self._messages: dict[str, tuple[str, Tokens]] = {}

    def take(self, line: str) -> None:
        """Take in an event; other lines are what it says outside of its stream."""
        event = parsed(line)
        if event is None:
            self.text.append(line)
            return
        handler = getattr(self, f"_{event.get('type')}", None)
        if handler:
            with suppress(AttributeError, TypeError, ValueError, KeyError):  # another version's idea of the same event
                handler(event)

    def _system(self, event: dict[str, Any]) -> None:
        self.session = event.get("session_id") or self.session
        if event.get("subtype") == "api_retry":
            self.doing = f"waits for the API ({event.get('error')}, attempt {event.get('attempt')})"

    def _assistant(self, event: dict[str, Any]) -> None:
        message = event["message"]
        if event.get("error"):
            self._errors.append(event["error"])
        for block in message["content"]:
            if block["type"] == "tool_use":
                self.doing = self._tool(block["name"], block["input"])
            elif block["type"] == "text":
                self.doing = one_line(block["text"])[:80]
        if message.get("model") != "<synthetic>":
            self._messages[message["id"]] = (message["model"], _tokens(message["usage"]))
            self.spent = self._by_model(self._messages.values())

    def _result(self, event: dict[str, Any]) -> None:
        self.result = event
        self.session = event.get("session_id") or self.session
        self.usd = event.get("total_cost_usd")
        self.answer = event.get("structured_output")
        used = event.get("modelUsage") or {}
        self.spent = self._by_model((model, _of_result(usage, calls=max(1, self._calls(model)))) for model, usage in used.items()) or self.spent

    def _calls(self, model: str) -> int:
        return sum(1 for of, _ in self._messages.values() if of == model)

    @staticmethod
    def _by_model(found: Iterable[tuple[str, Tokens]]) -> dict[str, Tokens]:
        spent: dict[str, Tokens] = {}
        for model, tokens in found:
            spent[model] = spent.get(model, Tokens()) + tokens
        return spent

    def _tool(self, name: str, given: dict[str, Any]) -> str:
        return one_line(f"{name} {about(given).removeprefix(self._tree + '/')}")[:80]

    @staticmethod
    def show(line: str) -> str:
        """An event for people."""
        return shown(line)

    @property
    def said(self) -> str:
        """Its last word; before there is one, what it wrote outside of its stream."""
        return str(self.result.get("result") or "\n".join(self.result.get("errors") or ()) or super().said).strip()

    def end(self, status: int) -> None:
        """Done only with status 0, a result, and no error in it."""
        if not self.result:
            self._end_without_result(status)
        elif self.result.get("is_error") or status:
            self._end_with_error()
        elif self.result.get("stop_reason") == "refusal":
            msg = f"the model refused:\n{self.said}"
            raise AgentFailed(msg)

    def _end_without_result(self, status: int) -> None:
        if "is already in use" in self.said or "No conversation found" in self.said:
            raise SessionLost(self.said)
        msg = f"claude ended without a result (exit status {status}):\n{self.said}"
        raise AgentFailed(msg)

    def _end_with_error(self) -> None:
        status, kind = self.result.get("api_error_status"), self.result.get("subtype", "")
        if kind in LIMITS:
            msg = f"the agent used up its {LIMITS[kind]}: {self.said}"
            raise AgentCut(msg)
        if kind == "error_during_execution" and "No conversation found" in self.said:
            raise SessionLost(self.said)
        if status in REFUSED or any(error in NO_KEY for error in self._errors) or "Not logged in" in self.said:
            msg = f"the model's API refused the key: {self.said}"
            raise KeyRefused(msg)
        if "model_not_found" in self._errors:
            msg = f"the model's API knows no such model: {self.said}\nSet agent.model in adw.toml, and `adw resume`."
            raise Halted(msg)
        if status in {TOO_MANY, OVERLOADED} or "rate_limit" in self._errors:
            msg = f"the model's API has too much to do: {self.said}"
            raise RateLimited(msg)
        if (status or 0) >= SERVER_ERRORS or "server_error" in self._errors or "Unable to connect" in self.said or "Request timed out" in self.said:
            msg = f"the model's API is away: {self.said}"
            raise ModelAway(msg)
        reasons = [self.result.get("stop_reason"), *self._errors, self.result.get("terminal_reason"), kind]
        msg = f"claude gave up ({', '.join(dict.fromkeys(filter(None, reasons)))}):\n{self.said}"
        raise AgentFailed(msg)


def _tokens(usage: dict[str, Any]) -> Tokens:
    """The usage of a message, in the API's words."""
    return Tokens(
        calls=1,
        input=usage.get("input_tokens") or 0,
        output=usage.get("output_tokens") or 0,
        cache_read=usage.get("cache_read_input_tokens") or 0,
        cache_write=usage.get("cache_creation_input_tokens") or 0,
    )


def _of_result(usage: dict[str, Any], calls: int) -> Tokens:
    """The usage of a model in the result, in the CLI's words."""
    return Tokens(
        calls=calls,
        input=usage.get("inputTokens") or 0,
        output=usage.get("outputTokens") or 0,
        cache_read=usage.get("cacheReadInputTokens") or 0,
        cache_write=usage.get("cacheCreationInputTokens") or 0,
    )
