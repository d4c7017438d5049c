"""Who uses what, with real processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adw import proc
from adw.processes import Trees, descendants
from tests.adw import tools
from tests.adw.tools import gone, number_in, until

MB = 10**6
BURN = "import time\nwhile time.process_time() < {}: pass\n"
HOLD = "held = b'a' * 200_000_000\n"
SAY = "import os\nopen('pid.new', 'w').write(str(os.getpid()) + '\\n')\nos.rename('pid.new', 'pid')\n"
WAIT = "import os, time\nwhile not os.path.exists('enough'): time.sleep(0.01)\n"

FORKS = """
import os
from adw.processes import Trees
held, trees = b"a" * 300_000_000, Trees(lambda: 0)
before = trees.look().adw_memory
ours, theirs = os.pipe()
if os.fork() == 0:
    os.close(theirs)
    os.read(ours, 1)  # until its parent ends
    os._exit(0)
print(before, trees.look().adw_memory)
"""


@pytest.fixture
def trees() -> Trees:
    return Trees(lambda: 0)


def python(code: str) -> list[str]:
    """The command of an agent: in a shell of its own, below its keeper."""
    return ["sh", "-c", 'setsid "$0" -I -S -c "$1" & wait', sys.executable, code]


def run(code: str, folder: Path) -> None:
    proc.kept(python(code), cwd=folder, env={"PATH": os.environ["PATH"]}, log=folder / "log", minutes=1)


@contextmanager
def at_work(code: str, folder: Path) -> Iterator[None]:
    """An agent in a folder, for the block; it ends when there is a file `enough`."""
    thread = threading.Thread(target=run, args=[code, folder])
    thread.start()
    try:
        number_in(folder / "pid")
        yield
    finally:
        (folder / "enough").touch()
        thread.join()


def test_what_an_agent_and_its_tools_hold_and_burn_is_not_adws(trees: Trees, tmp_path: Path) -> None:
    before = trees.look()
    with at_work(BURN.format(0.4) + HOLD + SAY + WAIT, tmp_path):
        now = trees.look()
        assert 200 * MB < now.agents_memory < 260 * MB
        assert now.adw_memory < before.adw_memory + 100 * MB
        assert now.agents_cpu - before.agents_cpu > 0.39
        assert now.adw_cpu - before.adw_cpu < 0.2
    after = trees.look()
    assert after.agents_memory == 0
    assert after.agents_cpu >= now.agents_cpu


def test_what_begins_and_ends_between_two_looks_counts_for_the_agents(trees: Trees, tmp_path: Path) -> None:
    before = trees.look()
    run(BURN.format(0.4), tmp_path)
    after = trees.look()
    assert after.agents_cpu - before.agents_cpu > 0.39
    assert after.adw_cpu - before.adw_cpu < 0.2


def test_a_child_that_is_only_just_forked_holds_nothing_of_its_own() -> None:
    with tools.python(FORKS) as process:
        told, _ = process.communicate(timeout=tools.LIMIT)
    before, now = map(int, told.split())
    assert 300 * MB < before <= now < before + 100 * MB


def test_what_adw_itself_starts_counts_for_adw(trees: Trees) -> None:
    before = trees.look()
    assert proc.heard([sys.executable, "-I", "-S", "-c", BURN.format(0.4)], 60)[0] == 0
    after = trees.look()
    assert after.adw_cpu - before.adw_cpu > 0.39
    assert after.agents_cpu == before.agents_cpu


def test_the_server_counts_for_adw_with_all_below_it_and_another_one_when_it_has_died(tmp_path: Path) -> None:
    code = HOLD + SAY + WAIT
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    # Not one of ours: an orphan of a shell, as the server's keeper is of whoever called adw first.
    for name in ("first", "second"):
        subprocess.run(["sh", "-c", f'"$0" -I -S -c "$1" & cd {tmp_path}', sys.executable, code], cwd=tmp_path / name, check=True, start_new_session=True)
    first, second = (number_in(tmp_path / name / "pid") for name in ("first", "second"))
    found = [0, second, first]
    trees = Trees(found.pop)
    before = Trees(lambda: 0).look().adw_memory
    assert trees.look().adw_memory > before + 190 * MB
    (tmp_path / "first" / "enough").touch()
    until(lambda: gone(first))
    assert trees.look().adw_memory > before + 190 * MB
    assert found == [0]
    (tmp_path / "second" / "enough").touch()
    until(lambda: gone(second))
    assert trees.look().adw_memory < before + 100 * MB


def test_a_tree_whose_processes_vanish_while_it_is_looked_at_is_no_trouble(trees: Trees, tmp_path: Path) -> None:
    storm = 'touch begun; while ! test -e enough; do (sh -c "sh -c true & true" &) ; done; echo $$ > pid'
    thread = threading.Thread(target=lambda: proc.kept(["sh", "-c", storm], cwd=tmp_path, env=dict(os.environ), log=tmp_path / "log", minutes=1))
    thread.start()
    until((tmp_path / "begun").exists)
    looks = [trees.look() for _ in range(60)]
    (tmp_path / "enough").touch()
    thread.join()
    assert [look.agents_cpu for look in looks] == sorted(look.agents_cpu for look in looks)
    assert [look.adw_cpu for look in looks] == sorted(look.adw_cpu for look in looks)
    assert descendants(2**22 + 1) == []
