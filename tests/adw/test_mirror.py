import os
from pathlib import Path

import pytest

from adw import mirror
from adw.errors import GitFailed, Misuse
from adw.git import author
from adw.mirror import Hub, find_hub, sync
from tests.conftest import Repository, make_repository


def clone(repository: Repository, to: Path, *options: str) -> Repository:
    repository.git("clone", "--quiet", *options, f"file://{repository.path}", str(to))
    return Repository(to)


def test_a_hub_is_the_branch_that_is_checked_out(repository: Repository, home: Path) -> None:
    hub = find_hub(repository.path)
    assert (hub.branch, hub.ref, hub.checkout, hub.path) == ("main", "refs/heads/main", repository.path, repository.path)
    assert hub.place.root.parent.parent == home


def test_a_hub_is_found_from_a_folder_in_it_and_from_a_linked_worktree(repository: Repository, home: Path, tmp_path: Path) -> None:
    (repository.path / "folder").mkdir()
    repository.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    main, folder, linked = find_hub(repository.path), find_hub(repository.path / "folder"), find_hub(tmp_path / "linked")
    assert home in main.place.root.parents
    assert main.place == folder.place == linked.place
    assert [(hub.branch, hub.checkout) for hub in (folder, linked)] == [("main", repository.path), ("other", tmp_path / "linked")]


@pytest.mark.usefixtures("home")
def test_a_bare_hub_has_no_checkout(repository: Repository, tmp_path: Path) -> None:
    bare = clone(repository, tmp_path / "bare.git", "--bare")
    hub = find_hub(bare.path)
    assert (hub.checkout, hub.branch, hub.git.directory) == (None, "main", bare.path)


@pytest.mark.usefixtures("home")
def test_a_branch_can_be_named(repository: Repository) -> None:
    repository.git("branch", "zweig/größe")
    hub = find_hub(repository.path, "zweig/größe")
    sync(hub)
    assert hub.tip() == repository.tip
    assert hub.mirror.find("refs/hub/zweig/größe") == repository.tip


