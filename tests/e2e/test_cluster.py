"""Runs on a cluster of hosts that share nothing but the hub over git's protocol, the Prefect API, the scheduler and a result store."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from adw.config import ClusterConfig
from adw.errors import Misuse
from adw.mirror import find_hub
from adw.phases import Site
from flows.cluster import opened
from flows.places import Places
from tests.adw.daemon import free_port, listens, served
from tests.e2e.conftest import Adw, ask, let_in, until
from tests.e2e.network import Network, Program, forwarded, network, scheduler

pytestmark = pytest.mark.usefixtures("untraced")

SLOTS = 2


@dataclass
class Cluster:
    """A scheduler, the Prefect API and workers, as other hosts see them."""

    network: Network
    let_in: dict[str, str]
    folder: Path
    hidden: list[Path]
    address: str = ""
    workers: dict[int, Program] = field(default_factory=dict)

    def home(self, number: int) -> Path:
        return self.folder / f"home-{number}"

    def start(self, number: int, address: str = "", **env: str) -> Program:
        """Start a worker on a host."""
        command = [sys.executable, "-m", "adw", "worker", "--scheduler", address or self.address, "--slots", str(SLOTS)]
        argv = [*self.network.inside(number, self.hidden), *command]
        if number in self.workers:
            self.workers[number].end()
        log = self.folder / f"worker-{number}-{time.monotonic_ns()}.log"
        self.workers[number] = Program(
            argv, log, {"ADW_HOME": str(self.home(number)), "PREFECT_HOME": str(self.home(number) / "prefect"), **self.let_in, **env}
        )
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

    def agents(self, number: int) -> list[str]:
        """The names of what works in the slots of a host."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.home(number)) in process.environ().get("HOME", "") and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.name())
            except (psutil.Error, OSError):
                continue
        return found


def python(home: Path, program: str, **env: str) -> str:
    """The output of some Python."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "ADW_HOME": str(home), **env}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cluster(server_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose workers the tests start; all of them use the session's server."""
    api = python(
        server_home,
        "import httpx; from adw import server; api = server.ensure().api; httpx.get(f'{api}/health', timeout=100); print(api)",
        ADW_SERVER_IDLE_MINUTES="5",
    ).strip()
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as stack:
        net = stack.enter_context(network(3))
        port = stack.enter_context(forwarded(net.gateway, int(api.split(":")[2].split("/")[0]), folder / "forward.log"))
        made = Cluster(net, {**let_in(server_home), "PREFECT_API_URL": f"http://{net.gateway}:{port}/api"}, folder, [server_home])
        made.address = stack.enter_context(scheduler(net.gateway, folder / "scheduler.log"))
        yield made
        for program in made.workers.values():
            program.end()


@pytest.fixture
def url(adw: Adw, cluster: Cluster) -> Iterator[str]:
    """The URL of the repository, for other hosts."""
    cluster.hidden[1:] = [adw.issues.parent]
    with served(adw.repository.path, cluster.network.gateway) as url:
        yield url


def configure(adw: Adw, url: str, agent: str, more: str = "") -> None:
    """Commit an agent and adw.toml: other hosts have nothing but the repository."""
    agent = f'{agent}\n[ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"\n'
    toml = f'[test]\ncommand = "test -f code.txt"\n[agent]\ncommand = "sh agent.sh"\n[pool]\nmemory_gb = 0\n[sandbox]\nmode = "off"\n[cluster]\nhub = "{url}"\n{more}'
    adw.repository.commit("configure", **{"adw.toml": toml, "agent.sh": agent})


def hosts_used(adw: Adw) -> Counter[str]:
    """How many phases each worker ended."""
    return Counter(event["folder"].split("/repositories/")[0] for event in adw.events() if event.get("state") == "done" and "folder" in event)


BUCKET = """
import boto3
from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
boto3.client("s3", endpoint_url="URL", **keys).create_bucket(Bucket="adw")
credentials = AwsCredentials(aws_client_parameters=AwsClientParameters(endpoint_url="URL"), **keys)
S3Bucket(bucket_name="adw", credentials=credentials).save("adw-of-the-tests", overwrite=True)
"""


@pytest.fixture
def bucket(cluster: Cluster, server_home: Path) -> Iterator[str]:
    """An S3-like store that all hosts reach, as a Prefect block; its address."""
    host, port = cluster.network.gateway, free_port(cluster.network.gateway)
    store = Program([sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)], cluster.folder / "moto.log")
    try:
        until(lambda: listens(host, port))
        python(server_home, BUCKET.replace("URL", f"http://{host}:{port}"), PREFECT_HOME=str(cluster.folder / "prefect"), **cluster.let_in)
        yield f"http://{host}:{port}"
    finally:
        store.end()


