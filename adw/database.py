"""What the databases of adw's in files of SQLite have in common."""

from contextlib import suppress
from pathlib import Path

PARTS = ("", "-wal", "-shm")  # what SQLite adds to the name of a database for the files that it has beside it


def discard(file: Path) -> None:
    """Throw a database away, as one that is damaged and holds nothing that cannot be had again."""
    for part in PARTS:
        with suppress(OSError):
            file.with_name(f"{file.name}{part}").unlink(missing_ok=True)
