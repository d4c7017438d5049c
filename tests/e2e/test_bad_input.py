import json
import os
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.conftest import Repository
from tests.e2e.conftest import LIMIT, Adw


def refused(adw: Adw, *args: str, status: int = 2) -> str:
    """A command that must fail as foreseen: one message, no traceback, nothing left behind. Returns the message."""
    before = adw.repository.git("for-each-ref") if (adw.repository.path / ".git").is_dir() else ""
    runs = len(adw.runs)
    done = adw.call(*args)
    assert done.returncode == status, done.stdout
    assert "Traceback" not in done.stdout
    assert len(adw.runs) == runs
    if before:
        assert adw.repository.git("for-each-ref") == before
    return done.stdout


def test_a_folder_that_is_no_repository(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    (tmp_path / "plain").mkdir()
    said = refused(adw, *adw.run_args(), "--repo", str(tmp_path / "plain"))
    assert "plain is not in a git repository" in said
    assert "git init" in said


def test_a_repository_without_commits(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path / "empty")], check=True)
    assert "has no commits yet" in refused(adw, *adw.run_args(), "--repo", str(tmp_path / "empty"))


def test_a_detached_head(adw: Adw) -> None:
    adw.issue("a")
    adw.repository.git("checkout", "--quiet", "--detach")
    assert "detached" in refused(adw, *adw.run_args())


@pytest.mark.usefixtures("untraced")
def test_a_detached_head_with_the_branch_named_works(adw: Adw) -> None:
    adw.issue("a")
    adw.repository.git("checkout", "--quiet", "--detach")
    done = adw.call(*adw.run_args(), "--branch", "main")
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a")


def test_a_branch_that_is_not_there(adw: Adw) -> None:
    adw.issue("a")
    said = refused(adw, *adw.run_args(), "--branch", "nope")
    assert "no branch 'nope'" in said
    assert "main" in said


