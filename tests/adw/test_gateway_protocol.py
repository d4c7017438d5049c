import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from adw.gateway.pace import Limiter, Pace, pause_asked
from adw.gateway.protocol import PROTOCOLS, Meter, model_asked, refusal, signed, token_of, with_usage
from adw.money import Tokens

USAGE = '{"input_tokens":9,"cache_creation_input_tokens":4,"output_tokens":1}'
START = f'event: message_start\ndata: {{"type":"message_start","message":{{"model":"claude-x","usage":{USAGE}}}}}\n\n'.encode()
TEXT = b'data: {"type":"content_block_delta","delta":{"text":"\\"usage\\": {\\"output_tokens\\": 99}"}}\n\n'
END = b'data: {"type":"message_delta","usage":{"output_tokens":20,"input_tokens":null}}\n\ndata: {"type":"message_stop"}\n\n'


def test_a_stream_is_read_however_it_is_cut_into_pieces() -> None:
    for size in (1, 7, 1000):
        meter, stream = Meter(streamed=True), START + TEXT + END
        for at in range(0, len(stream), size):
            meter.take(stream[at : at + size])
        meter.end()
        assert (meter.model, meter.tokens, meter.whole) == ("claude-x", Tokens(input=9, output=20, cache_write=4), True)


def test_a_stream_without_its_end_is_not_whole_and_tells_what_came() -> None:
    meter = Meter(streamed=True)
    assert [meter.take(piece) for piece in (START, TEXT, END[:40])] == [True, False, False]
    meter.end()
    assert (meter.tokens.input, meter.tokens.output, meter.whole) == (9, 1, False)


def test_an_error_in_a_stream_is_seen() -> None:
    meter = Meter(streamed=True)
    meter.take(b'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n')
    assert meter.error == "overloaded_error"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"[]",
        b'"x"',
        b'{"usage": 1}',
        b'{"usage": null, "error": "x"}',
        b'{"usage": {"input_tokens": "x", "input_tokens_details": [1]}}',
        b"data: {",
        b"data: 7",
        b"\xff",
    ],
)
def test_what_is_no_answer_is_passed_over(text: bytes) -> None:
    for streamed in (True, False):
        meter = Meter(streamed=streamed)
        meter.take(text)
        meter.end()
        assert meter.tokens == Tokens()


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"stream": True}, {"include_usage": True}),
        ({"stream": True, "stream_options": {"other": 1}}, {"other": 1, "include_usage": True}),
        ({"stream": True, "stream_options": None}, {"include_usage": True}),
        ({"stream": False}, None),
        ([], None),
    ],
)
def test_a_chat_that_streams_is_made_to_tell_its_usage(body: object, sent: object) -> None:
    given = json.dumps(body).encode()
    found = json.loads(with_usage("/chat/completions", given))
    assert (found.get("stream_options") if isinstance(found, dict) else None) == sent
    assert with_usage("/responses", given) == given
    assert with_usage("/chat/completions", b"{") == b"{"


@pytest.mark.parametrize(
    ("headers", "token", "marks"),
    [
        ({"x-api-key": "t"}, "t", {"x-api-key": "KEY"}),
        ({"authorization": "Bearer t"}, "t", {"authorization": "Bearer KEY"}),
        ({"authorization": "bearer  t"}, "t", {"authorization": "Bearer KEY"}),
        ({"x-api-key": "t", "authorization": "Bearer other"}, "t", {"x-api-key": "KEY"}),
        ({}, "", {"authorization": "Bearer KEY"}),
    ],
)
def test_the_key_goes_where_the_token_was(headers: Mapping[str, str], token: str, marks: Mapping[str, str]) -> None:
    assert token_of(headers) == token
    sent = signed({**headers, "host": "h", "connection": "x", "accept-encoding": "gzip", "anthropic-beta": "b"}, "KEY")
    assert sent == {**marks, "anthropic-beta": "b", "accept-encoding": "identity"}


