import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adw import config
from tests.conftest import Repository
from tests.e2e.conftest import LIMIT, Adw, api, login

pytestmark = pytest.mark.usefixtures("untraced")


def on_a_terminal(adw: Adw, folder: Path, *args: str) -> tuple[int, str]:
    """Run a command on a terminal of 110 columns; its exit status and what it drew."""
    ours, theirs = pty.openpty()
    env = {**adw.environment(), "COLUMNS": "110", "LINES": "50", "TERM": "xterm-256color"}
    process = subprocess.Popen([sys.executable, "-m", "adw", *args], cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:
        pass  # the other end is closed: it is over
    os.close(ours)
    return process.wait(LIMIT), drawn.decode(errors="replace")


def test_the_demo_lands_its_five_issues_with_a_live_table_and_again_does_nothing_twice(adw: Adw, tmp_path: Path) -> None:
    folder, picture = tmp_path / "demo", tmp_path / "demo.svg"
    status, drawn = on_a_terminal(adw, tmp_path, "demo", str(folder), "--svg", str(picture))
    assert status == 0, drawn
    shelf = Repository(folder / "shelf")
    assert sorted(shelf.subjects) == sorted(
        [
            "Export a shelf as CSV",
            "Read a shelf back from CSV",
            "Name the author in reports",
            "Show prices in euros",
            "Find books by a word of their title",
            "A shelf of books",
        ]
    )
    assert shelf.subjects.index("Read a shelf back from CSV") < shelf.subjects.index("Export a shelf as CSV")
    assert 'f"{book.title}, by {book.author}: {book.price / 100:.2f} €"' in (folder / "shelf" / "shelf" / "report.py").read_text()
    assert "phases at work" in drawn
    assert "in the Prefect UI: http://127.0.0.1:" in drawn
    assert "one phase after another" in drawn
    assert "landed" in picture.read_text()
    for commit in shelf.git("rev-list", "main").split():
        shelf.git("checkout", "--quiet", "--detach", commit)
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=shelf.path, check=True, capture_output=True)
    shelf.git("checkout", "--quiet", "main")
    status, drawn = on_a_terminal(adw, tmp_path, "demo", "--again", str(folder))
    assert status == 0
    assert drawn.count("already landed") >= 5
    assert len(shelf.subjects) == 6


