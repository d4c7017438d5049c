"""Which items of a plan are built side by side, and what their changes are together."""

from dataclasses import replace

import pytest

from adw import parts, phases, results
from adw.config import BuildConfig
from adw.errors import AgentFailed
from adw.mirror import Hub
from adw.model import Attempt, Change, Issue, Item, Plan
from adw.parts import Part, divide
from adw.phases import Site
from tests.conftest import Repository, make_site

CONFIG = BuildConfig(items=2)


def plan(*files: tuple[str, ...], integration: str = "") -> Plan:
    """A plan with an item for each set of files."""
    items = tuple(Item(title=f"item {number}", files=own) for number, own in enumerate(files, 1))
    return Plan(text="the plan", items=items, integration=integration)


def divided(*files: tuple[str, ...]) -> list[tuple[list[str], tuple[str, ...]]]:
    """The titles and files of the parts of a plan."""
    return [([item.title for item in part.items], part.files) for part in divide(plan(*files), CONFIG, 5).parts]


@pytest.fixture
def attempt(repository: Repository, hub: Hub) -> Attempt:
    return Attempt(number=1, base=repository.tip, base_tree=hub.mirror.tree_of(repository.tip))


def built(hub: Hub, issue: Issue, attempt: Attempt, whole: Plan, *lines: str) -> tuple[list[Part], list[Change]]:
    """The parts of a plan, each as an agent builds it that is a line for sh."""
    divided = divide(whole, CONFIG, 5).parts
    made = [parts.build(make_site(hub, line), issue, whole, part, attempt, {})[0] for part, line in zip(divided, lines, strict=True)]
    return list(divided), made


def test_items_that_touch_no_files_in_common_are_parts() -> None:
    assert divided(("a.py",), ("b.py", "c.py"), ("d/e.py",)) == [(["item 1"], ("a.py",)), (["item 2"], ("b.py", "c.py")), (["item 3"], ("d/e.py",))]
    assert [part.others for part in divide(plan(("a",), ("b", "c"), ("d",)), CONFIG, 5).parts] == [("b", "c", "d"), ("a", "d"), ("a", "b", "c")]


def test_items_that_touch_files_in_common_are_one_part_also_through_others() -> None:
    assert divided(("a", "b"), ("z",), ("b", "c"), ("c", "d")) == [(["item 1", "item 3", "item 4"], ("a", "b", "c", "d")), (["item 2"], ("z",))]
    assert divided(("a",), ("b",), ("z",), ("a", "b")) == [(["item 1", "item 2", "item 4"], ("a", "b")), (["item 3"], ("z",))]


@pytest.mark.parametrize("other", ["src/a.py", "./src/a.py", "src//a.py", "src/b/../a.py", "src", "src/", "src/*.py", "src\\a.py", " src/a.py "])
def test_the_same_file_by_another_name_or_its_folder_is_a_file_in_common(other: str) -> None:
    assert divided(("src/a.py",), (other,), ("z",)) == [(["item 1", "item 2"], divided(("src/a.py",), (other,), ("z",))[0][1]), (["item 3"], ("z",))]


def test_a_name_that_begins_like_another_is_another_file() -> None:
    assert len(divided(("src/a",), ("src/a.py",), ("srcs",), ("..a",))) == 4


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ((), "the item 'item 2' names no files, so it may touch those of all"),
        (("", " "), "names no files"),
        *[((name,), "the item 'item 2' names a file that is not in the repository, so") for name in ("/etc/passwd", "../x", "a/../../x", ".", "*.py", "**")],
    ],
)
def test_an_item_that_may_touch_anything_leaves_the_whole_to_one_agent(odd: tuple[str, ...], said: str) -> None:
    division = divide(plan(("a",), odd, ("c",)), CONFIG, 5)
    assert division.parts == ()
    assert said in division.reason


