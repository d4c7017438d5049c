"""What adw asks of an agent: a command that reads a prompt, edits the current directory, and exits 0 if it did what was asked."""

from pathlib import Path
from typing import Protocol, Self

from adw.config import AgentConfig


class Agent(Protocol):
    """One way to have files edited."""

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:
        """Make it from the configuration; Misuse if something that it needs is missing."""

    @property
    def identity(self) -> str:
        """What decides its answers beside the prompt: part of cache keys, so never a path, a time or a secret."""

    def argv(self, prompt: Path) -> list[str]:
        """The command that works on the prompt in this file; the file is its standard input, too."""
