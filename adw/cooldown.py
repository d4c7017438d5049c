"""How long nobody may ask a model's API: known to all processes of this host that use the same key.

The state is a small file for each key, named by a digest of it. The kernel's lock keeps two writers apart; readers need none.
"""

import json
import time
from pathlib import Path

from adw import lock
from adw.home import home
from adw.model import digest

LONGEST = 15 * 60.0  # seconds: whatever an API says, it is asked again after so long


class Cooldown:
    """The pause of one key."""

    def __init__(self, key: str) -> None:
        self._file: Path = home() / "keys" / f"{digest('key', key)[:16]}.json"

    def left(self) -> float:
        """Seconds until the API may be asked again; 0.0 if it may be asked now."""
        return max(0.0, min(self._until() - time.time(), LONGEST))

    def push(self, seconds: float) -> None:
        """Let nobody ask for so many seconds from now; a longer pause that is known stays."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with lock.held(self._file.with_suffix(".lock")):
            until = max(self._until(), time.time() + min(seconds, LONGEST))
            whole = self._file.with_suffix(".new")
            whole.write_text(json.dumps({"until": until}))
            whole.rename(self._file)

    def _until(self) -> float:
        try:
            return float(json.loads(self._file.read_text())["until"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
