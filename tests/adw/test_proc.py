import contextvars
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from adw import proc
from adw.errors import Interrupted
from adw.proc import Ended, kept
from tests.adw.tools import gone, number_in, python, until

# What an agent's tools do: a daemon in a session of its own, without the lease's marker. It writes its id, and stays.
DAEMON = 'env -i PATH="$PATH" setsid sh -c \'trap "" TERM; echo $$ > daemon.part; mv daemon.part daemon; while :; do sleep 600; done\' & '
WAITS = "until test -e daemon; do sleep 0.01; done; "

KEEPS = """
import os, sys
from pathlib import Path
from adw.proc import kept
folder = Path(sys.argv[1])
kept(["sh", "-c", sys.argv[2]], cwd=folder, env=os.environ, log=folder / "log", minutes=5)
"""

ENDS_ALL = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from adw import proc
from adw.errors import Interrupted
from adw.errors import Interrupted
folder = Path(sys.argv[1])
def run(name):
    (folder / name).mkdir()
    try:
        proc.kept(["sh", "-c", "echo $$ > pid; sleep 600"], cwd=folder / name, env=os.environ, log=folder / name / "log", minutes=5)
    except Interrupted:
        return "interrupted"
with ThreadPoolExecutor(3) as threads:
    runs = [threads.submit(run, name) for name in "abc"]
    while not all((folder / name / "pid").exists() and (folder / name / "pid").read_text().endswith("\\n") for name in "abc"):
        pass
    proc.end_all()
    print(*[one.result() for one in runs], run("d"), proc.stopped(), (folder / "d" / "log").exists())
