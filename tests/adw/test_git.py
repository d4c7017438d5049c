from pathlib import Path
from subprocess import CalledProcessError

import pytest

from adw.errors import GitBusy, GitFailed, Misuse
from adw.git import Git, Prepared, author, change_of, checkouts, git_version, locate, make_repository
from tests.conftest import Repository

WHO = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in (("NAME", "Zoë"), ("EMAIL", "z@x"), ("DATE", "1700000000 +0130"))}


@pytest.fixture
def git(repository: Repository) -> Git:
    return Git(repository.path / ".git")


@pytest.fixture
def sides(repository: Repository) -> tuple[str, str]:
    """Two commits on top of `main` that both change code.txt."""
    first = repository.tip
    ours = repository.commit("ours", **{"code.txt": "ours\n"})
    repository.git("checkout", "--quiet", "--detach", first)
    theirs = repository.commit("theirs", **{"code.txt": "theirs\n", "größe.txt": "x\n"})
    repository.git("checkout", "--quiet", "main")
    return ours, theirs


def beside(repository: Repository, **files: str) -> str:
    """A commit on top of `main` that is on no branch."""
    repository.git("checkout", "--quiet", "--detach")
    sha = repository.commit("beside", **files)
    repository.git("checkout", "--quiet", "main")
    return sha


def test_changes_of_different_files_merge(git: Git, repository: Repository) -> None:
    change = beside(repository, **{"b.txt": "b\n"})
    onto = repository.commit("onto", **{"a.txt": "a\n"})
    merged = git.merge(onto, change)
    assert (git.touched(git.tree_of(onto), merged.tree), merged.conflicts) == (["b.txt"], ())


def test_a_conflict_names_the_file_and_leaves_the_checkout_alone(git: Git, repository: Repository, sides: tuple[str, str]) -> None:
    merged = git.merge(*sides)
    assert (merged.conflicts, "CONFLICT (content)" in merged.said) == (("code.txt",), True)
    assert "<<<<<<< " in git.text(merged.tree, "code.txt")
    assert repository.git("status", "--porcelain") == ""


def test_a_conflict_names_a_file_as_it_is_written(git: Git, repository: Repository) -> None:
    change = beside(repository, **{"größe ä.txt": "a\n"})
    onto = repository.commit("onto", **{"größe ä.txt": "b\n"})
    assert git.merge(onto, change).conflicts == ("größe ä.txt",)


def test_a_merge_with_what_is_no_commit_is_no_conflict(git: Git, repository: Repository) -> None:
    with pytest.raises(GitFailed):
        git.merge(repository.tip, "1" * 40)


def test_the_same_commit_is_made_twice_as_one(git: Git, repository: Repository) -> None:
    shas = {git.commit(git.tree_of(repository.tip), [repository.tip], "größe\n", WHO) for _ in range(2)}
    assert len(shas) == 1
    sha = shas.pop()
    assert (git.message(sha), repository.git("log", "-1", "--format=%an %cd", "--date=raw", sha)) == ("größe", "Zoë 1700000000 +0130")
    assert git.identity(sha) == WHO


def test_a_commit_by_the_same_identity_is_the_same(git: Git, repository: Repository) -> None:
    sha = git.commit(git.tree_of(repository.tip), [repository.tip], "x\n\nbody\n", WHO)
    assert git.commit(git.tree_of(sha), [repository.tip], f"{git.message(sha)}\n", git.identity(sha)) == sha


def test_trailers_are_what_landed_by_its_newest_commit(git: Git, repository: Repository) -> None:
    repository.commit("one\n\nAdw-Issue: größe ändern", a="1")
    newest = repository.commit("again\n\nAdw-Issue: größe ändern", a="2")
    both = repository.commit("two\n\nbody\n\nReviewed-by: x\nAdw-Issue: b/c\nAdw-Issue: d", a="3")
    assert git.trailers("refs/heads/main") == {"größe ändern": newest, "b/c": both, "d": both}


def test_what_only_reads_like_a_trailer_landed_nothing(git: Git, repository: Repository) -> None:
    repository.commit("one\n\nAdw-Issue: quoted\n\nas the text says", a="1")
    assert git.trailers("refs/heads/main") == {}


def test_a_tree_without_the_docs_has_the_rest(git: Git, repository: Repository) -> None:
    files = {"README.md": "x", "docs__a b.md": "x", "docs__deep__ö.md": "x", "src__docs__keep.py": "x", "src__README.md": "x"}
    code = git.without(git.tree_of(repository.commit("docs", **files)), ["docs", "README*"])
    assert repository.git("-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", code).split("\n") == [
        ".gitignore",
        "code.txt",
        "src/README.md",
        "src/docs/keep.py",
    ]


def test_a_tree_without_nothing_is_itself(git: Git, repository: Repository) -> None:
    tree = git.tree_of(repository.tip)
    assert git.without(tree, ["gone", "docs/"]) == tree