def test_an_empty_item_and_a_file_named_twice_do_no_harm() -> None:
    whole = plan(("a", "a"), ("b",))
    division = divide(replace(whole, items=(*whole.items, Item(title=" "))), CONFIG, 5)
    assert [part.files for part in division.parts] == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("config", "slots", "said"),
    [
        (BuildConfig(parallel=False), 5, "build.parallel is off"),
        (BuildConfig(items=4), 5, "the plan has 3 items, and is built in parts from 4 on"),
        (BuildConfig(), 1, "there is only one slot"),
    ],
)
def test_why_a_plan_is_built_by_one_agent_is_told(config: BuildConfig, slots: int, said: str) -> None:
    division = divide(plan(("a",), ("b",), ("c",)), config, slots)
    assert division.parts == ()
    assert said in division.reason
    assert divide(plan(("a",), ("b",), ("a", "b")), BuildConfig(), 5).reason.startswith("all items touch files in common")


def test_parts_are_one_change_as_of_one_agent(hub: Hub, site: Site, issue: Issue, attempt: Attempt) -> None:
    whole = plan(("a.txt",), ("b.txt",))
    divided, changes = built(hub, issue, attempt, whole, "echo a > a.txt", "echo b > b.txt; echo more > other.txt")
    merged = parts.merged(site, whole, attempt, divided, changes)
    change = parts.one(site, issue, attempt, changes, merged.tree)
    alone = phases.build(make_site(hub, "echo a > a.txt; echo b > b.txt; echo more > other.txt"), issue, whole, attempt, {})[0]
    assert (merged.left, change.tree, change.base) == ((), alone.tree, attempt.base)
    assert hub.mirror.message(change.sha) == hub.mirror.message(alone.sha)
    assert parts.one(site, issue, attempt, changes, parts.merged(site, whole, attempt, divided, changes).tree) == change  # a pure function


def test_what_parts_leave_to_be_done_is_told(hub: Hub, site: Site, issue: Issue, attempt: Attempt) -> None:
    whole = plan(("a.txt",), ("b.txt",), ("code.txt",), integration="wire them")
    lines = ("echo a > a.txt; echo mine > code.txt", "true", "echo theirs > code.txt")
    divided, changes = built(hub, issue, attempt, whole, *lines)
    merged = parts.merged(site, whole, attempt, divided, changes)
    assert merged.apart == (changes[2],)
    assert merged.left == (
        "item 1: its agent touched code.txt, which is another part's",
        "item 2: its agent changed nothing",
        "item 3: it conflicts with parts before it in code.txt, and is not in these files yet",
        "wire them",
    )
    assert hub.mirror.touched(attempt.base_tree, merged.tree) == ["a.txt", "code.txt"]


def test_what_git_merges_needs_no_agent_even_if_nobody_named_it(hub: Hub, site: Site, issue: Issue, attempt: Attempt) -> None:
    whole = plan(("a.txt",), ("b.txt",))
    divided, changes = built(hub, issue, attempt, whole, "echo a > a.txt; echo x > both", "echo b > b.txt; echo x > both")
    assert parts.merged(site, whole, attempt, divided, changes).left == ()


def test_parts_are_merged_by_the_rules_of_what_they_were_built_on(hub: Hub, repository: Repository, site: Site, issue: Issue) -> None:
    base = repository.commit("attributes", **{".gitattributes": "both merge=union\n"})
    attempt, whole = results.begin(hub, issue, 1, hub.tip()), plan(("a.txt", ".gitattributes"), ("b.txt",))
    divided, changes = built(hub, issue, attempt, whole, "echo x > both; rm .gitattributes", "echo y > both")
    merged = parts.merged(site, whole, attempt, divided, changes)
    assert (attempt.base, merged.left, hub.mirror.text(merged.tree, "both")) == (base, (), "x\ny\n")


def test_parts_that_all_change_nothing_are_no_change(hub: Hub, site: Site, issue: Issue, attempt: Attempt) -> None:
    whole = plan(("a.txt",), ("b.txt",))
    divided, changes = built(hub, issue, attempt, whole, "true", "true")
    with pytest.raises(AgentFailed, match="none of them changed anything"):
        parts.one(site, issue, attempt, changes, parts.merged(site, whole, attempt, divided, changes).tree)


