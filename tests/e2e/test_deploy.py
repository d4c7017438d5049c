import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.blocks import KINDS
from tests.conftest import make_repository
from tests.e2e.conftest import Adw, ask, configure, let_in, login, read, slug

FORM = "deployments/name/ad%20hoc/Deliver%20an%20issue"
CHANGING = {
    "id",
    "created",
    "updated",
    "version_id",
    "version_info",
    "created_by",
    "updated_by",
    "last_polled",
    "status",
    "deployment_id",
    "active_slots",
    "name",
}


def own(adw: Adw) -> Any:
    return read(adw.home, f"deployments/name/deliver/{slug(adw)}")


def substance(deployment: Any) -> Any:
    """What a deployment is made of, without when and by whom."""
    if isinstance(deployment, dict):
        return {key: substance(value) for key, value in deployment.items() if key not in CHANGING and value not in (None, [], {})}
    return [substance(one) for one in deployment] if isinstance(deployment, list) else deployment


def blocks(adw: Adw) -> list[Any]:
    found = ask(adw.home, "block_documents/filter")
    return [block for block in found if block["name"] == slug(adw)]


def views(adw: Adw) -> list[Any]:
    return [view["filters"][0]["value"] for view in ask(adw.home, "saved_searches/filter") if view["name"] == slug(adw)]


@pytest.fixture
def other(adw: Adw, tmp_path: Path) -> Adw:
    return Adw(adw.home, make_repository(tmp_path / f"other-{tmp_path.name[-12:]}"), tmp_path / "more-issues")


def test_registering_twice_changes_nothing_and_a_change_of_adw_toml_changes_just_that(deployed: Adw, other: Adw) -> None:
    configure(other)
    assert other.call("deploy").returncode == 0
    before = [own(deployed), own(other), read(deployed.home, FORM), blocks(deployed)]
    assert [views(deployed), views(other)] == [[[f"repository:{slug(deployed)}"]], [[f"repository:{slug(other)}"]]]
    assert "nothing changed" in deployed.call("deploy").stdout
    assert [own(deployed), own(other), read(deployed.home, FORM), blocks(deployed)] == before
    configure(deployed, more='[schedule]\ncron = "30 2 * * 1-5"\ntimezone = "Europe/Berlin"\nissues = ["todo/*.md"]\noverlap = "skip"\n')
    done = deployed.call("deploy")
    assert done.stdout.splitlines()[0] == f"wrote the deployment deliver/{slug(deployed)}"
    assert "/deployments (login: `adw ui`)\n" in done.stdout
    assert login(deployed.home) not in done.stdout
    assert [own(other), read(deployed.home, FORM), blocks(deployed)] == before[1:]
    now = own(deployed)
    schedule = now["schedules"][0]
    assert (schedule["active"], schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (True, "30 2 * * 1-5", "Europe/Berlin")
    assert now["parameters"]["delivery"] == {"repository": str(deployed.repository.path), "branch": "", "sources": ["todo/*.md"]}
    assert (now["global_concurrency_limit"]["limit"], now["concurrency_options"]["collision_strategy"]) == (1, "CANCEL_NEW")
    assert f"repository:{slug(deployed)}" in now["tags"]
    offered = read(deployed.home, FORM)["parameter_openapi_schema"]["definitions"]["Order"]["properties"]["repository"]["enum"]
    assert {str(deployed.repository.path), str(other.repository.path)} <= set(offered)
    shutil.rmtree(other.repository.path)  # gone, and nevertheless to be taken away
    gone = deployed.call("deploy", "--remove", "--repo", str(other.repository.path))
    assert gone.returncode == 0, gone.stdout
    assert (own(other), blocks(other), views(other)) == (None, [], [])
    assert own(deployed) == now
    offered = read(deployed.home, FORM)["parameter_openapi_schema"]["definitions"]["Order"]["properties"]["repository"]["enum"]
    assert str(other.repository.path) not in offered
    again = deployed.call("deploy", "--remove", "--repo", str(other.repository.path))
    assert (again.returncode, "is not registered" in again.stdout) == (2, True)


def test_a_schedule_that_was_switched_off_in_the_ui_stays_off(deployed: Adw) -> None:
    configure(deployed, more='[schedule]\ncron = "0 2 * * *"\n')
    assert deployed.call("deploy").returncode == 0
    switch = "import sys; from prefect.client.orchestration import get_client as g\nwith g(sync_client=True) as c: c._client.patch(sys.argv[1], json={'active': False}).raise_for_status()"
    path = f"/deployments/{own(deployed)['id']}/schedules/{own(deployed)['schedules'][0]['id']}"
    env = {**deployed.environment(), **let_in(deployed.home)}
    subprocess.run([sys.executable, "-c", switch, path], env=env, check=True, timeout=60)
    assert own(deployed)["schedules"][0]["active"] is False
    assert "nothing changed" in deployed.call("deploy").stdout
    assert own(deployed)["schedules"][0]["active"] is False


def test_prefect_deploy_all_does_the_same(deployed: Adw) -> None:
    configure(deployed, more='[schedule]\ncron = "0 2 * * *"\n')
    assert deployed.call("deploy").returncode == 0
    ours = [substance(own(deployed)), substance(read(deployed.home, FORM)), substance(blocks(deployed))]
    assert deployed.call("deploy", "--remove").returncode == 0
    env = {**deployed.environment(), **let_in(deployed.home), "ADW_REPOSITORY": str(deployed.repository.path), "NO_COLOR": "1"}
    prefect = Path(sys.executable).with_name("prefect")
    done = subprocess.run([prefect, "--no-prompt", "deploy", "--all"], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [substance(own(deployed)), substance(read(deployed.home, FORM)), substance(blocks(deployed))] == ours
    assert "nothing changed" in deployed.call("deploy").stdout


def test_two_registrations_at_once_are_one(adw: Adw) -> None:
    configure(adw)
    both = [adw.start("deploy") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum(f"wrote the deployment deliver/{slug(adw)}" in text for text in said) == 1
    assert len(ask(adw.home, "deployments/filter", deployments={"name": {"any_": [slug(adw)]}})) == 1
    assert len(blocks(adw)) == len(KINDS)
    assert adw.call("deploy", "--remove").returncode == 0


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ('cron = "every night"', "`schedule.cron`: 'every night' is not understood"),
        ('cron = "0 25 * * *"', "`schedule.cron`: '0 25 * * *' is not understood"),
        ('cron = "0 2 * * *"\ntimezone = "Mars/Olympus"', "`schedule.timezone`: 'Mars/Olympus' is not understood"),
        ('cron = "0 2 * * *"\noverlap = "panic"', "`schedule.overlap`"),
    ],
)
def test_a_schedule_that_is_none_is_named_and_nothing_is_registered(adw: Adw, setting: str, named: str) -> None:
    configure(adw, more=f"[schedule]\n{setting}\n")
    done = adw.call("deploy")
    assert done.returncode == 2, done.stdout
    assert named in done.stdout
    assert "Traceback" not in done.stdout
    assert not (adw.place / "registered.json").exists()
