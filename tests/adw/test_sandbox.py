"""What hostile agents try: each attempt fails, or has no effect on what adw and the user later run."""

import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from adw import landing, lock, phases, proc, sandbox, server
from adw.config import PoolConfig, SandboxConfig
from adw.errors import Misuse
from adw.mirror import Hub, find_hub, sync
from adw.model import Arrival, Attempt, Issue, Order, Plan
from adw.phases import Site
from adw.pool import Pool
from adw.proc import Ended, kept
from adw.slot import Lease
from tests.adw.tools import gone, python, until
from tests.conftest import Repository, make_site

REASON = sandbox.why_not(SandboxConfig())
needs_bwrap = pytest.mark.skipif(REASON != "" and not os.environ.get("CI"), reason=REASON)  # in CI it must be there

KEEPS = """
import os, sys
from pathlib import Path
from adw.proc import kept
log, *argv = sys.argv[1:]
kept(argv, cwd="/", env=os.environ, log=Path(log), minutes=5)
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the user."""
    folder = tmp_path / "user"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "id").write_text("the user's key")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def pool(hub: Hub, user: Path) -> Pool:  # noqa: ARG001 - it decides what is hidden
    return pool_of(hub)


def pool_of(hub: Hub, size: int = 1, setup: str = "", **settings: object) -> Pool:
    config = PoolConfig(size=size, memory_gb=0, disk_floor=0, setup=setup)
    return Pool(hub, config, SandboxConfig.model_validate({"mode": "required", **settings}))


def tip_of(pool: Pool) -> str:
    return str(next(iter(pool.hub.mirror.refs("refs/hub/main").values())))


@contextmanager
def leased(pool: Pool) -> Iterator[Lease]:
    with pool.lease(tip_of(pool), Order(run="r1", issue="i1", issue_key="i1-key", phase="build")) as lease:
        yield lease


def do(lease: Lease, line: str, minutes: float = 1, *, agent: bool = True, edits: bool = True) -> tuple[Ended, str]:
    """Have sh run a script in the sandbox; how it ended, and what it printed."""
    log, script = lease.tree.parent / "log", lease.tree.parent / "tmp" / "script"
    log.unlink(missing_ok=True)
    script.write_text(line)  # a line on the command line may name what it must see
    ended = kept(lease.boxed(["sh", str(script)], agent=agent, edits=edits), cwd=lease.tree, env=lease.env, log=log, minutes=minutes, fds=lease.fds)
    return ended, log.read_text().strip()


