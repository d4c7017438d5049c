"""Posts what people are told to an address of theirs. It may be a secret, as Slack's are: nothing that is said of it names more than its host."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from adw.config import NotifyConfig
from adw.errors import AdwError, Misuse, Transient
from adw.model import digest

TRIES = 4
PATIENCE = 5.0  # seconds for an answer


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people are told."""

    kind: str  # ended, refused, approval or test
    repository: str
    id: str  # the correlation id of what it is about
    title: str
    text: str
    issue: str = ""  # empty if it is about the run
    ui: str = ""  # the run's page
    about: str = ""  # which of several alike, as with two changes of one issue that wait for approval

    @property
    def key(self) -> str:
        """What is told, and of what: the same is not told twice."""
        return digest(self.kind, self.id, self.title, self.text, self.about)[:16]

    def body(self, style: str) -> dict[str, Any]:
        """What is posted, in the form that is asked for."""
        if style == "slack":
            title, text = (escape(text, quote=False) for text in (self.title, self.text))
            return {"text": f"*{title}*\n{text}" + (f"\n<{self.ui}|the run in Prefect>" if self.ui else "")}
        about = {"event": self.kind, "repository": self.repository, "id": self.id, "issue": self.issue}
        return {**about, "title": self.title, "text": self.text, "ui": self.ui}


def configured(config: NotifyConfig) -> bool:
    """Whether there is anywhere to post to, as far as that shows without asking for the Secret."""
    return bool(config.url or config.secret or os.environ.get(config.variable))


def address(config: NotifyConfig, secret: Callable[[str], str]) -> str:
    """Where to post: as configured, or what the environment or else the Prefect Secret holds; empty if nowhere. Misuse if that is no address."""
    if config.url:
        return config.url
    url, where = os.environ.get(config.variable, "").strip(), f"the environment variable {config.variable}"
    if not url and config.secret:
        url, where = secret(config.secret).strip(), f"the Prefect Secret {config.secret!r}"
    if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
        msg = f"{where} holds no address to post to: it must be a URL such as https://hooks.slack.com/services/… ([notify] in adw.toml)"
        raise Misuse(msg)
    return url


def post(url: str, style: str, notice: Notice) -> None:
    """Post a notice, again where that may help; AdwError, with the host and the reason, if it does not arrive."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it names the URL of each request
    again = retry_if_exception_type((httpx.TransportError, Transient))
    try:
        Retrying(stop=stop_after_attempt(TRIES), wait=wait_exponential(0.5, max=4), retry=again, reraise=True)(_post, url, notice.body(style))
    except (httpx.HTTPError, httpx.InvalidURL) as no:
        msg = f"{urlsplit(url).hostname} cannot be reached ({type(no).__name__})"
        raise AdwError(msg) from None  # what it comes from may name the URL


def _post(url: str, body: dict[str, Any]) -> None:
    answer = httpx.post(url, json=body, timeout=PATIENCE)
    if answer.is_success:
        return
    kind = Transient if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS else AdwError
    msg = f"{answer.url.host} answers with status {answer.status_code}"
    raise kind(msg)
