"""OpenAI's Codex, headless: `codex exec --json`.

It prints its tokens only in the end, as a sum over the whole session, and not at all if it fails. It writes them down as it goes on,
in the rollout: the file of the session. What both look like was seen with 0.169.0.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from adw.agents.base import OPENAI, Api, Call, Job, Login, Reader, own_path
from adw.agents.events import EventReader, Growing, api_error, parsed
from adw.agents.shown import ended, gave, uses
from adw.config import AgentConfig, Tools
from adw.errors import AgentFailed, KeyRefused, ModelAway, SessionLost
from adw.model import digest
from adw.money import Tokens

SANDBOX: dict[Tools, str] = {"read": "read-only", "edit": "workspace-write", "run": "danger-full-access"}  # "run" is in adw's own sandbox
STATUS = re.compile(r"status:? (\d{3})")
NETWORK = ("high demand", "Reconnecting", "error sending request", "stream disconnected", "Connection failed")


@dataclass(frozen=True, slots=True)
class CodexAgent:
    """Drives the CLI. It has no limits of turns or money of its own."""

    program: ClassVar[str] = "codex"
    tried: ClassVar[str] = "0.169.0"
    install: ClassVar[str] = "npm install -g @openai/codex"
    apis: ClassVar[tuple[Api, ...]] = (OPENAI,)
    keys: ClassVar[tuple[str, ...]] = (OPENAI.key,)
    login: ClassVar[Login | None] = Login(home=".codex/auth.json", own="auth.json")
    structured: ClassVar[bool] = True

    model: str = ""

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:  # noqa: ARG003 - it needs nothing of the repository
        """Of the configuration it needs the model."""
        return cls(config.model)

    @property
    def identity(self) -> str:
        """Its name and the model."""
        return digest("codex", self.model)

    def call(self, job: Job) -> Call:
        """Its configuration and sessions are in the job's folder; the prompt comes on standard input."""
        own_path(job, "config.toml").write_text(_configuration(job), encoding="utf-8")
        argv = [self.program, "exec", "--json", "--skip-git-repo-check", "-s", SANDBOX[job.tools]]
        argv += ["-m", self.model] if self.model else []
        if job.schema:
            own_path(job, "schema.json").write_text(json.dumps(strict(job.schema)), encoding="utf-8")
            argv += ["--output-schema", str(job.folder / "schema.json")]
        argv += ["resume", job.session, "-"] if job.session else ["-"]
        return Call(argv, {"CODEX_HOME": str(job.folder)})

    def reader(self, job: Job) -> Reader:
        """Reads its events and its rollout."""
        return CodexReader(job, self.model)


def _configuration(job: Job) -> str:
    """Its config.toml. With the login of an account it finds the API by itself; with a key it is told."""
    lines = ["check_for_update_on_startup = false"]
    url = job.urls.get(OPENAI.key)
    if url or not (job.folder / "auth.json").exists():
        lines += [
            'model_provider = "adw"',
            "[model_providers.adw]",
            'name = "adw"',
            f"base_url = {json.dumps(url or OPENAI.vendor)}",
            f'env_key = "{OPENAI.key}"',
            'wire_api = "responses"',
            "request_max_retries = 0",  # the rest is for adw, which makes all agents wait together
            "stream_max_retries = 2",
        ]
    return "\n".join([*lines, "[analytics]", "enabled = false", "[shell_environment_policy]", f'exclude = ["{OPENAI.key}"]', ""])


