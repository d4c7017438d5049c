"""`adw memory`: the commands; what they do is in `adw.cli.memories`, which is imported late."""

from pathlib import Path
from typing import Annotated

import typer

HERE = Path()
Repo = Annotated[Path, typer.Option("--repo", help="The git repository; by default the one you are in.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
OfKind = Annotated[str, typer.Option("--kind", help="Only this kind: decision, failure, convention, command or file.")]

app = typer.Typer(help="What adw remembers of a repository: look at it, add to it, and have it forgotten.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def show(repo: Repo = HERE, kind: OfKind = "", *, as_json: AsJson = False) -> None:
    """List what is remembered, the newest first."""
    from adw.cli import memories  # noqa: PLC0415

    memories.show(repo, kind, as_json=as_json)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="Words, or a whole issue's text.")],
    repo: Repo = HERE,
    kind: OfKind = "",
    most: Annotated[int, typer.Option("--most", "-n", min=1, max=100, help="How many at most.")] = 5,
    *,
    as_json: AsJson = False,
) -> None:
    """Find what an agent would be told that works on something, the best first."""
    from adw.cli import memories  # noqa: PLC0415

    memories.search(repo, query, kind, most, as_json=as_json)


@app.command()
def add(
    text: Annotated[str, typer.Argument(help="What those who work on the repository should know; `-` for standard input.")],
    repo: Repo = HERE,
    kind: Annotated[str, typer.Option("--kind", help="What it is: decision, failure, convention, command or file.")] = "convention",
    file: Annotated[list[str] | None, typer.Option("--file", help="A file that it is about: once that changes, it is not told any more.")] = None,
) -> None:
    """Add a memory; it lasts until it is forgotten."""
    from adw.cli import memories  # noqa: PLC0415

    memories.add(repo, text, kind, file or [])


@app.command()
def forget(
    ids: Annotated[list[str] | None, typer.Argument(help="The ids, or their beginnings, as `adw memory list` shows them.")] = None,
    repo: Repo = HERE,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Forget all that is remembered of the repository.")] = False,
) -> None:
    """Forget memories, for good."""
    from adw.cli import memories  # noqa: PLC0415

    memories.forget(repo, ids or [], everything=everything)


@app.command()
def export(repo: Repo = HERE, kind: OfKind = "") -> None:
    """Print what is remembered as lines of JSON."""
    from adw.cli import memories  # noqa: PLC0415

    memories.export(repo, kind)