def test_twelve_issues_wait_for_a_worker_and_land_once_though_one_of_three_is_killed_and_another_leaves(
    adw: Adw, cluster: Cluster, url: str, bucket: str
) -> None:
    configure(adw, url, "sleep 0.3", 'results = "s3-bucket/adw-of-the-tests"\n')
    names = [f"i{number:02}" for number in range(12)]
    for name in names:
        adw.issue(name)
    cluster.started(0, 1, 2)
    process = adw.start("run", str(adw.issues), "--scheduler", cluster.address)
    until(lambda: (len(hosts_used(adw)) == 3 and cluster.agents(2)) or process.poll() is not None)
    cluster.workers[2].process.kill()
    until(lambda: not cluster.agents(2))  # they end with their worker, long before the run
    until(lambda: (sum(event["event"] == "outcome" for event in adw.events()) >= 4 and cluster.agents(1)) or process.poll() is not None)
    cluster.workers[1].process.send_signal(signal.SIGTERM)
    assert cluster.workers[1].process.wait(timeout=10) == 0
    assert "left; what was under way is done by others" in cluster.workers[1].said
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    adw.assert_whole(*names)
    assert set(hosts_used(adw)) == {str(cluster.home(number)) for number in range(3)}
    assert not [event for event in adw.events() if event.get("state") == "failed"]  # a worker that goes reports nothing
    run = next(event["flow_run"] for event in adw.events() if event["event"] == "flow started")
    until(lambda: states(adw, run) == {"COMPLETED"})  # what a worker left unfinished was finished by another, as the same task run
    assert "plan-" in urllib.request.urlopen(f"{bucket}/adw?list-type=2").read().decode()
    for number in range(3):
        assert no_word_of(cluster.home(number), adw.issues.parent, adw.home) == []
        cluster.workers[number].end()
    log = [event for event in adw.events() if "folder" in event and event["issue"] == "i00"][-1]  # what was cut off ran again elsewhere
    assert f"{log['host']}:{log['folder']}/logs/" in next((adw.runs[-1] / "reports").glob("i00-*.md")).read_text()


def states(adw: Adw, run: str) -> set[str]:
    """The states of a flow run's task runs in Prefect."""
    found = ask(adw.home, "task_runs/filter", flow_runs={"id": {"any_": [run]}})
    return {task["state_type"] for task in found} if len(found) >= 60 else set()


def told(adw: Adw, text: str) -> bool:
    """Whether the run has a note that says so."""
    return any(text in event.get("text", "") for event in adw.events())


def no_word_of(folder: Path, *others: Path) -> list[str]:
    """The files below a folder that name one of the other hosts' paths."""
    patterns = [word for path in others for word in ("-e", str(path))]
    return subprocess.run(["grep", "-rlF", *patterns, str(folder)], capture_output=True, text=True, check=False).stdout.splitlines()


def test_agents_on_other_hosts_end_when_the_run_is_interrupted_and_when_it_is_killed(adw: Adw, cluster: Cluster, url: str) -> None:
    configure(adw, url, 'if [ "$ADW_PHASE" = build ]; then sleep 600; fi')
    adw.issue("a")
    cluster.started(0)
    process = adw.start("run", str(adw.issues), "--scheduler", cluster.address)
    until(lambda: _sleeps(cluster) or process.poll() is not None)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130, out
    until(lambda: not cluster.agents(0), 10)
    process = adw.start("resume")
    until(lambda: _sleeps(cluster) or process.poll() is not None)
    process.kill()
    adw.flow().kill()
    until(lambda: not cluster.agents(0), 10)
    process.communicate()
    assert cluster.workers[0].process.poll() is None
    assert not _sleeps(cluster)


def _sleeps(cluster: Cluster) -> bool:
    return "sleep" in cluster.agents(0)


def test_a_run_whose_scheduler_is_killed_goes_on_on_its_own_host(adw: Adw, cluster: Cluster, url: str) -> None:
    configure(adw, url, f'case "$HOME" in {cluster.home(0)}/*) sleep 600;; esac')
    adw.issue("a")
    log = cluster.folder / "doomed.log"
    with scheduler(cluster.network.gateway, log) as address:
        worker = cluster.start(0, address)
        process = adw.start("run", str(adw.issues), "--scheduler", address)
        until(lambda: _sleeps(cluster) or process.poll() is not None)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert f"lost the scheduler at {address}" in out
    assert "going on on this host alone" in out
    assert worker.process.wait(timeout=20) == 1
    assert f"the scheduler at {address} is gone" in worker.said
    adw.assert_whole("a")


