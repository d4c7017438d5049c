from pathlib import Path

import pytest

from adw import hosts
from tests.adw.daemon import served
from tests.conftest import Repository


def known(**versions: str) -> dict[str, dict[str, str]]:
    return {who: {"adw": its, "git": "2"} for who, its in versions.items()}


def test_hosts_that_are_the_same_are_not_told() -> None:
    assert hosts.differences(known(here="1", there="1"), ("adw", "git")) == ""


def test_who_has_which_version_is_told_in_one_line() -> None:
    assert hosts.differences(known(here="1", there="2", yonder="1"), ("adw", "git")) == "adw is 1 on here and yonder, 2 on there"


def test_this_host_knows_all_that_is_compared() -> None:
    assert {*hosts.SAME, *hosts.NEARLY, "host"} <= hosts.facts().keys()


def test_a_folder_is_shared_if_what_was_left_there_is_found(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "token-1").touch()
    assert hosts.sees("token-1")
    monkeypatch.setenv("ADW_HOME", str(tmp_path / "elsewhere"))
    assert not hosts.sees("token-1")


def test_a_host_that_may_fetch_and_push_fits_and_leaves_nothing(repository: Repository, home: Path) -> None:  # noqa: ARG001 - it decides where the mirror is
    with served(repository.path) as url:
        assert hosts.reaches(url, "main", repository.tip) == ""
    assert repository.git("for-each-ref", "refs/adw") == ""


def test_a_host_that_may_not_push_says_so(repository: Repository, home: Path) -> None:  # noqa: ARG001
    with served(repository.path, writable=False) as url:
        assert "service not enabled" in hosts.reaches(url, "main", repository.tip)


def test_a_hub_that_is_not_there_is_named(home: Path) -> None:  # noqa: ARG001
    assert "cannot reach git://127.0.0.1:1/x" in hosts.reaches("git://127.0.0.1:1/x", "main", "1" * 40)
