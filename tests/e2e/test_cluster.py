"""Runs on a cluster of hosts that share nothing but the hub over git's protocol, the Prefect API, the scheduler and a result store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.adw.daemon import served
from tests.e2e.conftest import Adw, active_slots, until
from tests.e2e.network import Network, Program, forwarded, network, scheduler

SLOTS = 2


@dataclass
class Cluster:
    """A scheduler, the Prefect API and workers, as other hosts see them."""

    network: Network
    api: str
    folder: Path
    hidden: list[Path]
    address: str = ""
    workers: dict[int, Program] = field(default_factory=dict)

    def home(self, number: int) -> Path:
        return self.folder / f"home-{number}"

    def start(self, number: int, slots: int = SLOTS, **env: str) -> Program:
        """Start a worker on a host."""
        argv = [*self.network.inside(number, self.hidden), sys.executable, "-m", "adw", "worker", "--scheduler", self.address, "--slots", str(slots)]
        log = self.folder / f"worker-{number}-{time.monotonic_ns()}.log"
        self.workers[number] = Program(argv, log, {"ADW_HOME": str(self.home(number)), "PREFECT_HOME": str(self.home(number) / "prefect"), "PREFECT_API_URL": self.api, **env})
        return self.workers[number]

    def started(self, *numbers: int) -> None:
        """Have workers on these hosts, connected."""
        for number in numbers:
            if number not in self.workers or self.workers[number].process.poll() is not None:
                self.start(number)
        for number in numbers:
            until(lambda number=number: self._lends(self.workers[number]))  # type: ignore[misc]

    def _lends(self, worker: Program) -> bool:
        if worker.process.poll() is not None:
            pytest.fail(worker.said)
        return "lends" in worker.said

    def agents(self, number: int) -> list[psutil.Process]:
        """What works in the slots of a host."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.home(number)) in process.environ().get("HOME", "") and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


def python(home: Path, program: str, **env: str) -> str:
    """The output of some Python."""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "ADW_HOME": str(home), **env}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cluster(server_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose workers the tests start; all of them use the session's server."""
    api = python(server_home, "import httpx; from adw import server; api = server.ensure().api; httpx.get(f'{api}/health', timeout=100); print(api)", ADW_SERVER_IDLE_MINUTES="5").strip()
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as stack:
        net = stack.enter_context(network(3))
        port = stack.enter_context(forwarded(net.gateway, int(api.split(":")[2].split("/")[0])))
        made = Cluster(net, f"http://{net.gateway}:{port}/api", folder, [server_home])
        made.address = stack.enter_context(scheduler(net.gateway, folder / "scheduler.log"))
        yield made
        for program in made.workers.values():
            program.end()


@pytest.fixture
def hub(adw: Adw, cluster: Cluster) -> Iterator[str]:
    """The URL of the repository, for other hosts."""
    cluster.hidden[1:] = [adw.issues.parent]
    with served(adw.repository.path, cluster.network.gateway) as url:
        yield url


def configure(adw: Adw, hub: str, agent: str, more: str = "") -> None:
    """Commit an agent and adw.toml: other hosts have nothing but the repository."""
    agent = f'{agent}\n[ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"\n'
    toml = f'[test]\ncommand = "test -f code.txt"\n[agent]\ncommand = "sh agent.sh"\n[pool]\nmemory_gb = 0\n[cluster]\nhub = "{hub}"\n{more}'
    adw.repository.commit("configure", **{"adw.toml": toml, "agent.sh": agent})


def hosts_used(adw: Adw) -> Counter[str]:
    """How many phases each worker ended."""
    return Counter(event["folder"].split("/repositories/")[0] for event in adw.events() if event.get("state") == "done" and "folder" in event)


def test_a_run_on_three_hosts_lands_all_once(adw: Adw, cluster: Cluster, hub: str) -> None:
    configure(adw, hub, "sleep 0.3")
    for number in range(3):
        adw.issue(f"i{number}")
    cluster.started(0, 1, 2)
    done = adw.call("run", str(adw.issues), "--scheduler", cluster.address)
    assert done.returncode == 0, done.stdout
    adw.assert_whole("i0", "i1", "i2")
    assert len(hosts_used(adw)) == 3
