"""What the gateway knows of the protocols that models speak: whom a request is from, what it may ask, and what an answer took."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from adw.money import Tokens

MODEL = r"[\w:@-][\w.:@-]*"  # a model's name in a path; never `..`, which would lead elsewhere
KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 502: "api_error"}
HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"}
NOT_ASKED = HOP | {"host", "content-length", "accept-encoding", "expect", "cookie", "x-api-key", "authorization"}
NOT_ANSWERED = HOP | {"content-length", "content-encoding", "set-cookie", "date", "server"}
COUNTED = re.compile(rb'"usage"|"message_stop"|"error"|\[DONE\]')  # inside a text the quotes would be escaped
LAST = {"message_stop", "response.completed", "response.incomplete", "response.failed"}


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol. Paths are those below `Api.path`."""

    allowed: re.Pattern[str]  # `METHOD path`: nothing else is done with the key, as it would not be counted
    paid: frozenset[str]  # paths whose answers cost tokens


PROTOCOLS = {
    "anthropic": Protocol(re.compile(rf"POST /v1/messages(/count_tokens)?|GET /v1/models(/{MODEL})?"), frozenset({"/v1/messages"})),
    "openai": Protocol(
        re.compile(rf"POST /(responses(/compact|/input_tokens)?|chat/completions)|GET /models(/{MODEL})?"),
        frozenset({"/responses", "/responses/compact", "/chat/completions"}),
    ),
}


def token_of(headers: Mapping[str, str]) -> str:
    """The token that a request carries, by lower-case headers; empty if it has none."""
    return headers.get("x-api-key") or re.sub(r"^bearer +", "", headers.get("authorization", ""), flags=re.IGNORECASE)


def signed(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """The headers to ask the API with: those of the request, and the key where the token was."""
    kept = {name: value for name, value in headers.items() if name not in NOT_ASKED}
    mark = {"x-api-key": key} if headers.get("x-api-key") else {"authorization": f"Bearer {key}"}
    return {**kept, **mark, "accept-encoding": "identity"}


def with_usage(path: str, body: bytes) -> bytes:
    """The body to send: a chat that streams is made to tell its usage, which it otherwise keeps to itself."""
    if not path.endswith("/chat/completions"):
        return body
    try:
        asked = json.loads(body)
    except ValueError:
        return body  # the API will say what is wrong with it
    if not isinstance(asked, dict) or not asked.get("stream"):
        return body
    return json.dumps({**asked, "stream_options": {**(asked.get("stream_options") or {}), "include_usage": True}}).encode()


def model_asked(body: bytes) -> str:
    """The model that a request names, as far as that is seen without reading all of it."""
    found = re.search(rb'"model"\s*:\s*"([^"\\]{1,200})"', body)
    return found.group(1).decode(errors="replace") if found else ""


def refusal(openai: bool, status: int, text: str) -> bytes:  # noqa: FBT001 - one of two shapes
    """The body of an error in the protocol's own shape."""
    error = {"type": KINDS[status], "message": text}
    return json.dumps({"error": {**error, "param": None, "code": None}} if openai else {"type": "error", "error": error}).encode()


class Meter:
    """Reads the model and the usage out of an answer as it passes, in one piece or as a stream of events.

    What cannot be read is passed over: it is the agent's to complain.
    """

    def __init__(self, *, streamed: bool) -> None:
        self.model = ""
        self.whole = False  # whether the answer came to its end
        self.error = ""  # the type of the error that a stream ended with
        self._streamed = streamed
        self._rest = b""
        self._usage: dict[str, Any] = {}

    def take(self, chunk: bytes) -> bool:
        """Take in a piece; whether it told of more usage."""
        before = self._usage
        self._rest += chunk
        if self._streamed:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                if line.startswith(b"data:") and COUNTED.search(line):
                    self._read(line[5:])
        return self._usage is not before

    def end(self) -> None:
        """Nothing more comes, and nothing is missing by what the connection says."""
        self._read(self._rest.removeprefix(b"data:"))

    def _read(self, text: bytes) -> None:
        if text.strip() == b"[DONE]":
            self.whole = True
            return
        with suppress(ValueError, AttributeError):
            event = json.loads(text)
            answer = event.get("message") or event.get("response") or event
            self.model = str(answer.get("model") or self.model)
            if told := {name: value for name, value in (answer.get("usage") or {}).items() if value is not None}:
                self._usage = {**self._usage, **told}
            self.error = (event.get("error") or {}).get("type") or self.error
            self.whole = self.whole or not self._streamed or event.get("type") in LAST

    @property
    def tokens(self) -> Tokens:
        """What the answer took as far as it told. OpenAI counts what it read from the cache as input, too; Anthropic does not."""
        usage, details = self._usage, self._usage.get("input_tokens_details") or self._usage.get("prompt_tokens_details")
        cached = _number(details, "cached_tokens")
        return Tokens(
            input=max(0, (_number(usage, "input_tokens") or _number(usage, "prompt_tokens")) - cached),
            output=_number(usage, "output_tokens") or _number(usage, "completion_tokens"),
            cache_read=cached + _number(usage, "cache_read_input_tokens"),
            cache_write=_number(usage, "cache_creation_input_tokens"),
        )


def _number(found: object, name: str) -> int:
    """A count by its name; 0 where there is none."""
    value = found.get(name) if isinstance(found, dict) else 0
    return value if isinstance(value, int) else 0
