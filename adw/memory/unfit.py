"""What is never kept as a memory: secrets, by the patterns of the detect-secrets project, and whatever looks as random as a key."""

import importlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

PLUGINS = {  # of detect-secrets, by their modules: those that need no more than a text
    "artifactory": "ArtifactoryDetector",
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "basic_auth": "BasicAuthDetector",
    "cloudant": "CloudantDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "ibm_cloud_iam": "IbmCloudIamDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
NAMED = re.compile(  # a value that is named as one, other than code that reads it from somewhere
    r"(?i)[\w-]*(?:passw(?:or)?d|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credential)[\w-]*[\"']?\s*(?::=|=>|[:=])\s*[\"']?(?=[^\s\"']*[\d!#%&*^+/-])"
    r"[^\s\"'()\[\]{}$<>.,;]{6,}"
)
BEARER = re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9+/_=.-]{16,}")
VENDORS = re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}|\bm0-[A-Za-z0-9]{20,}|\bya29\.[A-Za-z0-9_-]{20,}")
TOKEN = re.compile(r"[A-Za-z0-9+_=-]{20,}")  # not `/`: paths are long, and no secrets
HEX = re.compile(r"(?i)[0-9a-f]+")
RANDOM, RANDOM_HEX = 4.0, 3.0  # bits of entropy for each character
SHA = {40, 64}  # digits of names that git and sha256sum give: they are no secrets, and logs are full of them


def secret(text: str) -> str:
    """What in a text looks like a secret, by its kind and never as it is; empty if nothing does."""
    for what, pattern in (("a value that is named like a secret", NAMED), ("an authorization header", BEARER), ("an API key", VENDORS)):
        if pattern.search(text):
            return what
    for plugin in _plugins():
        if any(plugin.analyze_string(text)):
            return f"a secret ({plugin.secret_type})"
    return "a text as random as a key" if any(_random(token) for token in TOKEN.findall(text)) else ""


def _random(token: str) -> bool:
    if HEX.fullmatch(token):
        return len(token) not in SHA and _entropy(token) > RANDOM_HEX
    kinds = sum(bool(re.search(of, token)) for of in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds == len(("a", "A", "0")) and _entropy(token) > RANDOM


def _entropy(token: str) -> float:
    """Shannon's, in bits for each character."""
    return -sum(n / len(token) * math.log2(n / len(token)) for n in Counter(token).values())


@cache
def _plugins() -> Sequence[Any]:
    """Imported when something is about to be kept, and not before."""
    return [getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)() for module, name in PLUGINS.items()]
