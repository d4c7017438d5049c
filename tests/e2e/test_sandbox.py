import os
import shutil
from pathlib import Path

import pytest

from adw import sandbox
from adw.config import SandboxConfig
from tests.e2e.conftest import WRITES, Adw

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