def refused(site: Site, **settings: object) -> str:
    """Why no cluster is opened with these settings."""
    config = site.config.model_copy(update={"cluster": ClusterConfig.model_validate(settings)})
    with pytest.raises(Misuse) as no, opened(replace(site, config=config), find_hub(Path(site.repository)), site.journal(), Places()):
        pass
    assert "\n" not in str(no.value)
    return str(no.value)


def test_a_scheduler_that_does_not_answer_is_named(site: Site) -> None:
    assert "the scheduler at tcp://127.0.0.1:1 does not answer" in refused(site, address="tcp://127.0.0.1:1")


def test_a_class_that_does_not_exist_is_named(site: Site) -> None:
    assert "there is no class 'distributed.NoSuchCluster'" in refused(site, cluster_class="distributed.NoSuchCluster")


def test_workers_that_do_not_fit_are_told_before_work_starts(cluster: Cluster, site: Site) -> None:
    other = cluster.folder / "other"
    (other / "adw-9.9.dist-info").mkdir(parents=True)
    (other / "adw-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: adw\nVersion: 9.9\n")
    cluster.start(1, PYTHONPATH=os.pathsep.join([str(other), *filter(None, sys.path)]))
    cluster.started(0, 1)
    said = refused(site, address=cluster.address)
    assert f"the hosts of the cluster differ: adw is {version('adw')} on this host and the scheduler and " in said
    assert ", 9.9 on " in said
    cluster.workers[1].end()
    assert "need a URL of the repository: set `hub` under [cluster] in adw.toml" in refused(site, address=cluster.address)
    gone = f"git://{cluster.network.gateway}:1/.git"
    assert f"cannot work for {gone} (`cluster.hub` in adw.toml): git cannot reach {gone}" in refused(site, address=cluster.address, hub=gone)


@pytest.mark.parametrize(
    ("env", "args", "status", "said"),
    [
        ({}, ["--scheduler", "tcp://127.0.0.1:1"], 2, "a worker needs the Prefect server of the runs"),
        (
            {"PREFECT_API_URL": "http://127.0.0.1:1/api"},
            ["--scheduler", "tcp://127.0.0.1:1"],
            2,
            "the Prefect server at http://127.0.0.1:1/api does not answer",
        ),
        ({"PREFECT_API_URL": "API"}, ["--scheduler", "tcp://127.0.0.1:1"], 2, "asks for a login: set PREFECT_API_AUTH_STRING=user:password"),
        (
            {"PREFECT_API_URL": "API", "PREFECT_API_AUTH_STRING": "LOGIN"},
            ["--scheduler", "tcp://127.0.0.1:1"],
            1,
            "the scheduler at tcp://127.0.0.1:1 does not answer",
        ),
    ],
)
def test_a_worker_that_cannot_work_says_why(cluster: Cluster, tmp_path: Path, env: dict[str, str], args: list[str], status: int, said: str) -> None:  # noqa: PLR0913
    known = {"API": cluster.let_in["PREFECT_API_URL"], "LOGIN": cluster.let_in["PREFECT_API_AUTH_STRING"]}
    env = {name: known.get(value, value) for name, value in env.items()}
    own = {"ADW_HOME": str(tmp_path / "home"), "PREFECT_HOME": str(tmp_path / "prefect")}
    done = subprocess.run(
        [sys.executable, "-m", "adw", "worker", *args], env={**os.environ, **own, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (status, True, False), done.stderr


def test_a_cluster_of_processes_that_is_made_for_the_run_needs_no_hub(adw: Adw) -> None:
    made = 'cluster_class = "distributed.LocalCluster"\n[cluster.cluster_kwargs]\nn_workers = 2\nthreads_per_worker = 4\nresources = { agent = 2 }\ndashboard_address = ":0"\n'
    configure(adw, "", "true", made)
    adw.issue("a")
    adw.issue("b")
    done = adw.call("run", str(adw.issues))
    assert done.returncode == 0, done.stdout
    assert "2 workers with 4 slots at tcp://127.0.0.1:" in done.stdout
    adw.assert_whole("a", "b")
