import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil
import pytest

from adw.agents.base import ANTHROPIC, OPENAI
from adw.config import BudgetConfig
from adw.cooldown import Cooldown
from adw.gateway.client import Access
from adw.money import Ledger, Spent, Tokens
from tests.adw.gateways import KEY, ask, canned, lent, opened, order, sent
from tests.adw.tools import gone, number_in, python, until
from tests.fake_anthropic import Json, Server, serving

RULES: list[Json] = [
    {"match": "hello", "turns": [{"text": "how do you do", "usage": {"input_tokens": 900, "output_tokens": 40, "cache_read_input_tokens": 7}}]},
    {"match": "held", "turns": [{"text": "at last", "hold": 0}]},
    {"match": "slow", "turns": [{"text": "a b c", "hold": 2, "usage": {"input_tokens": 900, "output_tokens": 40}}]},
    {"match": "cut", "turns": [{"text": "never", "cut": True, "usage": {"input_tokens": 900, "output_tokens": 40}}]},
    {"match": "brief", "turns": [{"text": "ok", "sleep": 0.02}]},
    {"match": "crowded", "fail": {"status": 429, "times": 1, "headers": {"retry-after": "1"}}, "turns": [{"text": "ok"}]},
    {"match": "always crowded", "fail": {"status": 429, "headers": {"retry-after": "0"}}},
    {"match": "overloaded", "fail": {"status": 529, "times": 1, "headers": {"retry-after-ms": "10"}}, "turns": [{"text": "ok"}]},
    {"match": "no more", "fail": {"status": 429, "headers": {"x-should-retry": "false"}}},
    {"match": "wrong", "fail": {"status": 400, "message": f"what is {KEY}?"}},
]
RULES.sort(key=lambda rule: -len(rule["match"]))

HOLDS = """
import sys, time
from pathlib import Path
from adw.config import BudgetConfig, GatewayConfig
from adw.gateway.client import Gateway
from adw.gateway.client import Access
from adw.money import Ledger, Prices
folder = Path(sys.argv[1])
with Gateway(GatewayConfig(), Ledger(BudgetConfig()), Prices({}), print, folder).opened() as gateway:
    while not gateway.pid:
        time.sleep(0.01)
    (folder / "pid").write_text(f"{gateway.pid}\\n")
    time.sleep(600)
"""

pytestmark = pytest.mark.usefixtures("home")


