"""What one run learnt is told to the agents of the next."""

import json

import pytest

from tests.e2e.conftest import Adw

# It writes the wrong thing first; and the right one when somebody says so: the tests, or what is remembered of them.
AGENT = """
cat > "$TMPDIR/asked"
case $ADW_PHASE in
build) if grep -q "expected UTC" "$TMPDIR/asked"; then echo UTC; else echo local; fi > "$ADW_ISSUE.txt";;
esac
"""


@pytest.mark.usefixtures("untraced")
def test_a_failure_in_one_run_is_recalled_in_the_next_and_not_made_again(adw: Adw) -> None:
    adw.env["ADW_MEMORY"] = "on"
    test = adw.repository.path.parent / "test.sh"
    test.write_text('for file in first.txt second.txt; do [ ! -e $file ] || grep -q UTC $file || { echo "AssertionError: expected UTC"; exit 1; }; done')
    adw.issue("first", "Show the clock")
    done = adw.call(*adw.run_args(AGENT, f"sh {test}"))
    assert done.returncode == 0, done.stdout
    assert adw.phase("first", "test", "no")
    listed = json.loads(adw.call("memory", "list", "--repo", str(adw.repository.path), "--kind", "failure", "--json").stdout)
    assert [memory["about"] for memory in listed] == ["first"]
    adw.issue("second", "Let the clock strike")
    done = adw.call(*adw.run_args(AGENT, f"sh {test}"))
    assert done.returncode == 0, done.stdout
    assert not adw.phase("second", "test", "no")
    assert {event["phase"] for event in adw.events() if event["event"] == "recalled" and event["issue"] == "second"} == {"plan", "build", "review"}
    assert "## Recalled" in next((adw.runs[-1] / "reports").glob("second-*.md")).read_text()
    adw.assert_whole("first", "second")
