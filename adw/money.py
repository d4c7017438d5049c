"""Tokens and money: what answers of models cost, and how much of a budget is left.

Prices are in US dollars for a million tokens. Those that are shipped (`adw/prices.toml`) are the vendors' list prices of the day
that the file names; `[prices]` in `adw.toml` adds to them and corrects them.
"""

import threading
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from adw.config import BudgetConfig, Price

MILLION = 1_000_000
SIZES = ((1_000_000_000, "G"), (MILLION, "M"), (1000, "k"))


def dollars(usd: float) -> str:
    """Money for people, such as $1.05."""
    return "<$0.01" if 0 < usd < 0.005 else f"{'-' if usd <= -0.005 else ''}${abs(usd):,.2f}"  # noqa: PLR2004 - what rounds to nothing is not nothing


def in_short(tokens: int) -> str:
    """A number of tokens in five characters at most, such as 12.3k."""
    for size, sign in SIZES:
        if tokens >= size * 0.9995:
            return f"{tokens / size:.3g}{sign}"
    return str(tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a number of answers took. `input` is what the cache did not have; `cache_read` and `cache_write` come on top of it."""

    calls: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Tokens":
        """Those of a mapping with these names; what is missing is 0."""
        return cls(**{field.name: int(found.get(field.name) or 0) for field in fields(cls)})

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    def __sub__(self, other: "Tokens") -> "Tokens":
        return Tokens(**{name: value - getattr(other, name) for name, value in asdict(self).items()})

    @property
    def total(self) -> int:
        """All tokens that went in and out."""
        return self.input + self.output + self.cache_read + self.cache_write


@cache
def list_prices() -> dict[str, Price]:
    """The prices that are shipped, by the beginning of a model's name."""
    found = tomllib.loads(files("adw").joinpath("prices.toml").read_text(encoding="utf-8"))
    return {name: Price.model_validate(price) for name, price in found.items() if isinstance(price, dict)}


@dataclass(frozen=True, slots=True)
class Prices:
    """A price for each model: the user's own first, then the list's; the longest name that the model's begins with counts."""

    own: Mapping[str, Price]

    def of(self, model: str) -> Price | None:
        """The price of a model; None if nobody knows it."""
        name = model.rpartition("/")[2].partition("[")[0]  # anthropic/claude-…, claude-…[1m]
        for table in (self.own, list_prices()):
            known = [known for known in table if name.startswith(known) or model.startswith(known)]
            if known:
                return table[max(known, key=len)]
        return None

    def cost(self, model: str, tokens: Tokens) -> float | None:
        """What so many tokens cost, in US dollars; None if the model has no price."""
        price = self.of(model)
        if price is None:
            return None
        paid = tokens.input * price.input + tokens.output * price.output
        return (paid + tokens.cache_read * price.read + tokens.cache_write * price.write) / MILLION

    def saved(self, model: str, tokens: Tokens) -> float:
        """What the model's cache saved, in US dollars: its reads and writes against the same as plain input. Below 0 if writes cost more."""
        price = self.of(model)
        if price is None:
            return 0.0
        return (tokens.cache_read * (price.input - price.read) + tokens.cache_write * (price.input - price.write)) / MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent on something so far."""

    tokens: Tokens = Tokens()
    usd: float = 0.0
    saved: float = 0.0  # US dollars, by the model's cache
    unpriced: int = 0  # tokens of models that have no price

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Spent":
        """What an event tells of."""
        return cls(tokens=Tokens.of(event), usd=event["usd"], saved=event["saved"], unpriced=event["unpriced"])

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(tokens=self.tokens + other.tokens, usd=self.usd + other.usd, saved=self.saved + other.saved, unpriced=self.unpriced + other.unpriced)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(tokens=self.tokens - other.tokens, usd=self.usd - other.usd, saved=self.saved - other.saved, unpriced=self.unpriced - other.unpriced)

    def flat(self) -> dict[str, float]:
        """All numbers by name, as in events and for scripts."""
        return {"usd": self.usd, "saved": self.saved, "unpriced": self.unpriced, **asdict(self.tokens)}

    @property
    def price(self) -> str:
        """The money for people: with a + if some tokens have no price, nothing if none has."""
        return "" if self.unpriced and not self.usd else dollars(self.usd) + ("+" if self.unpriced else "")

    def short(self) -> str:
        """Money and tokens, such as $1.05 · 12.3k."""
        return " · ".join(filter(None, [self.price, in_short(self.tokens.total)]))

    def sentence(self) -> str:
        """All of it for people, in a line."""
        calls, tokens = f"{self.tokens.calls:,} call{'' if self.tokens.calls == 1 else 's'} of models", self.tokens
        cached = f", {in_short(tokens.cache_read)} read from the cache and {in_short(tokens.cache_write)} written to it" if self.cached else ""
        parts = [f"{calls}: {in_short(tokens.input)} tokens in and {in_short(tokens.output)} out{cached}"]
        parts += [self.price + (f" (the cache saved {dollars(self.saved)})" if self.cached else "")] if self.price else []
        return "; ".join([*parts, *([self.without_price()] if self.unpriced else [])])

    @property
    def cached(self) -> int:
        """How many tokens the model's cache had or took."""
        return self.tokens.cache_read + self.tokens.cache_write

    def without_price(self) -> str:
        """What to do about tokens that have no price."""
        return f"{self.unpriced:,} tokens of models without a price: set [prices] in adw.toml"


def spent(prices: Prices, model: str, tokens: Tokens, usd: float | None = None) -> Spent:
    """What some answers of a model come to. `usd` is what the agent says they cost: it counts where the table has no price."""
    cost = prices.cost(model, tokens)
    known = cost if cost is not None else usd
    return Spent(tokens=tokens, usd=known or 0.0, saved=prices.saved(model, tokens), unpriced=0 if known is not None else tokens.total)


class Ledger:
    """What a run and its issues have spent, and whether that is all they may. Many threads may use it."""

    def __init__(self, budget: BudgetConfig) -> None:
        self.budget = budget
        self._spent: dict[str, Spent] = {}
        self._guard = threading.Lock()

    def add(self, issue: str, more: Spent) -> None:
        """Count what was spent on an issue."""
        with self._guard:
            self._spent[issue] = self._spent.get(issue, Spent()) + more

    def of(self, issue: str) -> Spent:
        """What an issue has spent."""
        with self._guard:
            return self._spent.get(issue, Spent())

    @property
    def by_issue(self) -> dict[str, Spent]:
        """What each issue has spent."""
        with self._guard:
            return dict(self._spent)

    @property
    def whole(self) -> Spent:
        """What all issues together have spent."""
        with self._guard:
            return sum(self._spent.values(), Spent())

    def over(self, issue: str) -> str:
        """Which budget an issue can spend no more of, in words, or nothing."""
        return self.run_over() or _over(f"issue {issue}", self.of(issue), self.budget.issue_usd, self.budget.issue_tokens, "issue")

    def run_over(self) -> str:
        """The same for the run as a whole: then no issue can spend any more."""
        return _over("the run", self.whole, self.budget.run_usd, self.budget.run_tokens, "run")


def _over(whose: str, so_far: Spent, usd: float, tokens: int, scope: str) -> str:
    if usd and so_far.usd >= usd:
        return f"the budget of {whose} is spent: ${so_far.usd:.2f} of ${usd:.2f} (raise budget.{scope}_usd in adw.toml, and `adw resume`)"
    if tokens and so_far.tokens.total >= tokens:
        return f"the budget of {whose} is spent: {so_far.tokens.total:,} of {tokens:,} tokens (raise budget.{scope}_tokens in adw.toml, and `adw resume`)"
    return ""
