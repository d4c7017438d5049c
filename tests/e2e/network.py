"""Hosts that share nothing: a network namespace each on a bridge, and a mount namespace in which this host's folders are empty.

Where that takes rights that we do not have, the hosts are folders of their own on loopback.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.adw.daemon import free_port, listens
from tests.e2e.conftest import until


def command(*argv: object) -> None:
    subprocess.run([str(word) for word in argv], check=True, capture_output=True)


@dataclass(frozen=True)
class Network:
    """Some hosts, and the address at which they see this one."""

    gateway: str
    hosts: tuple[str, ...]
    isolated: bool

    def inside(self, number: int, hidden: Sequence[Path]) -> list[str]:
        """What a command is to begin with to run on a host, where some folders are not to be seen."""
        if not self.isolated:
            return []
        hide = "".join(f"mount -t tmpfs none '{path}' && " for path in hidden)
        return ["ip", "netns", "exec", self.hosts[number], "unshare", "--mount", "sh", "-c", f'{hide}exec "$@"', "sh"]


@contextmanager
def network(number: int) -> Iterator[Network]:
    """So many hosts."""
    mine = f"adw{os.getpid() % 100000}"
    bridge, subnet = f"{mine}b", f"10.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"
    names = tuple(f"{mine}-{n}" for n in range(number))
    try:
        if os.geteuid() or not shutil.which("ip"):
            yield Network("127.0.0.1", names, isolated=False)
            return
        try:
            command("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
            command("ip", "link", "add", bridge, "type", "bridge")
            command("ip", "addr", "add", f"{subnet}.1/24", "dev", bridge)
            command("ip", "link", "set", bridge, "up")
            for n, name in enumerate(names):
                _plug_in(name, f"{mine}v{n}", bridge, f"{subnet}.{n + 2}/24")
        except subprocess.CalledProcessError:  # root in a container that may not
            yield Network("127.0.0.1", names, isolated=False)
            return
        yield Network(f"{subnet}.1", names, isolated=True)
    finally:
        if shutil.which("ip"):
            for name in names:
                subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
            subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def _plug_in(name: str, cable: str, bridge: str, address: str) -> None:
    command("ip", "netns", "add", name)
    command("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
    command("ip", "link", "set", cable, "master", bridge, "up")
    for line in (["addr", "add", address, "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
        command("ip", "-n", name, *line)


@dataclass
class Program:
    """A long-running program, whose output is kept."""

    argv: Sequence[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.log.open("ab") as out:
            env = {
                **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "PYTHONUNBUFFERED": "1",
                **self.env,
            }
            self.process = subprocess.Popen(
                self.argv, env=env, cwd=self.log.parent, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> int:
        """Kill it, unless it has ended; returns its status."""
        self.process.kill()
        return self.process.wait()


@contextmanager
def forwarded(host: str, target: int, log: Path) -> Iterator[int]:
    """A port on an address that leads to one on loopback."""
    port = free_port(host)
    program = Program([sys.executable, str(Path(__file__).with_name("forward.py")), host, str(port), str(target)], log)
    try:
        until(lambda: listens(host, port))
        yield port
    finally:
        program.end()


@contextmanager
def scheduler(host: str, log: Path) -> Iterator[str]:
    """The address of a Dask scheduler."""
    port = free_port(host)
    program = Program([sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", host, "--port", str(port), "--no-dashboard", "--no-show"], log)
    try:
        until(lambda: listens(host, port))
        yield f"tcp://{host}:{port}"
    finally:
        program.end()
