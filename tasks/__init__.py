"""The phases as Prefect tasks: key, tags, retries and names; one call into adw each.

They are made to be composed in flows of your own (docs/own-flow.md): `from tasks import build, test`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.phases import build, document, plan, review, test

__all__ = ["build", "document", "plan", "review", "test"]


def __getattr__(name: str) -> Any:
    """A phase, imported when it is asked for: a Dask scheduler reads this package too, and needs none of it."""
    if name in __all__:
        from tasks import phases  # noqa: PLC0415

        return getattr(phases, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
