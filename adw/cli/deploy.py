"""`adw deploy`: registers a repository with Prefect, or takes it away."""

import os
import sys
from pathlib import Path

from adw import server
from adw.errors import Misuse
from adw.home import Place, places
from adw.mirror import find_hub


def deploy(repo: Path, branch: str, *, remove: bool) -> None:
    """Register the repository, or take it away; tells what was written."""
    place = placed(repo) if remove else find_hub(repo, branch).place
    with server.in_use(say) as prefect:
        os.environ.update(prefect.environment())  # before Prefect is imported: it reads its settings then
        from deployments import register  # noqa: PLC0415

        said = register.remove(place) if remove else register.register(find_hub(repo, branch), branch)
        sys.stdout.write("".join(f"{line}\n" for line in said) or "nothing changed\n")
        if not remove:
            sys.stdout.write(f"in the Prefect UI: {prefect.ui}/deployments (`adw serve` runs what is registered)\n")


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
