import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from adw import guard, lock, proc
from adw.config import PoolConfig, SandboxConfig
from adw.errors import AgentCut, AgentFailed, DiskFull, GitFailed, SetupFailed
from adw.git import Git
from adw.mirror import Hub
from adw.model import Issue
from adw.phases import Site
from adw.pool import Holder, Pool
from adw.proc import kept
from adw.slot import Lease, Watch, rein
from tests.adw.tools import gone, number_in, python, until
from tests.conftest import Repository

TAKES = """
import os, sys, time
from pathlib import Path
from adw.config import PoolConfig
from adw.mirror import find_hub
from adw.model import Issue, Order
from adw.pool import Pool
from adw.proc import kept
repository, key, phase, line = sys.argv[1:]
hub = find_hub(Path(repository))
pool = Pool(hub, PoolConfig(size=1, memory_gb=0, disk_floor=0))
with pool.lease(hub.tip(), Order(run="r1", issue="i1", issue_key=key, phase=phase)) as lease:
    kept(["sh", "-c", line], cwd=lease.tree, env=lease.env, log=lease.tree.parent / "log", minutes=5, fds=lease.fds)
"""


def pool_of(hub: Hub, **settings: object) -> Pool:
    return Pool(hub, PoolConfig.model_validate({"size": 1, "memory_gb": 0, "disk_floor": 0, **settings}), SandboxConfig(mode="off"))


def do(lease: Lease, line: str) -> str:
    """Have sh run a line in a slot as an agent is run; what it printed."""
    log = lease.tree.parent / "log"
    log.unlink(missing_ok=True)
    ended = kept(["sh", "-c", line], cwd=lease.tree, env=lease.env, log=log, minutes=1, fds=lease.fds)
    assert ended.status == 0, log.read_text()
    return log.read_text().strip()


def leave(pool: Pool, site: Site, issue: Issue, line: str) -> None:
    """Lease a slot, and return it when a line for sh has run in it."""
    with pool.lease(pool.hub.tip(), site.order(issue, "build")) as lease:
        do(lease, line)


def names(tree: Path) -> list[str]:
    return sorted(path.name for path in tree.iterdir())


def made(hub: Hub) -> list[str]:
    """The slots that have a work tree."""
    return sorted(path.parent.name for path in hub.place.pool.glob("*/tree"))


def interrupted(hub: Hub, issue: Issue, line: str, phase: str = "build") -> list[int]:
    """Kill a process that has a lease when sh has done a line in the slot; the processes that it had started there."""
    slot = hub.place.pool / "1"
    for name in ("pid", "daemon"):
        (slot / name).unlink(missing_ok=True)
    line = f"setsid sh -c 'echo $$ > ../daemon; sleep 600' & {line}; echo $$ > ../pid; sleep 600"
    with python(TAKES, hub.path, issue.key, phase, line):
        return [number_in(slot / "pid"), number_in(slot / "daemon")]


def test_a_lease_is_the_commit_and_nothing_else(site: Site, repository: Repository, issue: Issue) -> None:
    with site.pool().lease(repository.tip, site.order(issue, "build")) as lease:
        (lease.tree / "stray").write_text("x")
        (lease.tree / "code.txt").unlink()
    with site.pool().lease(repository.tip, site.order(issue, "build")) as again:
        assert again.tree == lease.tree
        assert names(again.tree) == [".git", ".gitignore", "README.md", "code.txt"]


def test_a_slot_is_not_lent_twice(hub: Hub, site: Site, issue: Issue) -> None:
    pool, first_has_it, second_has_it = pool_of(hub), threading.Event(), threading.Event()

    def second() -> bool:
        first_has_it.wait(30)
        with pool.lease(hub.tip(), site.order(issue, "test")):
            second_has_it.set()
        return returned.is_set()

    returned = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(second)
        with pool.lease(hub.tip(), site.order(issue, "build")):
            first_has_it.set()
            assert not second_has_it.wait(0.3)
            returned.set()
        assert waiting.result(timeout=30)


