"""Whether the workers of a cluster can do what a delivery needs: looked at before work starts, and when one comes later."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from adw import hosts, proc
from adw.config import ClusterConfig
from adw.errors import Misuse
from adw.home import home
from adw.journal import Journal
from flows.places import Offer
from tasks import remote

WORKERS_LIMIT = 300.0  # seconds to wait for a first worker
ALONE = "to work on this host, leave out --scheduler (`cluster.address` in adw.toml)"


@dataclass(frozen=True)
class Inspection:
    """Asks the workers of a cluster; each answer that does not do is a Misuse that says who, what, and how to mend it."""

    client: Any
    name: str  # the scheduler's address
    config: ClusterConfig
    journal: Journal

    def offers(self) -> dict[str, Offer]:
        """The workers that lend slots, with what each lends."""
        lent = {address: worker["resources"] for address, worker in self.client.scheduler_info(n_workers=-1)["workers"].items()}
        return {address: Offer(int(its["agent"]), its.get("memory", inf)) for address, its in lent.items() if its.get("agent")}

    def first_workers(self) -> dict[str, Offer]:
        """The workers that are there, once there is one."""
        until, told = time.monotonic() + WORKERS_LIMIT, False
        while not (offered := self.offers()):
            proc.go_on()
            if not told:
                self.journal.event("note", text=f"{self.name} has no workers yet: waiting for one (`adw worker --scheduler {self.name}` starts one)")
                told = True
            if time.monotonic() > until:
                msg = f"no worker that lends slots came to {self.name}: start `adw worker --scheduler {self.name}` on a host, or {ALONE}"
                raise Misuse(msg)
            time.sleep(0.2)
        return offered

    def insist_on_the_same(self, workers: Iterable[str]) -> None:
        """Misuse if hosts run on versions that may not understand each other; other differences are only told."""
        known = self._known(workers)
        if different := hosts.differences(known, hosts.SAME):
            msg = f"the hosts of the cluster differ: {different}: install the same everywhere"
            raise Misuse(msg)
        if different := hosts.differences(known, hosts.NEARLY):
            self.journal.event("note", text=f"the hosts of the cluster differ in what does no harm: {different}")

    def _known(self, workers: Iterable[str]) -> dict[str, Mapping[str, str]]:
        """What all hosts run on, by their names."""
        try:
            known: dict[str, Mapping[str, str]] = {"this host": hosts.facts(), "the scheduler": self.client.run_on_scheduler(remote.facts)}
        except Exception as no:
            msg = f"the scheduler at {self.name} cannot run adw ({type(no).__name__}: {no}): install the same adw there"
            raise Misuse(msg) from no
        for address, its in self.client.run(remote.facts, workers=list(workers), on_error="return").items():
            if isinstance(its, BaseException):
                msg = f"the worker {address} cannot run adw ({type(its).__name__}: {its}): install the same adw there"
                raise Misuse(msg)
            known[f"{its['host']} ({address})"] = its
        return known

    def share_our_folder(self, workers: Iterable[str]) -> bool:
        """Whether paths of this host are good for all workers: they find here what we leave here."""
        token = home() / f"token-{uuid.uuid4().hex}"
        token.touch()
        try:
            return all(self.client.run(remote.sees, token.name, workers=list(workers)).values())
        finally:
            token.unlink()

    def insist_on_the_hub(self, workers: Iterable[str], branch: str, tip: str) -> None:
        """Misuse if a worker cannot fetch from the hub, push to it, or keep results where they belong."""
        url = self.config.hub
        if not url:
            msg = (
                f"the workers at {self.name} do not share adw's folder of this host, and need a URL of the repository: "
                'set `hub` under [cluster] in adw.toml, such as hub = "ssh://me@this-host/path/of/repository"'
            )
            raise Misuse(msg)
        for address, reason in self.client.run(remote.fits, url, branch, tip, self.config.results, workers=list(workers)).items():
            if reason:
                msg = f"the worker {address} cannot work for {url} (`cluster.hub` in adw.toml): {reason}"
                raise Misuse(msg)