def test_a_demo_is_not_written_over_what_is_there(adw: Adw, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    done = adw.call("demo", str(tmp_path / "mine"))
    assert done.returncode == 2
    assert "name another folder" in done.stdout


def test_init_writes_a_configuration_that_is_read_back_and_names_its_schema(adw: Adw) -> None:
    adw.repository.commit("more", **{"pyproject.toml": "", "docs__index.md": "x", "package-lock.json": "{}"})
    done = adw.call("init")
    assert done.returncode == 0, done.stdout
    text = (adw.repository.path / "adw.toml").read_text()
    assert text.splitlines()[0] == f"#:schema ./{config.SCHEMA_FILE}"
    read = config.parse(text, "adw.toml")
    assert read.test.command == "python -m pytest -q"
    assert (read.pool.setup, read.pool.setup_files) == ("npm ci", ("package-lock.json",))
    assert set(read.docs) == {"docs", "README*"}
    everything = "\n".join(
        line.removeprefix("# ") if " = " in line else line
        for line in text.splitlines()
        if line.startswith(("# ", "[")) and (" = " in line or line.startswith("["))
    )
    assert set(tomllib.loads(everything)["pool"]) >= {"size", "keep", "memory_gb"}
    schema = json.loads((adw.repository.path / config.SCHEMA_FILE).read_text())
    assert schema == config.schema()
    assert adw.call("init").returncode == 2


def test_status_show_and_clean_tell_of_a_run(adw: Adw) -> None:
    adw.issue("a")
    assert "no runs yet" in adw.call("status").stdout
    picture, used = (adw.issues.parent / name for name in ("run.svg", "used.png"))
    assert adw.call(*adw.run_args(), "--gantt", str(picture)).returncode == 0
    assert all(f'id="bar-a-{phase}-1"' in picture.read_text() for phase in ("plan", "build", "test", "review", "document", "land"))
    assert 'id="critical-bar-a-land-1"' in picture.read_text()
    assert f"wrote {used}" in adw.call("status", adw.runs[-1].name, "--resources", str(used)).stdout
    status = adw.call("status")
    assert "1 of 1" in status.stdout
    assert "CPU, on average (at most), in cores of " in status.stdout
    told = json.loads(adw.call("status", "--json").stdout)
    assert [(run["state"], run["issues"]["a"]["state"]) for run in told] == [("done", "landed")]
    assert told[0]["used"]["peak"]["adw_memory"] > 10**8  # the run's process and the server
    shown = adw.call("show", "a")
    assert "+a" in shown.stdout
    assert "Review: passed" in shown.stdout
    assert adw.call("show", "a", "--log", "build").stdout == "build of a\n"
    assert "name one of build:1, document:1, plan:1, review:1" in adw.call("show", "a", "--log", "land").stdout
    results = json.loads(adw.call("show", "a", "--json").stdout)["results"]
    assert set(results) == {"plan", "build", "test", "review", "document"}
    assert adw.call("show", "nobody").returncode == 2
    assert adw.call("resume", "no-such-run").returncode == 2
    assert adw.call("cancel").returncode == 2
    assert "removed" in adw.call("clean").stdout
    assert not list(adw.place.glob("pool/*/tree"))


def test_doctor_names_what_is_wrong_and_its_mend(adw: Adw) -> None:
    (adw.repository.path / "adw.toml").write_text('[test]\ncommand = "no-such-tester"\n[agent]\ncommand = "no-such-agent"\n')
    done = adw.call("doctor", "--json")
    found = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert {what for what, finding in found.items() if not finding["good"]} == {"test command", "agent command"}
    assert "install it" in found["test command"]["detail"]
    (adw.repository.path / "adw.toml").write_text('[test]\ncommand = "true"\n[agent]\ncommand = "true"\n')
    well = adw.call("doctor")
    assert well.returncode == 0, well.stdout


def test_an_issue_comes_from_standard_input(adw: Adw) -> None:
    args = adw.run_args()
    process = subprocess.run(
        [sys.executable, "-m", "adw", "run", "-", *args[2:]],
        cwd=adw.repository.path,
        env=adw.environment(),
        input="# Add it\n\nplease\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    adw.assert_whole("standard-input")


def test_adw_ui_prints_what_a_person_and_what_a_program_needs(adw: Adw) -> None:
    done = adw.call("ui")
    assert done.returncode == 0, done.stdout
    address, of_people, of_programs = done.stdout.splitlines()
    assert (address, of_people) == (f"the Prefect UI: {api(adw.home).removesuffix('/api')}", f"its login, to be pasted as a whole: {login(adw.home)}")
    asks = "import os, httpx; from adw.login import credentials; print(httpx.post(os.environ['PREFECT_API_URL'] + '/flows/filter', headers=credentials()).status_code)"
    script = f'{of_programs.partition(": ")[2]} && {sys.executable} -c "{asks}"'
    assert subprocess.run(["sh", "-c", script], env=adw.environment(), capture_output=True, text=True, check=True).stdout.strip() == "200"
    adw.env["PREFECT_API_URL"] = api(adw.home)  # as one had set it before there were logins
    assert adw.call("ui").stdout == done.stdout
    assert "adw's own, running" in adw.call("doctor").stdout


def test_help_imports_neither_prefect_nor_what_only_runs_need(adw: Adw) -> None:
    program = "import sys; sys.argv = ['adw', '--help']\nfrom adw.cli.main import main\ntry: main()\nexcept SystemExit: pass\nprint({'prefect', 'dask', 'pydantic', 'git'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], env=adw.environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "resume" in done.stdout
