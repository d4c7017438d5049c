"""Changes that meet others: what git and rules resolve, and what the agent is given."""

import pytest

from adw import branches, merging, phases, results
from adw.config import MergeConfig
from adw.errors import AgentFailed, Conflict
from adw.git import change_of
from adw.mirror import Hub
from adw.model import Attempt, Change, Issue, Plan
from adw.phases import Site
from tests.conftest import Repository, make_site

PLAN = Plan(text="none")


def made(hub: Hub, issue: Issue, script: str, base: str) -> Change:
    """What a line for sh makes of a commit."""
    site = make_site(hub, script)
    return phases.build(site, issue, PLAN, Attempt(number=1, base=base, base_tree=hub.mirror.tree_of(base)), {})[0]


def ruled(hub: Hub, script: str = "true", **merge: object) -> Site:
    """A run with rules for merging."""
    site = make_site(hub, script)
    return Site(run=site.run, repository=site.repository, branch=site.branch, config=site.config.model_copy(update={"merge": MergeConfig(**merge)}))  # type: ignore[arg-type]


def again(hub: Hub, issue: Issue, change: Change, feedback: str = "") -> Attempt:
    """A try that begins with a change, merged onto the tip."""
    return results.begin(hub, issue, 2, hub.tip(), feedback, change.sha)


@pytest.fixture
def change(hub: Hub, repository: Repository, issue: Issue) -> Change:
    """A change of a line that somebody else has changed since, too."""
    made_of = made(hub, issue, "echo ours > code.txt", hub.tip())
    repository.commit("theirs", **{"code.txt": "theirs\n", "other.txt": "x\n"})
    return made_of


def text(hub: Hub, change: Change, path: str = "code.txt") -> str:
    return hub.mirror.text(change.sha, path)


def test_the_lines_of_both_sides_are_kept_where_a_rule_says_so(hub: Hub, issue: Issue, change: Change) -> None:
    candidate = phases.candidate(ruled(hub, union=["code*"]), issue, change, hub.tip())
    assert sorted(hub.mirror.text(candidate.sha, "code.txt").split()) == ["ours", "theirs"]


def test_the_branchs_own_gitattributes_count(hub: Hub, repository: Repository, issue: Issue, change: Change) -> None:
    repository.commit("attributes", **{".gitattributes": "*.txt merge=union\n"})
    candidate = phases.candidate(ruled(hub), issue, change, hub.tip())
    assert sorted(hub.mirror.text(candidate.sha, "code.txt").split()) == ["ours", "theirs"]


def test_a_conflict_names_its_files(hub: Hub, issue: Issue, change: Change) -> None:
    with pytest.raises(Conflict, match=r"conflict in code\.txt\nAuto-merging"):
        phases.candidate(ruled(hub), issue, change, hub.tip())


def test_the_agent_finds_what_landed_and_both_diffs_in_its_prompt(hub: Hub, issue: Issue, change: Change) -> None:
    agent = 'cp code.txt "$TMPDIR/../seen" && cat > "$TMPDIR/../told" && echo both > code.txt'
    site = ruled(hub, agent)
    resolved, _ = phases.build(site, issue, PLAN, again(hub, issue, change, "that was said"), {})
    slot = next(hub.place.pool.glob("*/seen")).parent
    assert (slot / "seen").read_text() == "theirs\n"
    told = (slot / "told").read_text()
    assert all(piece in told for piece in ("+ours", "+theirs", "that was said", "It conflicts in: code.txt"))
    assert (text(hub, resolved), text(hub, resolved, "other.txt")) == ("both\n", "x\n")
    assert resolved.base == hub.tip()


def test_a_generated_file_is_written_anew_and_no_agent_asked(hub: Hub, issue: Issue, change: Change) -> None:
    site = ruled(hub, "echo asked > asked.txt", regenerate={"code.txt": "cat other.txt code.txt > new && mv new code.txt"})
    resolved, _ = phases.build(site, issue, PLAN, again(hub, issue, change, "it conflicts"), {})
    assert (text(hub, resolved), text(hub, resolved, "asked.txt")) == ("x\ntheirs\n", "")


