"""`adw init`: an adw.toml with what is found in the repository."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import tomlkit
from pydantic import BaseModel

from adw import config
from adw.agents import AGENTS
from adw.config import Config, Section
from adw.errors import Misuse
from adw.git import Git, locate

TESTS = (  # what is there, and how such projects are usually tested; the first that fits
    ("uv.lock", "uv run pytest -q"),
    ("pyproject.toml", "python -m pytest -q"),
    ("setup.py", "python -m pytest -q"),
    ("tox.ini", "python -m pytest -q"),
    ("package.json", "npm test"),
    ("Cargo.toml", "cargo test"),
    ("go.mod", "go test ./..."),
    ("pom.xml", "mvn -q test"),
    ("Makefile", "make test"),
)
SETUPS = (  # a lock file, and what installs what it locks
    ("uv.lock", "uv sync"),
    ("package-lock.json", "npm ci"),
    ("pnpm-lock.yaml", "pnpm install --frozen-lockfile"),
    ("yarn.lock", "yarn install --frozen-lockfile"),
)
DOCS = ("docs", "doc", "README*", "CHANGELOG*", "CHANGES*")


@dataclass(frozen=True, slots=True)
class Found:
    """What a repository shows of itself."""

    test: str
    setup: str
    setup_files: list[str]
    docs: list[str]
    agent: str = "command"
    secrets: Mapping[str, str] = field(default_factory=dict)


def agent() -> tuple[str, dict[str, str]]:
    """The first kind of agent whose CLI is installed, and the secrets it needs where its key is in the environment; else any command."""
    for name, kind in AGENTS.items():
        if kind.program and shutil.which(kind.program):
            return name, {key: key.lower().replace("_", "-") for key in kind.keys if os.environ.get(key)}
    return "command", {}


def look(folder: Path) -> Found:
    """Find the test command, the lock file and the documentation."""
    test = next((command for name, command in TESTS if (folder / name).exists()), "")
    lock, setup = next(((name, command) for name, command in SETUPS if (folder / name).exists()), ("", ""))
    docs = [pattern for pattern in DOCS if any(folder.glob(pattern))]
    return Found(test, setup, [lock] if lock else [], docs or list(Config().docs), *agent())


def init(repo: Path) -> None:
    """Write adw.toml and its schema; Misuse if there is one already."""
    found = locate(repo.absolute())
    if found.checkout is None:
        msg = f"{repo.absolute()} is a bare repository: run `adw init` in a checkout of it and commit adw.toml"
        raise Misuse(msg)
    path = found.checkout / config.FILE
    if path.exists():
        msg = f"there is an {path} already: edit it, or remove it first"
        raise Misuse(msg)
    branch = found.head or "main"
    seen = look(found.checkout)
    path.write_text(text(seen, branch), encoding="utf-8")
    (found.checkout / config.SCHEMA_FILE).write_text(json.dumps(config.schema(), indent=1) + "\n", encoding="utf-8")
    first = Git(found.directory).find(f"refs/heads/{branch}") is not None
    todo = "set agent.command" if seen.agent == "command" else f"the agent is {seen.agent}, see `adw doctor`"
    sys.stdout.write(f"wrote {path}, and {config.SCHEMA_FILE} for editors: {todo}, then {'' if first else 'make a first commit and '}`adw run ISSUE.md`\n")


def text(found: Found, branch: str) -> str:
    """The file: what was found, and every other setting as a comment with its default."""
    document = tomlkit.document()
    document.add(tomlkit.comment(f":schema ./{config.SCHEMA_FILE}"))
    document.add(tomlkit.comment("How adw works on this repository. A setting behind a # has the default that it shows."))
    _fill(document, Config, {"branch": branch, "docs": found.docs})
    known: dict[str, dict[str, Any]] = {"test": {"command": found.test}, "agent": {"name": found.agent}}
    known["agent"] |= {"command": ""} if found.agent == "command" else {"secrets": found.secrets} if found.secrets else {}
    if found.setup:
        known["pool"] = {"setup": found.setup, "setup_files": found.setup_files}
    for name, setting in Config.model_fields.items():
        if _is_table(setting.annotation):
            table = tomlkit.table()
            _fill(table, setting.annotation, known.get(name, {}))
            document.add(tomlkit.nl())
            document.add(name, table)
    return tomlkit.dumps(document).replace("# :schema", "#:schema", 1)


def _is_table(kind: Any) -> TypeGuard[type[Section]]:
    return isinstance(kind, type) and issubclass(kind, Section)


def _fill(into: "tomlkit.TOMLDocument | tomlkit.items.Table", model: type[BaseModel], known: Mapping[str, Any]) -> None:
    for name, setting in model.model_fields.items():
        if _is_table(setting.annotation):
            continue
        into.add(tomlkit.comment(str(setting.description)))
        if isinstance(known.get(name), Mapping):
            inline = tomlkit.inline_table()
            inline.update(known[name])
            into.add(name, inline)
            continue
        if name in known:
            into.add(name, known[name])
            continue
        default = setting.get_default(call_default_factory=True)
        if isinstance(default, dict):  # of which an example says more than that it is empty
            inline = tomlkit.inline_table()
            inline.update(setting.examples[0] if setting.examples else default)
            into.add(tomlkit.comment(f"{name} = {inline.as_string()}"))
        else:
            value = tomlkit.item(list(default) if isinstance(default, tuple) else default)
            into.add(tomlkit.comment(f"{name} = {value.as_string()}"))
