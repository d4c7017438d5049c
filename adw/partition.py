"""Keeps issues apart whose plans touch the same files: one is built behind the other instead of beside it.

Plans come first. Who begins without waiting for another issue waits until all of those are planned; then each waits for the end
of those before it in the order of the run whose plans it meets.
"""

import threading
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath


class Partition:
    """The plans of one run."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._open: set[str] = set()
        self._files: dict[str, set[PurePosixPath]] = {}
        self._changed = threading.Condition()

    def join(self, names: Sequence[str], first: Collection[str]) -> None:
        """Issues take part, behind those that do, in the order of the run; `first` are those of them that are planned at once."""
        with self._changed:
            self._order += names
            self._open.update(first)

    def planned(self, name: str, files: Collection[str]) -> None:
        """An issue has a plan, with the files that it expects to touch."""
        with self._changed:
            self._files.setdefault(name, set()).update(map(PurePosixPath, files))
            self._open.discard(name)
            self._changed.notify_all()

    def left(self, name: str) -> None:
        """An issue has ended: nobody waits for its plan any more."""
        with self._changed:
            self._open.discard(name)
            self._changed.notify_all()

    def before(self, name: str) -> dict[str, list[str]]:
        """Those that an issue has to wait for, each with the files that both touch; asked once all have planned that can."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open)
            mine = self._files.get(name, set())
            earlier = self._order[: self._order.index(name)]
            shared = {other: sorted(map(str, mine & self._files.get(other, set()))) for other in earlier}
        return {other: files for other, files in shared.items() if files}
