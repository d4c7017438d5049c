"""A whole run tells its tracker, whatever happens to either."""

import pytest

from tests import fake_archon
from tests.e2e.conftest import Adw, configure


@pytest.mark.usefixtures("untraced")
def test_a_run_that_is_killed_while_it_tells_the_tracker_has_told_it_all_in_the_end_and_nothing_twice(adw: Adw) -> None:
    with fake_archon.serving() as archon:
        once = iter([True])

        def kill(method: str, _path: str) -> None:
            """Kill it with four requests at once under way, of which any may be the fifth that is told of."""
            if method == "POST" and len(archon.wanted("POST")) >= 5 and next(once, False):
                adw.flow().kill()

        configure(adw, more=f'[tracker]\nkind = "archon"\nurl = "{archon.url}"\n')
        for name in ("a", "b"):
            adw.issue(name)
        archon.upset = kill
        done = adw.call("run", str(adw.issues))
        assert done.returncode == 0, done.stdout
        assert "the run's process died; starting it again" in done.stdout
        assert len(archon.states) == 14  # each issue, and its phases
        assert set(archon.states.values()) == {"done"}
        adw.assert_whole("a", "b")
        build = next(name for name in archon.states if name.startswith("a-") and name.endswith("/build"))
        task = archon.task(build)["id"]
        shown = adw.call("show", "--trace", task).stdout
        assert f"/{build}/1  " in shown
        assert f"tracker   {task}" in shown
        assert "Adw-Issue: a" in shown
