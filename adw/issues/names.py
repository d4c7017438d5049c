"""What a name of an issue means: a file, or one at a forge, and at which.

`owner/repo#12` is at the forge of the repository's own remote, or at github.com if that is nowhere; `#12` and `12` are of the
repository of that remote. An address must be of the same forge: adw's token goes nowhere else.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from adw.config import Config
from adw.errors import Misuse
from adw.github.forge import Forge, address
from adw.issues.gitlab import Project, is_gitlab
from adw.mirror import Hub

NUMBERED = re.compile(r"(?P<path>[\w.-]+(?:/[\w.-]+)+(?=#))?#?(?P<number>\d{1,9})", re.ASCII)
ADDRESS = re.compile(
    r"https?://(?P<host>[^/:@]+)(?::\d+)?/(?P<path>[\w./-]+?)/(?:-/)?(?P<what>issues|work_items|pull|merge_requests)/(?P<number>\d{1,9})(?:[/?#].*)?", re.ASCII
)
PULLS = {"pull", "merge_requests"}
DEPTH = 2  # parts of a repository's name at GitHub


@dataclass(frozen=True, slots=True)
class Named:
    """An issue at a forge."""

    forge: Forge
    number: int


def meaning(name: str, hub: Hub, config: Config) -> Named | None:
    """The issue at a forge that a name means; None if it means a file. Misuse if it is an address of something else."""
    if name == "-" or Path(name).exists():
        return None
    if "://" in name:
        return _at_address(name, hub, config)
    there = NUMBERED.fullmatch(name)
    if not there:
        return None
    home = own(hub, config) or Forge.at("github.com", there["path"] or "", config.github.api_url)
    if not (there["path"] or home.repository):
        msg = f"{name} is an issue of the repository's own remote, and there is no remote {config.landing.remote!r} at a forge: write owner/repo#{there['number']}"
        raise Misuse(msg)
    return Named(_of(home, there["path"] or home.repository), int(there["number"]))


def own(hub: Hub, config: Config) -> Forge | None:
    """The forge of the repository's own remote, and what it is called there; None if there is none, or only a folder."""
    status, said, _ = hub.git.call("remote", "get-url", config.landing.remote)
    host, path = address(said.strip())
    if status:
        return None
    if config.gitlab.api_url or is_gitlab(host):
        return Project.of(said.strip(), config.gitlab.api_url)
    return Forge.of(said.strip(), config.github.api_url) if path and (host or config.github.api_url) else None


def _at_address(name: str, hub: Hub, config: Config) -> Named:
    there = ADDRESS.fullmatch(name)
    if not there:
        msg = f"{name} is no address of an issue, as https://github.com/owner/repo/issues/12 is"
        raise Misuse(msg)
    if there["what"] in PULLS:
        msg = f"{name} is a pull request, and no issue: name the issue that it is for"
        raise Misuse(msg)
    host = there["host"].lower()
    home = own(hub, config) or (Project.at(host, "") if is_gitlab(host) else Forge.at("github.com", ""))
    if host not in {home.host, home.host.removeprefix("api.")}:
        msg = (
            f"{name} is at {host}, and this repository's issues are at {home.host}, the only place that adw's token is sent to: see {home.setting} in adw.toml"
        )
        raise Misuse(msg)
    return Named(_of(home, there["path"]), int(there["number"]))


def _of(home: Forge, path: str) -> Forge:
    """A repository of the same forge; Misuse if it can be none."""
    if home.kind == "GitHub" and len(path.split("/")) != DEPTH:
        msg = f"{path} is no repository at GitHub, as owner/repo is"
        raise Misuse(msg)
    return replace(home, repository=path)
