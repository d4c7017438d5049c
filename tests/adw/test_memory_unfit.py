"""What looks like a secret, and what does not."""

import pytest

from adw.memory.unfit import secret

SECRETS = [
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "push with ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "glpat-abcdefghij0123456789",
    "sk-ant-api03-R2D2aaaaBBBBccccDDDD1111eeeeFFFF2222ggggHHHH3333",
    "OPENAI_API_KEY=sk-proj-abcdEFGH1234ijklMNOP5678qrstUVWX90yz",
    "m0-Zk3mQ9vL2xT7bN4cW8yR5uP1sD6f",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    'password = "hunter2hunter2"',
    "the password: hunter2",
    '{"client_secret": "a1b2c3d4e5"}',
    "DB_PASSWORD=tiger%42",
    "postgres://user:s3cr3tpw@db.example.com/x",
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "authorization: basic dXNlcjpwYXNzd29yZA==",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "npm: //registry.example.com/:_authToken=12345678-1234-1234-1234-123456789012",
    "pypi-AgEIcHlwaS5vcmcCJDU3M2E5ZDYwLTk5Y2YtNDk4Zi04MDkwLTQxMDhhOTZjZjQ2YwACJXsicGVybWlzc2lvbnMiOiAidXNlciIsICJ2ZXJzaW9uIjogMX0AAAYg",
    "it said Zk3mQ9vL2xT7bN4cW8yR5uP1sD6fG0hJ and went on",  # of no known kind, but random
    "session 9f86d081884c7d659a2feaa0c55ad015",
]
HARMLESS = [
    "commit 3f786850e387550fdab836ed7e6dc881de23001b (`git show 3f786850e3`)",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "FAILED tests/test_retry.py::TestRetry::test_backoff_is_exponential_with_jitter",
    "/usr/lib/python3.11/site-packages/prefect_dask/task_runners.py:120: in submit",
    "E   AssertionError: assert 'LandingConfigurationResultStore' == 'x'",
    "use `uv pip compile --universal --generate-hashes` to lock",
    "npm ERR! path /root/project/node_modules/@anthropic-ai/claude-code-linux-x64",
    'secret = os.environ["API_KEY"]',
    "token = config.get_token()",
    "the API token is read by name from the Prefect Secret block",
    "`password: str` is a field of LoginForm",
    "a token bucket of 5 requests limits who asks",
    "https://docs.example.com/path/to/something?query=abcdef&x=1",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_found_also_in_the_middle_of_a_text(text: str) -> None:
    assert secret(f"To run the tests:\n{text}\nthen wait.")


@pytest.mark.parametrize("text", SECRETS)
def test_what_is_said_of_a_secret_does_not_hold_it(text: str) -> None:
    assert not any(word in secret(text) for word in text.split() if len(word) > 12)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_logs_are_full_of_is_no_secret(text: str) -> None:
    assert secret(text) == ""
