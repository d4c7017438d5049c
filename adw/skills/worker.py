"""The process of a skill that would hold the GIL: told which on standard input, it prints what was found in its last line.

Run as a file (`python -I`), with adw's own `sys.path` handed over.
"""

import contextlib
import json
import operator
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Call a function of a module with a folder and files."""
    order = json.load(sys.stdin)
    sys.path[:] = order["path"]
    from adw.skills.finding import as_json  # noqa: PLC0415 - not before it is known where adw lies
    from adw.skills.registry import Given  # noqa: PLC0415

    module, name = order["function"]
    with contextlib.redirect_stdout(sys.stderr):
        found = as_json(operator.attrgetter(name)(import_module(module))(Given(Path(order["folder"]), tuple(order["files"]))))
    sys.stdout.write(f"\n{found}\n")


if __name__ == "__main__":
    main()
