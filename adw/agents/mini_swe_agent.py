"""mini-SWE-agent, headless: `mini` with a class of ours for its agent, which prints what goes on as events (`mini_trace.py`).

Its model is named as litellm does, as in `anthropic/claude-sonnet-4-5`. It has one tool, bash: it cannot be kept to reading.
It cannot go on with a session. What it does was seen with 2.4.6.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from adw.agents.base import ANTHROPIC, OPENAI, Api, Call, Job, Login, Reader, own_path
from adw.agents.events import EventReader, api_error
from adw.agents.shown import ended, joined, uses
from adw.config import AgentConfig
from adw.errors import AgentCut, AgentFailed, Misuse
from adw.model import digest
from adw.money import Tokens

TRACE = Path(__file__).with_name("mini_trace.py")
COMMAND_SECONDS = 600  # for each command; its own default of 30 is too short for tests
QUIET = {
    "MSWEA_CONFIGURED": "true",
    "MSWEA_SILENT_STARTUP": "1",
    "MSWEA_COST_TRACKING": "ignore_errors",  # else a model without a price is an error
    "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "2",  # the rest is for adw, which makes all agents wait together
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches one when it starts
}


@dataclass(frozen=True, slots=True)
class MiniSweAgent:
    """Drives the CLI."""

    program: ClassVar[str] = "mini"
    tried: ClassVar[str] = "2.4.6"
    install: ClassVar[str] = "pip install mini-swe-agent"
    apis: ClassVar[tuple[Api, ...]] = (ANTHROPIC, OPENAI)
    keys: ClassVar[tuple[str, ...]] = (ANTHROPIC.key, OPENAI.key, "GEMINI_API_KEY", "OPENROUTER_API_KEY")
    login: ClassVar[Login | None] = None
    structured: ClassVar[bool] = True

    model: str

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:  # noqa: ARG003 - it needs nothing of the repository
        """Misuse if no model is named: it has no default."""
        if not config.model:
            msg = "mini-swe-agent needs a model: set agent.model in adw.toml, such as anthropic/claude-sonnet-4-5"
            raise Misuse(msg)
        return cls(config.model)

    @property
    def identity(self) -> str:
        """Its name, the model and how it is traced."""
        return digest("mini-swe-agent", self.model, TRACE.read_text(encoding="utf-8"))

    def call(self, job: Job) -> Call:
        """Its configuration, with the prompt as its task, is in the job's folder."""
        shutil.copyfile(TRACE, own_path(job, "adw_mini_trace.py"))
        given = {
            "run": {"task": job.prompt.read_text(encoding="utf-8")},
            "agent": {"agent_class": "adw_mini_trace.TracedAgent", "step_limit": job.turns, "cost_limit": job.usd},
            "environment": {"timeout": COMMAND_SECONDS, "env": {"PYTHONPATH": ""}},  # ours is not for the commands it runs
            "model": {"model_name": self.model},
        }
        own_path(job, "adw.yaml").write_text(json.dumps(given), encoding="utf-8")  # JSON is YAML
        argv = [self.program, "-c", "mini.yaml", "-c", str(job.folder / "adw.yaml"), "-o", str(job.folder / "trajectory.json")]
        return Call(argv, {"PYTHONPATH": str(job.folder), "MSWEA_GLOBAL_CONFIG_DIR": str(job.folder), **QUIET})

    def reader(self, job: Job) -> Reader:
        """Reads the events that our class prints."""
        return MiniReader(job, self.model)


class MiniReader(EventReader):
    """Folds the events of one run."""

    def __init__(self, job: Job, model: str) -> None:
        super().__init__(job)
        self._model = model
        self._exit: dict[str, Any] = {}

    def event(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        if usage := event.get("usage"):
            self._count(usage, float(event.get("usd") or 0))
        if event["role"] == "assistant":
            self.last = event["text"] or self.last
            for command in event["commands"]:
                self.does("Run", command)
        elif event["role"] == "exit":
            self._exit = event
            self.last = event["text"] or self.last

    @staticmethod
    def shown(event: dict[str, Any]) -> str:
        """An event for people. What a command gave is not told."""
        if event["role"] == "exit":
            return ended(event["exit"]) if event["exit"] == "Submitted" else ended(error=f"{event['exit']} {event['text']}")
        return joined([event["text"], *(uses("Run", command) for command in event["commands"])])

    def _count(self, usage: dict[str, Any], usd: float) -> None:
        read = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        written = int(usage.get("cache_creation_input_tokens") or 0)
        given = int(usage["prompt_tokens"]) - read - written  # litellm counts them as part of it
        tokens = Tokens(calls=1, input=given, output=int(usage["completion_tokens"]), cache_read=read, cache_write=written)
        self.spent = {self._model: self.spent.get(self._model, Tokens()) + tokens}
        self.usd = (self.usd or 0.0) + usd

    def end(self, status: int) -> None:
        """Done if the model submitted its work; the exit status alone does not say so."""
        how, said = self._exit.get("exit"), self.said[:2000]
        if how == "Submitted":
            return
        if how == "LimitsExceeded":
            msg = "the agent used up its turns or its money"
            raise AgentCut(msg)
        if not how or not self._exit.get("status"):
            msg = f"the agent gave up ({how or f'exit status {status}'}):\n{said}"
            raise AgentFailed(msg)
        raise api_error(int(self._exit["status"]), f"{how}: {said}", self._exit.get("retry_after"))
