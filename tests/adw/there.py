"""A repository whose remote is at GitHub: a real bare one, and a stand-in on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adw import offering, proposal, upstream
from adw.config import Config, GitHubConfig, LandingConfig
from adw.github.client import reached
from adw.github.pulls import Pull
from adw.mirror import Hub
from adw.model import Arrival, Issue, Offer
from adw.money import Spent
from adw.offering import Found
from adw.phases import Site
from adw.telling import Facts
from adw.upstream import Upstream
from tests import fake_github
from tests.adw.test_landing import ISSUE, candidate
from tests.conftest import Repository
from tests.fake_github import TOKEN

FACTS = Facts(run="r1", tries=2, spent=Spent(usd=1.5))


@dataclass
class There:
    """A repository whose remote is at GitHub."""

    far: Upstream
    config: Config
    github: fake_github.GitHub
    repository: Repository
    origin: Repository
    told: list[str] = field(default_factory=list)  # what was waited for

    def propose(self, what: Arrival, base: str = "main") -> Offer:
        return offering.propose(self.far, self.config, what, base, lambda _host: TOKEN, FACTS, self.told.append)

    def show(self, what: Arrival, base: str = "main", standing: str = proposal.JUDGED) -> Pull | None:
        """Have a change seen that is still being judged."""
        shown = offering.Shown(what.candidate.sha, base, FACTS, standing)
        with reached(offering.forge(self.far, self.config), lambda _host: TOKEN) as client:
            return offering.show(self.far, self.config, client, what.issue, shown)

    def looked_up(self, *issues: Issue, token: str = TOKEN) -> Found:
        return offering.looked_up(self.far, self.config, issues or [ISSUE], lambda _host: token)

    def at(self, branch: str = "adw/i1") -> str:
        """Where a branch of the remote is; empty if it is not there."""
        return self.origin.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def newer(self, text: str = "new\n") -> Arrival:
        """The same issue's change on a tip that has moved."""
        self.repository.commit("theirs", **{"theirs.txt": text})
        self.repository.git("push", "--quiet", "origin", "main")
        self.far.look_again()
        return Arrival(issue=ISSUE, candidate=candidate(self.far, "new.txt", text))

    def pushed_by_a_person(self) -> str:
        """A commit that a person pushes on top of adw's."""
        self.repository.git("fetch", "--quiet", "origin", "adw/i1")
        self.repository.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        mine = self.repository.commit("by hand", **{"new.txt": "mine\n"})
        self.repository.git("push", "--quiet", "origin", "HEAD:adw/i1")
        self.repository.git("checkout", "--quiet", "main")
        return mine


@contextmanager
def at_github(hub: Hub, site: Site, repository: Repository, origin: Repository) -> Iterator[There]:
    """A repository with its remote at GitHub, for the block."""
    with fake_github.serving(origin.path) as github:
        config = site.config.model_copy(update={"landing": LandingConfig(mode="pull-request"), "github": GitHubConfig(api_url=github.url)})
        far = upstream.facing(hub, config.landing)
        assert isinstance(far, Upstream)
        far.look()
        yield There(far, config, github, repository, origin)
