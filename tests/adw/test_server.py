"""adw's own Prefect server as far as it is there before it answers: its login, and whom it is for."""

import json
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from adw import lock, server
from adw.login import PASSWORD, credentials, own_login, users_setting
from adw.server import Server
from tests.adw.tools import LIMIT, python, until


@pytest.fixture(autouse=True)
def no_setting_of_a_developer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PASSWORD, "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(home / "of-the-user"))


@pytest.fixture
def started(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever server a test starts is stopped."""
    monkeypatch.setenv("ADW_SERVER_IDLE_MINUTES", "5")
    yield
    server.stop()
    assert not (home / "prefect" / "server.json").exists()


def ensured() -> str:
    """Have a server, as a command does that ends before it; its login, or what the command said instead."""
    code = "from adw import errors, server\ntry: print(server.ensure().login)\nexcept errors.Misuse as no: print(no)"
    with python(code) as process:
        return process.communicate(timeout=LIMIT)[0].strip()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("started")
def test_a_server_has_a_login_that_only_its_user_can_read_and_keeps_it_over_a_restart(home: Path) -> None:
    home.chmod(0o755)
    login = ensured()
    assert (login.partition(":")[0], len(login) > 30) == ("adw", True)
    assert server.ensure().environment()["PREFECT_API_AUTH_STRING"] == login
    assert [mode(home / "prefect" / name) for name in ("", "login", "server.json")] == [0o700, 0o600, 0o600]
    state = json.loads((home / "prefect" / "server.json").read_text())
    keeper = psutil.Process(state["pid"])
    assert server.own_pid() == keeper.pid
    processes = until(lambda: [keeper, *kept] if (kept := keeper.children(recursive=True)) else [])
    assert processes[1].environ()[PASSWORD] == login
    assert not [process for process in processes if login in " ".join(process.cmdline())]
    ui = state["api"].removesuffix("/api")
    assert [server.asks_for_login(address) for address in (f"{ui}/runs", f"{ui}0/runs")] == [True, False]
    assert server.stop()
    assert server.own_pid() == 0
    assert ensured() == login


@pytest.mark.usefixtures("started")
def test_the_login_that_the_user_sets_is_the_one_and_is_not_kept_for_a_server_without_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "ada:of-the-user")
    assert ensured() == "ada:of-the-user"
    assert not (home / "prefect" / "login").exists()
    monkeypatch.setenv(PASSWORD, "ada:another")
    assert f"with another {PASSWORD}" in ensured()
    monkeypatch.delenv(PASSWORD)
    assert ensured() == "ada:of-the-user"  # whoever may read its state may use it


def test_a_login_that_others_could_read_is_made_private_and_an_empty_one_is_made_again(tmp_path: Path) -> None:
    made = own_login(tmp_path)
    (tmp_path / "login").chmod(0o644)
    assert (own_login(tmp_path), mode(tmp_path / "login")) == (made, 0o600)
    (tmp_path / "login").write_text("")  # a crash came in between
    assert own_login(tmp_path) not in {"", made}
    (tmp_path / "login").write_text("ada:by-hand\n")
    assert own_login(tmp_path) == "ada:by-hand"


@pytest.fixture
def of_an_older_adw(home: Path) -> Iterator[str]:
    """The address of a server that was started before there were logins."""
    with ExitStack() as stack:
        stack.enter_context(lock.held(home / "prefect" / "keeper"))
        api = "http://127.0.0.1:4210/api"
        (home / "prefect" / "server.json").write_text(json.dumps({"api": api, "pid": 0, "login": "", "asked": {}}))
        yield api


def test_a_server_that_an_older_adw_started_is_used_as_it_is(of_an_older_adw: str) -> None:
    for found in (server.ensure(), server.running()):
        assert found == Server(of_an_older_adw, own=True, login="")
        assert "PREFECT_API_AUTH_STRING" not in found.environment()
    assert not server.asks_for_login("http://127.0.0.1:4210/runs")


def test_the_address_of_adws_own_server_is_no_server_of_the_users(of_an_older_adw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", of_an_older_adw)
    assert server.users_own() == ""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:42100/api")
    assert server.users_own() == "http://127.0.0.1:42100/api"


def test_what_is_set_in_the_users_profile_counts_as_in_prefect(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "of-the-user").mkdir()
    profile = 'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://prefect.example/api"\nPREFECT_API_KEY = "key"\n'
    (home / "of-the-user" / "profiles.toml").write_text(profile)
    assert (server.users_own(), credentials()) == ("http://prefect.example/api", {"Authorization": "Bearer key"})
    (home / "of-the-user" / "profiles.toml").write_text(f'{profile}PREFECT_API_AUTH_STRING = "a:b"\n')
    assert credentials() == {"Authorization": "Basic YTpi"}
    assert credentials("adw:own") == {"Authorization": "Basic YWR3Om93bg=="}
    monkeypatch.setenv("PREFECT_API_URL", "http://other.example/api")
    assert users_setting("PREFECT_API_URL") == "http://other.example/api"


def test_whose_server_it_is_can_be_asked_without_writing_anything(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert (server.users_own(), list(home.iterdir())) == ("", [])


def test_clients_of_a_server_without_tls_read_one_certificate_instead_of_all(home: Path) -> None:
    setting = "PREFECT_API_SSL_CERT_FILE"
    file = Path(Server("http://127.0.0.1:1/api", own=True).environment()[setting])
    assert file.parent == home / "prefect"
    assert len(ssl.create_default_context(cafile=str(file)).get_ca_certs()) == 1
    assert setting not in Server("https://prefect.example/api", own=False).environment()


def test_what_the_server_says_is_sent_at_once_though_uvicorn_does_not_see_that_its_socket_is_tcp() -> None:
    with server._bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):  # noqa: SLF001 - what the server is given
        taken, _ = listener.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
