"""Secrets, loaded where they are used: what travels is the name of a Prefect Secret block."""

from prefect.blocks.system import Secret

from adw.errors import Misuse
from adw.phases import Site


def secrets(site: Site) -> dict[str, str]:
    """The agent's secrets by environment variable; Misuse names the block that is missing."""
    found: dict[str, str] = {}
    for variable, name in site.config.agent.secrets.items():
        try:
            found[variable] = str(Secret.load(name, _sync=True).get())  # type: ignore[union-attr, call-arg]
        except ValueError as no:
            msg = f"there is no Prefect Secret block {name!r} for {variable} (agent.secrets in adw.toml): make it in the Prefect UI under Blocks, or set {variable} when you call adw"
            raise Misuse(msg) from no
    return found
