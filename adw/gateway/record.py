"""What was asked and answered, without secrets, in a form that can be played again: a line of JSON for each exchange."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TOLD = re.compile(r"content-type|retry-after.*|.*ratelimit.*|x-should-retry|.*request-id")  # the headers that matter


class Record:
    """A file of exchanges."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, about: Mapping[str, Any], asked: bytes, headers: Mapping[str, str], answer: bytes, secrets: Iterable[str]) -> None:
        """Write down one exchange: what it belongs to, the body that was asked, and the headers and body of the answer."""
        line = {**about, "request": _json(asked), "headers": {name: value for name, value in headers.items() if TOLD.fullmatch(name)}}
        text = json.dumps({**line, "answer": answer.decode(errors="replace")}, ensure_ascii=False)
        with open(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:  # noqa: PTH123 - nobody else's
            file.write(redacted(text, secrets) + "\n")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text with *** for each secret."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