@pytest.mark.usefixtures("untraced")
def test_a_bare_repository_works(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    bare = tmp_path / f"bare-{tmp_path.name[-12:]}.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(adw.repository.path), str(bare)], check=True)
    done = adw.call(*adw.run_args(), "--repo", str(bare))
    assert done.returncode == 0, done.stdout
    assert Repository(bare).subjects == ["Add a", "first"]


def test_a_shallow_clone(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    adw.repository.commit("second", more="x")
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{adw.repository.path}", str(tmp_path / "shallow")], check=True)
    said = refused(adw, *adw.run_args(), "--repo", str(tmp_path / "shallow"))
    assert "git fetch --unshallow" in said


@pytest.mark.usefixtures("untraced")
def test_spaces_line_breaks_and_other_alphabets_in_paths_branch_titles_and_ids(server_home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mein Ordner\nné"
    folder.mkdir()
    shutil.copytree(adw_repository(tmp_path), folder / "repo ü")
    adw = Adw(server_home, Repository(folder / "repo ü"), folder / "issues é")
    adw.repository.git("branch", "-m", "main", "größe")
    (folder / "issues é").mkdir()
    (folder / "issues é" / "крот.md").write_text('# Füge "крот" hinzu; $(touch pwned) `x`\n\nbitte\n')
    agent = folder / "agent.sh"
    agent.write_text('[ "$ADW_PHASE" != build ] || echo x > "neue Datei é.txt"')
    done = adw.call("run", str(adw.issues), "--agent-command", f"sh '{agent}'", "--test-command", "test -f code.txt")
    assert done.returncode == 0, done.stdout
    log = adw.repository.git("log", "-1", "--format=%s|%(trailers:key=Adw-Issue,valueonly,separator=)", "größe")
    assert log == 'Füge "крот" hinzu; $(touch pwned) `x`|крот'
    assert (adw.repository.path / "neue Datei é.txt").exists()


def adw_repository(tmp_path: Path) -> Path:
    from tests.conftest import make_repository  # noqa: PLC0415

    return make_repository(tmp_path / "plain repo").path


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.md", "", "empty.md is empty"),
        ("huge.md", "# Big\n" + "x" * 300_000, "too large for an issue"),
        ("front.md", "---\nidd: x\n---\n# T\n", "front matter has idd"),
        ("binary.md", "\udcff", "cannot read the issue"),
    ],
)
def test_an_issue_that_cannot_be_used(adw: Adw, name: str, text: str, says: str) -> None:
    adw.issues.mkdir()
    (adw.issues / name).write_text(text, errors="surrogateescape")
    assert says in refused(adw, *adw.run_args())


def test_two_issues_with_one_id(adw: Adw) -> None:
    adw.issue("a")
    adw.issue("b", id="a")
    assert "two issues have the id 'a'" in refused(adw, *adw.run_args())


def test_issues_in_a_cycle(adw: Adw) -> None:
    adw.issue("a", depends_on="b")
    adw.issue("b", depends_on="a")
    said = refused(adw, *adw.run_args())
    assert "a → b → a" in said or "b → a → b" in said


def test_an_unknown_key_in_adw_toml(adw: Adw) -> None:
    adw.issue("a")
    (adw.repository.path / "adw.toml").write_text("[pool]\nsise = 3\n")
    assert "unknown key `pool.sise`: did you mean `size`?" in refused(adw, *adw.run_args())


def test_a_test_command_that_is_not_installed(adw: Adw) -> None:
    adw.issue("a")
    assert "'no-such-program' is not installed" in refused(adw, *adw.run_args(test="no-such-program --all"))


def test_no_test_command_at_all(adw: Adw) -> None:
    adw.issue("a")
    assert "no test command" in refused(adw, "run", str(adw.issues), "--agent-command", "true")


def test_an_unknown_agent(adw: Adw) -> None:
    adw.issue("a")
    assert "there is no agent 'clod'" in refused(adw, *adw.run_args(), "--agent", "clod")


def test_a_wrong_flag(adw: Adw) -> None:
    assert "--agents" in refused(adw, "run", "x.md", "--agents", "0")


def test_tests_that_fail_on_the_branch_as_it_is_stop_the_run_before_any_build(adw: Adw) -> None:
    adw.issue("a")
    done = adw.call(*adw.run_args(test="echo it is red; false"))
    assert done.returncode == 2, done.stdout
    assert "it is red" in done.stdout
    assert "--allow-red-base" in done.stdout
    assert not [e for e in adw.events() if e["event"] == "phase" and e["phase"] == "build"]


@pytest.mark.usefixtures("untraced")
def test_a_red_base_that_was_mended_outside_of_git_is_not_remembered(adw: Adw) -> None:
    adw.issue("a")
    database = adw.issues.parent / "database"
    args = adw.run_args(test=f"test -e '{database}'")
    assert adw.call(*args).returncode == 2
    database.touch()
    done = adw.call(*args)
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a")


@pytest.mark.usefixtures("untraced")
def test_a_red_base_can_be_allowed(adw: Adw) -> None:
    adw.issue("a")
    done = adw.call(*adw.run_args(test="test -f a.txt"), "--allow-red-base")
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a")


def config(adw: Adw, text: str) -> None:
    (adw.repository.path / "adw.toml").write_text(text)
    adw.repository.git("add", "adw.toml")
    adw.repository.git("commit", "--quiet", "-m", "configure")


def test_a_test_command_that_hangs(adw: Adw) -> None:
    adw.issue("a")
    config(adw, "[test]\nminutes = 0.02\n")
    done = adw.call(*adw.run_args(test="test ! -f a.txt || sleep 600"), "--tries", "1")
    assert done.returncode == 1, done.stdout
    assert "took longer than 0.02 minutes" in done.stdout
    assert not adw.leased()


HOSTILE = {
    "hangs": ("sleep 600", "took longer than"),
    "denies": ("echo I will not; exit 3", "I will not"),
    "fills": ("dd if=/dev/zero of=big bs=1M count=30 2>/dev/null; sleep 600", "filled its slot"),
    "idles": ("true", "changed nothing"),
    "dies": ("exit 137", "exit status 137"),
}


def test_an_agent_that_hangs_refuses_fills_its_slot_changes_nothing_or_dies_each_time_is_refused_with_the_reason(adw: Adw) -> None:
    for name in HOSTILE:
        adw.issue(name)
    config(adw, f"[agent]\nminutes = 0.1\n[pool]\nsize = {len(HOSTILE)}\nmemory_gb = 0\nslot_gb = 0.01\n")
    cases = " ".join(f"build-{name}) {script};;" for name, (script, _) in HOSTILE.items())
    done = adw.call(*adw.run_args(f'case "$ADW_PHASE-$ADW_ISSUE" in {cases} esac'), "--tries", "1", "--json")
    assert done.returncode == 1, done.stdout
    told = json.loads(done.stdout[done.stdout.index("{") :])["issues"]
    for name, (_, says) in HOSTILE.items():
        assert (told[name]["state"], told[name]["tries"]) == ("refused", 1)
        assert says in told[name]["reason"]
    assert "Traceback" not in done.stdout
    assert adw.repository.subjects == ["configure", "first"]
    assert not adw.leased()


@pytest.mark.usefixtures("untraced")
def test_whatever_an_agent_does_to_git_only_its_edits_count(adw: Adw) -> None:
    adw.issue("a")
    agent = """
    [ "$ADW_PHASE" = build ] || exit 0
    echo good > a.txt
    git checkout -q -b mine && git add -A && git commit -q -m mine && git tag v1
    for hook in pre-commit post-checkout reference-transaction; do
      mkdir -p "$(git rev-parse --git-dir)/hooks"
      printf '#!/bin/sh\\ntouch "%s/../pwned"\\n' "$PWD" > "$(git rev-parse --git-dir)/hooks/$hook"
      chmod +x "$(git rev-parse --git-dir)/hooks/$hook"
    done
    git config user.name Mallory; git config filter.evil.clean "touch $PWD/../pwned"; git config core.fsmonitor "touch $PWD/../pwned"
    rm .git
    (setsid sh -c 'exec env -i sleep 600' &)
    """
    done = adw.call(*adw.run_args(agent))
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a")
    assert adw.repository.git("log", "-1", "--format=%an", "main") == "Ada"
    assert adw.repository.git("show", "--name-only", "--format=", "main") == "a.txt"
    assert adw.repository.git("for-each-ref", "refs/heads", "refs/tags", "--format=%(refname)") == "refs/heads/main"
    assert not list(adw.place.rglob("pwned"))


def test_a_home_that_cannot_be_written(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    (tmp_path / "file").write_text("")
    adw.env["ADW_HOME"] = str(tmp_path / "file" / "home")
    assert "set ADW_HOME" in refused(adw, *adw.run_args())


def test_a_disk_that_is_nearly_full(adw: Adw) -> None:
    adw.issue("a")
    config(adw, "[pool]\ndisk_floor = 100\n")
    said = refused(adw, *adw.run_args(), status=1)
    assert "must stay so" in said
    assert "adw clean" in said


@pytest.mark.thorough
def test_ports_that_are_taken(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    takers = []
    for port in range(4210, 4220):
        taker = socket.socket()
        try:
            taker.bind(("127.0.0.1", port))
            taker.listen()
            takers.append(taker)
        except OSError:
            taker.close()
    own = Adw(tmp_path / "home of its own", adw.repository, adw.issues)
    done = own.call(*own.run_args())
    assert done.returncode == 0, done.stdout
    assert "stopped" in own.call("clean", "--server").stdout
    for taker in takers:
        taker.close()


class OldServer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"2.20.0"')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_prefect_server_of_another_version(adw: Adw) -> None:
    adw.issue("a")
    with HTTPServer(("127.0.0.1", 0), OldServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        adw.env["PREFECT_API_URL"] = f"http://127.0.0.1:{server.server_port}/api"
        done = adw.call(*adw.run_args())
        server.shutdown()
    assert done.returncode == 2, done.stdout
    assert "is version 2.20.0" in done.stdout


def test_a_prefect_server_that_does_not_answer(adw: Adw) -> None:
    adw.issue("a")
    adw.env["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    done = adw.call(*adw.run_args())
    assert done.returncode == 2, done.stdout
    assert "does not answer" in done.stdout


@pytest.mark.usefixtures("untraced")
def test_no_network_is_needed(adw: Adw) -> None:
    adw.issue("a")
    args = adw.run_args()
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null; exec "$@"', "sh"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode or not shutil.which("ip"):
        pytest.skip("no network namespace can be made here, or there is no `ip`")
    import sys  # noqa: PLC0415

    env = {**adw.environment(), "ADW_HOME": str(adw.issues.parent / "offline")}
    script = f'{sys.executable} -m adw "$@"; status=$?; {sys.executable} -m adw clean --server; exit $status'
    done = subprocess.run(
        [*alone[:-2], f"ip link set lo up; {script}", "sh", *args], cwd=adw.repository.path, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.path.exists(adw.repository.path / "a.txt")  # noqa: PTH110
