"""Secrets, loaded where they are used: what travels is the name of a Prefect Secret block."""

from functools import partial

from prefect.blocks.system import Secret

from adw.config import Config
from adw.errors import Misuse
from adw.github.client import Token
from adw.github.forge import own_token
from adw.issues import gitlab
from adw.phases import Site


def secrets(site: Site) -> dict[str, str]:
    """The agent's secrets by environment variable; Misuse names the block that is missing."""
    return {variable: _secret(name, variable, "agent.secrets") for variable, name in site.config.agent.secrets.items()}


def of_memory(config: Config) -> dict[str, str]:
    """What Mem0 needs, by environment variable; Misuse names the block that is missing."""
    return {variable: _secret(name, variable, "memory.secrets") for variable, name in config.memory.secrets.items()}


def github_token(config: Config) -> Token:
    """What reads the token for GitHub; Misuse if there is none."""
    return partial(_github_token, config)


def _github_token(config: Config, host: str) -> str:
    for variable, name in config.github.secrets.items():
        return _secret(name, variable, "github.secret")
    return own_token(host)


def forge_tokens(config: Config) -> dict[str, Token]:
    """What reads the token, for each kind of forge."""
    return {"GitHub": github_token(config), "GitLab": partial(_gitlab_token, config)}


def _gitlab_token(config: Config, host: str) -> str:
    for variable, name in config.gitlab.secrets.items():
        return _secret(name, variable, "gitlab.secret")
    return gitlab.own_token(host)


def _secret(name: str, variable: str, setting: str) -> str:
    try:
        return str(Secret.load(name, _sync=True).get())  # type: ignore[union-attr, call-arg]
    except ValueError as no:
        msg = f"there is no Prefect Secret block {name!r} for {variable} ({setting} in adw.toml): make it in the Prefect UI under Blocks, or set {variable} when you call adw"
        raise Misuse(msg) from no
