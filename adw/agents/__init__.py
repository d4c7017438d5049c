"""Agents: whatever edits files. One small module each, found by name in `AGENTS`."""

from pathlib import Path

from adw.agents.base import Agent, Reader
from adw.agents.claude import ClaudeAgent, ClaudeReader
from adw.agents.command import CommandAgent
from adw.agents.scripted import ScriptedAgent
from adw.config import AgentConfig
from adw.errors import Misuse

AGENTS: dict[str, type[Agent]] = {"claude": ClaudeAgent, "command": CommandAgent, "scripted": ScriptedAgent}
READERS: dict[str, type[Reader]] = {"claude": ClaudeReader}  # of those whose output is more than text


def find_agent(config: AgentConfig, repository: Path) -> Agent:
    """The agent that a configuration names; Misuse if there is none of that name, or it lacks something."""
    kind = AGENTS.get(config.name)
    if kind is None:
        msg = f"there is no agent {config.name!r}: name one of {', '.join(sorted(AGENTS))} (agent.name in adw.toml, or --agent)"
        raise Misuse(msg)
    return kind.of(config, repository)
