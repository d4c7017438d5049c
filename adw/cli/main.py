"""The command line."""

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from adw.cli import bench, memory

app = typer.Typer(
    name="adw",
    help="Land finished, tested changes for the issues of a git repository, with many coding agents at work at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(memory.app, name="memory")
app.add_typer(bench.app, name="bench")

skills = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(skills, name="skills")

Repo = memory.Repo
Branch = Annotated[str, typer.Option("--branch", help="The branch to land on; by default the one that is checked out.")]
AsJson = memory.AsJson
Issues = Annotated[list[str], typer.Argument(help="Markdown files, folders of them, or `-` for standard input.")]
AtOnce = Annotated[int | None, typer.Option("--agents", min=1, max=100, help="How many agents and tests work at once.")]
Kind = Annotated[str | None, typer.Option("--agent", help="The kind of agent, such as claude, command or scripted.")]
Model = Annotated[str | None, typer.Option("--model", help="The model, as the agent's CLI names it.")]
InSandbox = Annotated[str | None, typer.Option("--sandbox", help="For agents and tests: auto, required or off.")]
AgentCommand = Annotated[str | None, typer.Option("--agent-command", help="The agent's command line for sh, with {prompt_file} for the prompt.")]
TestCommand = Annotated[str | None, typer.Option("--test-command", help="The command that must pass before a change lands.")]
Gantt = Annotated[Path | None, typer.Option("--gantt", help="Draw its phases by slot and issue, with the critical path, to this SVG or PNG file.")]
HERE = Path()


@app.command()
def run(  # noqa: PLR0913 - what one run may need differently has a flag
    issues: Issues,
    repo: Repo = HERE,
    branch: Branch = "",
    agents: AtOnce = None,
    agent: Kind = None,
    model: Model = None,
    agent_command: AgentCommand = None,
    test_command: TestCommand = None,
    tries: Annotated[int | None, typer.Option(min=1, max=20, help="How often an issue is built before it is refused.")] = None,
    sandbox: InSandbox = None,
    scheduler: Annotated[str | None, typer.Option(help="A Dask scheduler, tcp://HOST:PORT, whose workers do the work.")] = None,
    *,
    approve: Annotated[
        list[str] | None, typer.Option(metavar="plan|landing", help="Ask about each plan before it is built, or each change before it lands.")
    ] = None,
    allow_red_base: Annotated[bool, typer.Option("--allow-red-base", help="Go on even if the tests fail on the branch as it is.")] = False,
    no_land: Annotated[bool, typer.Option("--no-land", help="Leave each change on a branch of its own, adw/ID, instead of landing it.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Hand the run to what `adw serve` serves, and return.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry", "--dry-run", help="Start nothing; print the order, the critical path, and the time with 1 to 10 agents.")
    ] = False,
    gantt: Gantt = None,
    as_json: AsJson = False,
) -> None:
    """Deliver issues: plan, build, test, review, document and land them."""
    from adw.cli.deliver import asked, hand_over, report  # noqa: PLC0415
    from adw.cli.pictures import ahead, at_end, insist_on_end  # noqa: PLC0415

    if gantt:
        insist_on_end(gantt, "--dry" if dry else "--detach" if detach else "")
        ahead(gantt)
    given = {"agents": agents, "agent": agent, "agent_command": agent_command, "test_command": test_command, "tries": tries, "approve": approve or None}
    given |= {"model": model, "sandbox": sandbox, "allow_red_base": allow_red_base, "scheduler": scheduler, "land": "none" if no_land else None}
    if dry:
        from adw.cli.schedule import schedule  # noqa: PLC0415

        schedule(issues, repo, branch, given, as_json=as_json)
        return
    journal = asked(issues, repo, branch, given)
    status = (hand_over if detach else report)(journal, as_json=as_json)
    if gantt:
        at_end(journal, gantt)
    raise typer.Exit(status)


@app.command()
def add(
    issues: Issues, repo: Repo = HERE, run: Annotated[str, typer.Option("--run", help="The run; by default the newest one that is under way.")] = ""
) -> None:
    """Add issues to a run that is under way; what is urgent takes the next slot."""
    from adw.cli.add import add as add_to  # noqa: PLC0415

    add_to(issues, run, repo)


@app.command()
def plan(  # noqa: PLR0913 - as for `run`
    issues: Issues,
    repo: Repo = HERE,
    branch: Branch = "",
    agents: AtOnce = None,
    agent: Kind = None,
    model: Model = None,
    agent_command: AgentCommand = None,
    test_command: TestCommand = None,
    sandbox: InSandbox = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Plan issues and no more, and show the plans for approval or edit: `adw run` builds what you leave."""
    from adw.cli.plan import plan as make  # noqa: PLC0415

    given = {"agents": agents, "agent": agent, "agent_command": agent_command, "test_command": test_command}
    given |= {"model": model, "sandbox": sandbox}
    raise typer.Exit(make(issues, repo, branch, given, as_json=as_json))


@app.command()
def prompt(  # noqa: PLR0913 - as for `run`
    phase: Annotated[str, typer.Argument(help="The phase: plan, build, review or document, or the name of a check that is a prompt.")],
    issue: Annotated[str, typer.Argument(help="A Markdown file, or `-` for standard input.")],
    repo: Repo = HERE,
    branch: Branch = "",
    agent: Kind = None,
    model: Model = None,
    agent_command: AgentCommand = None,
    test_command: TestCommand = None,
) -> None:
    """Print what the agent would be sent in a phase; nothing is started."""
    from adw.cli.prompt import prompt as show_prompt  # noqa: PLC0415

    show_prompt(phase, issue, repo, branch, {"agent": agent, "model": model, "agent_command": agent_command, "test_command": test_command})


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="The run, by default the last one; or the id of an issue, to go on with that alone.")] = "",
    repo: Repo = HERE,
    *,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was interrupted or had issues refused, or with one of its issues."""
    from adw.cli.deliver import resume as go_on  # noqa: PLC0415

    raise typer.Exit(go_on(name, repo, as_json=as_json))


@app.command()
def status(  # noqa: PLR0913 - what one run is looked at by
    run: Annotated[str, typer.Argument(help="The run to show in full; by default the last one.")] = "",
    repo: Repo = HERE,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show the live table until the run ends; Ctrl-C ends only the showing.")] = False,
    gantt: Gantt = None,
    resources: Annotated[Path | None, typer.Option("--resources", help="Draw what it used of the machine over time to this SVG or PNG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the runs of a repository, the last one in full; or draw one of them."""
    from adw.cli.look import follow as show_live  # noqa: PLC0415
    from adw.cli.look import status as show_status  # noqa: PLC0415
    from adw.cli.pictures import ahead, draw  # noqa: PLC0415

    ahead(gantt, resources)
    code = show_live(run, repo) if follow else 0
    if not follow and (as_json or not (gantt or resources)):
        show_status(run, repo, as_json=as_json)
    draw(run, repo, gantt, resources)
    raise typer.Exit(code)


@app.command()
def show(
    issue: Annotated[str, typer.Argument(help="The issue's id.")],
    repo: Repo = HERE,
    log: Annotated[str, typer.Option(help="Print what a phase's agent, test or check printed: PHASE, of the newest try, or PHASE:TRY.")] = "",
    *,
    raw: Annotated[bool, typer.Option("--raw", help="With --log: as it is kept, which for some agents is JSON.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show an issue: its plan, its change, the verdicts, what it spent, and its logs."""
    from adw.cli.logs import show_log  # noqa: PLC0415
    from adw.cli.look import show as show_issue  # noqa: PLC0415
    from adw.errors import Misuse  # noqa: PLC0415

    if raw and not log:
        msg = f"--raw says how a log is printed, and none is asked for: `adw show {issue} --log PHASE --raw`, or leave out --raw"
        raise Misuse(msg)
    if log and as_json:
        msg = f"--json does not go with --log, which prints text: `adw show {issue} --json`, or `adw show {issue} --log {log} --raw` for a log as it is kept"
        raise Misuse(msg)
    if log:
        show_log(issue, repo, log, raw=raw)
    else:
        show_issue(issue, repo, as_json=as_json)


@app.command()
def cancel(run: Annotated[str, typer.Argument(help="The run; by default the last one.")] = "", repo: Repo = HERE) -> None:
    """End a run that is under way; `adw resume` goes on with it."""
    from adw.cli.deliver import cancel as end  # noqa: PLC0415

    end(run, repo)


@app.command()
def clean(
    repo: Repo = HERE,
    days: Annotated[float, typer.Option(min=0, help="Runs that are older than so many days go.")] = 30,
    *,
    server: Annotated[bool, typer.Option("--server", help="First stop adw's own Prefect server.")] = False,
) -> None:
    """Remove idle slots, old runs, and adw's refs of issues that landed."""
    from adw.cli.look import clean as clear  # noqa: PLC0415
    from adw.cli.look import stop_server  # noqa: PLC0415

    if server:
        stop_server()
    clear(repo, days)


@app.command()
def deploy(
    repo: Repo = HERE,
    branch: Branch = "",
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take everything of the repository away from Prefect.")] = False,
) -> None:
    """Register a repository with Prefect: for schedules, and for runs from its UI."""
    from adw.cli.deploy import deploy as register  # noqa: PLC0415

    register(repo, branch, remove=remove)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; by default a free one from 4210 on.")] = 0,
) -> None:
    """Serve what is registered: Prefect server, worker and schedules, until Ctrl-C."""
    from adw.cli.serve import serve as run_all  # noqa: PLC0415

    raise typer.Exit(run_all(host, port))


@app.command()
def ui() -> None:
    """Print where the Prefect UI is, and the login that it asks for; the server is started if it does not run."""
    from adw.cli.ui import ui as tell  # noqa: PLC0415

    tell()


@app.command()
def init(repo: Repo = HERE) -> None:
    """Write an adw.toml with what is found in the repository."""
    from adw.cli.init import init as write  # noqa: PLC0415

    write(repo)


@app.command()
def doctor(
    repo: Repo = HERE,
    *,
    ask: Annotated[bool, typer.Option("--ask", help="Also ask each agent a short question: it costs a call.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check what adw needs, and say how to mend what is missing."""
    from adw.cli.doctor import doctor as check  # noqa: PLC0415

    raise typer.Exit(check(repo, ask=ask, as_json=as_json))


@skills.callback()
def list_skills(context: typer.Context, repo: Repo = HERE, *, as_json: AsJson = False) -> None:
    """List the skills: analyses by tools that plan, build and review are told of."""
    if context.invoked_subcommand is None:
        from adw.cli.skills import listed  # noqa: PLC0415

        listed(repo, as_json=as_json)


@skills.command("run")
def run_skills(
    names: Annotated[list[str], typer.Argument(metavar="NAME... PATH", help="The skills, or `all`; and the folder that they are to look at.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Run some skills by hand on a folder, and print what they find."""
    from adw.cli.skills import by_hand  # noqa: PLC0415

    raise typer.Exit(by_hand(names, as_json=as_json))


@app.command()
def worker(
    scheduler: Annotated[str, typer.Option(help="The Dask scheduler of the runs, tcp://HOST:PORT.")],
    slots: Annotated[
        int | None, typer.Option(min=1, max=100, help="How many agents and tests work here at once; by default as many as there is memory for.")
    ] = None,
) -> None:
    """Lend this host's slots to runs that are started elsewhere with --scheduler."""
    from adw.cli.worker import work  # noqa: PLC0415

    work(scheduler, slots)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="The folder to make; by default a new one, adw-demo.", show_default=False)] = HERE,
    *,
    again: Annotated[bool, typer.Option("--again", help="Run once more in the same folder: nothing is done twice.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Also write a picture of the terminal to this file.", hidden=True)] = None,
) -> None:
    """Write a small project with five issues, and deliver them with a scripted agent: no key, no account."""
    from adw.cli.demo import demo as play  # noqa: PLC0415

    raise typer.Exit(play(folder, again=again, svg=svg))


def main() -> None:
    """The entry point: an expected failure is one message; anything else is a bug, and says so."""
    try:
        sys.exit(app(standalone_mode=False))  # a `typer.Exit` comes back as its status
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as no:  # noqa: BLE001 - the one broad catch, at the edge
        sys.exit(_failed(no))


def _failed(no: Exception) -> int:
    """Tell a failure on standard error; returns adw's exit status for it."""
    from adw.errors import AdwError, Misuse  # noqa: PLC0415

    if hasattr(no, "format_message"):  # Typer's and Click's own: wrong use
        context = getattr(no, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context else ""
        sys.stderr.write(f"adw: {no.format_message()}{hint}\n")
        return 2
    if type(no).__name__ == "Abort":
        return 130
    if isinstance(no, AdwError):
        sys.stderr.write(f"adw: {no}\n")
        return 2 if isinstance(no, Misuse) else 1
    traceback.print_exception(no)
    sys.stderr.write("adw: this is a bug in adw; what was done is kept in git. Please report it with the lines above.\n")
    return 3


if __name__ == "__main__":
    main()
