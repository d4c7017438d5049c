import os
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from adw.errors import Misuse
from adw.home import Place
from adw.skills import Finding, Given, registry, skill, trees
from adw.skills.bench import KeptBench
from adw.skills.cache import TABLES, Results
from adw.skills.finding import Table, fresh
from adw.skills.running import Inputs, run_skills
from tests.adw import skillset
from tests.adw.tools import gone, number_in, python, until

Run = Callable[..., Table]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The skills of tests beside adw's own, for one test."""
    monkeypatch.setattr(registry, "_registered", dict(registry.known()))
    skillset.register()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three modules."""
    folder = tmp_path / "code"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.py").write_text(f"{name} = 1\n")
    return folder


@pytest.fixture
def run(folder: Path, home: Path) -> Run:
    def run(*names: str, seconds: float = 60, limit: int = 16, only: frozenset[str] | None = None) -> Table:
        return run_skills(names, inputs(folder, home, only), seconds=seconds, limit=limit)

    return run


def inputs(folder: Path, home: Path, only: frozenset[str] | None = None) -> Inputs:
    return Inputs(tree=trees.of_folder(folder), bench=KeptBench.by_hand(folder), place=Place(home / "place"), only=only)


def notes(folder: Path) -> list[str]:
    """What was run, in order; of the skills that hold the GIL with their files."""
    file = folder / skillset.NOTES
    return file.read_text().splitlines() if file.exists() else []


def said(table: Table) -> list[str]:
    return [str(finding) for finding in table.troubles]


def test_a_name_belongs_to_one_skill() -> None:
    with pytest.raises(Misuse, match=r"two skills are called counts: one of tests.adw.skillset:counts, and one of .*crashes"):
        skill("counts", version="1", about="")(skillset.crashes)


def test_a_name_that_is_not_known_is_answered_with_the_nearest(run: Run) -> None:
    with pytest.raises(Misuse, match="there is no skill 'analyze_secuirty': did you mean analyze_security"):
        run("analyze_secuirty")


def test_skills_that_wait_for_each_other_are_refused(run: Run) -> None:
    for one, other in (("egg", "hen"), ("hen", "egg")):
        skill(one, version="1", about="", after=(other,))(skillset.crashes if one == "egg" else skillset.counts)
    with pytest.raises(Misuse, match="these skills wait for each other: "):
        run("egg", "hen")


def test_a_skill_begins_when_those_have_ended_that_it_comes_after(run: Run, folder: Path) -> None:
    table = run("follows", "waits")
    assert [line.split()[0] for line in notes(folder)] == ["waits", "follows"]
    assert {finding.message for finding in table.findings} == {"waited", "followed"}


def test_a_skill_does_not_wait_for_one_that_is_not_asked_for(run: Run) -> None:
    assert [finding.source for finding in run("follows").findings] == ["follows"]


@pytest.mark.parametrize("limit", [1, 3, 16])
def test_no_more_skills_than_the_limit_run_at_once(limit: int, run: Run) -> None:
    now, most = set[str](), [0]

    def one(name: str) -> None:
        @skill(name, version="1", about="", scope="tree")
        async def waits(given: Given) -> list[Finding]:  # noqa: ARG001
            now.add(name)
            most.append(len(now))
            await anyio.sleep(0.05)
            now.discard(name)
            return []

    names = [f"wait{number}" for number in range(16)]
    for name in names:
        one(name)
    run(*names, limit=limit)
    assert max(most) == limit


def test_of_one_that_fails_and_one_that_crashes_it_is_said_and_the_others_stand(run: Run) -> None:
    table = run("fails", "crashes", "counts")
    assert [finding.file for finding in table.findings] == ["a.py", "b.py", "c.py"]
    assert "warning: failed: ZeroDivisionError: nothing to divide by in 3 (fails)" in said(table)
    assert any("failed: its process ended with status 134" in line and "(crashes)" in line for line in said(table))


def test_one_that_takes_too_long_is_ended_with_all_it_started_and_the_others_stand(run: Run, folder: Path) -> None:
    table = run("hangs", "counts", seconds=2)
    assert said(table) == ["warning: stopped: it took longer than 2 seconds (skills.seconds in adw.toml) (hangs)"]
    assert len(table.findings) == 3
    assert gone(number_in(folder / "pid.txt"))


def test_what_two_skills_say_of_the_same_line_is_in_the_table_once(run: Run) -> None:
    table = run("waits", "echoes")
    assert [(finding.line, finding.message) for finding in table.findings] == [(1, "waited"), (2, "waited")]


def test_what_holds_the_gil_runs_in_a_process_of_its_own(run: Run) -> None:
    assert str(os.getpid()) not in run("counts").findings[0].message


def test_what_is_known_is_not_looked_at_again(run: Run, folder: Path) -> None:
    first, again = run("counts"), run("counts")
    assert first.findings == again.findings
    assert len(notes(folder)) == 1
    assert [(ran.looked, ran.known) for table in (first, again) for ran in table.ran] == [(3, 0), (0, 3)]


def test_only_files_that_changed_are_looked_at_again(run: Run, folder: Path) -> None:
    run("counts")
    (folder / "b.py").write_text("b = 2\nc = 3\n")
    table = run("counts")
    assert notes(folder) == ["counts a.py b.py c.py", "counts b.py"]
    assert [finding.message.partition(",")[0] for finding in table.findings] == ["1 lines", "2 lines", "1 lines"]


def test_a_file_that_came_back_to_what_it_was_is_known(run: Run, folder: Path) -> None:
    before = (folder / "b.py").read_text()
    for text in (before, "b = 2\n", before):
        (folder / "b.py").write_text(text)
        run("counts")
    assert len(notes(folder)) == 2


def test_of_a_tree_all_is_looked_at_again_when_one_file_changed(run: Run, folder: Path) -> None:
    run("waits")
    (folder / "b.py").write_text("b = 2\n")
    run("waits")
    assert notes(folder) == ["waits a.py b.py c.py"] * 2


@pytest.mark.parametrize("changed", ["version", "config"])
def test_another_version_or_configuration_looks_again(changed: str, run: Run, folder: Path) -> None:
    skill("counts", version="1", about="", suffixes=(".py",), config="own.toml")(skillset.counts)
    run("counts")
    if changed == "config":
        (folder / "own.toml").write_text("x = 1\n")
    else:
        skill("counts", version="2", about="", suffixes=(".py",), config="own.toml")(skillset.counts)
    run("counts")
    assert len(notes(folder)) == 2


def test_of_ten_analyses_of_which_four_repeat_six_are_run(run: Run, folder: Path) -> None:
    for file in ("a.py", "b.py", "c.py"):  # of two skills: six analyses, and four of them once more
        for name in ("counts", "waits2"):
            skill("waits2", version="1", about="", suffixes=(".py",))(_notes_file)
            run(name, only=frozenset({file}))
    for file in ("a.py", "b.py"):
        run("counts", "waits2", only=frozenset({file}))
    assert len(notes(folder)) == 6


async def _notes_file(given: Given) -> list[Finding]:
    skillset.note(given, "waits2")
    return []


def lost() -> dict[str, str]:
    pytest.fail("the files were listed")


def test_of_a_whole_tree_that_is_known_not_even_the_files_are_listed(folder: Path, home: Path) -> None:
    known = inputs(folder, home)
    first = run_skills(["counts", "waits"], known)
    again = run_skills(["counts", "waits"], replace(known, tree=trees.Tree(known.tree.name, lost, lambda: folder)))
    assert again.findings == first.findings
    assert [(ran.name, ran.looked, ran.known) for ran in again.ran] == [("counts", 0, 3), ("waits", 0, 3)]
    with pytest.raises(pytest.fail.Exception, match="were listed"):
        run_skills(["counts"], replace(known, tree=trees.Tree(known.tree.name, lost, lambda: folder)))


def test_a_table_with_a_skill_that_failed_is_not_kept_whole(run: Run, folder: Path) -> None:
    for _ in range(2):
        assert len(run("fails", "counts").troubles) == 1
    assert len(notes(folder)) == 1


def test_a_table_without_a_tool_is_kept_until_the_tool_is_there(run: Run, folder: Path) -> None:
    tool = folder.parent / "bin" / "own-tool"
    skill("asks", version="1", about="", program=str(tool))(_asks)
    assert [said(run("asks")) for _ in range(2)] == [[f"note: not run: {tool} is not installed (asks)"]] * 2
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert not run("asks").troubles


async def _asks(given: Given) -> list[Finding]:
    given.tools.program(str(given.folder.parent / "bin" / "own-tool"))
    return []


def test_of_whole_tables_the_newest_are_kept(run: Run, folder: Path, home: Path) -> None:
    for number in range(TABLES + 3):
        (folder / "a.py").write_text(f"a = {number}\n")
        run("counts")
    with sqlite3.connect(Results(Place(home / "place").skills).file) as base:
        assert base.execute("SELECT count(*) FROM tables").fetchone() == (TABLES,)
    assert run("counts").ran[0].known == 3


def test_what_fails_is_not_kept(run: Run, folder: Path) -> None:
    run("crashes")
    skill("crashes", version="1", about="", suffixes=(".py",))(skillset.crashes)
    assert not Results(Place(folder.parent / "home" / "place").skills).known(["x"])
    assert len(run("crashes").troubles) == 1


SAME = """
import sys
from pathlib import Path
from adw.home import Place
from adw.skills import trees
from adw.skills.bench import KeptBench
from adw.skills.running import Inputs, run_skills
from tests.adw import skillset
skillset.register()
folder, place = Path(sys.argv[1]), Place(Path(sys.argv[2]))
print("ready", flush=True)
table = run_skills(sys.argv[3:], Inputs(tree=trees.of_folder(folder), bench=KeptBench.by_hand(folder), place=place))
print(len(table.findings), len(table.troubles), flush=True)
"""


def test_two_processes_that_ask_for_the_same_at_once_run_it_once(folder: Path, home: Path) -> None:
    with python(SAME, folder, home / "place", "counts", "waits") as one, python(SAME, folder, home / "place", "counts", "waits") as other:
        outs = [process.communicate(timeout=60)[0] for process in (one, other)]
    assert outs == ["ready\n4 0\n"] * 2
    assert sorted(line.split()[0] for line in notes(folder)) == ["counts", "waits"]


def test_threads_that_ask_for_the_same_at_once_run_it_once(run: Run, folder: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        tables = list(threads.map(lambda _: run("waits", "counts"), range(4)))
    assert len({table.findings for table in tables}) == 1
    assert sorted(line.split()[0] for line in notes(folder)) == ["counts", "waits"]


def test_after_a_kill_in_the_middle_the_next_one_finds_all(run: Run, folder: Path, home: Path) -> None:
    (folder / "wait").touch()
    with python(SAME, folder, home / "place", "counts") as killed:
        until(lambda: notes(folder))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    (folder / "wait").unlink()
    assert len(run("counts").findings) == 3
    assert not run("counts").ran[0].looked


@pytest.mark.parametrize("junk", [b"no database at all, but text" * 200, b""])
def test_a_damaged_cache_is_thrown_away(junk: bytes, run: Run, home: Path) -> None:
    results = Results(Place(home / "place").skills)
    first = run("counts")
    for file in results.folder.glob("*-wal"):
        file.unlink()
    results.file.write_bytes(junk)
    assert [finding.file for finding in run("counts").findings] == [finding.file for finding in first.findings]
    assert not run("counts").ran[0].looked


def test_a_damaged_page_of_the_cache_is_thrown_away(run: Run, home: Path) -> None:
    results = Results(Place(home / "place").skills)
    run("counts")
    with sqlite3.connect(results.file) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(results.file.read_bytes())
    content[100:] = os.urandom(len(content) - 100)
    results.file.write_bytes(content)
    assert len(run("counts").findings) == 3
    assert not run("counts").ran[0].looked


def test_without_a_place_to_keep_results_skills_run_all_the_same(run: Run, home: Path) -> None:
    place = Place(home / "place")
    place.root.mkdir()
    place.skills.write_text("a file where the folder was to be")
    assert len(run("counts").findings) == 3


def test_a_tool_that_is_not_there_is_one_line(run: Run) -> None:
    skill("counts", version="1", about="", suffixes=(".py",), tools=("no-such-distribution",))(skillset.counts)
    table = run("counts", "waits")
    assert said(table) == ["note: not run: no-such-distribution is not installed (counts)"]
    assert len(table.findings) == 1


def test_where_there_is_no_file_for_it_a_skill_costs_nothing(tmp_path: Path, home: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "code.txt").write_text("one\n")
    table = run_skills(registry.known(), inputs(tmp_path / "text", home))
    assert (table.findings, table.troubles) == ((), ())
    assert not (home / "place").exists()


GOOD = "from adw.skills import Finding, skill\n\n@skill('counts_x', version='3', about='x', suffixes=('.py',))\ndef counts_x(given):\n    return [Finding('counts_x', given.files[0], 1, 'note', 'seen')]\n"


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two installed packages with entry points: one is good, one is broken."""
    site = tmp_path / "site"
    site.mkdir()
    for name, text in {"good_skills": GOOD, "bad_skills": "1 / 0\n"}.items():
        (site / f"{name}.py").write_text(text)
        (site / f"{name}-1.dist-info").mkdir()
        (site / f"{name}-1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (site / f"{name}-1.dist-info" / "entry_points.txt").write_text(f"[adw.skills]\n{name} = {name}\n")
    monkeypatch.syspath_prepend(str(site))
    registry.broken.cache_clear()


def test_a_plug_in_brings_its_skills_and_a_broken_one_is_a_line(plugged: None, run: Run) -> None:  # noqa: ARG001
    try:
        assert registry.broken() == {"bad_skills": "ZeroDivisionError: division by zero"}
        assert registry.found("counts_x").version == "3"
        assert [str(finding) for finding in run("counts_x").findings] == ["a.py:1: note: seen (counts_x)"]
        with pytest.raises(Misuse, match="the plug-ins bad_skills could not be loaded"):
            registry.found("zzz")
    finally:
        registry.broken.cache_clear()


def found(*lines: int, message: str = "m") -> list[Finding]:
    return [Finding("s", "a.py", line, "note", message) for line in lines]


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        (found(3), found(3), []),
        (found(3), found(8), []),
        (found(3), found(3, 8), [8]),
        (found(8), found(3, 8), [3]),
        (found(3, 8), found(3), []),
        ([], found(3), [3]),
        (found(3, message="again, from line 1"), found(4, message="again, from line 2"), []),
        (found(3, message="11 > 10"), found(3, message="12 > 10"), [3]),
    ],
)
def test_new_is_what_there_was_less_of_wherever_it_stands(before: list[Finding], after: list[Finding], new: list[int]) -> None:
    assert [finding.line for finding in fresh(after, before)] == new
