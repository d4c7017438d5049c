"""What `adw doctor` says of agents: which are installed, how those that are configured get a key, and whether they answer."""

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from adw import proc
from adw.agents import AGENTS, ready
from adw.agents.base import Agent
from adw.asking import Asking
from adw.cli import api
from adw.config import AgentConfig, Config
from adw.errors import AdwError, Halted, Interrupted
from adw.github.client import reached
from adw.github.pulls import Pulls
from adw.mirror import Hub, sync
from adw.model import AGENT_PHASES, Issue
from adw.offering import forge
from adw.phases import Site
from adw.tracker import archon
from adw.tracker.spool import Spool
from adw.upstream import Upstream, facing

PATIENCE = 30.0  # seconds for a CLI to say its version
ANSWER = 30.0  # seconds for an agent to answer
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
        through = config.gateway and any(known.key == key and known.protocol for known in kind.apis)
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
    with api.joined() if config.github.secrets else nullcontext():
        from tasks.secrets import github_token  # noqa: PLC0415

        at = forge(far, config)
        with reached(at, github_token(config)) as client:
            Pulls(client).prove_access()
    return f"changes become pull requests onto {hub.branch} of {at.repository}"


def tracker(config: Config, hub: Hub) -> str:
    """Where people see the work; AdwError if it could not be told now."""
    if config.tracker.kind == "prefect":
        return "Prefect's history, and `adw status`"
    token = ""
    if config.tracker.secrets:
        with api.joined():
            from tasks.secrets import tracker_token  # noqa: PLC0415

            token = tracker_token(config)
    said = archon.health(config.tracker.url, token)
    with closing(Spool(hub.place.tracker)) as spool:
        waiting = len(spool.waiting())
    return f"{said}; what the next run sends: {waiting} {'task' if waiting == 1 else 'tasks'}" if waiting else said


def answers(config: Config, hub: Hub, phase: str, tell: Callable[[str], None]) -> str:
    """What the agent of a phase says to a question, asked as in a run: with its key, in a slot and in the sandbox. AdwError if it does not answer soon."""
    site = Site(run=f"doctor-{uuid.uuid4().hex[:8]}", repository=str(hub.path), branch=hub.branch, config=config)
    issue, given = Issue(id="doctor", title="Are you there?", body=""), keys(site, tell)
    journal, order = site.journal(), site.order(issue, phase)
    sync(hub)
    journal.folder.mkdir(parents=True)
    try:
        with site.pool().lease(hub.tip(), order) as lease:
            tell(f"asking {config.agent.at(phase).name} a question; it has {ANSWER:g} seconds")
            said = asked(replace(site.asking(lease, issue, order, given), trials=1)).strip()
    finally:
        shutil.rmtree(journal.folder)
        shutil.rmtree(hub.place.sessions / issue.key, ignore_errors=True)
    if not said:
        msg = "it ended well, but said nothing"
        raise AdwError(msg)
    return f"answers: {said.splitlines()[-1][:80]}"


def keys(site: Site, tell: Callable[[str], None]) -> dict[str, str]:
    """The agent's secrets: of the environment, or else of Prefect."""
    wanted = site.config.agent.secrets
    given = {variable: os.environ[variable] for variable in wanted if os.environ.get(variable)}
    if len(given) == len(wanted):
        return given
    with api.joined(tell):
        from tasks.secrets import secrets  # noqa: PLC0415

        return secrets(site)


def late(began: float) -> bool:
    """Whether a question that was asked then has had its time."""
    return time.monotonic() - began > ANSWER


def asked(asking: Asking) -> str:
    """The answer; AdwError, with what was heard meanwhile, if there is none in time."""
    before = proc.unwanted.set(partial(late, time.monotonic()))
    try:
        return asking.ask(QUESTION).text
    except Interrupted as no:
        events, _ = asking.journal.events()
        answered = [event["status"] for event in events if event.get("status")]
        doing = [event["doing"] for event in events if event["event"] == "doing"]
        heard = [*([f"the model's API answered with status {answered[-1]}"] if answered else []), *([f"the agent's last word: {doing[-1]}"] if doing else [])]
        msg = f"it did not answer within {ANSWER:g} seconds; {'; '.join(heard) or 'nothing was heard of it, nor of its API'}"
        raise AdwError(msg) from no
    finally:
        proc.unwanted.reset(before)
