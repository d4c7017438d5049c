"""Any command line as an agent: a template for sh, with `{prompt_file}` for the prompt."""

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from adw.agents.base import ANTHROPIC, OPENAI, Api, Call, Job, Login, Reader
from adw.config import AgentConfig
from adw.errors import Misuse
from adw.model import digest

SYNTAX = frozenset("|&;()<>$`\\\"'*?[]#~=%{}!")


@dataclass(frozen=True, slots=True)
class CommandAgent:
    """Its exit status is the verdict, its output the log."""

    program: ClassVar[str] = ""
    tried: ClassVar[str] = ""
    install: ClassVar[str] = ""
    apis: ClassVar[tuple[Api, ...]] = (ANTHROPIC, OPENAI)
    keys: ClassVar[tuple[str, ...]] = ()
    login: ClassVar[Login | None] = None
    structured: ClassVar[bool] = False

    template: str
    model: str = ""

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:
        """Misuse if no command is given, or its program is not installed."""
        if not config.command.strip():
            msg = "no agent command: set agent.command in adw.toml, or give --agent-command 'my-agent < {prompt_file}'"
            raise Misuse(msg)
        if missing := missing_program(config.command, repository):
            msg = f"the agent's program {missing!r} is not installed: install it, or change agent.command in adw.toml (or --agent-command)"
            raise Misuse(msg)
        return cls(config.command, config.model)

    @property
    def identity(self) -> str:
        """The command's text, and the model if it is told of one."""
        return digest("command", self.template, *([self.model] if self.model else []))

    def call(self, job: Job) -> Call:
        """The template for sh, with the prompt's path quoted; ADW_MODEL is the configured model."""
        line, quoted = self.template, shlex.quote(str(job.prompt))
        for shape in ('"{prompt_file}"', "'{prompt_file}'", "{prompt_file}"):
            line = line.replace(shape, quoted)
        return Call(["sh", "-c", line], {"ADW_MODEL": self.model} if self.model else {})

    def reader(self, job: Job) -> Reader:  # noqa: ARG002 - all it prints is text
        """Its output is what it says."""
        return Reader()


def missing_program(line: str, repository: Path) -> str:
    """The program that a line for sh starts with, if it surely cannot be found; a path may be relative to the repository."""
    first = next((word for word in line.split() if "=" not in word), "")
    if not first or set(first) & SYNTAX:
        return ""  # more than a plain word: only sh knows
    if "/" in first:
        return "" if (repository / first).exists() or not Path(first).is_absolute() else first
    builtin = {"cd", "set", "exec", "export", "if", "for", "while", "case", ".", ":", "umask", "ulimit", "trap", "eval", "unset"}
    return "" if first in builtin or shutil.which(first) else first
