"""Who may use a Prefect server: the login of adw's own, and what the user has set for one of theirs."""

import base64
import os
import secrets
import tomllib
from pathlib import Path

PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105 - the name of a setting


def own_login(folder: Path) -> str:
    """The login of adw's own server: the user's, if one is set, else one that is made once, so that a browser that has it keeps it."""
    if given := os.environ.get(PASSWORD):
        return given
    file = folder / "login"
    file.touch(mode=0o600)
    file.chmod(0o600)  # also where a backup brought it back with another
    login = file.read_text(encoding="utf-8").strip()
    if not login:
        login = f"adw:{secrets.token_urlsafe(24)}"
        file.write_text(login, encoding="utf-8")
    return login


def users_setting(setting: str) -> str:
    """A setting of the user's own Prefect, from the environment or the active profile; empty if it is in neither."""
    if value := os.environ.get(setting):
        return value
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or Path(os.environ.get("PREFECT_HOME", "~/.prefect")) / "profiles.toml").expanduser()
    try:
        data = tomllib.loads(profiles.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    active = os.environ.get("PREFECT_PROFILE") or data.get("active", "")
    return str(data.get("profiles", {}).get(active, {}).get(setting, ""))


def credentials(login: str = "") -> dict[str, str]:
    """What a server wants to know of its caller: the login of adw's own, or what is set for the user's. As in Prefect, a login counts before a key."""
    if login := login or users_setting("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    if key := users_setting("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}