@pytest.mark.usefixtures("home")
def test_a_detached_head_needs_a_branch(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--detach")
    with pytest.raises(Misuse, match=r"no branch checked out.*--branch"):
        find_hub(repository.path)
    assert find_hub(repository.path, "main").branch == "main"


@pytest.mark.usefixtures("home")
def test_a_missing_branch_is_named_with_those_there_are(repository: Repository) -> None:
    repository.git("branch", "other")
    with pytest.raises(Misuse, match="no branch 'gone': name one of main, other"):
        find_hub(repository.path, "gone")


@pytest.mark.usefixtures("home")
def test_a_tag_is_no_branch(repository: Repository) -> None:
    repository.git("tag", "v1")
    with pytest.raises(Misuse, match="no branch 'v1'"):
        find_hub(repository.path, "v1")


@pytest.mark.usefixtures("home")
def test_a_repository_without_commits_is_misuse(tmp_path: Path, repository: Repository) -> None:
    repository.git("init", "--quiet", str(tmp_path / "empty"))
    with pytest.raises(Misuse, match="no commits yet"):
        find_hub(tmp_path / "empty")


@pytest.mark.usefixtures("home")
def test_a_shallow_clone_is_refused_until_it_is_whole(repository: Repository, tmp_path: Path) -> None:
    repository.commit("second", a="1")
    shallow = clone(repository, tmp_path / "shallow", "--depth", "1")
    with pytest.raises(Misuse, match="git fetch --unshallow"):
        find_hub(shallow.path)
    shallow.git("fetch", "--quiet", "--unshallow")
    assert find_hub(shallow.path).branch == "main"


def test_repositories_of_one_name_have_places_of_their_own(home: Path, tmp_path: Path) -> None:
    places = {find_hub(make_repository(tmp_path / name / "sp ace ö").path).place.root for name in "ab"}
    assert len(places) == 2
    assert all(path.parent == home / "repositories" and path.name.startswith("sp-ace-") for path in places)


def test_a_mirror_holds_the_branch_and_what_adw_knows(hub: Hub, repository: Repository) -> None:
    repository.git("update-ref", "refs/adw/a-1/plan/k", repository.tip)
    new = repository.commit("second", a="1")
    sync(hub)
    assert hub.mirror.refs() == {"refs/adw/a-1/plan/k": repository.git("rev-parse", "main^"), "refs/hub/main": new}


def test_a_sync_follows_a_branch_that_was_rewritten(hub: Hub, repository: Repository) -> None:
    repository.git("commit", "--quiet", "--amend", "-m", "rewritten")
    sync(hub)
    assert hub.mirror.find("refs/hub/main") == repository.tip


def test_a_sync_takes_nothing_of_the_mirrors_away(hub: Hub, repository: Repository) -> None:
    hub.mirror.point("refs/adw/a-1/build/k", repository.tip)
    sync(hub)
    assert hub.mirror.find("refs/adw/a-1/build/k") == repository.tip


def test_a_sync_gives_the_repository_nothing(hub: Hub, repository: Repository) -> None:
    before = sorted(path for path in repository.path.rglob("*") if "objects" not in path.parts)
    sync(hub)
    assert sorted(path for path in repository.path.rglob("*") if "objects" not in path.parts) == before


def test_the_tip_is_brought_where_work_is_done(hub: Hub, repository: Repository) -> None:
    new = repository.commit("second", a="1")
    assert not hub.mirror.has(new)
    assert hub.tip() == new
    assert hub.mirror.has(new)


def test_a_branch_that_is_gone_is_named(hub: Hub, repository: Repository) -> None:
    repository.git("branch", "--quiet", "-m", "main", "other")
    with pytest.raises(GitFailed, match="branch main is gone"):
        hub.tip()


def test_what_is_published_outlives_the_mirror(hub: Hub, repository: Repository) -> None:
    sha = hub.mirror.commit(hub.mirror.tree_of(repository.tip), [repository.tip], "x", author(hub.git))
    hub.mirror.point("refs/adw/a-1/build/k", sha)
    hub.mirror.point("refs/adw/b-1/build/k", sha)
    hub.publish("refs/adw/a-1/build/k")
    assert repository.git("for-each-ref", "--format=%(refname)", "refs/adw") == "refs/adw/a-1/build/k"
    assert repository.git("cat-file", "-t", sha) == "commit"


def test_a_result_is_published_though_the_branch_went_on_meanwhile(hub: Hub, repository: Repository) -> None:
    sha = hub.mirror.commit(hub.mirror.tree_of(repository.tip), [repository.tip], "x", author(hub.git))
    hub.mirror.point("refs/adw/a-1/build/k", sha)
    repository.git("commit", "--quiet", "--amend", "-m", "rewritten")
    hub.publish("refs/adw/a-1/build/k")
    assert repository.git("rev-parse", "refs/adw/a-1/build/k") == sha


def test_many_refs_take_one_file_and_are_all_still_there(hub: Hub, repository: Repository) -> None:
    refs = {f"refs/adw/a-{number}/plan/k": repository.tip for number in range(mirror.CROWDED)}
    for ref in refs:
        hub.mirror.point(ref, repository.tip)
    hub.publish("refs/adw/a-0/plan/k")
    assert not [path for path in (hub.place.mirror / "refs" / "adw").rglob("*") if path.is_file()]
    assert hub.mirror.refs("refs/adw") == refs


def test_a_git_command_that_was_killed_long_ago_is_in_nobodys_way(hub: Hub, repository: Repository) -> None:
    lock = hub.place.mirror / "refs" / "hub" / "main.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    new = repository.commit("second", a="1")
    sync(hub)
    assert (hub.mirror.find("refs/hub/main"), lock.exists()) == (new, False)


def test_the_configuration_is_that_of_the_checkout(hub: Hub, repository: Repository) -> None:
    assert hub.config_text() == ""
    (repository.path / "adw.toml").write_text("tries = 1\n")
    assert hub.config_text() == "tries = 1\n"


@pytest.mark.usefixtures("home")
def test_the_configuration_of_a_bare_repository_is_that_of_the_branch(repository: Repository, tmp_path: Path) -> None:
    assert find_hub(clone(repository, tmp_path / "none.git", "--bare").path).config_text() == ""
    repository.commit("configure", **{"adw.toml": "tries = 1\n# größe\n"})
    assert find_hub(clone(repository, tmp_path / "bare.git", "--bare").path).config_text() == "tries = 1\n# größe\n"


def test_a_configuration_that_is_no_text_is_named(repository: Repository, home: Path) -> None:  # noqa: ARG001
    (repository.path / "adw.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misuse, match=r"cannot read .*adw\.toml"):
        find_hub(repository.path)
