from typing import Any

import pytest

from adw.config import BudgetConfig, Price
from adw.money import Ledger, Prices, Spent, Tokens, list_prices, spent

MODEL = "model-of-the-analysis"
PRICES = Prices({MODEL: Price(input=3.0, output=15.0)})
WORKFLOW = {
    "plan": (50_000, 10_000, 0.30),
    "build": (100_000, 50_000, 1.05),
    "test": (30_000, 10_000, 0.24),
    "review": (50_000, 20_000, 0.45),
    "document": (40_000, 15_000, 0.345),
}


def in_and_out(phase: str) -> Tokens:
    taken, given, _ = WORKFLOW[phase]
    return Tokens(calls=1, input=taken, output=given)


def whole_workflow() -> Spent:
    return sum((spent(PRICES, MODEL, in_and_out(phase)) for phase in WORKFLOW), Spent())


@pytest.mark.parametrize("phase", WORKFLOW)
def test_each_phase_costs_what_appendix_d_of_the_analysis_says(phase: str) -> None:
    assert PRICES.cost(MODEL, in_and_out(phase)) == pytest.approx(WORKFLOW[phase][2])


def test_a_workflow_costs_what_appendix_d_says_and_less_by_what_is_not_asked() -> None:
    whole = whole_workflow()
    assert (whole.usd, whole.tokens.calls, whole.tokens.total) == (pytest.approx(2.385), 5, 375_000)
    assert f"${whole.usd:.2f}" == "$2.38"
    assert f"${whole.usd * (1 - 0.30):.2f}" == "$1.67"


def test_a_cache_that_saves_thirty_percent_of_a_workflow_is_told_as_money_saved() -> None:
    """Input that the cache has for nothing: 238,500 tokens of it are 30 % of $2.385."""
    prices = Prices({MODEL: Price(input=3.0, output=15.0, cache_read=0.0)})
    cached = Tokens(input=270_000 - 238_500, output=105_000, cache_read=238_500)
    found = spent(prices, MODEL, cached)
    assert (f"${found.usd:.2f}", f"${found.usd + found.saved:.2f}") == ("$1.67", "$2.38")


def test_the_longest_name_that_a_models_begins_with_is_its_price() -> None:
    prices = Prices({"new": Price(input=1, output=1), "new-large": Price(input=2, output=2), "new-large-old": Price(input=3, output=3)})
    assert [prices.of(model) for model in ("new-small", "new-large-2", "new-large-old-1")] == [
        prices.own[name] for name in ("new", "new-large", "new-large-old")
    ]


def test_a_price_of_ones_own_is_before_a_longer_name_in_the_list() -> None:
    own = {"claude": Price(input=7, output=8)}
    assert Prices(own).of("claude-opus-4-8") == own["claude"]
    assert Prices({}).of("claude-opus-4-8") == list_prices()["claude-opus-4-8"]


@pytest.mark.parametrize("model", ["anthropic/claude-opus-4-8", "claude-opus-4-8[1m]", "claude-opus-4-8-20261001"])
def test_a_models_maker_and_its_variant_do_not_hide_its_price(model: str) -> None:
    assert Prices({}).of(model) == list_prices()["claude-opus-4-8"]


def test_a_model_that_nobody_knows_has_no_price_and_its_tokens_are_counted_as_such() -> None:
    tokens = Tokens(calls=1, input=10, output=5, cache_read=3, cache_write=2)
    assert (PRICES.of("robot"), PRICES.cost("robot", tokens), PRICES.saved("robot", tokens)) == (None, None, 0.0)
    assert spent(PRICES, "robot", tokens) == Spent(tokens=tokens, unpriced=20)


def test_what_an_agent_says_it_cost_counts_only_where_the_table_has_no_price() -> None:
    tokens = Tokens(input=1_000_000)
    assert (spent(PRICES, MODEL, tokens, usd=9.0).usd, spent(PRICES, "robot", tokens, usd=9.0)) == (3.0, Spent(tokens=tokens, usd=9.0))


def test_the_cache_has_prices_of_its_own_or_else_those_of_input() -> None:
    tokens = Tokens(cache_read=1_000_000, cache_write=1_000_000)
    own = Prices({"m": Price(input=3, output=15, cache_read=0.3, cache_write=3.75)})
    assert (own.cost("m", tokens), own.saved("m", tokens)) == (pytest.approx(4.05), pytest.approx(1.95))
    assert (PRICES.cost(MODEL, tokens), PRICES.saved(MODEL, tokens)) == (6.0, 0.0)


def test_a_cache_that_is_only_written_to_saves_less_than_nothing() -> None:
    assert Prices({"m": Price(input=3, output=15, cache_write=3.75)}).saved("m", Tokens(cache_write=1_000_000)) == -0.75


def test_what_was_spent_adds_up_and_its_growth_is_the_difference() -> None:
    a = Spent(tokens=Tokens(calls=1, input=1, output=2, cache_read=3, cache_write=4), usd=1.0, saved=0.5, unpriced=2)
    b = Spent(tokens=Tokens(calls=2, input=10), usd=0.25, saved=-0.25, unpriced=1)
    assert a + b == Spent(tokens=Tokens(calls=3, input=11, output=2, cache_read=3, cache_write=4), usd=1.25, saved=0.25, unpriced=3)
    assert (a + b) - b == a


def test_tokens_of_an_event_are_those_that_it_names() -> None:
    assert Tokens.of({"input": 5, "output": None, "model": "x"}) == Tokens(input=5)


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"issue_usd": 1.0}, "the budget of issue a is spent: $1.05 of $1.00 (raise budget.issue_usd in adw.toml"),
        ({"issue_tokens": 150_000}, "the budget of issue a is spent: 150,000 of 150,000 tokens (raise budget.issue_tokens"),
        ({"run_usd": 1.30}, "the budget of the run is spent: $1.35 of $1.30 (raise budget.run_usd"),
        ({"run_tokens": 200_000}, "the budget of the run is spent: 210,000 of 200,000 tokens (raise budget.run_tokens"),
    ],
)
def test_a_budget_that_is_spent_is_named_with_the_setting_that_raises_it(budget: dict[str, Any], told: str) -> None:
    ledger = Ledger(BudgetConfig(**budget))
    ledger.add("b", spent(PRICES, MODEL, in_and_out("plan")))
    assert (ledger.over("a"), ledger.run_over()) == ("", "")
    ledger.add("a", spent(PRICES, MODEL, in_and_out("build")))
    assert ledger.over("a").startswith(told)
    assert ledger.run_over() == (ledger.over("a") if "the run" in told else "")


def test_an_issue_that_has_spent_its_budget_does_not_stop_another() -> None:
    ledger = Ledger(BudgetConfig(issue_usd=1.1))
    for phase in ("plan", "build"):
        ledger.add("a", spent(PRICES, MODEL, in_and_out(phase)))
    assert (bool(ledger.over("a")), ledger.over("b"), ledger.of("b"), ledger.whole.usd) == (True, "", Spent(), pytest.approx(1.35))


def test_without_a_budget_nothing_is_ever_spent_up() -> None:
    ledger = Ledger(BudgetConfig())
    ledger.add("a", Spent(tokens=Tokens(input=10**12), usd=1e9))
    assert ledger.over("a") == ""
