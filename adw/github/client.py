"""The transport: one repository's part of GitHub's API, with pages, rate limits, and trouble that passes by itself.

    with reached(forge, token) as client:
        client.get("/issues/12")
        for told in client.pages("/issues", labels="adw"): …
        client.send("POST", "/pulls", {…})

A GET is asked again until it is answered, as far as patience goes; and so is what is sent, if sending it twice does no harm.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_any, stop_before_delay, wait_exponential_jitter

from adw import proc
from adw.errors import Blocked, Declined, HubAway, Limited, Unheard
from adw.github.forge import Forge
from adw.github.tags import Answer, Tags

Token = Callable[[str], str]  # reads the token for a host, anew each time
Tell = Callable[[str], object]

TIMEOUT = 30.0  # seconds for an answer
PATIENCE = 900.0  # seconds of waiting for one answer, in all
TRIES = 5
MINUTE = 60.0  # what GitHub wants to be waited for where it does not say how long
PAGES = 200  # of one list
PAGE = 100  # entries, the most that GitHub gives


@contextmanager
def reached(forge: Forge, token: Token, tags: Tags | None = None, tell: Tell = lambda _text: None, patience: float = PATIENCE) -> Iterator["Client"]:
    """The API, for the block. A long wait is told of."""
    with httpx.Client(headers=forge.headers, timeout=TIMEOUT, follow_redirects=True) as http:
        yield Client(forge, token, http, tags, tell, patience)


class Client:
    """GitHub's API for a repository. HubAway while it does not answer, or has too much to do; Declined if it says no."""

    def __init__(  # noqa: PLR0913 - made in one place
        self, forge: Forge, token: Token, http: httpx.Client, tags: Tags | None, tell: Tell, patience: float
    ) -> None:
        self.forge, self.tell = forge, tell
        self._token, self._http, self._tags, self._patience = token, http, tags, patience
        self._key = ""

    def get(self, path: str, **params: Any) -> Any:
        """What is there."""
        return self._page(self._url(path, params))[0]

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """What a list has, on all its pages."""
        url = self._url(path, {"per_page": PAGE, **params})
        for _ in range(PAGES):
            told, url = self._page(url)
            yield from told
            if not url:
                return
            if not url.startswith(f"{self.forge.api}/"):  # it would be sent the token
                msg = f"what answers at {self.forge.api} is not {self.forge.kind}'s API, as its next page is at {url[:200]}: check {self.forge.setting}"
                raise Blocked(msg)
        msg = f"{self.forge.repository} has more than {PAGES * PAGE} of {path} at {self.forge.kind}: adw does not go on reading"
        raise Blocked(msg)

    def send(self, method: str, path: str, given: Any = None, *, again: bool | None = None) -> Any:
        """Have something done, and be told of it. `again` is whether it may be done twice: by default all may but POST.

        What may not, and was perhaps done before the answer was lost, is HubAway: look, before it is sent again.
        """
        answer = self._asked(method, self._url(path, {}), again=method != "POST" if again is None else again, json=given)
        return self._read(answer.content, answer.status_code) if answer.content else None

    def graphql(self, query: str, *, again: bool = True, **variables: Any) -> Any:
        """The data that a query of GraphQL gives; a mutation that may not be done twice says so by `again`."""
        answer = self._asked("POST", self.forge.graphql, again=again, json={"query": query, "variables": variables})
        told = self._read(answer.content, answer.status_code)
        if errors := told.get("errors"):
            raise Declined(self._in_words(httpx.Response(answer.status_code, json={"message": "no", "errors": errors}), "query"), answer.status_code)
        return told["data"]

    def _url(self, path: str, params: dict[str, Any]) -> str:
        return str(httpx.URL(f"{self.forge.url}{path}").copy_merge_params(params)) if params else f"{self.forge.url}{path}"

    def _page(self, url: str) -> tuple[Any, str]:
        """What is at an address, and where the next page is."""
        kept = self._tags.find(url) if self._tags else None
        answer = self._asked("GET", url, again=True, headers={"If-None-Match": kept.tag} if kept else {})
        if answer.status_code == httpx.codes.NOT_MODIFIED and kept:
            found = kept
        else:
            found = Answer(answer.headers.get("etag", ""), answer.links.get("next", {}).get("url", ""), answer.content)
        told = self._read(found.body, answer.status_code)
        if self._tags:
            self._tags.keep(url, found)
        return told, found.next

    def _read(self, body: bytes, status: int) -> Any:
        try:
            return json.loads(body)
        except ValueError as no:
            msg = f"what answers at {self.forge.api} is not {self.forge.kind}'s API ({status}): check {self.forge.setting}"
            raise Blocked(msg) from no

    def _asked(self, method: str, url: str, *, again: bool, **given: Any) -> httpx.Response:
        """GitHub's answer, a yes; asked for again as often as that may help."""
        trying = Retrying(
            retry=retry_if_exception(lambda no: isinstance(no, HubAway) and (again or isinstance(no, Unheard))),
            wait=_pause,
            stop=stop_any(stop_after_attempt(TRIES), stop_before_delay(self._patience)),
            sleep=_sleep,
            before_sleep=self._say,
            reraise=True,
        )
        return trying(self._answer, method, url, **given)

    def _answer(self, method: str, url: str, **given: Any) -> httpx.Response:
        """GitHub's answer, a yes; a token that it does not take is read anew, once."""
        self._key = self._key or self._read_key()
        answer = self._request(method, url, **given)
        if answer.status_code == httpx.codes.UNAUTHORIZED and (fresh := self._read_key()) != self._key:
            self._key = fresh
            answer = self._request(method, url, **given)
        if (seconds := _too_much(answer)) is not None:
            when = f"{datetime.now(UTC).astimezone():%H:%M}, for {seconds:.0f} s"
            msg = f"{self.forge.kind} has had too much of us ({answer.status_code}), since {when}: {_said(answer)}"
            raise Limited(msg, seconds)
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            msg = f"{self.forge.kind} is in trouble ({answer.status_code}): {_said(answer)}"
            raise HubAway(msg)
        if not answer.is_success and answer.status_code != httpx.codes.NOT_MODIFIED:
            self._read(answer.content, answer.status_code)
            raise Declined(self._in_words(answer, method), answer.status_code)
        return answer

    def _read_key(self) -> str:
        return self._token(self.forge.host).strip()

    def _request(self, method: str, url: str, *, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
        try:
            return self._http.request(method, url, headers={"Authorization": f"Bearer {self._key}", **(headers or {})}, **given)
        except (httpx.LocalProtocolError, UnicodeEncodeError):  # whose texts have the token in them
            msg = f"the token for {self.forge.kind} has characters that none has: {self.forge.another}"
            raise Declined(msg, httpx.codes.UNAUTHORIZED) from None
        except (httpx.RequestError, httpx.InvalidURL) as no:
            msg = f"{self.forge.kind} cannot be reached at {self.forge.api}: {no or type(no).__name__}"
            raise (Unheard if isinstance(no, httpx.ConnectError | httpx.ConnectTimeout) else HubAway)(msg) from no

    def _say(self, state: RetryCallState) -> None:
        no, seconds = state.outcome.exception() if state.outcome else None, state.upcoming_sleep
        self.tell(f"{no}; asking again in {seconds:.0f} s" if seconds >= 1 else f"{no}; asking again")

    def _in_words(self, answer: httpx.Response, method: str) -> str:
        """What a no means."""
        name, said = self.forge.repository, f"({self.forge.kind} says: {_said(answer)})"
        return {
            401: f"{self.forge.kind} does not take the token, it may have expired: {self.forge.another} {said}",
            403: f"the token may not do this in {name} at {self.forge.kind}: it needs to {self.forge.needs}; {self.forge.another} {said}",
            404: f"{self.forge.kind} shows this token no repository {name}: it is named otherwise, or private, and the token is not for it; "
            f"check `git remote -v`, or {self.forge.another} {said}",
            422: f"{self.forge.kind} does not take what it was sent for {name} {said}",
        }.get(answer.status_code, f"{self.forge.kind} answers {method} for {name} with {answer.status_code} {said}")


def _too_much(answer: httpx.Response) -> float | None:
    """The seconds to wait if it is a rate limit, of which GitHub has several; else None."""
    refused = answer.url.path.endswith("/graphql") and b'"RATE_LIMITED"' in answer.content[:2000]  # with a status of 200
    if not refused and answer.status_code not in {httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS}:
        return None
    after, left, reset = (answer.headers.get(name, "") for name in ("retry-after", "x-ratelimit-remaining", "x-ratelimit-reset"))
    if after.isdigit():
        return float(after)
    if left == "0" and reset.isdigit():
        return max(float(reset) - _now(answer), 0.0) + 1.0
    return MINUTE if refused or answer.status_code == httpx.codes.TOO_MANY_REQUESTS or left == "0" or "secondary rate limit" in _said(answer) else None


def _now(answer: httpx.Response) -> float:
    """GitHub's time: this machine's may be wrong."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()


def _pause(state: RetryCallState) -> float:
    """How long to wait before the next try."""
    no = state.outcome.exception() if state.outcome else None
    return no.seconds if isinstance(no, Limited) else wait_exponential_jitter(multiplier=0.5, max=15)(state)


def _sleep(seconds: float) -> None:
    """Wait, but not longer than this process is to work."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        proc.go_on()
        time.sleep(min(left, 0.5))


def _said(answer: httpx.Response) -> str:
    """GitHub's own words."""
    try:
        told = answer.json()
        errors = [error if isinstance(error, str) else error.get("message") or f"{error['field']}: {error['code']}" for error in told.get("errors", [])]
        return "; ".join([told["message"], *errors])
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text[:200] or "nothing"
