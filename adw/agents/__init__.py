"""Agents: whatever edits files. One small module each, found by name in `AGENTS`."""

from pathlib import Path

from adw.agents.aider import AiderAgent
from adw.agents.base import Agent, Reader, installed
from adw.agents.claude import ClaudeAgent, ClaudeReader
from adw.agents.codex import CodexAgent, CodexReader
from adw.agents.command import CommandAgent
from adw.agents.gemini import GeminiAgent, GeminiReader
from adw.agents.mini_swe_agent import MiniReader, MiniSweAgent
from adw.agents.opencode import OpencodeAgent, OpencodeReader
from adw.agents.scripted import ScriptedAgent
from adw.config import AgentConfig
from adw.errors import Misuse

AGENTS: dict[str, type[Agent]] = {
    "claude": ClaudeAgent,
    "codex": CodexAgent,
    "opencode": OpencodeAgent,
    "gemini": GeminiAgent,
    "mini-swe-agent": MiniSweAgent,
    "aider": AiderAgent,
    "command": CommandAgent,
    "scripted": ScriptedAgent,
}
READERS: dict[str, type[Reader]] = {  # of those whose lines are more than text to people
    "claude": ClaudeReader,
    "codex": CodexReader,
    "opencode": OpencodeReader,
    "gemini": GeminiReader,
    "mini-swe-agent": MiniReader,
}


def find_agent(config: AgentConfig, repository: Path) -> Agent:
    """The agent that a configuration names; Misuse if there is none of that name, or the configuration lacks something."""
    kind = AGENTS.get(config.name)
    if kind is None:
        msg = f"there is no agent {config.name!r}: name one of {', '.join(AGENTS)} (agent.name in adw.toml, or --agent)"
        raise Misuse(msg)
    return kind.of(config, repository)


def ready(config: AgentConfig, repository: Path) -> Agent:
    """The same on a host where it is to work; Misuse, too, if its program is not installed there."""
    agent = find_agent(config, repository)
    if agent.program:
        installed(type(agent))
    return agent
