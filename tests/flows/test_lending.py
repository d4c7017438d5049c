from pathlib import Path

import psutil
import pytest

from adw import guard
from adw.config import Config, parse
from adw.errors import Misuse
from adw.journal import Journal
from flows.lending import HERE, Lending, insist_on_memory
from flows.places import Places


def test_slots_are_lent_as_this_host_can_bear_it_and_the_journal_says_why_not_all(tmp_path: Path) -> None:
    places, journal = Places(), Journal(tmp_path)
    with Lending(parse("pool.memory_gb = 1e6", "adw.toml"), places, journal).kept():
        assert (places.slots, places.addresses) == (1, {HERE})
    assert [(event["now"], event["size"]) for event in journal.events()[0]] == [(1, 5)]
    assert "1 of 5 slots are lent: there are " in journal.progress().lent


def test_where_all_are_lent_nothing_is_said(tmp_path: Path) -> None:
    places, journal = Places(), Journal(tmp_path)
    with Lending(parse("[pool]\nmemory_gb = 0\nmax_load = 0", "adw.toml"), places, journal).kept():
        assert places.slots == 5
    assert journal.events()[0] == []


def test_a_reservation_that_this_host_could_never_lend_is_refused_before_anything_starts() -> None:
    insist_on_memory(Config())
    more = f"{psutil.virtual_memory().total / guard.GB:.3f}GB"
    for table in ("agent.build", "test"):
        with pytest.raises(Misuse, match=rf"lower `memory` in \[{table}\] of adw\.toml"):
            insist_on_memory(parse(f"[{table}]\nmemory = '{more}'", "adw.toml"))
    with pytest.raises(Misuse, match=r"lint reserves .* lower `memory` in \[checks\.lint\] of adw\.toml"):
        insist_on_memory(parse(f"[checks.lint]\ncommand = 'x'\nmemory = '{more}'", "adw.toml"))
