"""What adw does beside its agents, each thing alone, and what all of it is of a workflow that takes as long as the analysis says."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from statistics import quantiles

from adw import landing, phases, results
from adw.config import AgentConfig, ChecksConfig, Config, MemoryConfig, PoolConfig
from adw.git import change_of
from adw.memory import stores
from adw.memory.border import Border
from adw.memory.model import Memory
from adw.mirror import find_hub, sync
from adw.model import PHASES, Arrival, Attempt, Candidate, Change, Issue, Plan
from adw.phases import Site
from adw.tracker.model import Card
from adw.tracker.spool import Spool
from benchmarks.machine import Book, watched
from benchmarks.memory import SCOPE, labelled, made_up, question
from benchmarks.small import git, repository, timed
from benchmarks.trial import environment
from benchmarks.workflow import Switches

FILES, MEMORIES = 1000, 1000
FULL = Switches(slots=5, known=True, document=True)
Thing = tuple[str, int, Callable[[], object]]  # what it is called, how often a workflow has it, and doing it


def measure(folder: Path, book: Book, repeat: int, submit: Callable[..., None]) -> None:
    """Measure each so often, with what does it. `submit` has a task of Prefect's do nothing, as it is for those who ask a model, or for others."""
    with environment({"ADW_HOME": str(folder / "home")}):
        _measure(folder, book, repeat, submit)


def _measure(folder: Path, book: Book, repeat: int, submit: Callable[..., None]) -> None:
    whole = FULL.limits.best
    for what, times, do in [*of_git(folder), *of_prefect(submit), *of_memory(folder), *of_tracker(folder)]:
        do()
        took: list[float] = []
        with watched() as seen:
            for _ in range(repeat):
                with timed(took):
                    do()
        low, middle, high = (1000 * value for value in quantiles(took, n=4))
        share = times * middle / 1000 / whole
        book.note(seen, what=what, unit="ms", value=middle, values=[low, middle, high], times=times, share=share)
        print(f"{what:<60} {middle:8.1f} ms ({low:.1f} to {high:.1f}); {times} in a workflow of {whole / 60:.1f} min: {share:.2%}", flush=True)


def _pieces(phase: str = "") -> int:
    """How many slots a workflow is lent, one after another or at once; for one phase, or all."""
    return sum(piece.name != "base" and phase in piece.name for piece in FULL.pieces_of("f"))


def of_prefect(submit: Callable[..., None]) -> Iterator[Thing]:
    """A task that does nothing, as it is for tests and landings, and for those who ask a model: the server counts these."""
    tests = _pieces("test")
    yield "a task of Prefect's that does nothing", tests + 1, submit
    yield "the same with the tag llm, which has a limit", _pieces() - tests, partial(submit, asks_model=True)


def of_git(folder: Path) -> Iterator[Thing]:
    """A lease, a candidate, a landing, a result that is known."""
    path = repository(folder / "hub", FILES)
    first = git(path, "rev-parse", "main")
    change = _change(path)
    (path / "code.txt").write_text("more code\n")
    git(path, "commit", "-qam", "second")
    hub = find_hub(path)
    sync(hub)
    config = Config(agent=AgentConfig(name="command", command="true"), test=ChecksConfig(command="true"), pool=PoolConfig(size=1, memory_gb=0, disk_floor=0))
    site, issue = Site(run="bench", repository=str(path), branch="main", config=config), Issue(id="b", title="Add b", body="please")
    site.journal().keep({})
    commits, numbers = (first, hub.tip()), count()

    def lease() -> None:
        with site.pool().lease(commits[next(numbers) % 2], site.order(issue, "plan")):
            pass

    def candidate(issue: Issue = issue) -> Candidate:
        return phases.candidate(site, issue, change, hub.tip())

    def land() -> None:
        new = Issue(id=f"b{next(numbers)}", title="Add b", body="please")
        tree, tip = hub.mirror.tree_of(change.sha), hub.tip()
        sha = hub.mirror.commit(tree, [tip], phases.message(new), hub.author())
        if not landing.land(hub, [Arrival(issue=new, candidate=Candidate(sha=sha, tree=tree, onto=tip, code=tree))]):
            raise AssertionError

    attempt = Attempt(number=1, base=first, base_tree=hub.mirror.tree_of(first))
    key = phases.plan_key(site, issue, attempt)
    results.record(hub, site.order(issue, "plan"), key, Plan(text="known"), first)
    yield f"a lease, {FILES} files", _pieces(), lease
    yield "a candidate, merged", 1, candidate
    yield "a result that is known, looked for in git", _pieces(), partial(results.find, hub, "plan", key, Plan)
    yield "a landing", 1, land


def _change(path: Path) -> Change:
    """A change on the first commit, which the mirror knows and the branch does not have."""
    (path / "new.txt").write_text("new\n")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "feature")
    hub = find_hub(path)
    sync(hub)
    change = change_of(hub.mirror, hub.tip())
    git(path, "reset", "-q", "--hard", change.base)
    return change


def of_memory(folder: Path) -> Iterator[Thing]:
    """Something is recalled."""
    store = stores.lexical(folder / "memory", SCOPE)
    for memory in (*(Memory(text=one["memory"], kind=one["kind"], source="agent") for one in labelled()), *made_up(MEMORIES)):
        store.add(memory)
    border, prompts, numbers = (
        Border(MemoryConfig(), lambda: store, lambda _commit, _paths: {}, print, limit=60.0),
        [one["prompt"] for one in labelled()],
        count(),
    )
    yield f"a recall among {MEMORIES} memories", _pieces() - 12, lambda: border.recall(partial(question, prompts, next(numbers)))


def of_tracker(folder: Path) -> Iterator[Thing]:
    """What an issue or a phase has come to, kept for the tracker until it is told. Nothing waits for that."""
    spool, numbers = Spool(folder / "spool"), count()
    (folder / "spool").mkdir()
    tasks = 1 + len(PHASES)  # each begins and ends

    def note() -> None:
        last = f"change {next(numbers)}"
        spool.put([Card(issue="a-1", phase="build", title="build: Add a", text="please", status="doing", assignee="claude", last=last)])

    yield "a change noted for the tracker, beside the run", 2 * tasks, note
