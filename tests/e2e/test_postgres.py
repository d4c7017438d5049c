"""adw's own server with PostgreSQL instead of SQLite: a real one from Debian."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Adw, configure, ended, hand_over, serve, until

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/none"))
PASSWORD = "quite-secret-4711"

pytestmark = [
    pytest.mark.usefixtures("untraced"),
    pytest.mark.skipif(not (BIN / "initdb").exists() and not os.environ.get("CI"), reason="there is no PostgreSQL: on Debian, apt install postgresql"),
]


@dataclass(frozen=True)
class Postgres:
    port: int
    password_file: Path

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://adw:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def query(self, text: str) -> str:
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "adw", "-d", "postgres", "-Atc", text]
        return subprocess.run(command, env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A database server of the test's own; it refuses to be run by root."""
    folder = Path(tempfile.mkdtemp(prefix="adw-postgres-"))
    password = folder / "password"
    password.write_text(PASSWORD)
    as_other = []
    if os.getuid() == 0:
        as_other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        for path in (folder, password):
            shutil.chown(path, "postgres", "postgres")
    data = folder / "data"
    subprocess.run(
        [*as_other, str(BIN / "initdb"), "-D", str(data), "-U", "adw", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*as_other, str(BIN / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    made = Postgres(port, password)
    until(lambda: subprocess.run([BIN / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True, check=False).returncode == 0)
    yield made
    process.terminate()
    process.wait(60)
    shutil.rmtree(folder)
    (folder.parent / f"{folder.name}.log").unlink()


def test_one_setting_puts_all_of_the_server_into_postgresql(adw: Adw, postgres: Postgres, tmp_path: Path) -> None:
    adw.home = tmp_path / "home"
    adw.env["PREFECT_API_DATABASE_CONNECTION_URL"] = postgres.url
    configure(adw)
    adw.issue("a")
    try:
        assert adw.call("deploy").returncode == 0
        serving = serve(adw.home, tmp_path / "serve.log", **adw.env)
        assert serving.said("server").endswith("(PostgreSQL)")
        assert ended(adw, hand_over(adw))["type"] == "COMPLETED"
        adw.assert_whole("a")
        assert postgres.query("select count(*), max(state_type::text) from flow_run") == "1|COMPLETED"
        assert not (adw.home / "prefect" / "prefect.db").exists()
        assert serving.stop() == 0
        adw.env["PREFECT_API_DATABASE_CONNECTION_URL"] = "sqlite+aiosqlite:///" + str(tmp_path / "other.db")
        other = adw.call("deploy")
        assert (other.returncode, "runs already, with another PREFECT_API_DATABASE_CONNECTION_URL" in other.stdout) == (2, True), other.stdout
        kept = [path.read_text(errors="replace") for path in [*adw.home.rglob("*.log"), *adw.home.rglob("*.json*"), serving.log] if path.is_file()]
        assert not [text for text in kept if PASSWORD in text]
    finally:
        for process in [p for p in psutil.Process().children() if "serve" in p.cmdline()]:
            process.kill()  # what a failure left
        env = {**os.environ, "ADW_HOME": str(adw.home)}
        subprocess.run([sys.executable, "-c", "from adw import server; server.stop()"], env=env, check=True, timeout=60)
