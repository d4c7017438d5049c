"""Other CLIs than Claude Code, as tests drive them: those that are installed in the folder that ADW_TEST_CLIS names, by

    npm install --prefix FOLDER/codex @openai/codex@0.169.0          npm install --prefix FOLDER/opencode opencode-ai@1.18.33
    npm install --prefix FOLDER/gemini @google/gemini-cli@0.61.0
    python3.11 -m venv FOLDER/mini && FOLDER/mini/bin/pip install mini-swe-agent==2.4.6          (and aider-chat==0.86.2 in FOLDER/aider)

Together they are more than 2 GB, too much for CI.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from adw.agents import AGENTS

CLIS = os.environ.get("ADW_TEST_CLIS", "")


@dataclass(frozen=True)
class Cli:
    """What a CLI must be told, and how a model has it run a command."""

    name: str
    model: str
    key: str
    folder: str
    url: str  # the variable of the API's address
    path: str = ""  # at the end of that address
    tool: Mapping[str, Any] = field(default_factory=dict)

    def runs(self, command: str) -> list[dict[str, Any]]:
        """The turns of a model that runs one command, and says that it is done."""
        given = {key: value.format(command=command) if "{command}" in value else value for key, value in self.tool.get("input", {}).items()}
        done = {"text": "done", "tools": [{"name": "bash", "input": {"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"}}]}
        return [{"text": "first", "tools": [{"name": self.tool["name"], "input": given}]}, done if self.name == "mini-swe-agent" else {"text": "done"}]


CODEX = Cli(
    "codex",
    "gpt-5.5",
    "OPENAI_API_KEY",
    "codex/node_modules/.bin",
    "OPENAI_BASE_URL",
    "/v1",
    {"name": "exec_command", "input": {"cmd": "{command}"}},
)
OPENCODE = Cli(
    "opencode",
    "anthropic/claude-sonnet-4-5",
    "ANTHROPIC_API_KEY",
    "opencode/node_modules/.bin",
    "ANTHROPIC_BASE_URL",
    "",
    {"name": "bash", "input": {"command": "{command}", "description": "x"}},
)
GEMINI = Cli(
    "gemini",
    "gemini-2.5-pro",
    "GEMINI_API_KEY",
    "gemini/node_modules/.bin",
    "GOOGLE_GEMINI_BASE_URL",
    "",
    {"name": "run_shell_command", "input": {"command": "{command}"}},
)
MINI = Cli(
    "mini-swe-agent",
    "anthropic/claude-sonnet-4-5",
    "ANTHROPIC_API_KEY",
    "mini/bin",
    "ANTHROPIC_BASE_URL",
    "",
    {"name": "bash", "input": {"command": "{command}"}},
)
AIDER = Cli("aider", "anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY", "aider/bin", "ANTHROPIC_BASE_URL")
ALL = (CODEX, OPENCODE, GEMINI, MINI, AIDER)
OVER_OPENAI = tuple(replace(cli, model="openai/gpt-4.1", key=CODEX.key, url=CODEX.url, path=CODEX.path) for cli in (OPENCODE, MINI, AIDER))
WITH_TOOLS = (CODEX, OPENCODE, GEMINI, MINI)


def those(*found: Cli) -> pytest.MarkDecorator:
    """A test for each of these CLIs."""
    return pytest.mark.parametrize("cli", found, ids=lambda cli: cli.name + "-openai" * (cli in OVER_OPENAI))


def need(cli: Cli) -> None:
    """Skip the test if a CLI is not there."""
    program = AGENTS[cli.name].program
    if not CLIS or not (Path(CLIS) / cli.folder / program).exists():
        pytest.skip(f"ADW_TEST_CLIS names no folder with {cli.folder}/{program}")
