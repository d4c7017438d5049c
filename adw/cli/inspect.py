"""What `adw doctor` says of agents: which are installed, how those that are configured get a key, and whether they answer."""

import os
import re
import shutil
import uuid
from contextlib import nullcontext
from pathlib import Path

from adw import proc
from adw.agents import AGENTS, ready
from adw.agents.base import Agent
from adw.cli import api
from adw.config import AgentConfig, Config
from adw.errors import AdwError, Halted
from adw.github import reached
from adw.mirror import Hub, sync
from adw.model import AGENT_PHASES, Issue
from adw.offering import forge
from adw.phases import Site
from adw.upstream import Upstream, facing

PATIENCE = 30.0  # seconds for a CLI to say its version
QUESTION = "Answer with the one word: ready. Do nothing else."


def configured(config: Config) -> dict[str, str]:
    """The kinds of agents that are to work, each with the first phase that it works in."""
    found: dict[str, str] = {}
    for phase in AGENT_PHASES:
        found.setdefault(config.agent.at(phase).name, phase)
    return found


def agent(config: Config, hub: Hub, phase: str) -> str:
    """The agent of a phase: its version, and the way of its key; AdwError if it cannot work."""
    settings = config.agent.at(phase)
    kind = type(ready(settings, hub.root))
    if not kind.program:
        return "ready"
    return f"{version(kind)}; {way(settings, kind)}"


def others(config: Config) -> str:
    """Which other CLIs are installed, and which are not."""
    kinds = {name: kind for name, kind in AGENTS.items() if kind.program and name not in configured(config)}
    here = [f"{name} {version(kind)}" for name, kind in kinds.items() if shutil.which(kind.program)]
    gone = [name for name, kind in kinds.items() if not shutil.which(kind.program)]
    return "; ".join([*here, *([f"not installed: {', '.join(gone)}"] if gone else [])])


def version(kind: type[Agent]) -> str:
    """The version that is installed, and the one that was tried with adw."""
    _, said = proc.heard([kind.program, "--version"], PATIENCE)
    found = re.search(r"\d+\.\d+[.\d]*", said)
    return f"{found[0] if found else 'of an unknown version'} (adw was tried with {kind.tried})"


def way(config: AgentConfig, kind: type[Agent]) -> str:
    """How a kind of agent gets to its model; Halted if it has neither key nor login."""
    if key := next((key for key in kind.keys if key in config.secrets), ""):
        through = config.gateway and any(known.key == key for known in kind.apis)
        return f"with {key} of the Secret {config.secrets[key]}, {'through the gateway' if through else 'which it sees'}"
    if config.login == "home":
        return "with your home, and the login in it"
    if kind.login and (Path.home() / kind.login.home).is_file():
        return f"with your own login, ~/{kind.login.home}, linked"
    login = f", or log in with `{kind.program}`" if kind.login else ""
    msg = f"it has no key and no login: name {' or '.join(kind.keys)} in agent.secrets{login}"
    raise Halted(msg)


def landing(config: Config, hub: Hub) -> str:
    """Where finished changes go; AdwError if they could not."""
    far = facing(hub, config.landing)
    if not isinstance(far, Upstream):
        return "each change is left on a branch adw/ID" if config.landing.offers else f"changes land on {hub.branch}"
    far.look()
    far.prove_pushing()
    if config.landing.mode == "push":
        return f"changes are pushed to {far.elsewhere}"
    with api.joined() if config.landing.secrets else nullcontext():
        from tasks.secrets import github_token  # noqa: PLC0415

        at = forge(far, config)
        with reached(at, github_token(far, config)) as github:
            github.prove_access()
    return f"changes become pull requests onto {hub.branch} of {at.repository}"


def answers(config: Config, hub: Hub, phase: str) -> str:
    """What the agent of a phase says to a question, asked as in a run: with its key, in a slot and in the sandbox. AdwError if it does not answer."""
    with api.joined():
        from tasks.secrets import secrets  # noqa: PLC0415

        sync(hub)
        given = {variable: os.environ[variable] for variable in config.agent.secrets if os.environ.get(variable)}
        site = Site(run=f"doctor-{uuid.uuid4().hex[:8]}", repository=str(hub.path), branch=hub.branch, config=config)
        issue, folder = Issue(id="doctor", title="Are you there?", body=""), site.journal().folder
        folder.mkdir(parents=True)
        try:
            order = site.order(issue, phase)
            with site.pool().lease(hub.tip(), order) as lease:
                said = site.asking(lease, issue, order, given if len(given) == len(config.agent.secrets) else secrets(site)).ask(QUESTION).text
        finally:
            shutil.rmtree(folder)
            shutil.rmtree(hub.place.sessions / issue.key, ignore_errors=True)
    spoken = said.strip().splitlines()
    if not spoken:
        msg = "it ended well, but said nothing"
        raise AdwError(msg)
    return f"answers: {spoken[-1][:80]}"
