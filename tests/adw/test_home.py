import os
from pathlib import Path

import pytest

from adw.errors import Misuse
from adw.home import Place, home, writable_home


def test_the_folder_is_adw_home(home: Path) -> None:
    assert writable_home() == home


def test_the_folder_is_absolute_and_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADW_HOME", "deep/sp ace ö")
    assert writable_home() == tmp_path / "deep" / "sp ace ö"
    assert os.listdir(tmp_path / "deep") == ["sp ace ö"]  # noqa: PTH208


def test_a_folder_that_cannot_be_written_is_misuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ADW_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(Misuse, match=r"cannot write to adw's folder .*set ADW_HOME"):
        writable_home()


def test_without_adw_home_it_is_the_platforms_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADW_HOME", "")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert home().name == "adw"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("hub", "readable"), [("/a/My_repo/.git", "My_repo"), ("/a/repo.git", "repo"), ("/a/日本/.git", "repository"), ("/a b/c d.git", "c-d")]
)
def test_a_place_is_named_so_that_a_person_finds_it(hub: str, readable: str) -> None:
    place = Place.of(Path(hub))
    assert place.root.name.rpartition("-")[0] == readable
    assert place.slug == place.root.name.lower().replace("_", "-")
    assert Place.of(Path("/other" + hub)) != place
