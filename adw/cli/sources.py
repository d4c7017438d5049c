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
from adw.issues.reading import Sources
from adw.mirror import Hub
from adw.model import Issue
from adw.upstream import facing

OWN: Mapping[str, Token] = {"GitHub": own_token, "GitLab": gitlab.own_token}
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
    with _tokens(config) as tokens:
        sources = Sources(hub, config, tokens, lambda: landed_by_now(hub, config), lambda text: sys.stderr.write(f"adw: {text}\n"))
        found = sources.named(given) if given else []
        found += [issue for issue in (sources.labelled(label) if label else ()) if issue.id not in {one.id for one in found}]
    if not found:
        msg = f"there is no open issue with the label {label!r} that adw takes by itself: name one to have it done, as in `adw run 12`"
        raise Misuse(msg)
    return found


def landed_by_now(hub: Hub, config: Config) -> dict[str, str]:
    """The issues whose changes are on the branch that changes land on, each with its commit."""
    branch = facing(hub, config.landing)
    branch.look()
    return hub.git.trailers(branch.ref)


@contextmanager
def _tokens(config: Config) -> Iterator[Mapping[str, Token]]:
    """What reads the tokens: from the environment, where a run would keep them from, or from Prefect."""
    secrets = {**config.github.secrets, **config.gitlab.secrets}
    if all(environ.get(variable) for variable in secrets):
        yield OWN
        return
    with api.joined():
        from tasks.secrets import forge_tokens  # noqa: PLC0415

        yield forge_tokens(config)
