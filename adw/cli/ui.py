"""`adw ui`: the way into the Prefect UI. The one command that prints the login."""

import shlex
import sys

from adw import server
from adw.cli.deploy import say
from adw.home import writable_home


def ui() -> None:
    """Print the address, the login, and what programs need to be let in."""
    writable_home()
    with server.in_use(say) as prefect:
        lines = [f"the Prefect UI: {prefect.ui}"]
        if not prefect.own:
            lines += ["the server is yours, and so is its login, if it has one"]
        elif not prefect.login:
            lines += ["it asks for no login, as an older adw started it: `adw clean --server`, then `adw ui` again"]
        else:
            settings = {"PREFECT_API_URL": prefect.api, "PREFECT_API_AUTH_STRING": prefect.login}
            words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
            lines += [f"its login, to be pasted as a whole: {prefect.login}", f"for `prefect` and other programs: export {words}"]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
