"""Spares Prefect's clients the reading of certificates where the server has no TLS, as adw's own on loopback.

Each client reads all authorities that certifi knows, in 18 ms and 0.8 MB, and Prefect makes five of them for each task run: half of
what adw itself computes in a run, and most of what it holds. A file with one authority takes half a millisecond.
"""

from pathlib import Path

import certifi

from adw.home import home

SETTING = "PREFECT_API_SSL_CERT_FILE"
END = "-----END CERTIFICATE-----\n"


def settings(api: str) -> dict[str, str]:
    """What goes into the environment of those who use a server."""
    if not api.startswith("http://"):
        return {}
    file = home() / "prefect" / "authority.pem"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        text = Path(certifi.where()).read_text(encoding="utf-8")
        whole = file.with_suffix(".new")
        whole.write_text(text[text.index("-----BEGIN") : text.index(END) + len(END)], encoding="utf-8")
        whole.replace(file)
    return {SETTING: str(file)}