def ask(pool: Pool, line: str) -> str:
    """What sh prints for a line in the sandbox of a lease."""
    with leased(pool) as lease:
        return do(lease, line)[1]


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """All files below a folder, each with what changes when it is written."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*") if not path.is_dir()}


def of(token: str) -> list[int]:
    """The processes on this machine that have a word in their command line, bubblewrap itself aside."""
    found = [p for p in psutil.process_iter(["cmdline", "name"]) if p.info["name"] != "bwrap" and token in (p.info["cmdline"] or [])]
    return [p.pid for p in found if not gone(p.pid)]


# Where an agent tries to write, below the folder that everything of the user's and of adw's is in.
TARGETS = {
    "the checkout": "repo/code.txt",
    "a hook": "repo/.git/hooks/post-checkout",
    "the user's configuration of git": "repo/.git/config",
    "the user's attributes": "repo/.git/info/attributes",
    "the home": "user/.bashrc",
    "adw's folder": "home/config.toml",
    "the mirror": "home/repositories/{place}/mirror.git/config",
    "the mirror's objects": "home/repositories/{place}/mirror.git/objects/info/alternates",
    "the note of a slot's holder": "home/repositories/{place}/pool/1/holder",
    "a slot's lock": "home/repositories/{place}/pool/1/lock",
    "adw's own index": "home/repositories/{place}/pool/1/index",
    "what setup last ran for": "home/repositories/{place}/pool/1/setup",
    "the slot's configuration of git": "home/repositories/{place}/pool/1/git/config",
    "a hook of the slot": "home/repositories/{place}/pool/1/git/hooks/post-checkout",
    "the slot's alternates": "home/repositories/{place}/pool/1/git/objects/info/alternates",
    "where the slot's git directory is": "home/repositories/{place}/pool/1/tree/.git",
    "another slot": "home/repositories/{place}/pool/2/tree/code.txt",
}


@needs_bwrap
@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_an_agent_cannot_write(target: str, exposed: bool, hub: Hub, user: Path, tmp_path: Path) -> None:  # noqa: FBT001
    pool = pool_of(hub, size=2, writable=(str(tmp_path),) if exposed else ())  # even if all around is writable
    path = tmp_path / target.format(place=hub.place.root.name)
    with leased(pool), leased(pool) as other:
        (other.tree.parent / "log").touch()
    with leased(pool) as lease:
        before = everything(tmp_path)
        do(lease, f'rm -rf "{path}"; mkdir -p "{path.parent}"; echo x > "{path}"; ln -sf /etc/passwd "{path}"')
        after = everything(tmp_path)
    ours = {str(lease.tree.parent / "log"), str(lease.tree.parent / "tmp" / "script")}
    allowed = {str(user / ".bashrc")} if exposed else set()  # it was configured to be writable
    assert {name for name in before | after if before.get(name) != after.get(name)} - ours <= allowed


@needs_bwrap
@pytest.mark.parametrize("path", ["user/.ssh/id", "home/prefect/server.json", "repo/.env", "home/repositories/{place}/runs/r1/run.json"])
def test_an_agent_cannot_read(path: str, pool: Pool, tmp_path: Path) -> None:
    path = path.format(place=pool.hub.place.root.name)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("secret")
    assert ask(pool, f'cat "{tmp_path / path}"').endswith("No such file or directory")


@needs_bwrap
@pytest.mark.parametrize("where", ["home", "repo/.adw", "user/.local/state/adw", "a link", "its server elsewhere"])
@pytest.mark.usefixtures("user")
def test_the_login_of_adws_server_is_not_there_wherever_it_lies(where: str, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for link in ("a link", "its server elsewhere/prefect"):
        (tmp_path / "another disk").mkdir(exist_ok=True)
        (tmp_path / link).parent.mkdir(exist_ok=True)
        (tmp_path / link).symlink_to(tmp_path / "another disk")
    monkeypatch.setenv("ADW_HOME", str(tmp_path / where))
    server.folder().mkdir(parents=True, exist_ok=True)
    (server.folder() / "login").write_text("quite-secret")
    hub = find_hub(repository.path)
    sync(hub)
    line = f"cd '{tmp_path}' && grep -rs quite[-]secret . /proc/*/environ; cat < '{server.folder()}/login'; cat code.txt repo/code.txt"
    said = ask(pool_of(hub, readable=(str(tmp_path),), writable=(str(tmp_path),)), line).splitlines()
    assert ("No such file" in said[0], said[1:]) == (True, ["cat: code.txt: No such file or directory", "one"])


@needs_bwrap
def test_what_lies_elsewhere_is_read_only(pool: Pool) -> None:
    assert ask(pool, "head -c 4 /etc/passwd && touch /etc/adw-was-here").endswith("Read-only file system")


@needs_bwrap
def test_an_agent_works_in_its_slot(pool: Pool) -> None:
    line = 'echo two > code.txt && echo x > new && echo x > "$HOME/x" && echo x > "$TMPDIR/x" && git status --short && git log --format=%s && pwd'
    with leased(pool) as lease:
        assert do(lease, line) == (Ended(0), f"M code.txt\n?? new\nfirst\n{lease.tree}")
        assert pool.hub.mirror.touched(tip_of(pool), lease.snapshot()) == ["code.txt", "new"]


@needs_bwrap
def test_who_may_only_read_leaves_the_tree_as_it_is(pool: Pool) -> None:
    with leased(pool) as lease:
        ended, said = do(lease, 'cat code.txt && touch "$TMPDIR/x" && touch new', edits=False)
    assert (ended.status, said.splitlines()[0], "Read-only" in said) == (1, "one", True)


@needs_bwrap
def test_a_folder_that_is_lent_is_writable_and_one_that_is_shown_is_not(pool: Pool, tmp_path: Path) -> None:
    folders = [tmp_path / "lent", tmp_path / "shown"]
    for folder in folders:
        folder.mkdir()
    with leased(pool) as lease:
        argv = lease.boxed(["sh", "-c", f"cd {tmp_path} && ls && touch lent/x && touch shown/x"], writable=folders[:1], readable=folders[1:])
        ended = kept(argv, cwd=lease.tree, env=lease.env, log=tmp_path / "log", minutes=1)
    said = (tmp_path / "log").read_text()
    assert (ended.status, said.split()[:3], "Read-only" in said) == (1, ["home", "lent", "shown"], True)
    assert [list(folder.iterdir()) for folder in folders] == [[tmp_path / "lent" / "x"], []]


@needs_bwrap
def test_no_other_process_is_seen_or_reached(pool: Pool, tmp_path: Path) -> None:
    other = proc.spawn(["sleep", "600"], env={"PATH": os.environ["PATH"], "API_KEY": "not-yours"}, log=tmp_path / "other")
    try:
        line = f"cat /proc/*/environ | tr '\\0' '\\n' | grep -c not-yours; cat /proc/{other.pid}/environ; kill -9 {other.pid}; true"
        said = ask(pool, line)
        assert said.splitlines()[0] == "0"
        assert (other.poll(), "not-yours" in said) == (None, False)
    finally:
        other.signal(signal.SIGKILL)
        other.wait(30)


@needs_bwrap
def test_root_inside_is_nobody_to_the_kernel(pool: Pool) -> None:
    line = "grep CapEff /proc/self/status; cat /proc/sys/kernel/hostname > /dev/null; for f in $(find /proc/sys /proc/bus /proc/irq /proc/fs -writable -type f); do echo $f; done"
    assert ask(pool, line).split() == ["CapEff:", "0" * 16]


@needs_bwrap
def test_a_socket_in_a_hidden_folder_cannot_be_reached(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("agent.sock")
        server.listen()
        line = f"cd {tmp_path} && python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"agent.sock\")'"
        assert ask(pool, line).endswith("No such file or directory")
        assert ask(pool_of(pool.hub, readable=(str(tmp_path),)), line) == ""  # a socket that is shown answers


@needs_bwrap
def test_the_network_is_off_for_tests_and_setup_and_on_for_agents(hub: Hub, user: Path, tmp_path: Path) -> None:  # noqa: ARG001
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {server.getsockname()[1]}), timeout=20)'"
        own = "python3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 0)); socket.create_connection(s.getsockname())'"
        with leased(pool_of(hub, network=False, setup=f"! {reach}")) as lease:
            status = [do(lease, line, agent=agent)[0].status for line, agent in ((reach, True), (reach, False), (own, False))]
        assert status == [0, 1, 0]


@needs_bwrap
def test_no_descriptor_of_adws_is_inside(pool: Pool) -> None:
    with leased(pool) as lease:
        said = do(lease, "for fd in /proc/$$/fd/*; do readlink $fd; done; flock -u 3")[1]
        assert "/lock" not in said
        assert lock.try_lock(lease.tree.parent / "lock") is None


@needs_bwrap
@pytest.mark.parametrize(
    ("line", "status", "killed"),
    [("exit 0", 0, False), ("exit 7", 7, False), ("kill -9 $$", 137, True), ("kill -15 $$", 143, True), ("kill -6 $$", 134, False)],
)
def test_the_exit_status_comes_out(line: str, status: int, killed: bool, pool: Pool) -> None:  # noqa: FBT001
    with leased(pool) as lease:
        ended, _ = do(lease, line)
    assert (ended, ended.killed) == (Ended(status), killed)


@needs_bwrap
def test_a_command_that_is_cut_may_clear_up_in_its_sandbox(pool: Pool) -> None:
    with leased(pool) as lease:
        ended, said = do(lease, "trap 'sleep 0.3; echo bye; exit 0' TERM; echo began; while :; do sleep 0.01; done", minutes=0.03)
    assert (ended.cut != "", said.splitlines()[0], said.splitlines()[-1]) == (True, "began", "bye")


def stays(token: str) -> str:
    """A daemon: in a session of its own, an orphan, without the lease's marker, deaf to SIGTERM."""
    code = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('here', 'w').close(); time.sleep(600)"
    return f'(env -i setsid {sys.executable} -c "{code}" {token} &); until test -e here; do sleep 0.01; done'