def test_who_integrates_has_what_merges_in_its_files_and_the_rest_in_its_prompt(hub: Hub, issue: Issue, attempt: Attempt) -> None:
    whole = plan(("a.txt",), ("code.txt",), integration="wire them")
    divided, changes = built(hub, issue, attempt, whole, "echo a > a.txt; echo mine > code.txt", "echo theirs > code.txt")
    site = make_site(hub, "cat {prompt_file} > told.txt; echo both > code.txt")
    change, _ = parts.integrate(site, issue, whole, attempt, divided, changes, {})
    told = hub.mirror.text(change.sha, "told.txt")
    assert (hub.mirror.text(change.sha, "a.txt"), hub.mirror.text(change.sha, "code.txt")) == ("a\n", "both\n")
    assert all(words in told for words in ("- wire them", "- item 2: it conflicts", "+theirs", "the plan", "please"))
    assert (change.base, hub.mirror.message(change.sha)) == (attempt.base, phases.message(issue).strip())


def test_an_agent_is_told_its_part_the_plan_and_what_is_not_its_own(hub: Hub, issue: Issue, attempt: Attempt) -> None:
    whole = plan(("a.txt",), ("b.txt", "c.txt"))
    _, changes = built(hub, issue, attempt, whole, 'cat {prompt_file} > a.txt; echo "$ADW_PHASE/$ADW_PART" >> a.txt', "echo b > b.txt")
    told = hub.mirror.text(changes[0].sha, "a.txt")
    assert "item 1\nIts files: a.txt\n</part-" in told
    assert "b.txt\nc.txt\n</files-" in told
    assert "the plan\n</plan-" in told
    assert told.endswith("build/1\n")


def test_the_keys_of_parts_change_with_what_decides_them(hub: Hub, issue: Issue, attempt: Attempt) -> None:
    whole, site = plan(("a",), ("b",)), make_site(hub, "true")
    one, two = divide(whole, CONFIG, 5).parts
    more = replace(one, items=(replace(one.items[0], details="so"),))
    change = Change(sha="1", tree="2", base="3", base_tree="4")
    keys = [
        parts.key(site, issue, whole, one, attempt),
        parts.key(site, issue, whole, two, attempt),
        parts.key(site, issue, whole, more, attempt),
        parts.key(site, issue, replace(whole, text="another"), one, attempt),
        parts.key(site, issue, whole, one, replace(attempt, base="another")),
        parts.key(make_site(hub, "false"), issue, whole, one, attempt),
        parts.integrate_key(site, issue, whole, attempt, [change]),
        parts.integrate_key(site, issue, whole, attempt, [change, change]),
        phases.build_key(site, issue, whole, attempt),
    ]
    assert len(set(keys)) == len(keys)
    assert parts.key(replace(site, run="another", branch="other"), replace(issue, id="i9"), whole, one, replace(attempt, number=7)) == keys[0]
    assert parts.integrate_key(site, issue, whole, attempt, [replace(change, sha="9")]) == keys[6]


def test_an_agent_mends_what_skills_find_in_its_part_by_itself_and_nothing_that_needs_the_others(hub: Hub, issue: Issue, attempt: Attempt) -> None:
    whole = plan(("a.py",), ("b.py",))
    twice = "if [ -e %s ]; then echo 'import other' > %s; else echo 'x = (' > %s; fi"
    divided, changes = built(hub, issue, attempt, whole, twice.replace("%s", "a.py"), "echo 'import elsewhere' > b.py; echo x >> asked")
    assert hub.mirror.text(changes[0].sha, "a.py") == "import other\n"
    assert hub.mirror.text(changes[1].sha, "asked") == "x\n"
    site = make_site(hub, twice.replace("%s", "c.py"))
    assert hub.mirror.text(parts.integrate(site, issue, whole, attempt, divided, changes, {})[0].sha, "c.py") == "import other\n"
    assert parts.by_file(site).config.skills.build == ("validate_syntax",)