def test_two_slots_are_lent_at_once(hub: Hub, site: Site, issue: Issue) -> None:
    pool = pool_of(hub, size=2)
    with pool.lease(hub.tip(), site.order(issue, "build")) as one, pool.lease(hub.tip(), site.order(issue, "test")) as other:
        assert {one.tree.parent.name, other.tree.parent.name} == {"1", "2"}
        assert one.env["ADW_PORT_BASE"] != other.env["ADW_PORT_BASE"]


def test_a_slot_that_was_made_is_lent_before_a_new_one_is_made(hub: Hub, site: Site, issue: Issue) -> None:
    for _ in range(3):
        leave(pool_of(hub, size=5), site, issue, "true")
    assert names(hub.place.pool) == ["1"]


def test_a_lease_is_of_the_commit_that_is_asked_for(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    first = repository.tip
    second = repository.commit("second", **{"code.txt": "two\n", "sp ace__größe.txt": "x"})
    hub.tip()
    for commit, text in ((second, "two\n"), (first, "one\n"), (second, "two\n")):
        with pool_of(hub).lease(commit, site.order(issue, "build")) as lease:
            assert (lease.tree / "code.txt").read_text() == text
            assert (lease.tree / "sp ace" / "größe.txt").exists() == (commit == second)
            assert do(lease, "git rev-parse HEAD") == commit


def test_what_is_kept_survives_and_what_is_ignored_does_not(hub: Hub, site: Site, issue: Issue) -> None:
    pool = pool_of(hub, keep=("cache", "*.keep"))
    leave(pool, site, issue, "mkdir -p cache/deep .venv && touch cache/deep/x a.keep .venv/y .env stray")
    with pool.lease(hub.tip(), site.order(issue, "build")) as lease:
        assert names(lease.tree) == [".git", ".gitignore", "README.md", "a.keep", "cache", "code.txt"]
        assert lease.git.snapshot() == lease.git.tree_of(hub.tip())


def test_ignored_files_of_the_checkout_are_copied(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    (repository.path / ".gitignore").write_text(".env\nlocal/\n*.key\n")
    for name in (".env", "local/deep/sp ace ö", "a.key"):
        (repository.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repository.path / name).write_text(name)
    (repository.path / ".worktreeinclude").write_text("# what tests need\nlocal\n")
    with pool_of(hub, include=(".env",)).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert ((lease.tree / ".env").read_text(), (lease.tree / "a.key").exists()) == (".env", False)
        assert (lease.tree / "local" / "deep" / "sp ace ö").read_text() == "local/deep/sp ace ö"


def test_what_is_included_is_new_for_each_lease(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    (repository.path / ".env").write_text("mine")
    pool = pool_of(hub, include=(".env",))
    leave(pool, site, issue, "echo changed > .env")
    with pool.lease(hub.tip(), site.order(issue, "build")) as lease:
        assert (lease.tree / ".env").read_text() == "mine"
    assert (repository.path / ".env").read_text() == "mine"


def test_what_is_included_is_no_part_of_a_change(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    (repository.path / "secret.txt").write_text("x")
    with pool_of(hub, include=("secret.txt",)).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert (lease.tree / "secret.txt").exists()
        assert lease.git.snapshot() == lease.git.tree_of(hub.tip())


def test_what_worktreeinclude_copies_is_no_part_of_a_change(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    (repository.path / "secret.txt").write_text("x")
    (repository.path / ".worktreeinclude").write_text("secret.txt\n")
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert lease.git.snapshot() == lease.git.tree_of(hub.tip())


def test_a_link_may_be_included_and_kept(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    (repository.path / ".venv").mkdir()
    (repository.path / ".venv" / "python").symlink_to(sys.executable)
    pool = pool_of(hub, include=(".venv",))
    leave(pool, site, issue, "test -L .venv/python")
    leave(pool, site, issue, "test -L .venv/python")


def test_setup_runs_again_only_when_its_file_or_its_command_changed(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    pool = pool_of(hub, setup="echo ran >> ../runs", setup_files=("lock ö.txt",))
    runs = hub.place.pool / "1" / "runs"
    for number, change in enumerate(({"lock ö.txt": "1"}, {"code.txt": "2"}, {"lock ö.txt": "2"}, {}), 1):
        if change:
            repository.commit(f"{number}", **change)
        leave(pool, site, issue, "true")
    assert runs.read_text() == "ran\n" * 2
    leave(pool_of(hub, setup="echo other >> ../runs", setup_files=("lock ö.txt",)), site, issue, "true")
    assert runs.read_text() == "ran\nran\nother\n"


def test_a_setup_that_failed_is_run_again(hub: Hub, site: Site, issue: Issue) -> None:
    pool = pool_of(hub, setup="echo no such registry; echo ran >> ../runs; test -e ../mended")
    for _ in range(2):
        with pytest.raises(SetupFailed, match=r"the setup command .* failed \(exit status 1\):\nno such registry"):
            leave(pool, site, issue, "true")
    (hub.place.pool / "1" / "mended").touch()
    leave(pool, site, issue, "true")
    leave(pool, site, issue, "true")
    assert (hub.place.pool / "1" / "runs").read_text() == "ran\n" * 3


def test_a_setup_that_hangs_is_cut(hub: Hub, site: Site, issue: Issue) -> None:
    with pytest.raises(SetupFailed, match=r"it took longer than 0\.005 minutes"):
        leave(pool_of(hub, setup="sleep 600", setup_minutes=0.005), site, issue, "true")


@pytest.mark.parametrize(
    "line",
    [
        "rm .git",
        "rm .git && git init --quiet",
        "git config user.name Mallory && git config core.fsmonitor 'touch /tmp/never' && git config core.worktree /",
        "mkdir -p ../git/hooks && printf '#!/bin/sh\\nexit 1\\n' > ../git/hooks/reference-transaction && chmod +x ../git/hooks/reference-transaction",
        "git checkout --quiet -b mine && echo x > x && git add x && git commit --quiet -m mine && git tag v1 && git update-ref refs/heads/main HEAD",
        "git stash --include-untracked || true; git gc --quiet --prune=now; rm -rf ../git",
        "rm -f ../index && echo garbage > ../index",
        "touch ../index.lock",
    ],
)
def test_nothing_that_is_done_to_a_slots_git_has_an_effect(line: str, hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    def outside() -> list[object]:
        return [git.refs() for git in (hub.git, hub.mirror)] + [(git.directory / "config").read_text() for git in (hub.git, hub.mirror)]

    pool = pool_of(hub)
    leave(pool, site, issue, "true")
    before = outside()
    leave(pool, site, issue, line)
    with pool.lease(repository.tip, site.order(issue, "build")) as lease:
        assert do(lease, "git status --porcelain; git branch --list; git config user.name; git log --format=%s") == "* (no branch)\nagent\nfirst"
        assert names(lease.tree) == [".git", ".gitignore", "README.md", "code.txt"]
    assert outside() == before


@pytest.fixture
def with_submodule(hub: Hub, repository: Repository, tmp_path: Path) -> str:
    """A commit of a submodule, which the hub then has in `sub`."""
    (tmp_path / "inner").mkdir()
    inner = Repository(tmp_path / "inner")
    inner.git("init", "--quiet", "-b", "main")
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.invalid")):
        inner.git("config", key, value)
    sha = inner.commit("inner", **{"a.txt": "a\n", ".gitattributes": "* filter=evil\n"})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{sha},sub")
    repository.git("commit", "--quiet", "-m", "a submodule")
    hub.tip()
    return sha


def fills(tmp_path: Path, sha: str) -> str:
    """A line that fills the submodule, at its commit, with one whose configuration names a program as filter and as monitor."""
    lines = [f"git clone --quiet {tmp_path}/inner sub && cd sub && git checkout --quiet {sha}", "touch -d 2001-01-01 a.txt"]
    lines += [f"git config {key} 'touch {tmp_path}/canary; cat'" for key in ("filter.evil.clean", "core.fsmonitor")]
    return " && ".join(lines)


def test_no_filter_of_a_submodule_runs_when_a_tree_is_taken_up(hub: Hub, site: Site, issue: Issue, tmp_path: Path, with_submodule: str) -> None:
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        do(lease, f"echo x > new; {fills(tmp_path, with_submodule)}")
        assert hub.mirror.touched(hub.tip(), lease.snapshot()) == ["new"]
    assert not (tmp_path / "canary").exists()


def test_a_submodule_that_was_filled_or_replaced_comes_clean(hub: Hub, site: Site, issue: Issue, tmp_path: Path, with_submodule: str) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis").write_text("x")
    for line in (fills(tmp_path, with_submodule), f"rm -rf sub && ln -s {tmp_path}/precious sub", "rm -rf sub", "rm -rf sub && echo x > sub"):
        leave(pool_of(hub), site, issue, line)
        with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
            assert names(lease.tree) == [".git", ".gitignore", "README.md", "code.txt", "sub"]
            assert names(lease.tree / "sub") == []
            assert lease.snapshot() == lease.git.tree_of(hub.tip())
    assert names(tmp_path / "precious") == ["thesis"]
    assert not (tmp_path / "canary").exists()


def test_another_repository_is_no_part_of_a_change(hub: Hub, site: Site, issue: Issue) -> None:
    line = "git init --quiet inner && cd inner && git -c user.name=a -c user.email=a commit --quiet --allow-empty -m x"
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        do(lease, line)
        for _ in range(2):
            with pytest.raises(GitFailed, match=r"there is another git repository in .*: inner"):
                lease.snapshot()


def test_an_agents_own_folder_has_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    folder = tmp_path / "agent"
    (folder / "deep").mkdir(parents=True)
    for name, target in {
        "config.toml": "../precious/new",
        "deep/out": str(tmp_path / "precious"),
        "deep/in": "../real",
        "loop": "loop/x",
        "lost": "none",
    }.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "settings.json")
    (folder / "real").write_text("x")
    rein(folder)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["deep", "deep/in", "loop", "lost", "real"]


PIPES = ["mkfifo .gitattributes", "mkdir d && mkfifo d/.gitignore", "mkdir -p d/.git/objects d/.git/refs && mkfifo d/.git/HEAD && chmod -R a-w d"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", PIPES)
def test_git_does_not_wait_for_who_writes_into_a_pipe(line: str, hub: Hub, site: Site, issue: Issue) -> None:
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        do(lease, f"echo x > new; {line}")
        assert hub.mirror.touched(hub.tip(), lease.snapshot()) == ["new"]
    leave(pool_of(hub), site, issue, line)
    leave(pool_of(hub), site, issue, "test -f code.txt")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[None]:
    """Whatever becomes of it, pytest cannot remove it."""
    yield
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


@pytest.mark.usefixtures("deep")
def test_what_is_too_deep_for_git_and_python_comes_clean(hub: Hub, site: Site, issue: Issue) -> None:
    code = "import os; [(os.mkdir('deeper'), os.chdir('deeper')) for _ in range(3000)]; open('x', 'w').close()"
    leave(pool_of(hub), site, issue, f'{sys.executable} -c "{code}"')
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert names(lease.tree) == [".git", ".gitignore", "README.md", "code.txt"]


def test_what_is_included_does_not_follow_a_link_out_of_what_was_kept(hub: Hub, site: Site, issue: Issue, repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "token").write_text("thesis")
    (repository.path / ".venv").mkdir()
    (repository.path / ".venv" / "token").write_text("mine")
    pool = pool_of(hub, include=(".venv",))
    leave(pool, site, issue, f"rm -rf .venv && ln -s {tmp_path}/precious .venv")
    with pool.lease(hub.tip(), site.order(issue, "build")) as lease:
        assert (lease.tree / ".venv" / "token").read_text() == "mine"
    assert (tmp_path / "precious" / "token").read_text() == "thesis"


def test_a_note_in_the_lock_has_nobody_killed(hub: Hub, site: Site, issue: Issue, tmp_path: Path) -> None:
    leave(pool_of(hub), site, issue, "true")
    other = proc.spawn(["sleep", "600"], env={**os.environ, "ADW_LEASE": str(tmp_path)}, log=tmp_path / "log")
    forged = Holder(lease=str(tmp_path), pid=0, birth=0.0, issue_key=issue.key, commit=hub.tip(), phase="build")
    (hub.place.pool / "1" / "lock").write_text(json.dumps(asdict(forged)))
    assert pool_of(hub).reconcile() == 0
    leave(pool_of(hub), site, issue, "true")
    assert other.poll() is None
    assert proc.sweep(str(tmp_path)) == 1
    other.wait(30)


def test_git_works_in_a_slot(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    repository.commit("second", **{"code.txt": "two\n"})
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert do(lease, "git log --format=%s && git show HEAD^:code.txt && git status --porcelain") == "second\nfirst\none"
        assert do(lease, "echo x > code.txt && git add . && git commit --quiet -m mine && git log --format=%an -1 && git diff --stat HEAD^") != ""
        assert do(lease, "git stash list && git rev-parse --show-toplevel") == str(lease.tree)


def test_a_holder_sees_no_more_of_the_environment_than_it_needs(hub: Hub, site: Site, issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "GIT_DIR", "PYTHONPATH", "NEEDED", "LANG"):
        monkeypatch.setenv(name, f"of adw: {name}")
    with pool_of(hub, env=("NEEDED", "NOT_THERE")).lease(hub.tip(), replace(site.order(issue, "build"), attempt=3)) as lease:
        seen = dict(line.split("=", 1) for line in do(lease, "env").splitlines())
    slot = hub.place.pool / "1"
    assert not {"AWS_SECRET_ACCESS_KEY", "GIT_DIR", "PYTHONPATH", "NOT_THERE", "ADW_HOME"} & set(seen)
    assert (seen["NEEDED"], seen["LANG"], seen["HOME"], seen["TMPDIR"]) == ("of adw: NEEDED", "of adw: LANG", str(slot / "home"), str(slot / "tmp"))
    assert [seen[f"ADW_{name}"] for name in ("RUN", "ISSUE", "PHASE", "TRY", "SLOT")] == ["r1", "i1", "build", "3", "1"]


def test_a_holders_home_is_empty(hub: Hub, site: Site, issue: Issue) -> None:
    leave(pool_of(hub), site, issue, 'mkdir "$HOME/.ssh" && touch "$HOME/.gitconfig" "$TMPDIR/x"')
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert do(lease, 'ls -A "$HOME" "$TMPDIR" | grep -v : || true') == ""


@pytest.mark.parametrize(
    "line",
    [
        "mkdir -p a/b && touch a/b/c && chmod -R a-w . ../home",
        "mkdir code.d && mv code.txt code.d && mkdir code.txt",
        'rm -rf "$PWD" && mkdir "$PWD"',
        "git init --quiet inner && touch inner/x && git init --quiet --bare bare.git",
        'mkdir "$HOME/ro" && touch "$HOME/ro/x" && chmod a-w "$HOME/ro" && rm -rf ../tmp && touch ../tmp',
        "ln -s / root && rm README.md && ln -s /etc/passwd README.md",
    ],
)
def test_a_slot_comes_clean_whatever_was_done_to_it(line: str, hub: Hub, site: Site, issue: Issue) -> None:
    leave(pool_of(hub), site, issue, line)
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert names(lease.tree) == [".git", ".gitignore", "README.md", "code.txt"]
        assert do(lease, 'cat code.txt README.md && test -d "$TMPDIR" && git status --porcelain') == "one\nabout"


def test_a_tree_that_was_replaced_by_a_file_comes_clean(hub: Hub, site: Site, issue: Issue) -> None:
    leave(pool_of(hub), site, issue, 'rm -rf "$PWD" && touch "$PWD"')
    leave(pool_of(hub), site, issue, "test -f code.txt")


def test_a_tree_that_was_replaced_by_a_link_is_not_followed(hub: Hub, site: Site, issue: Issue, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis").write_text("x")
    leave(pool_of(hub), site, issue, f'rm -rf "$PWD" && ln -s {tmp_path}/precious "$PWD"')
    leave(pool_of(hub), site, issue, "test -f code.txt")
    assert names(tmp_path / "precious") == ["thesis"]


def test_what_a_killed_holder_wrote_is_pinned_before_its_slot_is_lent_again(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    pids = interrupted(hub, issue, "echo half > half.txt; rm code.txt")
    with pool_of(hub).lease(repository.tip, site.order(issue, "test")) as lease:
        assert all(map(gone, pids))
        assert names(lease.tree) == [".git", ".gitignore", "README.md", "code.txt"]
    assert repository.git("diff", "--name-status", "main", f"refs/adw/{issue.key}/rescued-1") == "D\tcode.txt\nA\thalf.txt"
    assert repository.git("log", "-1", "--format=%s", f"refs/adw/{issue.key}/rescued-1") == "What an interrupted build of i1 had written"


def test_reconciling_takes_back_what_killed_holders_had(hub: Hub, issue: Issue) -> None:
    pids = interrupted(hub, issue, "echo half > half.txt")
    assert until(pool_of(hub).reconcile) == 1
    assert all(map(gone, pids))
    assert list(hub.git.refs("refs/adw")) == [f"refs/adw/{issue.key}/rescued-1"]
    assert pool_of(hub).reconcile() == 0


def test_reconciling_takes_nothing_from_who_lives(hub: Hub, site: Site, issue: Issue) -> None:
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        (lease.tree / "half.txt").write_text("x")
        assert (pool_of(hub).reconcile(), hub.mirror.refs("refs/adw")) == (0, {})


def test_each_interrupted_try_is_pinned_beside_the_others(hub: Hub, issue: Issue) -> None:
    for number in (1, 2):
        interrupted(hub, issue, f"echo {number} > half.txt")
        assert until(pool_of(hub).reconcile) == 1
    assert sorted(hub.git.refs("refs/adw")) == [f"refs/adw/{issue.key}/rescued-{number}" for number in (1, 2)]


@pytest.mark.parametrize(("phase", "line"), [("build", "touch .env"), ("test", "touch x"), ("review", "touch x")])
def test_what_is_not_worth_it_is_not_pinned(phase: str, line: str, hub: Hub, issue: Issue) -> None:
    interrupted(hub, issue, line, phase)
    assert (until(pool_of(hub).reconcile), hub.git.refs("refs/adw")) == (1, {})


@pytest.mark.parametrize(("error", "pinned"), [(AgentFailed, 0), (SetupFailed, 0), (AgentCut, 1), (KeyboardInterrupt, 1)])
def test_what_was_cut_is_pinned_and_what_failed_is_not(error: type[BaseException], pinned: int, hub: Hub, site: Site, issue: Issue) -> None:
    def work() -> None:
        with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
            (lease.tree / "half.txt").write_text("x")
            raise error

    with pytest.raises(error):
        work()
    leave(pool_of(hub), site, issue, "true")
    assert len(hub.git.refs("refs/adw")) == pinned


def test_a_slot_can_be_lent_after_a_holder_was_killed_whatever_it_left(hub: Hub, site: Site, issue: Issue) -> None:
    interrupted(hub, issue, "git init --quiet inner; touch inner/x")
    leave(pool_of(hub), site, issue, "test -f code.txt")


def test_nothing_is_written_where_too_little_room_is(hub: Hub, site: Site, issue: Issue) -> None:
    with pytest.raises(DiskFull, match="100 % must stay so"):
        leave(pool_of(hub, disk_floor=100), site, issue, "true")
    assert names(hub.place.pool) == []


def test_idle_slots_make_room(hub: Hub, site: Site, issue: Issue) -> None:
    leave(pool_of(hub), site, issue, "true")
    with pytest.raises(DiskFull):
        leave(pool_of(hub, disk_floor=100), site, issue, "true")
    assert made(hub) == []


def test_an_idle_slot_is_removed_and_a_lent_one_is_not(hub: Hub, site: Site, issue: Issue) -> None:
    pool = pool_of(hub, size=2)
    with pool.lease(hub.tip(), site.order(issue, "build")) as lease:
        leave(pool, site, issue, "true")
        assert (pool.remove_idle(), made(hub)) == (1, [lease.tree.parent.name])
        assert do(lease, "cat code.txt") == "one"
    assert (pool.remove_idle(), made(hub)) == (1, [])


def test_what_a_killed_holder_wrote_is_pinned_before_its_slot_is_removed(hub: Hub, issue: Issue) -> None:
    pids = interrupted(hub, issue, "echo half > half.txt")
    assert until(pool_of(hub).remove_idle) == 1
    assert all(map(gone, pids))
    assert list(hub.git.refs("refs/adw")) == [f"refs/adw/{issue.key}/rescued-1"]


REMOVES = """
import sys
from pathlib import Path
from adw.mirror import find_hub
from adw.pool import Pool
print(Pool(find_hub(Path(sys.argv[1]))).remove_idle())
"""


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_slot_with_read_only_folders_is_removed(hub: Hub, site: Site, issue: Issue) -> None:
    leave(pool_of(hub), site, issue, 'mkdir -p "$HOME/go/pkg" && touch "$HOME/go/pkg/x" && chmod a-w "$HOME/go/pkg"')
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    with python(REMOVES, hub.path, prefix=prefix) as remover:
        out, _ = remover.communicate(timeout=60)
    assert out == "1\n"


def test_a_slot_that_grows_too_large_is_said(tmp_path: Path) -> None:
    watch = Watch(tmp_path, limit=1 / guard.GB, floor=0)
    (tmp_path / "x").write_text("x")
    assert watch() == ""
    (tmp_path / "x").write_text("xx")
    assert watch() == ""  # it was measured a moment ago
    watch.due = 0
    assert "it filled its slot with more than" in watch()


def test_a_disk_that_is_nearly_full_is_said(tmp_path: Path) -> None:
    assert Watch(tmp_path, limit=1, floor=200)() == "the disk is nearly full: less than 100 % is free"


def test_what_a_holder_writes_into_its_tmpdir_counts(hub: Hub, site: Site, issue: Issue) -> None:
    with pool_of(hub, slot_gb=1e-3).lease(hub.tip(), site.order(issue, "build")) as lease:
        do(lease, 'head -c 3000000 /dev/zero > "$TMPDIR/x"')
        assert "it filled its slot" in lease.watch()


def test_a_pool_has_a_base_path_of_its_own(hub: Hub, site: Site, issue: Issue, tmp_path: Path) -> None:
    pool = pool_of(hub, base_path=str(tmp_path / "fast ö"))
    with pool.lease(hub.tip(), site.order(issue, "build")) as lease:
        assert lease.tree == tmp_path / "fast ö" / hub.place.root.name / "1" / "tree"
        assert do(lease, "git log --format=%s") == "first"


def test_a_holders_note_that_was_cut_off_is_nobodys(hub: Hub, site: Site, issue: Issue) -> None:
    leave(pool_of(hub), site, issue, "true")
    (hub.place.pool / "1" / "holder").write_text('{"lease": "x", "pi')
    assert pool_of(hub).reconcile() == 0
    leave(pool_of(hub), site, issue, "test -f code.txt")


def test_a_slot_is_held_by_what_works_in_it(hub: Hub, site: Site, issue: Issue) -> None:
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        held = [descriptor for descriptor in lease.fds if Path(f"/proc/self/fd/{descriptor}").readlink() == hub.place.pool / "1" / "lock"]
        assert len(held) == 1
        assert lock.try_lock(hub.place.pool / "1" / "lock") is None


def test_a_mirrors_objects_are_all_that_a_slot_needs(hub: Hub, site: Site, issue: Issue) -> None:
    with pool_of(hub).lease(hub.tip(), site.order(issue, "build")) as lease:
        assert Git(lease.tree.parent / "git").find("HEAD") == hub.tip()
        assert (lease.tree.parent / "git" / "objects" / "info" / "alternates").read_text() == f"{hub.mirror.directory}/objects\n"