@needs_bwrap
@pytest.mark.parametrize(("then", "minutes"), [("exit 3", 1.0), ("sleep 600", 0.03)])
def test_a_daemon_ends_with_its_sandbox(then: str, minutes: float, pool: Pool, tmp_path: Path) -> None:
    with leased(pool) as lease:
        ended, _ = do(lease, f"{stays(str(tmp_path))}; {then}", minutes)
        assert (ended.status == 3) != (ended.cut != "")
        assert of(str(tmp_path)) == []


@needs_bwrap
@pytest.mark.parametrize("victim", ["adw", "keeper.py", "bwrap"])
def test_nothing_in_a_sandbox_survives_the_death_of(victim: str, pool: Pool, tmp_path: Path) -> None:
    token = f"{tmp_path}-{victim}"
    with leased(pool) as lease:
        argv = lease.boxed(["sh", "-c", f"{stays(token)}; sleep 600"])
        with python(KEEPS, tmp_path / "log", *argv) as adw:
            until(lambda: of(token))
            below = psutil.Process(adw.pid).children(recursive=True)
            keeper, box = (next(p for p in below if word in " ".join(p.cmdline()[:5])) for word in ("keeper.py", "bwrap"))
            {"adw": psutil.Process(adw.pid), "keeper.py": keeper, "bwrap": box}[victim].kill()
            until(lambda: not of(token))
            until(lambda: all(gone(p.pid) for p in below))


