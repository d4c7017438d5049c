"""The Prefect UI in a real browser: Debian's Chromium, driven by Playwright. `make screenshots` keeps what it sees."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.conftest import make_repository
from tests.e2e.conftest import Adw, Serving, ask, configure, read, slug, until

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
expect.set_options(timeout=100_000)
PICTURES = os.environ.get("ADW_PICTURES", "")
AGENT = """
case $ADW_PHASE in
plan) echo "Write hello.txt, and say so in the log.";;
build) echo hello > hello.txt; echo "wrote hello.txt";;
*) echo "$ADW_PHASE: all is well";;
esac
"""

pytestmark = [
    pytest.mark.usefixtures("untraced"),
    pytest.mark.skipif(shutil.which(CHROMIUM) is None and not os.environ.get("CI"), reason="there is no Chromium: on Debian, apt install chromium"),
]


@pytest.fixture
def page(serving: Serving) -> Iterator[Page]:
    """A browser of a person who has logged in with what `adw ui` prints."""
    ui = [sys.executable, "-m", "adw", "ui"]
    told = subprocess.run(ui, env={**os.environ, "ADW_HOME": str(serving.home)}, capture_output=True, text=True, timeout=60, check=True).stdout
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(100_000)
        page.goto(f"{serving.ui}/blocks")
        page.locator("input[type=password]").fill(told.split("as a whole: ")[1].split()[0])
        page.keyboard.press("Enter")
        expect(page.get_by_placeholder("Search blocks")).to_be_visible()  # it leads on to where one wanted to go
        yield page
        browser.close()


@pytest.fixture
def shelf(adw: Adw, tmp_path: Path) -> Iterator[Adw]:
    """A repository with a name to be looked at, registered."""
    root = Path("/srv/projects") if PICTURES else tmp_path  # a path that says nothing of where the pictures were made
    adw.repository = make_repository(root / "shelf")
    configure(adw, AGENT, "[pool]\nsize = 4\n")
    assert adw.call("deploy").returncode == 0
    yield adw
    adw.call("deploy", "--remove")
    if PICTURES:
        shutil.rmtree(root)


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def opened(page: Page, link: Locator) -> Page:
    """The page that a link of a report opens."""
    with page.expect_popup() as new:
        link.click()
    return new.value


def choose(page: Page, number: int, downs: int) -> None:
    """Choose in the form's nth select, with the keyboard."""
    page.locator(".p-select-button__control").nth(number).click()
    for _ in range(downs):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")


def test_a_person_edits_the_pool_starts_a_run_by_the_form_watches_it_and_reads_its_report(shelf: Adw, serving: Serving, page: Page) -> None:
    name = slug(shelf)
    page.goto(f"{serving.ui}/blocks")
    page.get_by_placeholder("Search blocks").fill(name)  # there may be more than one page of others
    pool = page.get_by_role("row").filter(has_text="adw worktree pool").filter(has_text=name)
    expect(pool.get_by_role("img")).to_have_js_property("complete", value=True)
    assert pool.get_by_role("img").evaluate("image => image.naturalWidth") > 0  # its logo is there
    pool.get_by_text(name).click()
    expect(page.get_by_text("WorktreePool.load")).to_be_visible()
    page.locator("button.p-button--outline").first.click()
    page.get_by_text("Edit", exact=True).click()
    expect(page.get_by_text("How many slots there are")).to_be_visible()
    page.locator("input[type=number]").first.fill("3")
    picture(page, "block")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("WorktreePool.load")).to_be_visible()

    page.goto(f"{serving.ui}/deployments")
    expect(page.get_by_role("link", name=name)).to_be_visible()
    page.get_by_text("Deliver an issue").click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("'repository' is a required property")).to_be_visible()
    page.reload()
    expect(page.get_by_text("One of those registered by")).to_be_visible()
    form = read(shelf.home, "deployments/name/ad%20hoc/Deliver%20an%20issue")
    offered = form["parameter_openapi_schema"]["definitions"]["Order"]["properties"]["repository"]["enum"]
    choose(page, 0, 1 + offered.index(str(shelf.repository.path)))
    page.locator("textarea").first.fill("# Say hello\n\nA file hello.txt that says hello.")
    picture(page, "form")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**tab=Runs**")  # to which the page goes by itself: a click before that leads nowhere
    page.get_by_role("link", name="shelf: Say hello").first.click()
    page.wait_for_url("**/flow-run/**")

    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("shelf: Say hello").first).to_be_visible()
    page.reload()
    page.get_by_text("Artifacts", exact=True).click()
    picture(page, "artifacts")
    page.get_by_text(f"{name}-run", exact=True).first.click()
    page = opened(page, page.get_by_role("link", name=re.compile("say-hello-.*: Say hello")).first)
    expect(page.get_by_text("diff --git a/hello.txt b/hello.txt").first).to_be_visible()
    picture(page, "report")
    page = opened(page, page.get_by_role("link", name="1-build").first)
    expect(page.get_by_text("wrote hello.txt").first).to_be_visible()
    assert (shelf.repository.path / "hello.txt").read_text() == "hello\n"
    assert next(e["slots"] for e in shelf.events() if e["event"] == "flow started") == 3