Begin = Callable[[Access, str], HTTPConnection]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Sends requests without waiting for their answers."""
    with ExitStack() as stack:

        def start(access: Access, text: str) -> HTTPConnection:
            connection = sent(access, text)
            stack.callback(connection.close)
            return connection

        yield start


@pytest.fixture
def api() -> Iterator[Server]:
    with serving(RULES, keys=(KEY,)) as server:
        yield server


def test_an_agent_asks_with_its_token_and_the_api_hears_the_key(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (_, access):
        answer = ask(access, "hello")
    assert (answer.status_code, "how do you do" in answer.text, KEY in access.token) == (200, True, False)
    assert [(seen["key"], seen["path"]) for seen in api.seen] == [(KEY, "/v1/messages?beta=true")]


def test_a_token_that_comes_as_a_bearer_is_answered_as_one(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (_, access):
        headers = {"authorization": f"Bearer {access.token}"}
        answer = httpx.post(f"{access.url}/v1/messages", headers=headers, json={"messages": []}, trust_env=False)
    assert (answer.status_code, api.seen[0]["key"]) == (200, KEY)


def test_the_key_is_in_no_environment_and_on_no_command_line(api: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with lent(tmp_path, api.url) as (around, access):
        process = Path("/proc") / str(around.gateway.pid)
        shown = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        assert b"adw.gateway.serve" in shown
        assert KEY.encode() not in shown
        assert access.token.encode() not in shown


def test_an_api_that_names_the_key_is_not_heard_by_the_agent(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (_, access):
        answer = ask(access, "wrong")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "what is ***?")


def test_somebody_without_a_token_is_answered_at_the_root_alone(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (_, access):
        assert httpx.head(access.url, trust_env=False).status_code == 200
        assert httpx.post(f"{access.url}/v1/messages", json={}, trust_env=False).status_code == 401
    assert api.seen == []


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/files", "/v1/models/%2e%2e/organizations", "/"])
def test_nothing_is_done_with_the_key_that_would_not_be_counted(path: str, api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (_, access):
        answer = httpx.post(access.url + path, headers={"x-api-key": access.token}, json={}, trust_env=False)
    assert answer.status_code == (200 if path == "/" else 404)
    assert api.seen == []


def test_the_token_of_an_ended_lease_is_refused(api: Server, tmp_path: Path) -> None:
    with opened(tmp_path) as around:
        with around.gateway.lease(ANTHROPIC, KEY, api.url, order()) as access:
            assert ask(access, "hello").status_code == 200
        refused = ask(access, "hello")
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
    assert len(api.seen) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_is_counted_with_what_the_answer_says(stream: bool, api: Server, tmp_path: Path) -> None:  # noqa: FBT001
    with lent(tmp_path, api.url) as (around, access):
        ask(access, "hello", stream=stream)
        (call,) = around.heard.wait("call")
    assert Tokens.of(call) == Tokens(calls=1, input=900, output=40, cache_read=7)
    about = {name: call[name] for name in ("run", "issue", "phase", "try", "model", "status", "cut", "retry_after")}
    assert about == {"run": "r1", "issue": "i1", "phase": "build", "try": 2, "model": "claude-x", "status": 200, "cut": False, "retry_after": None}
    assert 0 < call["first_byte"] <= call["seconds"]
    so_far = around.ledger.of("i1")
    assert (so_far.tokens, so_far.usd) == (Tokens.of(call), pytest.approx(0.001307))


def test_what_a_stream_told_before_it_was_cut_is_counted(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (around, access):
        ask(access, "cut")
        (call,) = around.heard.wait("call")
    assert (call["cut"], Tokens.of(call)) == (True, Tokens(calls=1, input=900, output=1))


def test_an_answer_that_the_api_breaks_off_is_broken_off_for_the_agent(tmp_path: Path) -> None:
    answer = (200, {"content-type": "text/event-stream", "content-length": "99", "connection": "close"}, b"data: {}\n\n")
    with canned(__v1__messages=answer) as api, lent(tmp_path, api.url) as (around, access):
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{access.url}/v1/messages", headers={"x-api-key": access.token}, json={}, trust_env=False)
        (call,) = around.heard.wait("call")
    assert (call["status"], call["cut"]) == (200, True)


def test_an_agent_that_goes_away_is_counted_and_makes_room_at_once(api: Server, begin: Begin, tmp_path: Path) -> None:
    with lent(tmp_path, api.url, requests=1) as (around, access):
        leaves = begin(access, "slow")
        until(lambda: api.now == 1)
        assert leaves.getresponse().read(1)
        leaves.close()
        assert ask(access, "hello").status_code == 200  # while the API still holds the other
        calls = around.heard.wait("call", 2)
    assert [(call["cut"], call["input"], call["output"]) for call in calls] == [(True, 900, 1), (False, 900, 40)]


def test_who_leaves_the_queue_is_never_asked_for(api: Server, begin: Begin, tmp_path: Path) -> None:
    with lent(tmp_path, api.url, requests=1) as (around, access):
        first = begin(access, "held")
        until(lambda: api.now == 1)
        waits = begin(access, "hello")
        until(lambda: established(around.gateway.pid, access.url) == 2)
        waits.close()
        until(lambda: established(around.gateway.pid, access.url) == 1)
        api.go.set()
        first.getresponse().read()
        ask(access, "brief")
    assert [seen["body"]["messages"][0]["content"] for seen in api.seen] == ["held", "brief"]


def established(pid: int, url: str) -> int:
    """How many connections of agents a gateway has taken up."""
    port = int(url.rpartition(":")[2])
    return sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in psutil.Process(pid).net_connections())


def test_no_more_requests_than_allowed_are_at_the_api_at_once(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url, requests=3) as (_, access), ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: ask(access, "brief").status_code, range(24)))
    assert (set(answers), len(api.seen), api.peak) == ({200}, 24, 3)


def test_the_urgent_request_is_asked_first(api: Server, begin: Begin, tmp_path: Path) -> None:
    with lent(tmp_path, api.url, requests=1) as (around, plain), around.gateway.lease(ANTHROPIC, KEY, api.url, order("i2"), priority=5) as urgent:
        waiting = [begin(plain, "held")]
        until(lambda: api.now == 1)
        waiting += [begin(plain, "brief one"), begin(plain, "brief two"), begin(urgent, "hello")]
        until(lambda: established(around.gateway.pid, plain.url) == 4)
        api.go.set()
        assert [one.getresponse().read() != b"" for one in waiting] == [True] * 4
    assert [seen["body"]["messages"][0]["content"] for seen in api.seen] == ["held", "hello", "brief one", "brief two"]


def test_all_wait_together_for_as_long_as_the_api_says(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (around, access), ThreadPoolExecutor() as threads:
        first = threads.submit(ask, access, "crowded")
        (throttled,) = around.heard.wait("throttled")
        assert Cooldown(KEY).left() > 0  # as any process sees that uses the key
        second = threads.submit(ask, access, "hello")
        assert [first.result().status_code, second.result().status_code] == [200, 200]
        calls = around.heard.wait("call", 2)
    assert (throttled["status"], throttled["retry_after"], throttled["issue"]) == (429, 1.0, "i1")
    assert [seen["t"] >= api.seen[0]["t"] + 1 for seen in api.seen] == [False, True, True]
    assert sorted((call["retry_after"] or 0, call["queued"] > 0) for call in calls) == [(0, True), (1.0, True)]


def test_a_pause_that_another_process_knows_of_is_kept(api: Server, begin: Begin, tmp_path: Path) -> None:
    Cooldown(KEY).push(60)
    with lent(tmp_path, api.url) as (around, access), around.gateway.lease(ANTHROPIC, "another key", api.url, order()) as other:
        waits = begin(access, "hello")
        assert ask(other, "hello").status_code == 401  # the API is asked with this key at once
        waits.close()
    assert [seen["key"] for seen in api.seen] == ["another key"]


def test_an_overloaded_api_is_asked_again(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (around, access):
        assert ask(access, "overloaded").status_code == 200
    assert [(event["status"], event["retry_after"]) for event in around.heard.of("throttled")] == [(529, 0.01)]


@pytest.mark.parametrize(("text", "times"), [("always crowded", 8), ("no more", 1)])
def test_a_request_that_is_held_back_too_often_or_for_good_is_told(text: str, times: int, api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (around, access):
        answer = ask(access, text)
        (call,) = around.heard.wait("call")
    assert (answer.status_code, answer.json()["error"]["type"], call["status"], call["calls"]) == (429, "rate_limit_error", 429, 0)
    assert len(api.seen) == times


def test_a_spent_budget_stops_the_next_request_and_no_other_issue(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url, budget=BudgetConfig(issue_tokens=500)) as (around, access):
        assert ask(access, "hello").status_code == 200
        refused = ask(access, "hello")
        with around.gateway.lease(ANTHROPIC, KEY, api.url, order("i2")) as other:
            assert ask(other, "hello").status_code == 200
    assert (refused.status_code, refused.headers["x-should-retry"]) == (403, "false")
    assert refused.json()["error"]["message"].startswith("adw: the budget of issue i1 is spent: 947 of 500 tokens")
    assert len(api.seen) == 2


def test_what_was_spent_before_counts_also_for_a_gateway_that_came_back(api: Server, tmp_path: Path) -> None:
    ledger = Ledger(BudgetConfig(run_usd=1))
    ledger.add("i0", Spent(usd=2.0))
    with lent(tmp_path, api.url, ledger=ledger) as (around, access):
        assert ask(access, "hello").status_code == 403
        os.kill(around.gateway.pid, signal.SIGKILL)
        around.heard.wait("restarted")
        assert ask(access, "hello").status_code == 403
    assert api.seen == []


def test_a_gateway_that_is_killed_comes_back_on_its_port_and_loses_no_count(api: Server, begin: Begin, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (around, access):
        cut = begin(access, "slow").getresponse()
        assert b"message_start" in cut.readline()
        first = around.gateway.pid
        os.kill(first, signal.SIGKILL)
        assert ask(access, "hello").status_code == 200  # it waited for the next one
        calls = around.heard.wait("call", 2)
        assert around.gateway.pid != first
    assert [(call["cut"], call["input"], call["calls"]) for call in calls] == [(True, 900, 1), (False, 900, 1)]
    assert around.ledger.whole.tokens.input == 1800


def test_a_gateway_ends_with_its_block(api: Server, begin: Begin, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (around, access):
        begin(access, "slow").getresponse()
        pid = around.gateway.pid
    assert gone(pid)
    assert [call["cut"] for call in around.heard.of("call")] == [True]
    with pytest.raises(httpx.ConnectError):
        ask(access, "hello")


def test_a_gateway_that_hangs_is_killed_in_the_end(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (around, _):
        pid = around.gateway.pid
        with opened(tmp_path / "other") as other:
            os.kill(other.gateway.pid or until(lambda: other.gateway.pid), signal.SIGSTOP)
            hung = other.gateway.pid
        assert (gone(hung), gone(pid)) == (True, False)


def test_a_gateway_ends_when_adw_is_killed(tmp_path: Path) -> None:
    with python(HOLDS, tmp_path) as adw:
        gateway = number_in(tmp_path / "pid")
        assert not gone(gateway)
        adw.kill()
        until(lambda: gone(gateway))


def test_an_api_that_cannot_be_reached_is_an_error_in_its_own_shape(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    with lent(tmp_path, url) as (around, access):
        answer = ask(access, "hello")
        (call,) = around.heard.wait("call")
    assert (answer.status_code, answer.json()["error"]["type"], call["status"], call["cut"]) == (502, "api_error", 502, False)


def test_the_record_has_what_was_said_and_no_secret(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url, record=True) as (around, access):
        ask(access, f"overloaded {KEY} {access.token}")
        around.heard.wait("call")
    file = tmp_path / "gateway.jsonl"
    failed, answered = [json.loads(line) for line in file.read_text().splitlines()]
    assert (failed["status"], failed["headers"]["retry-after-ms"], answered["status"], answered["cut"]) == (529, "10", 200, False)
    assert answered["request"]["messages"][0]["content"] == "overloaded *** ***"
    assert "event: message_stop" in answered["answer"]
    assert KEY not in file.read_text()
    assert access.token not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_nothing_is_recorded_unasked(api: Server, tmp_path: Path) -> None:
    with lent(tmp_path, api.url) as (_, access):
        ask(access, "hello")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["gateway.log"]


RESPONSES = (
    b'data: {"type":"response.created","response":{"model":"gpt-5","usage":null}}\n\n'
    b'data: {"type":"response.output_text.delta","delta":"say \\"usage\\""}\n\n'
    b'data: {"type":"response.completed","response":{"model":"gpt-5-2026","usage":{"input_tokens":100,"output_tokens":9,'
    b'"input_tokens_details":{"cached_tokens":60}}}}\n\n'
)
CHAT = (
    b'data: {"model":"gpt-4","choices":[{"delta":{"content":"x"}}],"usage":null}\r\n\r\n'
    b'data: {"model":"gpt-4","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":20}}}\r\n\r\n'
    b"data: [DONE]\r\n\r\n"
)
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def test_openai_is_asked_at_its_own_path_and_counted(tmp_path: Path) -> None:
    plain = json.dumps({"model": "gpt-5", "usage": {"input_tokens": 3, "output_tokens": 2}}).encode()
    with (
        canned(__v1__responses=(200, SSE, RESPONSES), __v1__chat__completions=(200, SSE, CHAT), __v1__responses__compact=(200, {}, plain)) as api,
        opened(tmp_path) as around,
    ):
        with around.gateway.lease(OPENAI, KEY, f"{api.url}/v1", order()) as access:
            for path in ("responses", "chat/completions", "responses/compact"):
                headers = {"authorization": f"Bearer {access.token}"}
                assert httpx.post(f"{access.url}/{path}", headers=headers, json={"model": "m", "stream": True}, trust_env=False).status_code == 200
        refused = httpx.post(f"{access.url}/responses", headers=headers, json={}, trust_env=False)
        calls = around.heard.wait("call", 3)
    assert [(call["model"], Tokens.of(call), call["cut"]) for call in calls] == [
        ("gpt-5-2026", Tokens(calls=1, input=40, output=9, cache_read=60), False),
        ("gpt-4", Tokens(calls=1, input=30, output=8, cache_read=20), False),
        ("gpt-5", Tokens(calls=1, input=3, output=2), False),
    ]
    assert {headers["authorization"] for _, headers, _ in api.seen} == {f"Bearer {KEY}"}
    assert [body.get("stream_options") for _, _, body in api.seen] == [None, {"include_usage": True}, None]
    assert (access.url.endswith("/v1"), refused.status_code, refused.json()["error"]["code"]) == (True, 401, None)


def test_an_empty_account_is_not_waited_for(tmp_path: Path) -> None:
    body = b'{"error":{"type":"insufficient_quota","message":"You exceeded your current quota"}}'
    with canned(__v1__responses=(429, {}, body)) as api, opened(tmp_path) as around, around.gateway.lease(OPENAI, KEY, f"{api.url}/v1", order()) as access:
        answer = httpx.post(f"{access.url}/responses", headers={"authorization": f"Bearer {access.token}"}, json={}, trust_env=False)
    assert (answer.status_code, answer.content, len(api.seen)) == (429, body, 1)
    assert Cooldown(KEY).left() == 0