@needs_bwrap
def test_a_sweep_finds_what_is_in_a_sandbox(pool: Pool, tmp_path: Path) -> None:
    with leased(pool) as lease, ThreadPoolExecutor(1) as threads:
        running = threads.submit(do, lease, f"python3 -c 'import time; time.sleep(600)' {tmp_path}")
        until(lambda: of(str(tmp_path)))
        assert proc.sweep(lease.env["ADW_LEASE"]) >= 3  # the keeper, bubblewrap, and what is inside
        running.result(60)
        assert of(str(tmp_path)) == []


@needs_bwrap
def test_programs_of_the_home_run_and_the_rest_of_it_is_hidden(hub: Hub, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"share/claude/versions/2.1": "bin/claude", "lib/node_modules/codex/bin/codex.js": "bin/codex", "share/pipx/venvs/mini/bin/mini": "bin/mini"}
    for target, link in places.items():
        program, name = user / ".local" / target, user / ".local" / link
        program.parent.mkdir(parents=True)
        name.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\ncat "$(dirname "$(readlink -f "$0")")/../lib/data" 2> /dev/null || echo "$0"\n')
        program.chmod(0o755)
        name.symlink_to(program)
    (user / ".local" / "share" / "pipx" / "venvs" / "mini" / "lib").mkdir()
    (user / ".local" / "share" / "pipx" / "venvs" / "mini" / "lib" / "data").write_text("data of mini")
    (user / ".local" / "share" / "keyrings").mkdir()
    monkeypatch.setenv("PATH", f"{user}/.local/bin{os.pathsep}{os.environ['PATH']}")
    folder = user / ".local" / "bin"
    assert ask(pool_of(hub), "claude; codex; mini").splitlines() == [f"{folder}/claude", f"{folder}/codex", "data of mini"]
    assert ask(pool_of(hub), f"ls -A {user} {user}/.local/share").split() == [f"{user}:", ".local", f"{user}/.local/share:", "claude", "pipx"]


@needs_bwrap
def test_a_file_that_the_configured_command_names_is_shown(pool: Pool, user: Path) -> None:
    script = user / "my agent.sh"
    script.write_text("echo $0; ls -A $1")
    with leased(pool) as lease:
        kept(lease.boxed(["sh", "-c", f"sh '{script}' '{user}'"]), cwd=lease.tree, env=lease.env, log=user / "log", minutes=1)
    assert (user / "log").read_text().splitlines() == [str(script), script.name]


@needs_bwrap
def test_a_file_that_an_argument_names_is_not_shown(pool: Pool, user: Path) -> None:
    with leased(pool) as lease:
        argv = lease.boxed(["cat", str(user / ".ssh" / "id")])  # as where an issue's text is an argument
        assert kept(argv, cwd=lease.tree, env=lease.env, log=user / "log", minutes=1).status == 1


@needs_bwrap
def test_what_is_configured_is_shown_and_lent(hub: Hub, user: Path) -> None:
    for name in ("toolchain", "cache"):
        (user / name).mkdir()
    pool = pool_of(hub, readable=("~/toolchain", "~/none"), writable=("~/cache",))
    assert "Read-only" in ask(pool, f"touch {user}/cache/x; ls {user}; touch {user}/toolchain/x")
    assert sorted(path.name for path in user.iterdir()) == [".ssh", "cache", "toolchain"]
    assert [list((user / name).iterdir()) for name in ("toolchain", "cache")] == [[], [user / "cache" / "x"]]