def test_what_was_touched_outside_of_the_patterns_is_named(git: Git, repository: Repository) -> None:
    old = git.tree_of(repository.tip)
    repository.git("mv", "code.txt", "moved.txt")
    new = git.tree_of(repository.commit("new", **{"docs__a.md": "x", "README.md": "y", "sp ace ö.txt": "z"}))
    assert git.touched(old, new, ["docs", "README*"]) == ["code.txt", "moved.txt", "sp ace ö.txt"]
    assert len(git.touched(old, new)) == 5
    assert git.touched(old, old, ["docs"]) == []


def test_prepared_moves_all_refs_together(git: Git, repository: Repository, sides: tuple[str, str]) -> None:
    ours, theirs = sides
    transaction = Prepared(git, [("refs/heads/main", theirs, ours), ("refs/adw/a-1/landed", theirs, "")], "adw: land a")
    assert (transaction.ready, repository.tip) == (True, ours)
    assert transaction.commit()
    assert set(git.refs("refs/heads/main", "refs/adw").values()) == {theirs}
    assert "adw: land a" in repository.git("reflog", "main")


def test_prepared_against_a_wrong_old_value_moves_nothing(git: Git, repository: Repository, sides: tuple[str, str]) -> None:
    ours, theirs = sides
    transaction = Prepared(git, [("refs/adw/a-1/landed", theirs, ""), ("refs/heads/main", theirs, theirs)], "adw")
    assert not transaction.ready
    assert "but expected" in transaction.abort()
    assert (repository.tip, git.refs("refs/adw")) == (ours, {})


def test_prepared_and_aborted_leaves_all_as_it_was(git: Git, repository: Repository, sides: tuple[str, str]) -> None:
    ours, theirs = sides
    transaction = Prepared(git, [("refs/heads/main", theirs, ours)], "adw")
    with pytest.raises(CalledProcessError):
        repository.git("update-ref", "refs/heads/main", theirs)  # nobody else moves it meanwhile
    assert transaction.abort() == ""
    assert repository.tip == ours
    git.point("refs/heads/main", theirs)
    assert repository.tip == theirs


def test_a_lock_is_waited_for_and_then_said(git: Git, repository: Repository) -> None:
    (repository.path / ".git" / "index.lock").touch()
    with pytest.raises(GitBusy, match="met a lock"):
        Git(git.directory, work_tree=repository.path).run("add", "--all", ".")


def test_a_command_that_fails_is_named_with_its_errors(git: Git) -> None:
    with pytest.raises(GitFailed, match=r"git rev-parse gone\^\{tree\} in .* failed \(128\): .*unknown revision"):
        git.tree_of("gone")


def test_what_a_revision_names_is_found_or_not(git: Git, repository: Repository) -> None:
    assert git.find("refs/heads/main") == repository.tip
    assert [git.find(name) for name in ("refs/heads/gone", "--all", "")] == [None, None, None]
    assert (git.has(repository.tip), git.has("1" * 40)) == (True, False)


def test_a_commit_is_an_ancestor_of_what_has_it_in(git: Git, sides: tuple[str, str], repository: Repository) -> None:
    first = repository.git("rev-parse", "main^")
    assert [git.is_ancestor(first, sides[0]), git.is_ancestor(sides[0], first), git.is_ancestor(*sides)] == [True, False, False]


def test_refs_are_forgotten_all_or_none(git: Git, repository: Repository) -> None:
    git.point("refs/adw/a", repository.tip)
    git.point("refs/adw/ö/b", repository.tip)
    with pytest.raises(GitFailed):
        git.forget(["refs/adw/a", "not a ref"])
    assert set(git.refs("refs/adw")) == {"refs/adw/a", "refs/adw/ö/b"}
    git.forget(list(git.refs("refs/adw")))
    assert git.refs("refs/adw") == {}


def test_a_work_tree_becomes_a_commit_whatever_is_in_it(git: Git, repository: Repository, tmp_path: Path) -> None:
    view = Git(git.directory, work_tree=tmp_path / "sp ace ö", index=tmp_path / "index")
    tree = tmp_path / "sp ace ö"
    for name in ("code.txt/folder", ".venv/bin", "README.md~"):
        (tree / name).mkdir(parents=True)
    (tree / ".env").write_text("ignored")
    view.check_out(repository.tip, [".venv"])
    assert sorted(path.name for path in tree.iterdir()) == [".gitignore", ".venv", "README.md", "code.txt"]
    assert view.snapshot() == view.tree_of(repository.tip)


def test_a_snapshot_is_the_work_tree_but_for_what_is_ignored(git: Git, repository: Repository, tmp_path: Path) -> None:
    view = Git(git.directory, work_tree=tmp_path / "tree", index=tmp_path / "index")
    (tmp_path / "tree").mkdir()
    view.check_out(repository.tip, [])
    (tmp_path / "tree" / "größe ä").write_text("x")
    (tmp_path / "tree" / ".env").write_text("x")
    (tmp_path / "tree" / "code.txt").unlink()
    assert view.touched(view.tree_of(repository.tip), view.snapshot()) == ["code.txt", "größe ä"]
    assert repository.git("status", "--porcelain") == ""


