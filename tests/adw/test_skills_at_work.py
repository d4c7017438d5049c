"""What plan, build and review make of skills: an agent that is a line for sh, real tools."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adw import phases, report, sandbox
from adw.config import AgentConfig, SandboxConfig, SkillsConfig, override
from adw.errors import AgentFailed, Misuse
from adw.mirror import Hub, sync
from adw.model import Attempt, Change, Issue, Outcome, Plan
from adw.phases import Site
from adw.skills import at_work
from tests.conftest import Repository, make_site, model

PLAN = Plan(text="write a module")
ASKED_AGAIN = "tools have looked at it"
WRONG, RIGHT = "def f(:\n", "def f():\n    return 1\n"
# Writes what is wrong, and what is right when it is asked again; keeps what it was asked.
MENDS = f"""cat > told-$(ls told-* 2>/dev/null | wc -l).txt; if grep -q "{ASKED_AGAIN}" told-*.txt; then printf '{RIGHT}' > new.py; else printf '{WRONG}' > new.py; fi"""
REASON = sandbox.why_not(SandboxConfig())


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


@pytest.fixture
def base(repository: Repository, hub: Hub) -> Callable[..., Attempt]:
    """Commits files; the try that begins there."""

    def commit(**files: str) -> Attempt:
        tip = repository.commit("more", **files)
        sync(hub)
        (hub.place.runs / "r1").mkdir(parents=True, exist_ok=True)
        return Attempt(number=1, base=tip, base_tree=hub.mirror.tree_of(tip))

    return commit


def validating(hub: Hub, line: str) -> Site:
    """A run in which tests are collected in build, too."""
    site = make_site(hub, line)
    return replace(site, config=override(site.config, skills__build=("validate_syntax", "validate_tests", "validate_types")))


def built(site: Site, issue: Issue, attempt: Attempt) -> Change:
    return phases.build(site, issue, PLAN, attempt, {})[0]


def text(hub: Hub, change: Change, name: str) -> str:
    return hub.mirror.text(change.sha, name)


def events(hub: Hub) -> list[dict[str, Any]]:
    return [event for event in phases.Journal(hub.place.runs / "r1").events()[0] if event["event"] == "skills"]


def test_an_agent_that_left_a_syntax_error_is_told_and_mends_it(hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    change = built(make_site(hub, MENDS), issue, base())
    assert text(hub, change, "new.py") == RIGHT
    told = text(hub, change, "told-1.txt")
    assert "Resolve the issue" in told  # an agent without a session is told all of it
    assert "new.py:1: error: Expected a parameter or the end of the parameter list (validate_syntax)" in told
    assert [(event["found"], event["phase"]) for event in events(hub)] == [(2, "build"), (0, "build")]


@pytest.mark.parametrize("again", [0, 1, 2])
def test_an_agent_is_asked_to_mend_as_often_as_configured_and_the_change_stands(again: int, hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    site = make_site(hub, f"cat > told-$(ls told-* 2>/dev/null | wc -l).txt; printf '{WRONG}' > new.py")
    change = built(replace(site, config=override(site.config, skills__again=again)), issue, base())
    assert text(hub, change, "new.py") == WRONG
    assert [bool(text(hub, change, f"told-{number}.txt")) for number in range(4)] == [number <= again for number in range(4)]
    assert events(hub)[-1]["found"] == 2


def test_what_the_base_has_already_is_not_told(hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    attempt = base(**{"old.py": f"x = 1\n{WRONG}", "pytest.ini": "[pytest]\n", "test_old.py": "import nowhere\n"})
    change = built(validating(hub, f"cat > told-$(ls told-* 2>/dev/null | wc -l).txt; printf 'y = 1\\nx = 1\\n{WRONG}' > old.py"), issue, attempt)
    assert text(hub, change, "old.py").startswith("y = 1\n")
    assert not text(hub, change, "told-1.txt")
    assert events(hub)[-1]["found"] == 0


def test_a_test_that_cannot_be_collected_any_more_is_told(hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    attempt = base(**{"mine.py": "x = 1\n", "test_mine.py": "from mine import x\n", "test_old.py": "import nowhere\n"})
    change = built(validating(hub, "cat > told-$(ls told-* 2>/dev/null | wc -l).txt; printf 'y = 1\\n' > mine.py"), issue, attempt)
    told = text(hub, change, "told-1.txt")
    assert "test_mine.py:1: error: it cannot be collected: ImportError: cannot import name 'x' from 'mine'" in told
    assert "nowhere" not in told
    assert text(hub, change, "mine.py") == "y = 1\n"  # the base was laid out for a moment
    assert text(hub, change, "test_mine.py") == "from mine import x\n"


def test_an_agent_that_says_no_when_it_is_asked_again_failed(hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    with pytest.raises(AgentFailed, match="I will not"):
        built(make_site(hub, f"if [ -e new.py ]; then echo I will not; exit 1; fi; printf '{WRONG}' > new.py"), issue, base())


def test_review_is_told_what_is_new_and_only_that(hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    attempt = base(**{"old.py": "import subprocess\n\nsubprocess.run('ls', shell=True)\n"})
    change = built(make_site(hub, "printf 'eval(input())\\n' >> old.py"), issue, attempt)
    verdict, _ = phases.review(make_site(hub, "cat {prompt_file}"), issue, change, 1, {})
    assert "old.py:4: warning: S307 Use of possibly insecure function; consider using `ast.literal_eval` (analyze_security)" in verdict.log
    assert "S602" not in verdict.log
    assert verdict.passed  # nothing that is found refuses by itself
    shown = report.issue_report(
        hub, issue, Outcome(issue=issue.id, title=issue.title, state="landed", sha=change.sha), phases.Journal(hub.place.runs / "r1").progress(), []
    )
    assert "## New to skills in review: 1" in shown
    assert "`old.py:4`" in shown


def test_plan_is_told_a_digest_of_the_base_that_is_made_once(hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    attempt = base(**{"old.py": "import subprocess\n\nsubprocess.run('ls', shell=True)\n"})
    for one in (issue, Issue(id="i2", title="Another", body="")):
        said = phases.plan(make_site(hub, "cat {prompt_file}"), one, attempt, {})[0].text
        assert "findings: analyze_patterns 1, analyze_security 2" in said
        assert "old.py:3: warning: S602" in said
    looked = [sum(ran["looked"] for ran in event["ran"]) for event in events(hub)]
    assert looked[0] > 0
    assert looked[1] == 0


def test_the_report_of_a_run_says_what_skills_had_to_do_and_what_is_not_there(
    hub: Hub, base: Callable[..., Attempt], issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    attempt = base(**{"old.py": "x = 1\n", "mypy.ini": "[mypy]\n"})
    built(make_site(hub, "echo 'y = 1' >> old.py"), issue, attempt)
    shown = report.run_report(phases.Journal(hub.place.runs / "r1").progress(), [], {})
    assert "| validate_syntax | 1 | 0 |" in shown
    assert "- validate\\_types: not run: mypy is not installed" in shown


@pytest.mark.parametrize("how", ["off", "no code"])
def test_without_skills_or_code_nothing_is_run_and_nothing_is_told(how: str, hub: Hub, base: Callable[..., Attempt], issue: Issue) -> None:
    attempt = base(**({"old.py": WRONG} if how == "off" else {}))
    name = "new.py" if how == "off" else "new.txt"
    site = make_site(hub, f"printf '{WRONG}' > {name}; cat {{prompt_file}}")
    site = replace(site, config=override(site.config, skills__enabled=how != "off"))
    plan, change = phases.plan(site, issue, attempt, {})[0], built(site, issue, attempt)
    said = phases.review(site, issue, change, 1, {})[0].log
    assert "findings" not in plan.text + said.replace("findings must", "")
    assert text(hub, change, name) == WRONG
    assert events(hub) == []
    assert not hub.place.skills.exists()


def test_a_name_that_is_no_skill_is_misuse_that_names_the_place() -> None:
    with pytest.raises(Misuse, match=r"skills.review in adw.toml: there is no skill 'analyze_secuirty': did you mean analyze_security\?"):
        at_work.insist(SkillsConfig(review=("analyze_secuirty",)))


HOSTILE = """
import pathlib
for name in ("{outside}", "{tree}/written.txt"):
    try:
        pathlib.Path(name).write_text("mine")
    except OSError:
        pass
