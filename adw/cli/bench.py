"""`adw bench`: the benchmarks, each a Prefect flow, and what can be done with their results. What is heavy is imported late."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from adw.benchmarks import OTHERS, TABLES
from adw.errors import AdwError

app = typer.Typer(help="Measure adw beside the analysis' own figures, and compare results.", rich_markup_mode=None, invoke_without_command=True)

Minute = Annotated[float, typer.Option(min=0.01, help="Seconds for a minute of the analysis; with fewer, adw's own time counts for more.")]
Repeat = Annotated[int, typer.Option(min=1, max=100, help="How often each level is measured.")]
Only = Annotated[list[str] | None, typer.Option("--level", help="Only this level, by its name; may be given more than once.")]
Out = Annotated[Path, typer.Option(help="The file that results are added to, as lines of JSON.")]
FILE = Path("bench.jsonl")


@app.callback()
def listed(context: typer.Context) -> None:
    """List the benchmarks."""
    if context.invoked_subcommand is None:
        sys.stdout.writelines(f"adw bench {name:<10} {about}\n" for name, about in {**TABLES, **OTHERS}.items())
        sys.stdout.write(
            "\nadw bench compare OLD NEW says what moved; adw bench page FILE prints results as Markdown; adw bench deploy offers them in the UI\n"
        )


def _of_table(name: str) -> None:
    @app.command(name, help=TABLES[name])
    def command(minute: Minute = 6.0, repeat: Repeat = 3, only: Only = None, out: Out = FILE) -> None:
        _run(name, out, minute=minute, repeat=repeat, levels=only or [])


for _name in TABLES:
    _of_table(_name)


@app.command(help=OTHERS["overheads"])
def overheads(repeat: Repeat = 20, out: Out = FILE) -> None:
    """Each thing alone."""
    _run("overheads", out, repeat=max(3, repeat))


@app.command(help=OTHERS["growth"])
def growth(
    issues: Annotated[str, typer.Option(help="How many issues in a run, with commas; none: not measured.")] = "1,50,100,200,500",
    files: Annotated[str, typer.Option(help="How many files in the repository.")] = "100,10000,100000",
    commits: Annotated[str, typer.Option(help="How many commits in its history.")] = "10,100000",
    out: Out = FILE,
) -> None:
    """How adw's own time grows."""
    _run("growth", out, issues=_numbers(issues), files=_numbers(files), commits=_numbers(commits))


@app.command(help=OTHERS["real"])
def real(
    agents: Annotated[str, typer.Option(help="With how many agents, the fewest first.")] = "1,2,4,8",
    data: Annotated[
        str, typer.Option(help="The folder of data sets of real changes; without it the real Claude Code CLI works, against a model on loopback.")
    ] = "",
    minute: Annotated[float, typer.Option(min=0.01, help="For Claude Code: seconds of the model for a minute of the analysis.")] = 1.0,
    repeat: Repeat = 3,
    out: Out = FILE,
) -> None:
    """Replayed, or by a CLI."""
    _run("real", out, agents=_numbers(agents), data=data, minute=minute, repeat=repeat)


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="Results of before.")],
    new: Annotated[Path, typer.Argument(help="Results of now.")],
    *,
    fail: Annotated[
        bool, typer.Option("--fail", help="Exit with 1 if a ratio moved by more than half; seconds do not count, as they are the machine's.")
    ] = False,
) -> None:
    """Say which figures moved beyond noise: further than what was repeated is spread."""
    from benchmarks import results  # noqa: PLC0415

    both = results.compared(results.read(old), results.read(new))
    moved = [one for one in both if one.moved or one.jumped]
    sys.stdout.writelines(f"{one}\n" for one in moved)
    sys.stdout.write(f"{len(moved)} of {len(both)} figures moved beyond noise\n")
    if fail and (jumped := [one for one in both if one.jumped]):
        msg = f"by more than half: {'; '.join(one.name for one in jumped)}"
        raise AdwError(msg)


@app.command()
def page(file: Annotated[Path, typer.Argument(help="Results.")]) -> None:
    """Print results as Markdown."""
    from benchmarks import pages, results  # noqa: PLC0415

    sys.stdout.write(pages.page(results.read(file)) + "\n")


@app.command()
def deploy() -> None:
    """Offer the benchmarks in the Prefect UI: `adw serve` runs what is started there."""
    from adw.cli import api  # noqa: PLC0415

    with api.joined():
        from deployments import register  # noqa: PLC0415

        said = register.register_benchmarks()
    sys.stdout.writelines(f"{line}\n" for line in said or ["nothing to write"])


def _run(name: str, out: Path, **given: Any) -> None:
    """Run a benchmark as a flow, and print its page."""
    from adw.cli import api  # noqa: PLC0415

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    with api.joined(tell):
        from flows import benchmark  # noqa: PLC0415

        text, message = benchmark.run(name, {**given, "out": str(out.absolute())})
    sys.stdout.write(f"\n{text}\n\n{message}\n")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as no:
        msg = f"{text!r} is no list of numbers: write them with commas, as in 1,50,500"
        raise typer.BadParameter(msg) from no
