"""`adw deploy`: registers a repository with Prefect, or takes it away."""

import sys
from pathlib import Path

from adw.cli.api import joined
from adw.cli.view import in_ui
from adw.errors import Misuse
from adw.home import Place, places
from adw.mirror import find_hub


def deploy(repo: Path, branch: str, *, remove: bool) -> None:
    """Register the repository, or take it away; tells what was written."""
    hub = None if remove else find_hub(repo, branch)  # before a server is started for nothing
    place = hub.place if hub else placed(repo)
    with joined(say) as prefect:
        from deployments import register  # noqa: PLC0415

        said = register.register(hub, branch) if hub else register.remove(place)
        sys.stdout.write("".join(f"{line}\n" for line in said) or "nothing changed\n")
        if hub:
            sys.stdout.write(f"{in_ui(f'{prefect.ui}/deployments')}\n`adw serve` runs what is registered\n")


def say(text: str) -> None:
    """A line for a person who waits."""
    sys.stderr.write(f"{text}\n")


def placed(repo: Path) -> Place:
    """The place of a repository that is registered, whether or not the repository is still there; Misuse if it is not."""
    for place in places():
        if (noted := place.registration()) and (noted[0] == repo.absolute() or repo.absolute().is_relative_to(noted[0])):
            return place
    msg = f"{repo.absolute()} is not registered: name one that is with --repo"
    raise Misuse(msg)