@pytest.mark.parametrize(
    ("protocol", "asked", "allowed"),
    [
        ("anthropic", "POST /v1/messages", True),
        ("anthropic", "GET /v1/models/claude-x", True),
        ("anthropic", "POST /v1/messages/batches", False),
        ("anthropic", "GET /v1/models/..", False),
        ("anthropic", "DELETE /v1/messages", False),
        ("openai", "POST /chat/completions", True),
        ("openai", "GET /models/gpt-5", True),
        ("openai", "GET /responses/x", False),
        ("openai", "POST /files", False),
    ],
)
def test_only_what_is_counted_is_allowed(protocol: str, asked: str, allowed: bool) -> None:  # noqa: FBT001
    assert bool(PROTOCOLS[protocol].allowed.fullmatch(asked)) == allowed


def test_an_error_has_the_shape_of_its_protocol() -> None:
    assert json.loads(refusal(False, 403, "no")) == {"type": "error", "error": {"type": "permission_error", "message": "no"}}  # noqa: FBT003
    assert json.loads(refusal(True, 401, "no"))["error"] == {"type": "authentication_error", "message": "no", "param": None, "code": None}  # noqa: FBT003


def test_the_model_is_found_in_the_question() -> None:
    assert (model_asked(b'{"max_tokens": 1, "model" : "m-1"}'), model_asked(b"{}")) == ("m-1", "")


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Sat, 01 Jan 2028 00:00:30 GMT"}, 30.0),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2028-01-01T00:01:00Z"}, 60.0),
        ({"anthropic-ratelimit-tokens-remaining": "5", "anthropic-ratelimit-tokens-reset": "2028-01-01T00:01:00Z"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0.5s"}, 60.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "1830297605"}, 5.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_a_pause_is_read_from_the_headers(headers: Mapping[str, str], pause: float | None) -> None:
    assert pause_asked(headers, now=1830297600.0) == (None if pause is None else pytest.approx(pause))  # 2028-01-01


def test_a_pause_that_the_api_does_not_name_grows_with_each_failure_in_a_row(home: Path) -> None:  # noqa: ARG001
    pace = Pace("key")
    pauses = [pace.throttled({}, sent=time.monotonic()) for _ in range(7)]
    assert [base * 0.75 <= pause <= base * 1.25 for base, pause in zip((2, 4, 8, 16, 32, 60, 60), pauses, strict=True)] == [True] * 7
    pace.answered()
    assert pace.throttled({}, sent=time.monotonic()) <= 2.5


def test_failures_of_requests_that_were_under_way_at_once_are_one(home: Path) -> None:  # noqa: ARG001
    pace, sent = Pace("key"), time.monotonic()
    assert max(pace.throttled({}, sent) for _ in range(5)) <= 2.5


def test_turns_go_by_place_and_one_that_is_given_up_is_passed_on() -> None:
    came: list[str] = []

    async def turns() -> None:
        limiter, go = Limiter(1), asyncio.Event()

        async def one(name: str, place: tuple[int, int]) -> None:
            async with limiter.slot(place):
                came.append(name)
                await go.wait()

        tasks = [asyncio.create_task(one(name, place)) for name, place in (("first", (0, 0)), ("late", (0, 2)), ("gone", (-2, 1)), ("urgent", (-1, 3)))]
        await asyncio.sleep(0)
        tasks[2].cancel()
        go.set()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(turns())
    assert came == ["first", "urgent", "late"]


def test_a_turn_that_came_to_one_who_has_just_gone_is_not_lost() -> None:
    async def turns() -> bool:
        limiter = Limiter(1)

        async def one() -> None:
            async with limiter.slot((0, 1)):
                pass

        async with limiter.slot((0, 0)):
            gone = asyncio.create_task(one())
            await asyncio.sleep(0)
        gone.cancel()  # it has its turn, and does not know it yet
        await asyncio.gather(gone, return_exceptions=True)
        async with asyncio.timeout(30), limiter.slot((0, 2)):
            return True

    assert asyncio.run(turns())
