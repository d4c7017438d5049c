"""Six issues with the real Claude Code CLI, four agents at once, against an API on loopback that answers at the speed of a real one and has its moods."""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
import pytest

from tests import fake_anthropic
from tests.conftest import Rules
from tests.e2e.conftest import Adw, until

pytestmark = pytest.mark.usefixtures("claude", "untraced")

WORDS = "word " * 25
RATE = 40  # words a second
AT_ONCE = 3  # requests
NAMES = ["a", "b", "c", "d", "e", "f"]
RIGHT, WRONG = "sk-right", "sk-soon-wrong"
BEGINS = {"plan": "Plan how to", "build": "Resolve the", "review": "Review the change", "document": "Update the documentation"}
MOODS: dict[str, dict[str, Any]] = {
    "a": {"fail": {"status": 429, "times": 2, "headers": {"retry-after": "1"}}},
    "b": {"fail": {"status": 529, "times": 1}},
    "c": {"cut": True},
}


def structured(**answer: Any) -> list[dict[str, Any]]:
    return [{"text": WORDS, "rate": RATE, "tools": [{"name": "StructuredOutput", "input": answer}]}, {"text": "ok"}]


def script(name: str, hang: str = "", moods: Mapping[str, dict[str, Any]] = MOODS) -> Rules:
    """How the model answers for one issue."""
    write = {"name": "Write", "input": {"file_path": f"{{cwd}}/{name}.txt", "content": f"{name}\n"}}
    mood = moods.get(name, {})
    tools = [{"name": "Bash", "input": {"command": hang or f"test -f {name}.txt"}}]
    build = [
        {"text": WORDS, "rate": RATE, "tools": [write], **({"cut": True} if mood.get("cut") else {})},
        {"text": WORDS, "rate": RATE, "tools": tools},
        {"text": "Done."},
    ]
    turns = {
        "plan": structured(summary=f"Write {name}.txt.", files=[f"{name}.txt"], items=[]),
        "build": build,
        "review": structured(summary="Fit.", findings=[]),
        "document": [{"text": WORDS, "rate": RATE}],
    }
    on = turns | {"build": [{"tools": [write]}, {"text": "Done."}]}
    asked = {phase: f'{words}[\\s\\S]*title="Add {name}"' for phase, words in BEGINS.items()}
    fails = {"build": {"fail": mood["fail"]} if "fail" in mood else {}}
    return [
        *({"match": f"You were interrupted[\\s\\S]*{asked[phase]}", "turns": on[phase]} for phase in turns),
        *({"match": asked[phase], "turns": turns[phase], **fails.get(phase, {})} for phase in turns),
    ]


@pytest.fixture
def model() -> Iterator[fake_anthropic.Server]:
    with fake_anthropic.serving([rule for name in NAMES for rule in script(name)], keys=(RIGHT, WRONG)) as api:
        yield api


@pytest.fixture
def claude_adw(adw: Adw, model: fake_anthropic.Server) -> Adw:
    """A repository with six issues whose agent is Claude Code with a key."""
    for name in NAMES:
        adw.issue(name)
    adw.env |= {"PATH": os.environ["PATH"], "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": RIGHT}
    adw.repository.commit(
        "adw.toml",
        **{
            "adw.toml": f"""
            [agent]
            name = "claude"
            model = "claude-sonnet-4-5"
            secrets = {{ ANTHROPIC_API_KEY = "{adw.repository.path.name.lower().replace("_", "-")}" }}
            [test]
            command = "test -f code.txt"
            [pool]
            memory_gb = 0
            max_load = 0
            [gateway]
            requests = {AT_ONCE}
            """
        },
    )
    return adw


def begun(model: fake_anthropic.Server) -> Counter[tuple[str, str]]:
    """How often each issue's phase was begun by an agent with an empty memory, as the server saw it."""
    found: Counter[tuple[str, str]] = Counter()
    for request in model.seen:
        messages = [m for m in request["body"].get("messages", []) if m["role"] == "user"]
        if len(request["body"].get("messages", [])) <= 2 and messages:
            text = " ".join(fake_anthropic.prompt_text(m["content"]) for m in messages)
            phase = next((phase for phase, words in BEGINS.items() if re.search(rf"(^|\n|\s){words}", text)), "")
            name = re.search(r'title="Add (\w)"', text)
            if phase and name and "You were interrupted" not in text:
                found[name[1], phase] += 1
    return found


