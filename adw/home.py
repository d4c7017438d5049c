"""Where adw keeps things on this host: one folder, `ADW_HOME`, by default the platform's state folder."""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from adw.errors import Misuse
from adw.model import digest


def home() -> Path:
    """The state folder, where it really lies: a sandbox cannot mount what is behind a link."""
    return Path(os.path.realpath(Path(os.environ.get("ADW_HOME") or platformdirs.user_state_path("adw")).expanduser()))


def writable_home() -> Path:
    """The state folder, made if it is not there; Misuse if it cannot be written."""
    path = home()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)  # logs and the server's database are nobody else's business
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as no:
        msg = f"cannot write to adw's folder {path} ({no.strerror}): make it writable, or set ADW_HOME to another folder"
        raise Misuse(msg) from no


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one repository on this host."""

    root: Path

    @classmethod
    def of(cls, hub: Path) -> "Place":
        """The place of a hub, named so that a person finds it: the hub's name and a hash of its whole path."""
        name = hub.parent.name if hub.name == ".git" else hub.name.removesuffix(".git")
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40] or "repository"
        return cls(home() / "repositories" / f"{readable}-{digest(hub)[:8]}")

    @classmethod
    def of_run(cls, folder: Path) -> "Place":
        """The place that the folder of a run is in."""
        return cls(folder.parent.parent)

    @property
    def slug(self) -> str:
        """The repository's name in Prefect: of Blocks and tags."""
        return self.root.name.lower().replace("_", "-")

    def register(self, repository: Path, branch: str) -> None:
        """Note that Prefect knows the repository, and how it is reached."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._registration.write_text(json.dumps({"repository": str(repository), "branch": branch}))

    def unregister(self) -> None:
        """Take the note away."""
        self._registration.unlink(missing_ok=True)

    def registration(self) -> tuple[Path, str] | None:
        """The repository that is registered, and the branch it is registered for; None if it is not."""
        try:
            noted = json.loads(self._registration.read_text())
            return Path(noted["repository"]), noted["branch"]
        except (OSError, ValueError, KeyError):
            return None

    @property
    def _registration(self) -> Path:
        return self.root / "registered.json"

    @property
    def mirror(self) -> Path:
        """Adw's own bare clone."""
        return self.root / "mirror.git"

    @property
    def pool(self) -> Path:
        """The slots, unless the pool has a base path of its own."""
        return self.root / "pool"

    @property
    def runs(self) -> Path:
        """A folder for each run: journal, logs, report."""
        return self.root / "runs"

    @property
    def sessions(self) -> Path:
        """What agents that were interrupted go on with."""
        return self.root / "sessions"

    @property
    def skills(self) -> Path:
        """What skills have found."""
        return self.root / "skills"

    @property
    def answers(self) -> Path:
        """What forges have answered, with the tags by which they need not answer it again."""
        return self.root / "answers.sqlite"

    @property
    def locks(self) -> Path:
        """Files that the kernel locks for us: `flock` is dropped when its holder dies."""
        return self.root / "locks"


def places() -> list[Place]:
    """The places of all repositories that adw has worked on, on this host."""
    return [Place(folder) for folder in sorted((home() / "repositories").glob("*"))]


def registered() -> list[Path]:
    """The repositories that are registered with Prefect on this host."""
    return sorted(noted[0] for place in places() if (noted := place.registration()))
