"""A whole run in which a change is built in parts, one of which an agent must integrate, and tested in groups, of which one fails at first."""

import pytest

from tests.e2e.conftest import Adw, configure

AGENT = """
case "$ADW_PHASE-$ADW_TRY-$ADW_PART" in
  plan-*) echo '{"summary": "three files", "files": [], "items": [{"title": "one", "files": ["1.txt"]}, {"title": "two", "files": ["2.txt"]},
    {"title": "three", "files": ["3.txt"]}], "integration": "list them"}';;
  build-1-integrate) ls *.txt > all.list; echo bad > 2.txt;;
  build-1-*) echo good > "$ADW_PART.txt"; echo "that was $ADW_PART";;
  build-2-) for n in 1 2 3; do echo good > $n.txt; done; ls *.txt > all.list;;
esac
"""
GROUPS = """
[test.groups.unit]
command = "! grep bad {files}"
split = "*.txt"
[test.groups.slow]
command = "test ! -e 2.txt || ! grep -q bad 2.txt || sleep 600"
exclusive = ["database"]
"""


@pytest.mark.usefixtures("untraced")
def test_a_change_is_built_in_parts_and_tested_in_groups(adw: Adw) -> None:
    adw.issue("wide")
    configure(adw, AGENT, GROUPS)
    text = (adw.repository.path / "adw.toml").read_text().replace("[agent]", "fail_fast = true\n[agent]", 1)
    adw.repository.commit("fast", **{"adw.toml": text})
    done = adw.call("run", str(adw.issues), "--agents", "4")
    assert done.returncode == 0, done.stdout
    adw.assert_whole("wide")
    assert (adw.repository.path / "all.list").read_text().split() == ["1.txt", "2.txt", "3.txt", "code.txt"]
    pieces = ("build-1", "build-2", "build-3", "build-integrate", "build", "test-unit-1")
    assert [adw.phase("wide", phase, "done") for phase in pieces] == [True] * len(pieces)
    assert [adw.phase("wide", *ended) for ended in (("test-unit-1", "no"), ("test-slow", "cut"), ("test", "no"), ("test", "done"))] == [True] * 4
    page = next((adw.runs[-1] / "reports").glob("wide-*.md")).read_text()
    for said in ("Built in 3 parts: 3 items touch 3 separate groups of files.", "- list them", "1-build-2", "2-test-unit-1", "## Test: passed"):
        assert said in page
    assert "2.txt" in adw.call("show", "wide", "--log", "test-unit-1:1").stdout