def strict(schema: Any) -> Any:
    """A JSON schema as OpenAI takes it: every property is required, no other is allowed, and none has a default."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    inner = {key: strict(value) for key, value in schema.items() if key != "default"}
    if "properties" in schema:
        inner["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        inner |= {"required": list(schema["properties"]), "additionalProperties": False}
    return inner


class CodexReader(EventReader):
    """Folds the events of one run, and follows its rollout."""

    def __init__(self, job: Job, model: str) -> None:
        super().__init__(job)
        self._rollout = Rollout(job.folder, model)
        self._done, self._error = False, ""
        if job.session:
            self._rollout.follow(job.session)  # what was spent before does not count again
        self._before = self._rollout.tokens

    def event(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        kind = event.get("type")
        if kind == "thread.started":
            self.session = event["thread_id"]
        elif kind in {"item.started", "item.completed"}:
            self._item(event["item"])
        elif kind == "turn.completed":
            self._done = True
        elif kind in {"turn.failed", "error"}:
            self._error = str(event.get("message") or event["error"]["message"])
        if self.session:
            self._rollout.follow(self.session)
            used = self._rollout.tokens - self._before
            self.spent = {self._rollout.model or "codex": used} if used.calls else {}

    def _item(self, item: dict[str, Any]) -> None:
        kind = item["type"]
        if kind == "agent_message":
            self.last = item["text"]
            self.does("", self.last)
        elif kind in {"command_execution", "file_change"}:
            self.does(*_does(item))
        if self.job.schema and kind == "agent_message":
            self.answer = parsed(self.last)

    @staticmethod
    def shown(event: dict[str, Any]) -> str:
        """An event for people."""
        kind = event["type"]
        if kind == "turn.completed":
            return ended(f"{event['usage']['input_tokens']:,} tokens in and {event['usage']['output_tokens']:,} out, in the whole session")
        if kind == "turn.failed":
            return ended(error=event["error"]["message"])
        if kind == "error":
            return str(event["message"])
        return _shown_item(event["item"], over=kind == "item.completed") if kind.startswith("item.") else ""

    def end(self, status: int) -> None:
        """Done with status 0 and a turn that is completed; what went wrong is known by its words alone."""
        said = "\n".join(self.text)
        if "no rollout found" in said or "thread/resume failed" in said:
            raise SessionLost(said[:500])
        if status == 0 and self._done:
            return
        error, code = self._error or said or self.said, STATUS.search(self._error)
        if "Missing environment variable" in error or "usage limit" in error:
            msg = f"the model's API refused the key: {error}"
            raise KeyRefused(msg)
        if not code and any(word in error for word in NETWORK):
            msg = f"the model's API is away: {error}"
            raise ModelAway(msg)
        if not error:
            msg = f"codex ended without a result (exit status {status})"
            raise AgentFailed(msg)
        raise api_error(int(code[1]) if code else 0, error)


def _does(item: dict[str, Any]) -> tuple[str, str]:
    """What it does in a command or in changes of files, and on what."""
    if item["type"] == "command_execution":
        return "Run", item["command"].removeprefix("/bin/bash -lc ")
    return "Edit", ", ".join(change["path"] for change in item["changes"])


def _shown_item(item: dict[str, Any], *, over: bool) -> str:
    """What it says in the end; what it does when it begins it, and what that gave in the end."""
    if item["type"] in {"command_execution", "file_change"}:
        return gave(item.get("aggregated_output", ""), failed=item["status"] == "failed") if over else uses(*_does(item))
    return str(item.get("text") or item.get("message") or "") if over else ""


class Rollout:
    """What Codex itself writes down of a session: the model, and the tokens of the session so far."""

    def __init__(self, folder: Path, model: str) -> None:
        self.model, self.tokens = model, Tokens()
        self._folder, self._file = folder, Growing(folder)
        self._path: Path | None = None

    def follow(self, session: str) -> None:
        """Read what is new."""
        self._path = self._path or next(self._folder.glob(f"sessions/**/rollout-*-{session}.jsonl"), None)
        for line in self._file.more(self._path):
            with suppress(AttributeError, TypeError, ValueError, KeyError):
                self._take(line["payload"])

    def _take(self, payload: dict[str, Any]) -> None:
        self.model = self.model or payload.get("model") or ""
        if payload.get("type") == "token_count" and payload.get("info"):
            used = payload["info"]["total_token_usage"]
            read, written = int(used.get("cached_input_tokens") or 0), int(used.get("cache_write_input_tokens") or 0)
            self.tokens = Tokens(
                calls=self.tokens.calls + 1,
                input=int(used["input_tokens"]) - read - written,
                output=int(used["output_tokens"]),
                cache_read=read,
                cache_write=written,
            )
