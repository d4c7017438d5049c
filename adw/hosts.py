"""What must be the same on all hosts of a cluster, and what a host must be able to do before it is given work."""

import platform
import socket
import sys
from collections.abc import Mapping
from importlib.metadata import version

from adw.errors import AdwError
from adw.git import git_version
from adw.home import home
from adw.remote import Remote

SAME = ("adw", "Python", "prefect", "distributed")  # they hand each other values, and must read them alike
NEARLY = ("git",)  # what git makes is the same in all versions that adw works with


def facts() -> dict[str, str]:
    """What this process runs on. Light: it is also asked of the scheduler, which needs no Prefect."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {
        "host": socket.gethostname(),
        "adw": version("adw"),
        "Python": python,
        "prefect": version("prefect"),
        "distributed": version("distributed"),
        "git": git_version().removeprefix("git version "),
        "system": f"{platform.system()} {platform.machine()}",
    }


def differences(known: Mapping[str, Mapping[str, str]], names: tuple[str, ...]) -> str:
    """Who has which version, of those that are not the same everywhere; empty if all are."""
    said = []
    for name in names:
        holders: dict[str, list[str]] = {}
        for who, its in known.items():
            holders.setdefault(its[name], []).append(who)
        if len(holders) > 1:
            said.append(f"{name} is " + ", ".join(f"{value} on {' and '.join(whose)}" for value, whose in holders.items()))
    return "; ".join(said)


def sees(token: str) -> bool:
    """Whether this process has the folder of the one that left a token there: then paths mean the same to both."""
    return (home() / token).exists()


def reaches(url: str, branch: str, tip: str) -> str:
    """Why this host cannot work for a hub, or nothing: it must be able to fetch the branch, and to push."""
    try:
        hub = Remote.of(url, branch, "", "")
        hub.bring(tip, "none")
        hub.mirror.may_push(url, tip, "refs/adw/none/probe")
    except AdwError as no:
        return str(no)
    return ""
