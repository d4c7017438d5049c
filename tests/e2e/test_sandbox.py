import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from adw import sandbox
from adw.config import SandboxConfig
from tests.e2e.conftest import WRITES, Adw, api, login, request

pytestmark = pytest.mark.usefixtures("untraced")

REASON = sandbox.why_not(SandboxConfig())


@pytest.mark.skipif(REASON != "" and not os.environ.get("CI"), reason=REASON)
def test_issues_land_from_within_the_sandbox_and_nothing_else_of_the_agent_comes_out(adw: Adw) -> None:
    for name in ("a", "b"):
        adw.issue(name)
    canary = adw.repository.path / "canary"
    agent = f"{WRITES}\nif touch {canary} {adw.home}/canary; then exit 1; fi\ntest ! -e {adw.home}/prefect/server.json"
    done = adw.call(*adw.run_args(agent), "--sandbox", "required")
    assert done.returncode == 0, done.stdout
    assert "sandbox" not in done.stdout
    assert (canary.exists(), (adw.home / "canary").exists()) == (False, False)
    adw.assert_whole("a", "b")


# An agent that knows where the server is, and where adw keeps things: it asks without a login, and with all that looks like one.
THIEF = """
import base64, glob, json, os, re, sys, urllib.error, urllib.request
api, home = sys.argv[1:]

def ask(login):
    headers = {"authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    asked = urllib.request.Request(api + "/block_documents/filter", b'{"include_secrets": true}', {"content-type": "application/json", **headers})
    try:
        return urllib.request.urlopen(asked).read().decode()
    except urllib.error.HTTPError as no:
        return no.code

def read(path):
    try:
        return open(path, errors="replace").read(200_000)
    except OSError:
        return ""

places = [home, os.path.expanduser("~"), "/tmp", "/var/tmp", "/run", "/dev/shm", os.getcwd()]
files = [f"{home}/prefect/{name}" for name in ("login", "server.json", "prefect.db", "profiles.toml")]
files += [*glob.glob("/proc/*/environ"), *glob.glob("/proc/*/cmdline")]
files += [path for place in places for path in glob.glob(f"{place}/**", recursive=True, include_hidden=True) if os.path.isfile(path)]
logins = re.findall(r"adw:[-\\w]+", "".join(map(read, files)))
print(json.dumps({"answers": [ask(login) for login in ["", "adw:adw", *logins]], "environment": list(os.environ), "read": [*filter(read, files)]}))
"""


@pytest.mark.skipif(REASON != "" and not os.environ.get("CI"), reason=REASON)
def test_an_agent_reads_no_secret_from_the_server_and_finds_no_login(adw: Adw) -> None:
    kind = request(adw.home, "block_types/slug/secret")["id"]
    schema = request(adw.home, "block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}})[0]["id"]
    block = {"name": "not-for-agents", "data": {"value": "quite-secret-4712"}, "block_schema_id": schema, "block_type_id": kind}
    request(adw.home, "block_documents/", block)
    assert "quite-secret-4712" in json.dumps(request(adw.home, "block_documents/filter", {"include_secrets": True}))
    adw.issue("a")
    agent = f"[ $ADW_PHASE = build ] || exit 0\n{sys.executable} - {api(adw.home)} {adw.home} > a.txt << 'END'\n{THIEF}\nEND\n"
    done = adw.call(*adw.run_args(agent), "--sandbox", "required")
    assert done.returncode == 0, done.stdout
    told = json.loads((adw.repository.path / "a.txt").read_text())
    assert set(told["answers"]) == {401}
    assert not [name for name in told["environment"] if name.startswith("PREFECT")]
    assert told["read"]
    assert not [path for path in told["read"] if path.startswith(f"{adw.home}/prefect")]
    kept = [path for folder in (adw.home / "prefect", adw.runs[-1]) for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in kept if login(adw.home).encode() in path.read_bytes()} == {"login", "server.json"}
    assert login(adw.home) not in done.stdout


@pytest.fixture
def without_bwrap(adw: Adw, tmp_path: Path) -> None:
    """A machine where bubblewrap is not installed."""
    (tmp_path / "bin").mkdir()
    for name in ("git", "sh", "test", "ls", "rm"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    adw.env["PATH"] = str(tmp_path / "bin")


@pytest.mark.usefixtures("without_bwrap")
def test_without_bubblewrap_a_run_says_so_once_and_goes_on_and_one_that_requires_it_does_not_begin(adw: Adw) -> None:
    adw.issue("a")
    refused = adw.call(*adw.run_args(), "--sandbox", "required")
    assert (refused.returncode, "bubblewrap is not installed; install it" in refused.stdout, adw.runs) == (2, True, [])
    done = adw.call(*adw.run_args(), "--sandbox", "auto")
    assert (done.returncode, done.stdout.count("bubblewrap is not installed")) == (0, 1)
    (finding,) = [line for line in adw.call("doctor").stdout.splitlines() if "sandbox" in line]
    assert finding.startswith("✓ sandbox: agents and tests run without a sandbox: bubblewrap is not installed")