@pytest.mark.thorough
def test_a_person_approves_a_change_with_the_form_that_a_paused_run_shows(shelf: Adw, serving: Serving, page: Page) -> None:
    assert serving.process.poll() is None
    shelf.issue("a")
    handed = shelf.call("run", str(shelf.issues), "--approve", "landing", "--detach")
    assert handed.returncode == 0, handed.stdout
    page.goto(handed.stdout.split("in the Prefect UI: ")[1].split()[0])
    expect(page.get_by_text("Paused").first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("May this land? Add a")).to_be_visible()
    expect(page.get_by_text("diff --git a/hello.txt b/hello.txt").first).to_be_visible()
    picture(page, "approval")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    until(lambda: [e for e in shelf.events() if e["event"] == "run ended"])
    shelf.assert_whole("a")


WAITS = """
while [ "$ADW_PHASE" = plan ] && [ ! -e "{gate}" ]; do sleep 0.1; done
echo "$ADW_PHASE of $ADW_ISSUE"
[ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"
"""


def spans(adw: Adw) -> list[tuple[float, float]]:
    """When each run that has ended was at work."""
    last = [{event["event"]: event["timestamp"] for event in adw.events(run)} for run in adw.runs]
    return sorted((at["process started"], at["run ended"]) for at in last if "run ended" in at)


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_cron_of_a_minute_takes_what_comes_once_and_never_has_two_runs_at_once(shelf: Adw, serving: Serving, page: Page) -> None:
    name, gate, todo = slug(shelf), shelf.issues.parent / "gate", shelf.repository.path / "issues"
    todo.mkdir()
    shelf.repository.commit("ways", **{".gitignore": "issues\n"})

    def comes(issue: str) -> None:
        (todo / f"{issue}.md").write_text(f"# Write {issue}\n\nA file {issue}.txt that says {issue}.\n")

    def states() -> list[str]:
        runs = ask(shelf.home, "flow_runs/filter", flow_runs={"tags": {"all_": [f"repository:{name}"]}})
        assert all(run["auto_scheduled"] for run in runs)
        return [run["state"]["name"] for run in runs]

    comes("first")
    configure(shelf, WAITS.format(gate=gate), '[schedule]\ncron = "* * * * *"\n')
    until(lambda: shelf.phase("first", "plan"))
    comes("second")
    until(lambda: "AwaitingConcurrencySlot" in states())  # the next minute has come
    assert states().count("Running") == 1
    page.goto(f"{serving.ui}/runs")
    page.locator(".p-select-button__control").first.click()
    page.keyboard.press("ArrowDown")
    page.locator(".p-select-option").filter(has_text=name).click()  # the saved view
    expect(page.get_by_text("AwaitingConcurrencySlot").first).to_be_visible()
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    assert f"tag=repository:{name}" in page.url.replace("%3A", ":")
    page.set_viewport_size({"width": 1280, "height": 960})
    picture(page, "runs")
    gate.touch()
    until(lambda: shelf.phase("second", "plan"))
    comes("third")
    until(lambda: "third" in shelf.repository.git("log", "--format=%(trailers:key=Adw-Issue,valueonly)"))
    landed = len(spans(shelf))
    until(lambda: len(spans(shelf)) > landed)  # one more, with nothing left to do
    configure(shelf, WAITS.format(gate=gate))  # no schedule any more
    until(lambda: "no schedule" in serving.said(shelf.place.name) and not {"Running", "Pending", "AwaitingConcurrencySlot"} & set(states()))

    shelf.assert_whole("first", "second", "third")
    built = [e["issue"] for run in shelf.runs for e in shelf.events(run) if e["event"] == "phase" and (e["phase"], e["state"]) == ("build", "done")]
    assert sorted(built) == ["first", "second", "third"]
    at_work = spans(shelf)
    assert len(at_work) == len(shelf.runs) >= 3
    assert all(end <= start for (_, end), (start, _) in pairwise(at_work)), at_work
    (task_run,) = ask(shelf.home, "task_runs/filter", task_runs={"tags": {"all_": [f"repository:{name}", "issue:second", "phase:build"]}})
    page.goto(f"{serving.ui}/runs/task-run/{task_run['id']}")
    expect(page.get_by_text("issue:second").first).to_be_visible()
    expect(page.get_by_text("adw show --trace").first).to_be_visible()
    picture(page, "task-run")
    page.get_by_text("Artifacts", exact=True).click()
    expect(page.get_by_text("1-build").first).to_be_visible()