raise ImportError(pathlib.Path("{secret}").exists())
"""


@pytest.mark.skipif(REASON != "" and not os.environ.get("CI"), reason=REASON)
def test_code_of_the_repository_that_a_tool_runs_stays_in_the_sandbox(
    hub: Hub, base: Callable[..., Attempt], issue: Issue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "user"
    user.mkdir()
    (user / "key").write_text("[lint]\nsecret = 'the key'\n")
    monkeypatch.setenv("HOME", str(user))
    code = HOSTILE.format(outside=user / "mine.txt", tree=hub.place.pool / "1" / "tree", secret=user / "key")
    attempt = base(**{"ruff.toml": f'extend = "{user / "key"}"\n', "ok.py": "x = 1\n"})
    script = user / "agent.sh"
    script.write_text(f"cat > test_new.py <<'E'\n{code}\nE\ncat > told-$(ls told-* 2>/dev/null | wc -l).txt\n")
    site = make_site(hub, f"sh {script}")
    site = replace(
        site,
        config=override(site.config, skills__build=("validate_syntax", "validate_tests"), sandbox__mode="required", sandbox__readable=(str(script),)),
    )
    change = built(site, issue, attempt)
    told = text(hub, change, "told-1.txt")
    assert "it cannot be collected: ImportError: False" in told
    assert not (user / "mine.txt").exists()
    assert text(hub, change, "written.txt") == ""
    assert "the key" not in str(events(hub))


@pytest.mark.usefixtures("claude")
def test_an_agent_with_a_session_is_told_in_that(hub: Hub, base: Callable[..., Attempt], issue: Issue, tmp_path: Path) -> None:
    attempt = base()
    bash = "printf 'def f(:' > new.py", "printf 'x = 1' > new.py"
    turns = [[{"tools": [{"name": "Bash", "input": {"command": command}}]}, {"text": "Done."}] for command in bash]
    with model([{"match": ASKED_AGAIN, "turns": turns[1]}, {"match": "Resolve the issue", "turns": turns[0]}], tmp_path / "log") as api:
        agent = {"name": "claude", "model": "claude-sonnet-4-5", "gateway": False, "base_url": {"ANTHROPIC_API_KEY": api.url}}
        site = make_site(hub, "unused")
        site = replace(site, config=site.config.model_copy(update={"agent": AgentConfig.model_validate(agent)}))
        change = phases.build(site, issue, PLAN, attempt, {"ANTHROPIC_API_KEY": "sk-secret"})[0]
    assert text(hub, change, "new.py") == "x = 1"
    asked = [line for line in (tmp_path / "log").read_text().splitlines() if ASKED_AGAIN in line]
    assert asked
    assert all("Resolve the issue" in line and line.count("Resolve the issue below") == 1 for line in asked)
