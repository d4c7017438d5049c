"""The agent whose edits are data: for the demo, for tests and for benchmarks. `adw/agents/play.py` is the program it runs."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from adw.agents.base import Api, Call, Job, Login, Reader
from adw.agents.events import parsed
from adw.config import AgentConfig
from adw.errors import Misuse
from adw.model import digest
from adw.money import Tokens

PLAYER = Path(__file__).with_name("play.py")


@dataclass(frozen=True, slots=True)
class ScriptedAgent:
    """Plays a script (JSON): what to say, what to edit and how long to take, for each issue, phase and try."""

    program: ClassVar[str] = ""
    tried: ClassVar[str] = ""
    install: ClassVar[str] = ""
    apis: ClassVar[tuple[Api, ...]] = ()
    keys: ClassVar[tuple[str, ...]] = ()
    login: ClassVar[Login | None] = None
    structured: ClassVar[bool] = False

    script: Path
    text: str

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:
        """Misuse if there is no script."""
        script = (repository / config.script).resolve()  # on the way there is what a sandbox hides
        if not config.script or not script.is_file():
            msg = f"the scripted agent needs a script, and there is no file {script}: set agent.script in adw.toml"
            raise Misuse(msg)
        return cls(script, script.read_text(encoding="utf-8"))

    @property
    def identity(self) -> str:
        """The script's text."""
        return digest("scripted", self.text)

    def call(self, job: Job) -> Call:  # noqa: ARG002 - the script knows its edits; the issue is in the environment
        """The player, with this script."""
        return Call([sys.executable, "-I", "-S", str(PLAYER), str(self.script)], readable=(PLAYER, self.script))

    def reader(self, job: Job) -> Reader:  # noqa: ARG002 - all that it needs is printed
        """Its output is what it says, but for a line that tells what it spent."""
        return PlayReader()


class PlayReader(Reader):
    """Reads what the player prints."""

    def take(self, line: str) -> None:
        """Take in a line."""
        told = parsed(line)
        if told is None or set(told) != {"spent"}:
            super().take(line)
        else:
            self.spent = {model: Tokens.of(tokens) for model, tokens in told["spent"].items()}