def finished(adw: Adw) -> set[tuple[str, str]]:
    """The phases of agents that ended well, over all runs."""
    events = [event for run in adw.runs for event in adw.events(run)]
    return {(e["issue"], e["phase"]) for e in events if e["event"] == "phase" and e["state"] == "done" and e["phase"] in BEGINS}


def test_six_issues_land_each_once_through_all_moods_of_the_api(claude_adw: Adw, model: fake_anthropic.Server) -> None:
    done = claude_adw.call("run", str(claude_adw.issues), "--agents", "4")
    assert done.returncode == 0, done.stdout
    claude_adw.assert_whole(*NAMES)
    assert model.stats["peak"] <= AT_ONCE
    assert set(finished(claude_adw)) == {(name, phase) for name in NAMES for phase in BEGINS}
    progress = [event for event in claude_adw.events() if event["event"] == "spent"]
    answered = [event for event in progress if event["status"] == 200]
    assert sum(event["usd"] for event in answered) > 0
    everything = "".join(file.read_text(errors="replace") for file in claude_adw.place.glob("runs/**/*") if file.is_file())
    assert RIGHT not in everything
    assert RIGHT not in claude_adw.repository.git("log", "--all", "--format=%B", "--patch")


@pytest.mark.thorough
def test_a_key_that_is_refused_stops_new_work_and_a_right_one_goes_on_without_repeating_what_is_done(claude_adw: Adw, model: fake_anthropic.Server) -> None:
    model.limits[WRONG] = 34
    claude_adw.env["ANTHROPIC_API_KEY"] = WRONG
    stopped = claude_adw.call("run", str(claude_adw.issues), "--agents", "4")
    assert stopped.returncode == 2, stopped.stdout
    assert "does not take the key" in stopped.stdout
    after = [event for event in claude_adw.events() if event["event"] == "breaker"]
    assert [event["state"] for event in after] == ["halted"]
    done, before = finished(claude_adw), begun(model)
    assert done
    assert model.stats["by_key"][WRONG] < 34 + 4 * 4  # agents at work notice for themselves: four, which ask thrice
    claude_adw.env["ANTHROPIC_API_KEY"] = RIGHT
    resumed = claude_adw.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    claude_adw.assert_whole(*NAMES)
    assert {key for key in done if begun(model)[key] > before[key]} == set()
    assert model.stats["peak"] <= AT_ONCE


def test_killed_in_the_middle_of_six_agents_nothing_lives_and_only_what_was_cut_is_gone_on_with(claude_adw: Adw, model: fake_anthropic.Server) -> None:
    hang = "setsid python3 -c 'import time; time.sleep(600)'"
    model.rules[:] = [rule for name in NAMES for rule in script(name, hang, moods={})]  # moods would let in fewer than six
    process = claude_adw.start("run", str(claude_adw.issues), "--agents", "6")

    def all_hang() -> bool:
        return sum("time.sleep(600)" in " ".join(p.cmdline()) and p.name().startswith("python") for p in claude_adw.leased()) >= 6

    until(lambda: quiet(all_hang))
    flow = claude_adw.flow()
    process.send_signal(signal.SIGKILL)
    flow.kill()
    until(lambda: not claude_adw.leased(), 2)
    process.communicate()
    done, before = finished(claude_adw), begun(model)
    assert done >= {(name, "plan") for name in NAMES}
    resumed = claude_adw.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    claude_adw.assert_whole(*NAMES)
    assert begun(model) - before == Counter({(name, phase): 1 for name in NAMES for phase in ("review", "document")})


def quiet(look: Any) -> bool:
    """What a look at processes says, though some end meanwhile."""
    try:
        return bool(look())
    except psutil.Error:
        return False


def test_doctor_says_how_the_agent_gets_its_key_and_whether_it_answers(claude_adw: Adw, model: fake_anthropic.Server) -> None:
    model.rules.insert(0, {"match": "Are you there|one word: ready", "turns": [{"text": "ready"}]})
    said = claude_adw.call("doctor", "--ask").stdout
    assert "(adw was tried with 2.1.331); with ANTHROPIC_API_KEY of the Secret" in said
    assert "through the gateway" in said
    assert "agent claude: answers: ready" in said
    model.keys.clear()
    model.keys.add("sk-another")
    assert "does not take the key" in claude_adw.call("doctor", "--ask").stdout