"""


def run(line: str, folder: Path, minutes: float = 1, **env: str) -> Ended:
    """Have sh run a line under a keeper."""
    return kept(["sh", "-c", line], cwd=folder, env={"PATH": os.environ["PATH"], **env}, log=folder / "log", minutes=minutes)


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def keeper_of(pid: int) -> psutil.Process:
    """The keeper above a command."""
    found = psutil.Process(pid).parent()
    assert found
    assert "keeper.py" in " ".join(found.cmdline())
    return found


@pytest.mark.parametrize(
    ("line", "status", "killed"),
    [("exit 0", 0, False), ("exit 7", 7, False), ("kill -9 $$", 137, True), ("kill -15 $$", 143, True), ("kill -6 $$", 134, False)],
)
def test_the_exit_status_comes_back(line: str, status: int, killed: bool, tmp_path: Path) -> None:  # noqa: FBT001
    ended = run(line, tmp_path)
    assert (ended, ended.killed) == (Ended(status), killed)


def test_all_output_goes_behind_what_the_log_has(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    run("echo out; echo err >&2", tmp_path)
    assert (tmp_path / "log").read_text() == "before\nout\nerr\n"


def test_a_command_gets_its_input_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("said\n")
    for given in (tmp_path / "given", None):
        kept(["cat"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=tmp_path / "new" / "log", minutes=1, stdin=given)
    assert (tmp_path / "new" / "log").read_text() == "said\n"


def test_a_command_sees_the_given_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    run('echo "${SECRET-none} $GIVEN"', tmp_path, GIVEN="y")
    assert (tmp_path / "log").read_text() == "none y\n"


def test_a_command_has_no_descriptor_but_those_it_is_lent(tmp_path: Path) -> None:
    with (tmp_path / "lent").open("w") as lent, (tmp_path / "other").open("w"):
        kept(["sh", "-c", "ls -l /proc/$$/fd"], cwd=tmp_path, env=os.environ, log=tmp_path / "log", minutes=1, fds=[lent.fileno()])
    said = (tmp_path / "log").read_text()
    assert str(tmp_path / "lent") in said
    assert str(tmp_path / "other") not in said
    assert "pipe:" not in said.replace(f"{tmp_path}/log", "")


@pytest.mark.parametrize(("name", "status"), [("adw-no-such-program", 127), (".", 126)])
def test_a_program_that_cannot_be_run_is_named(name: str, status: int, tmp_path: Path) -> None:
    ended = kept([name], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=tmp_path / "log", minutes=1)
    assert ended == Ended(status)
    assert (tmp_path / "log").read_text().startswith(f"{name}: ")


def test_what_cannot_be_started_leaves_no_descriptor(tmp_path: Path) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        kept(["true"], cwd=tmp_path / "gone", env={}, log=tmp_path / "log", minutes=1)
    assert descriptors() == before


def test_a_time_limit_cuts_and_says_why(tmp_path: Path) -> None:
    ended = run("echo began; sleep 600", tmp_path, minutes=0.03)
    assert (ended.cut, ended.killed) == ("it took longer than 0.03 minutes", False)
    assert (tmp_path / "log").read_text() == "began\n"


def test_a_reason_of_the_watch_cuts(tmp_path: Path) -> None:
    reasons = iter(["", "too large"])
    ended = kept(["sleep", "600"], cwd=tmp_path, env=os.environ, log=tmp_path / "log", minutes=1, watch=lambda: next(reasons))
    assert (ended.cut, ended.killed) == ("too large", False)


def test_a_command_that_is_cut_may_clear_up(tmp_path: Path) -> None:
    run("trap 'echo bye; exit 0' TERM; echo $$ > pid; while :; do sleep 0.01; done", tmp_path, minutes=0.03)
    assert (tmp_path / "log").read_text().splitlines()[-1] == "bye"


def test_a_command_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    ended = run('trap "" TERM; echo $$ > pid; while :; do sleep 0.01; done', tmp_path, minutes=0.03)
    assert (ended.status, ended.cut != "") == (137, True)
    assert gone(number_in(tmp_path / "pid"))


def test_a_daemon_does_not_survive_the_commands_end(tmp_path: Path) -> None:
    assert run(DAEMON + WAITS + "exit 3", tmp_path) == Ended(3)
    assert gone(number_in(tmp_path / "daemon"))


def test_a_daemon_does_not_survive_a_cut(tmp_path: Path) -> None:
    assert run(DAEMON + WAITS + "sleep 600", tmp_path, minutes=0.03).cut
    assert gone(number_in(tmp_path / "daemon"))


def test_a_daemon_does_not_survive_adws_own_death(tmp_path: Path) -> None:
    with python(KEEPS, tmp_path, f"echo $$ > pid; {DAEMON} {WAITS} sleep 600") as adw:
        pids = [number_in(tmp_path / "pid"), number_in(tmp_path / "daemon")]
        pids.append(keeper_of(pids[0]).pid)
        assert adw.poll() is None
        assert not any(map(gone, pids))
    until(lambda: all(map(gone, pids)))


def test_nothing_survives_the_death_of_its_keeper(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        line = "echo $$ > pid; setsid sh -c 'echo $$ > child; sleep 600' & sleep 600"
        running = threads.submit(run, line, tmp_path, ADW_LEASE=str(tmp_path))  # of no other test run on this machine
        pids = [number_in(tmp_path / "pid"), number_in(tmp_path / "child")]
        keeper_of(pids[0]).kill()
        ended = running.result(timeout=60)
    assert (ended, ended.killed) == (Ended(137), True)
    assert all(map(gone, pids))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_keeper_is_not_ended_by_a_terminal(number: int, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, "echo $$ > pid; until test -e go; do sleep 0.01; done; exit 5", tmp_path)
        keeper_of(number_in(tmp_path / "pid")).send_signal(number)
        (tmp_path / "go").touch()
        assert running.result(timeout=60) == Ended(5)


def test_a_command_is_not_deaf_to_signals(tmp_path: Path) -> None:
    code = "import signal; print(*[signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGTERM, signal.SIGHUP)])"
    kept([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, env=os.environ, log=tmp_path / "log", minutes=1)
    assert (tmp_path / "log").read_text() == "True True\n"


def test_ending_all_ends_what_runs_and_begins_nothing_more(tmp_path: Path) -> None:
    with python(ENDS_ALL, tmp_path) as adw:
        out, _ = adw.communicate(timeout=60)
    assert out == "interrupted interrupted interrupted interrupted True False\n"
    assert all(gone(number_in(tmp_path / name / "pid")) for name in "abc")


def test_many_commands_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    def rounds(thread: int) -> list[tuple[Ended, str]]:
        found = []
        for turn in range(6):
            log = tmp_path / f"{thread}-{turn}"
            ended = kept(["sh", "-c", f"echo {thread}; exit {turn}"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=log, minutes=1)
            found.append((ended, log.read_text()))
        return found

    before = descriptors()
    with ThreadPoolExecutor(16) as threads:
        for thread, found in enumerate(threads.map(rounds, range(16))):
            assert found == [(Ended(turn), f"{thread}\n") for turn in range(6)]
    assert descriptors() == before


def test_a_life_that_ended_twice_leaves_anothers_descriptor_alone() -> None:
    life = proc._Life()  # noqa: SLF001 - closing twice is a race that only this shows each time
    life.end()
    read, write = os.pipe()  # takes the number that is free now
    life.end()
    os.write(write, b"x")
    assert os.read(read, 1) == b"x"
    for descriptor in (read, write, life.theirs):
        os.close(descriptor)


def test_a_sweep_finds_who_carries_the_marker_and_no_other(tmp_path: Path) -> None:
    ours, others = f"{tmp_path}", f"{tmp_path}-too"  # a sweep looks at the whole machine, where other tests may run
    mine, twin, other = [proc.spawn(["sleep", "600"], env={**os.environ, "ADW_LEASE": marker}, log=tmp_path / "log") for marker in (ours, ours, others)]
    swept = proc.sweep(ours)
    assert (swept, mine.wait(30) is None, twin.wait(30) is None, other.poll()) == (2, False, False, None)
    assert proc.sweep(others) == 1
    assert other.wait(30) is not None


def test_a_process_is_alive_until_it_ends_also_before_it_is_collected(tmp_path: Path) -> None:
    process = proc.spawn(["sleep", "600"], env=os.environ, log=tmp_path / "log")
    birth = proc.born(process.pid)
    assert (proc.alive(process.pid, birth), proc.alive(process.pid, birth - 100)) == (True, False)
    process.signal(signal.SIGKILL)
    until(lambda: not proc.alive(process.pid, birth))
    assert process.wait(30) == -9
    assert proc.born(process.pid) == 0.0


def test_a_leash_ends_when_we_do(tmp_path: Path) -> None:
    process = proc.spawn(["cat"], env=os.environ, log=tmp_path / "log", leash=True)
    assert process.wait(0) is None
    process.hang_up()
    assert process.wait(30) == 0
    process.signal(signal.SIGTERM)  # to nobody, and without an error
    assert process.poll() == 0


def test_a_process_is_told_things_and_tells_things_until_it_ends(tmp_path: Path) -> None:
    process = proc.converse(["sh", "-c", "echo lost >&2; cat"], env=os.environ, log=tmp_path / "log", cwd=tmp_path)
    lines = process.lines()
    for word in ("one", "two"):
        process.say(word)
        assert next(lines) == f"{word}\n"
    process.hang_up()
    assert (list(lines), process.wait(30), (tmp_path / "log").read_text()) == ([], 0, "lost\n")


def test_what_is_said_to_a_process_that_has_ended_is_an_error_and_hanging_up_is_none(tmp_path: Path) -> None:
    process = proc.converse(["true"], env=os.environ, log=tmp_path / "log", cwd=tmp_path)
    assert (list(process.lines()), process.wait(30)) == ([], 0)
    with pytest.raises(BrokenPipeError):
        process.say("anybody?")
    process.hang_up()


def test_a_command_that_nobody_waits_for_any_more_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    given_up = threading.Event()
    before = proc.unwanted.set(given_up.is_set)
    try:
        with ThreadPoolExecutor() as threads:
            argv = ["sh", "-c", f"echo $$ > {pid_file}; sleep 600"]
            run = partial(proc.kept, argv, cwd=tmp_path, env={"PATH": os.defpath}, log=tmp_path / "log", minutes=1)
            ended = threads.submit(contextvars.copy_context().run, run)
            pid = number_in(pid_file)
            given_up.set()
            with pytest.raises(Interrupted):
                ended.result()
        assert gone(pid)
    finally:
        proc.unwanted.reset(before)


def test_the_memory_of_a_command_and_its_tools_is_told_while_it_runs_and_when_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adw.pulse.EACH", 0.0)
    fifo, tool = tmp_path / "fifo", tmp_path / "tool.py"
    os.mkfifo(fifo)
    tool.write_text(f"x = bytearray(120_000_000)\nopen({str(fifo)!r}).read()\n")
    held: list[int] = []

    def let_go() -> str:
        if not held and proc.held()["a", "build"] > 120_000_000:
            held.append(proc.held()["a", "build"])
            fifo.write_text("go on")
        return ""

    env = {"ADW_ISSUE": "a", "ADW_PHASE": "build"}
    ended = kept(["sh", "-c", f"{sys.executable} {tool}; true"], cwd=tmp_path, env=env, log=tmp_path / "log", minutes=1, watch=let_go)
    assert ended.memory >= held[0]
    assert proc.held() == {}


def test_a_keeper_that_a_sweep_of_this_very_process_has_killed_and_waited_for_counts_as_killed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, "echo $$ > pid; sleep 600", tmp_path, ADW_LEASE="swept")
        number_in(tmp_path / "pid")
        assert proc.sweep("swept") >= 2
        ended = running.result(60)
    assert (ended.status, ended.killed) == (128 + signal.SIGKILL, True)
    assert not set(proc.keepers())
