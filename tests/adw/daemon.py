"""A repository served over git's own protocol, as another host would serve it."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.adw.tools import until


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def listens(host: str, port: int) -> bool:
    """Whether somebody answers at an address."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def served(repository: Path, host: str = "127.0.0.1", *, writable: bool = True) -> Iterator[str]:
    """The URL of a repository with a `.git` folder, under which it can be fetched from and pushed to."""
    port = free_port(host)
    command = ["git", "daemon", "--reuseaddr", "--export-all", "--informative-errors", f"--base-path={repository}", f"--listen={host}", f"--port={port}"]
    command += ["--enable=receive-pack"] if writable else []
    command.append(str(repository))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            until(lambda: listens(host, port))
            yield f"git://{host}:{port}/.git"
        finally:
            process.terminate()