def test_a_command_that_cannot_write_anew_is_named(hub: Hub, issue: Issue, change: Change) -> None:
    site = ruled(hub, regenerate={"*.txt": "echo no lock today; false"})
    with pytest.raises(AgentFailed, match=r"`echo no lock today; false` \(merge.regenerate in adw.toml\) failed \(exit status 1\):\nno lock today"):
        phases.build(site, issue, PLAN, again(hub, issue, change, "it conflicts"), {})


def test_what_fails_only_merged_goes_to_the_agent_on_top_of_what_landed(hub: Hub, repository: Repository, issue: Issue) -> None:
    change = made(hub, issue, "echo ours > ours.txt", hub.tip())
    repository.commit("theirs", **{"other.txt": "x\n"})
    resolved, _ = phases.build(ruled(hub, "test ! -e ours.txt && cp other.txt all.txt"), issue, PLAN, again(hub, issue, change, "the tests fail"), {})
    assert text(hub, resolved, "all.txt") == "x\n"


def test_what_a_person_committed_is_merged_and_no_agent_asked(hub: Hub, repository: Repository, issue: Issue) -> None:
    change = made(hub, issue, "echo ours > ours.txt", hub.tip())
    repository.commit("theirs", **{"other.txt": "x\n"})
    resolved, _ = phases.build(ruled(hub, "echo asked > asked.txt"), issue, PLAN, again(hub, issue, change), {})
    assert (text(hub, resolved, "ours.txt"), text(hub, resolved, "asked.txt")) == ("ours\n", "")


def test_a_try_that_begins_with_a_change_is_read_back(hub: Hub, issue: Issue, change: Change) -> None:
    begun = again(hub, issue, change, "it conflicts")
    assert results.attempts(hub, issue) == [begun]
    assert begun.change == change.sha


def test_a_change_is_rebased_from_a_base_that_never_landed(hub: Hub, issue: Issue) -> None:
    """As where it stands on the change of another issue, which was built anew."""
    tip = hub.tip()
    parent = made(hub, issue, "echo parent > parent.txt; echo a >> code.txt", tip)
    child = made(hub, issue, "echo child > child.txt", parent.sha)
    other = made(hub, issue, "echo anew > parent.txt", tip)
    tree = merging.clean(hub.mirror, MergeConfig(), child, other.sha)
    assert (hub.mirror.text(tree, "child.txt"), hub.mirror.text(tree, "parent.txt"), hub.mirror.text(tree, "code.txt")) == ("child\n", "anew\n", "one\n")


def test_a_kept_branch_is_taken_up_once_when_a_person_has_moved_it(hub: Hub, repository: Repository, issue: Issue, change: Change) -> None:
    assert branches.keep(hub, issue, change.sha) == "adw/i1"
    assert branches.taken_up(hub, issue, hub.tip()) == ""
    repository.git("checkout", "-q", "adw/i1")
    repository.git("merge", "-q", "-X", "ours", "main")
    repository.commit("mine", **{"code.txt": "by hand\n"})
    repository.git("checkout", "-q", "main")
    theirs = change_of(hub.mirror, branches.taken_up(hub, issue, hub.tip()))
    assert (theirs.base, text(hub, theirs)) == (hub.tip(), "by hand\n")
    branches.saw(hub, issue)
    assert branches.taken_up(hub, issue, hub.tip()) == ""
    branches.drop(hub, issue)
    assert "refs/heads/adw/i1" not in hub.git.refs()


def test_a_branch_that_a_person_made_or_moved_is_not_touched(hub: Hub, repository: Repository, issue: Issue, change: Change) -> None:
    repository.git("branch", "adw/i1", "main")
    assert branches.keep(hub, issue, change.sha) == ""
    branches.drop(hub, issue)
    assert repository.git("rev-parse", "adw/i1") == repository.tip


@pytest.mark.parametrize(("name", "branch"), [("i1", "adw/i1"), ("a b", "adw/a-b-"), ("..", "adw/issue-"), ("x.lock", "adw/x-"), ("-x", "adw/x-")])
def test_any_id_names_a_branch(name: str, branch: str, repository: Repository) -> None:
    made_of = branches.name(Issue(id=name, title="x", body=""))
    assert made_of.startswith(branch)
    repository.git("check-ref-format", f"refs/heads/{made_of}")
