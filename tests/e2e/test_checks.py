"""A whole run with checks of every kind: required, advisory, red before, and a test that is flaky."""

import json

import pytest

from tests.e2e.conftest import Adw, configure

AGENT = """
case "$ADW_PHASE-$ADW_ISSUE-$ADW_TRY" in
  build-bad-1) echo x > bad.txt; echo TODO > note.txt;;
  build-bad-*) [ "$(grep -o 'the check [a-z]* says no' | sort -u | wc -l)" = 2 ] && echo x > bad.md;;
  build-*) echo x > "$ADW_ISSUE.md";;
  words-*) echo "too few words"; exit 1;;
esac
"""
CHECKS = """
[checks.lint]
command = "test ! -e bad.txt || { echo bad.txt is bad; false; }"
[checks.notes]
command = '! git diff "$ADW_BASE" | grep TODO'
on = "change"
[checks.words]
prompt = "Are there words enough?"
required = false
[checks.old]
command = "echo old sins; test -e never.txt"
"""


@pytest.mark.usefixtures("untraced")
def test_required_checks_hold_back_and_what_is_advisory_was_red_before_or_is_flaky_only_speaks(adw: Adw) -> None:
    adw.issue("bad")
    adw.issue("good")
    once = adw.issues.parent / "once"
    configure(adw, AGENT, CHECKS)
    flaky = f'test ! -e good.md || test -e bad.md || test -e bad.txt || test -e {once} || {{ touch {once}; echo "not this time"; false; }}'
    done = adw.call("run", str(adw.issues), "--test-command", flaky, "--agents", "4")
    assert done.returncode == 0, done.stdout
    adw.assert_whole("bad", "good")
    assert not (adw.repository.path / "bad.txt").exists()
    assert [adw.phase("bad", phase, "no") for phase in ("lint", "notes", "words", "old")] == [True] * 4
    assert [adw.phase("good", phase, state) for phase, state in (("lint", "done"), ("words", "no"), ("old", "no"), ("test", "flaky"))] == [True] * 4
    assert "the check old is red at the base: not required in this run" in done.stdout
    assert "test of good is flaky: it failed, and passed on the same tree" in done.stdout

    report = (adw.runs[-1] / "report.md").read_text()
    for said in ("| words | advisory |", "| old | red at the base: not required in this run |", "old sins", "- test of good is flaky"):
        assert said in report
    page = next((adw.runs[-1] / "reports").glob("good-*.md")).read_text()
    for said in ("## Test: flaky", "not this time", "## lint (required): passed", "## words (advisory): no", "too few words", "1-test-again"):
        assert said in page
    assert set(adw.call("show", "bad", "--log", "lint:1").stdout.splitlines()) == {"bad.txt is bad"}
    assert json.loads(adw.call("show", "good", "--json").stdout)["results"].keys() >= {"test", "lint", "notes", "words", "old"}
