"""The issues that a command line names, from files and from forges; what is to be said of them goes to standard error."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import environ

from adw.cli import api
from adw.config import Config
from adw.errors import Misuse
from adw.github.client import Token
from adw.github.forge import own_token
from adw.issues import gitlab, markdown, names
from adw.issues.outside import Tell
from adw.issues.reading import Sources
from adw.mirror import Hub
from adw.model import Issue
from adw.upstream import facing

OWN: Mapping[str, Token] = {"GitHub": own_token, "GitLab": gitlab.own_token}
SHOWN = 3  # of those that are not taken
NOTHING = (
    "no issue is named: name Markdown files, folders of them, or `-`; or issues at a forge, as owner/repo#12, 12, or '#12' in quotes, "
    "as a shell takes what follows # for a comment; or those that have a label, with --label"
)


def read(given: Sequence[str] | None, hub: Hub, label: str = "") -> list[Issue]:
    """The issues that are asked for. Misuse says what is wrong with a name, or that there are none."""
    if not (given or label):
        raise Misuse(NOTHING)
    config = hub.config()
    if not label and not any(names.meaning(name, hub, config) for name in given or ()):
        return markdown.read_all(given or ())
    with _asked(hub, config, lambda text: sys.stderr.write(f"adw: {text}\n")) as sources:
        found = sources.named(given) if given else []
        found += [issue for issue in (sources.labelled(label) if label else ()) if issue.id not in {one.id for one in found}]
    if not found:
        msg = f"there is no open issue with the label {label!r} that adw takes by itself: name one to have it done, as in `adw run 12`"
        raise Misuse(msg)
    return found


def state(hub: Hub, config: Config) -> str:
    """What a schedule would take by its label now, and what it would not; AdwError if it could not be asked for."""
    left_out: list[str] = []
    with _asked(hub, config, left_out.append) as sources:
        found = sources.labelled(config.schedule.label)
    said = f"a schedule would take {len(found)} with the label {config.schedule.label!r}"
    return f"{said}, and leaves out: {'; '.join(left_out[:SHOWN])}" if left_out else said


def landed_by_now(hub: Hub, config: Config) -> dict[str, str]:
    """The issues whose changes are on the branch that changes land on, each with its commit."""
    branch = facing(hub, config.landing)
    branch.look()
    return hub.git.trailers(branch.ref)


@contextmanager
def _asked(hub: Hub, config: Config, tell: Tell) -> Iterator[Sources]:
    """Where issues are asked for, with tokens of the environment, where a run would keep them from, or of Prefect."""
    secrets = {**config.github.secrets, **config.gitlab.secrets}
    if all(environ.get(variable) for variable in secrets):
        yield Sources(hub, config, OWN, lambda: landed_by_now(hub, config), tell)
        return
    with api.joined():
        from tasks.secrets import forge_tokens  # noqa: PLC0415

        yield Sources(hub, config, forge_tokens(config), lambda: landed_by_now(hub, config), tell)