def test_a_difference_is_text_whatever_the_user_has_configured(git: Git, repository: Repository) -> None:
    old = repository.tip
    new = repository.commit("new", **{"code.txt": "größe\n"})
    for key, value in (("color.ui", "always"), ("diff.external", "false"), ("diff.code.textconv", "false")):
        repository.git("config", key, value)
    (repository.path / ".git" / "info" / "attributes").write_text("*.txt diff=code\n")
    assert git.diff(old, new).endswith("@@ -1 +1 @@\n-one\n+größe")


def test_a_path_outside_of_a_repository_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="is not in a git repository"):
        locate(tmp_path)
    with pytest.raises(Misuse, match=r"there is no folder .*gone"):
        locate(tmp_path / "gone")


def test_a_repository_is_located_from_a_folder_in_it(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "zweig/größe")
    (repository.path / "sp ace ö").mkdir()
    found = locate(repository.path / "sp ace ö")
    assert (found.directory, found.checkout, found.head, found.shallow) == (repository.path / ".git", repository.path, "zweig/größe", False)


def test_the_work_trees_of_branches_are_found(git: Git, repository: Repository, tmp_path: Path) -> None:
    repository.git("worktree", "add", "--quiet", "-b", "zweig/größe", str(tmp_path / "sp ace ö"))
    repository.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "loose"))
    assert checkouts(git) == {"refs/heads/main": repository.path, "refs/heads/zweig/größe": tmp_path / "sp ace ö"}


def test_a_bare_repository_has_no_checkouts(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    assert checkouts(Git(tmp_path / "bare.git")) == {}


def test_texts_are_read_at_once_and_what_is_no_file_of_a_commit_has_none(git: Git, repository: Repository) -> None:
    (repository.path / "raw").write_bytes(b"\xff\n")
    sha = repository.commit("more", **{"a 1.txt": "a\nb\n", "docs/empty": "", "größe.txt": "ä"})
    asked = ("a 1.txt", "docs", "docs/empty", "away", "größe.txt", "raw", "code.txt")
    assert git.texts(sha, *asked) == ["a\nb\n", "", "", "", "ä", "\N{REPLACEMENT CHARACTER}\n", repository.git("show", "main:code.txt") + "\n"]
    assert git.texts("1" * 40, "a 1.txt", "code.txt") == ["", ""]


def test_the_author_is_the_repositorys_user_or_adw(git: Git, repository: Repository) -> None:
    assert author(git)["GIT_AUTHOR_NAME"] == "Ada"
    repository.git("config", "--unset", "user.name")
    assert (author(git)["GIT_COMMITTER_NAME"], author(git)["GIT_COMMITTER_EMAIL"]) == ("adw", "ada@example.invalid")


def test_a_change_is_told_by_its_commit(git: Git, repository: Repository) -> None:
    base = repository.tip
    change = change_of(git, repository.commit("new", a="1"))
    assert (change.sha, change.base, change.base_tree) == (repository.tip, base, git.tree_of(base))
    assert change.tree == git.tree_of(repository.tip)


def test_a_folder_becomes_a_repository(tmp_path: Path) -> None:
    (tmp_path / "a b").write_text("x")
    make_repository(tmp_path, "All of it")
    made = Repository(tmp_path)
    assert (made.subjects, made.git("ls-files"), made.git("status", "--porcelain")) == (["All of it"], "a b", "")


def test_hooks_of_a_repository_do_not_run(git: Git, repository: Repository) -> None:
    hook = repository.path / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    git.point("refs/adw/a", repository.tip)
    assert git.refs("refs/adw") == {"refs/adw/a": repository.tip}


def test_no_ref_is_all_zeros(git: Git) -> None:
    assert git.has("0" * 40) is False
    assert git_version().startswith("git version ")


@pytest.mark.parametrize("many", [3, 150])
def test_a_commit_is_given_with_all_that_the_other_does_not_have(git: Git, repository: Repository, tmp_path: Path, many: int) -> None:
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "other.git"))
    other, known = Git(tmp_path / "other.git"), repository.tip
    repository.commit("before", **{f"{number}.txt": f"{number}\n" for number in range(many)})
    sha = repository.commit("last", **{"code.txt": "two\n"})
    git.give(other, sha, known)
    other.point("refs/heads/given", sha)
    assert other.run("fsck", "--strict", "--connectivity-only") == ""
    assert (other.text("given", "code.txt"), other.text("given", f"{many - 1}.txt")) == ("two\n", f"{many - 1}\n")


def test_what_cannot_be_given_is_named(git: Git, repository: Repository) -> None:
    with pytest.raises(GitFailed, match=f"cannot pack {'1' * 40}"):
        git.give(git, "1" * 40, repository.tip)


def test_the_lock_that_a_git_left_when_it_was_killed_is_in_no_refs_way(git: Git, repository: Repository) -> None:
    lock = git.directory / "refs" / "adw" / "a-1" / "build" / "k.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    git.point("refs/adw/a-1/build/k", repository.tip)
    assert (git.find("refs/adw/a-1/build/k"), lock.exists()) == (repository.tip, False)
