import contextlib
import os
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from adw.model import PHASES
from tests.e2e.conftest import LIMIT, Adw, active_slots, until

pytestmark = pytest.mark.usefixtures("untraced")


def slow(folder: Path) -> str:
    """An agent that notes each phase it ends, and takes its time."""
    return f"""
    sleep 0.6
    [ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"
    echo "$ADW_PHASE-$ADW_ISSUE" >> {folder}/ended
    """


def kill_all(adw: Adw, process: "subprocess.Popen[str]") -> None:
    """The power fails: the command and the run's process are gone at once."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it may have come to its end meanwhile
        flow = adw.flow()
        process.kill()
        flow.kill()
    process.communicate()


def reached(adw: Adw, process: "subprocess.Popen[str]", phase: str) -> bool:
    """Whether some issue is in a phase, or all is over."""
    return process.poll() is not None or any(adw.phase(name, phase) for name in ("a", "b"))


@pytest.mark.usefixtures("untraced")
def test_killed_in_each_phase_in_turn_everything_lands_once_and_what_had_ended_is_not_repeated(adw: Adw) -> None:
    for name in ("a", "b"):
        adw.issue(name)
    args = adw.run_args(slow(adw.issues.parent), "sleep 0.4; test -f code.txt")
    for phase in PHASES:
        process = adw.start(*args)
        until(partial(reached, adw, process, phase))
        kill_all(adw, process)
        until(lambda: not adw.leased())  # agents end with adw, before anybody cleans up
    done = adw.call(*args)
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a", "b")
    events = [event for run in adw.runs for event in adw.events(run) if event["event"] == "phase" and event["state"] == "done"]
    ended = [(event["issue"], event["phase"], event["try"]) for event in events if event["phase"] in {"plan", "build"}]
    assert sorted(ended) == sorted(set(ended))
    assert {("a", "plan", 1), ("b", "plan", 1)} <= set(ended)
    until(lambda: active_slots(adw.home) == 0)


def test_a_run_whose_process_is_killed_is_started_again_by_itself(adw: Adw) -> None:
    adw.issue("a")
    process = adw.start(*adw.run_args(slow(adw.issues.parent)))
    until(lambda: adw.phase("a", "build"))
    adw.flow().kill()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "starting it again" in out
    adw.assert_whole("a")


def test_an_agent_that_is_killed_is_asked_again_and_costs_no_try(adw: Adw) -> None:
    adw.issue("a")
    once = adw.issues.parent / "once"
    agent = f"""
    [ "$ADW_PHASE" = build ] || exit 0
    echo half > half.txt
    if [ ! -e {once} ]; then touch {once}; sleep 600; fi
    rm -f half.txt; echo x > a.txt
    """
    process = adw.start(*adw.run_args(agent), "--tries", "1")
    until(once.exists)
    until(lambda: adw.leased("sh"))[-1].kill()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    adw.assert_whole("a")
    rescued = adw.repository.git("for-each-ref", "--format=%(refname)", "refs/adw/*/rescued-*").split()
    assert len(rescued) == 1
    assert adw.repository.git("show", f"{rescued[0]}:half.txt") == "half"


@pytest.mark.parametrize("victim", [pytest.param("uvicorn", marks=pytest.mark.thorough), "adw.server"])
def test_a_run_goes_on_when_the_server_is_killed(adw: Adw, victim: str) -> None:
    for name in ("a", "b"):
        adw.issue(name)
    process = adw.start(*adw.run_args(slow(adw.issues.parent), "sleep 1; test -f code.txt"))
    until(lambda: adw.phase("a", "build"))
    server = [p for p in psutil.process_iter() if _runs(p, victim, adw.home)]
    for part in server:
        part.kill()
    assert server
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out
    adw.assert_whole("a", "b")
    until(lambda: active_slots(adw.home) == 0)


def _runs(process: psutil.Process, module: str, home: Path) -> bool:
    try:
        command = process.cmdline()
        return command[1:3] == ["-m", module] and process.environ().get("ADW_HOME") == str(home)
    except (psutil.Error, OSError):
        return False


def test_git_killed_again_and_again_loses_nothing(adw: Adw) -> None:
    for name in ("a", "b", "c"):
        adw.issue(name)
    over = threading.Event()
    killed: list[str] = []

    def hunt() -> None:
        while not over.is_set() and len(killed) < 25:
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error, OSError, IndexError):
                    line = process.cmdline()
                    if line[0] == "git" and str(adw.repository.path.name) in " ".join(line) and len(killed) % 3 == process.pid % 3:
                        process.kill()
                        killed.append(" ".join(line[-4:]))
            over.wait(0.03)

    hunter = threading.Thread(target=hunt)
    process = adw.start(*adw.run_args(slow(adw.issues.parent)))
    until(lambda: adw.phase("a", "plan"))
    hunter.start()
    process.communicate(timeout=200)
    over.set()
    hunter.join()
    assert killed
    done = adw.call("run", *adw.run_args(slow(adw.issues.parent))[1:])
    assert done.returncode == 0, (done.stdout, killed)
    adw.assert_whole("a", "b", "c")


def test_ctrl_c_ends_the_agents_and_says_how_to_resume(adw: Adw) -> None:
    for name in ("a", "b"):
        adw.issue(name)
    process = adw.start(*adw.run_args(f"{slow(adw.issues.parent)}\nsleep 1"))
    until(lambda: adw.phase("a", "build"))
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, out
    assert "adw resume" in out
    assert not adw.leased()
    resumed = adw.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    adw.assert_whole("a", "b")


def test_a_second_ctrl_c_ends_at_once_even_an_agent_that_will_not(adw: Adw) -> None:
    adw.issue("a")
    process = adw.start(*adw.run_args("trap '' TERM INT; while :; do sleep 0.1; done"))
    until(lambda: adw.leased("sleep"))
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    until(lambda: not adw.leased())


def test_cancel_ends_a_run_from_elsewhere(adw: Adw) -> None:
    adw.issue("a")
    process = adw.start(*adw.run_args("sleep 600"))
    until(lambda: adw.leased("sleep"))
    assert adw.call("cancel").returncode == 0
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, out
    assert not adw.leased()