EVIL = """
touch {canary}; ln -s {user} out; echo x > out/.bashrc
for place in ../git .git; do mkdir -p $place/hooks; for hook in post-checkout pre-commit post-merge reference-transaction; do
printf '#!/bin/sh\\ntouch {canary}\\n' > $place/hooks/$hook; chmod +x $place/hooks/$hook; done; done
git config core.fsmonitor 'touch {canary}'; git config filter.evil.clean 'touch {canary}'; git config filter.evil.smudge 'touch {canary}'
git config core.hooksPath "$PWD/hooks"; mkdir -p hooks; printf '#!/bin/sh\\ntouch {canary}\\n' > hooks/post-checkout; chmod +x hooks/post-checkout
printf '* filter=evil diff=evil merge=evil\\n' > .gitattributes; printf '[filter "evil"]\\n\\tclean = touch {canary}\\n' > .gitconfig; cp .gitconfig "$HOME/.gitconfig"
printf '[submodule "x"]\\n\\tpath = x\\n\\turl = {user}\\n\\tupdate = !touch {canary}\\n' > .gitmodules
echo {user}/.git/objects > ../git/objects/info/alternates; git update-ref refs/heads/main HEAD~1
echo done
"""


@needs_bwrap
def test_nothing_that_a_hostile_build_planted_runs_in_what_adw_and_the_user_do_later(
    hub: Hub, user: Path, repository: Repository, issue: Issue, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    site = make_site(hub, EVIL.format(canary=canary, user=user))
    site = replace(site, config=site.config.model_copy(update={"sandbox": SandboxConfig(mode="required")}))
    before = [(hub.git.directory / "config").read_text(), sorted(path.name for path in (hub.git.directory / "hooks").iterdir())]
    tip = hub.tip()
    change, _ = phases.build(site, issue, Plan(text="none"), Attempt(number=1, base=tip, base_tree=hub.mirror.tree_of(tip)), {})
    candidate = phases.candidate(site, issue, change, tip)
    assert phases.test(site, issue, candidate, 1)[0].passed
    landing.land(hub, [Arrival(issue=issue, candidate=candidate)])
    assert repository.tip == candidate.sha
    (repository.path / "code.txt").write_text("mine\n")
    for command in ("status", "diff", "checkout -q -b other", "commit -q -a -m mine", "checkout -q main", "merge -q other", "gc -q", "submodule status"):
        repository.git(*command.split())
    assert not canary.exists()
    assert sorted(path.name for path in user.iterdir()) == [".ssh"]
    assert [(hub.git.directory / "config").read_text(), sorted(path.name for path in (hub.git.directory / "hooks").iterdir())] == before


@needs_bwrap
def test_a_pool_may_have_its_slots_in_the_home(hub: Hub, user: Path) -> None:
    (user / "secret").write_text("x")
    config = PoolConfig(size=1, memory_gb=0, disk_floor=0, base_path=str(user / "fast ö"))
    pool = Pool(hub, config, SandboxConfig(mode="required"))
    assert ask(pool, f"cat code.txt && git log --format=%s && ls {user}") == "one\nfirst\nfast ö"


@pytest.fixture
def without_bwrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine where bubblewrap is not installed."""
    (tmp_path / "bin").mkdir()
    for name in ("git", "sh", "python3"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    sandbox._why_not.cache_clear()  # noqa: SLF001 - it is the machine that changes
    yield
    sandbox._why_not.cache_clear()  # noqa: SLF001


def test_without_bubblewrap_work_goes_on_and_it_is_said(without_bwrap: None, hub: Hub) -> None:  # noqa: ARG001
    assert "bubblewrap is not installed; install it" in sandbox.why_not(SandboxConfig())
    with leased(pool_of(hub, mode="auto")) as lease:
        assert lease.boxed(["sh", "-c", "true"]) == ["sh", "-c", "true"]


def test_without_bubblewrap_nothing_runs_where_a_sandbox_is_required(without_bwrap: None, hub: Hub) -> None:  # noqa: ARG001
    with leased(pool_of(hub)) as lease, pytest.raises(Misuse, match=r'sandbox\.mode is "required", but .*install it'):
        lease.boxed(["sh", "-c", "true"])


def test_a_sandbox_that_is_switched_off_is_none(hub: Hub) -> None:
    assert sandbox.why_not(SandboxConfig(mode="off")) == ""
    with leased(pool_of(hub, mode="off")) as lease:
        assert lease.boxed(["sh", "-c", "true"]) == ["sh", "-c", "true"]


@needs_bwrap
def test_a_site_passes_its_sandbox_on(hub: Hub, site: Site) -> None:
    required = SandboxConfig(mode="required")
    assert replace(site, config=site.config.model_copy(update={"sandbox": required})).pool() == Pool(hub, site.config.pool, required)
