"""Secrets, loaded where they are used: what travels is the name of a Prefect Secret block."""

from prefect.blocks.system import Secret

from adw.config import Config
from adw.errors import Misuse
from adw.github import own_token
from adw.offering import forge
from adw.phases import Site
from adw.upstream import Upstream


def secrets(site: Site) -> dict[str, str]:
    """The agent's secrets by environment variable; Misuse names the block that is missing."""
    return {variable: _secret(name, variable, "agent.secrets") for variable, name in site.config.agent.secrets.items()}


def of_memory(config: Config) -> dict[str, str]:
    """What Mem0 needs, by environment variable; Misuse names the block that is missing."""
    return {variable: _secret(name, variable, "memory.secrets") for variable, name in config.memory.secrets.items()}


def tracker_token(config: Config) -> str:
    """The tracker's token, empty where it needs none; Misuse names the block that is missing."""
    return next((_secret(name, variable, "tracker.secret") for variable, name in config.tracker.secrets.items()), "")


def github_token(hub: Upstream, config: Config) -> str:
    """The token for pull requests; Misuse if there is none."""
    for variable, name in config.landing.secrets.items():
        return _secret(name, variable, "landing.secret")
    return own_token(forge(hub, config).host)


def of_notices(name: str) -> str:
    """Where people are told; Misuse if there is no such block."""
    return _secret(name, "a webhook", "notify.secret")


def _secret(name: str, variable: str, setting: str) -> str:
    try:
        return str(Secret.load(name, _sync=True).get())  # type: ignore[union-attr, call-arg]
    except ValueError as no:
        msg = f"there is no Prefect Secret block {name!r} for {variable} ({setting} in adw.toml): make it in the Prefect UI under Blocks, or set {variable} when you call adw"
        raise Misuse(msg) from no
