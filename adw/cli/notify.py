"""Who is told of what a run comes to: for a run that was started in a terminal, and for `adw doctor`."""

from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from adw import notices, webhook
from adw.cli import api
from adw.config import NotifyConfig
from adw.errors import Misuse
from adw.journal import Journal
from adw.mirror import find_hub
from adw.notices import Teller
from adw.webhook import Notice


def teller(journal: Journal, console: Console) -> Teller:
    """What tells of a run that this process watches: also on the desktop, if somebody sits before it."""
    root = Path(journal.order()["repository"])
    config = find_hub(root, journal.order().get("branch") or "").config().notify
    return Teller(journal, root.name, config, api.secret, desktop=console.is_terminal)


def checked(config: NotifyConfig) -> str:
    """Who is told, for `adw doctor`; Misuse if that cannot work."""
    url = _address(config)
    posted = f"{config.format} to {urlsplit(url).hostname}" if url else "no webhook"
    popup = notices.desktop()[:1] if config.desktop else []
    shown = f"on the desktop by {popup[0]}" if popup else "nothing on the desktop" + (": notify-send is not installed" if config.desktop else "")
    return f"{posted}; {shown}; of: {', '.join(config.on) or 'nothing'}"


def tried(config: NotifyConfig, root: Path) -> str:
    """Tell whoever is told that this is a test; AdwError if it does not arrive."""
    url = _address(config)
    if not url:
        msg = "there is no webhook to try: set notify.url or notify.secret in adw.toml, or ADW_WEBHOOK"
        raise Misuse(msg)
    webhook.post(url, config.format, Notice("test", root.name, "doctor", f"{root.name}: a test", "`adw doctor --notify` asks whether this arrives"))
    return f"{urlsplit(url).hostname} has taken a test message"


def _address(config: NotifyConfig) -> str:
    def secret(name: str) -> str:
        with api.joined():
            return api.secret(name)

    return webhook.address(config, secret)
