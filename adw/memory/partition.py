"""Whose memories are whose: each repository has its own, by the address that its clones have in common."""

import re
from urllib.parse import urlsplit

from adw.mirror import Hub
from adw.model import digest


def partition(hub: Hub) -> str:
    """The name of a repository's memories: of its origin if it has one, else of its path."""
    _, url, _ = hub.git.call("config", "--get", "remote.origin.url")
    return f"repo:{digest(address(url.strip()) or hub.git.directory)[:32]}"


def address(url: str) -> str:
    """A URL without what differs by user: credentials, the way to the host, and the end `.git`."""
    if "://" not in url and (short := re.fullmatch(r"(?:[^/@]+@)?([^/:]+):(.+)", url)):  # as ssh has it, user@host:path
        host, path = short.groups()
    else:
        host, path = urlsplit(url).hostname or "", urlsplit(url).path
    return f"{host.lower()}/{path.strip('/').removesuffix('.git')}".strip("/")
