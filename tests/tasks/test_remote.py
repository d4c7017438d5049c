import pickle
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from adw.model import Attempt, Issue
from adw.phases import Site
from tasks.remote import Errand


def test_what_is_sent_to_another_host_has_no_path_in_it(site: Site, tmp_path: Path, issue: Issue) -> None:
    there = replace(site, config=site.config.model_copy(update={"pool": site.config.pool.model_copy(update={"base_path": str(tmp_path / "slots")})}))
    there = there.elsewhere("git://10.0.0.1/hub", ("Ada", "ada@example.invalid"))
    attempt = Attempt(number=1, base="1" * 40, base_tree="2" * 40)
    packed = pickle.dumps(Errand("plan", (there, issue, attempt), uuid4(), {"id": "1", "flow_id": "2", "name": "n"}, "adw-r1"))
    assert str(tmp_path).encode() not in packed
    assert str(Path(__file__).parents[2]).encode() not in packed
    assert pickle.loads(packed).args == (there, issue, attempt)  # noqa: S301 - our own bytes


def test_each_host_lends_its_own_number_of_slots(site: Site) -> None:
    assert site.sized(7).config.pool.size == 7
    assert site.sized(7).hub() == site.hub()


def test_a_site_for_other_hosts_keeps_what_decides_results(site: Site) -> None:
    there = site.elsewhere("git://10.0.0.1/hub", ("Ada", ""))
    assert (there.config.agent, there.config.test, there.config.docs) == (site.config.agent, site.config.test, site.config.docs)
    assert there.agent("build").identity == site.agent("build").identity
