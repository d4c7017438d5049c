import pickle

import pytest

from adw.errors import (
    AdwError,
    AgentCrashed,
    AgentCut,
    AgentFailed,
    AgentSilent,
    GitBusy,
    GitKilled,
    HubAway,
    Limited,
    ModelAway,
    RateLimited,
    SetupFailed,
    Transient,
    Unheard,
)
from tests.adw.tools import family


@pytest.mark.parametrize("kind", family())
def test_an_error_comes_back_from_a_worker_as_it_was(kind: type[AdwError]) -> None:
    no = kind("what is wrong", "where", 3)
    back = pickle.loads(pickle.dumps(no))  # noqa: S301 - our own bytes
    assert (type(back), back.args, str(back)) == (kind, no.args, str(no))


def test_only_what_may_pass_by_itself_is_transient() -> None:
    assert {kind for kind in family() if issubclass(kind, Transient)} == {
        Transient,
        AgentCrashed,
        AgentSilent,
        ModelAway,
        RateLimited,
        HubAway,
        Unheard,
        Limited,
        SetupFailed,
        GitBusy,
        GitKilled,
    }


def test_an_agent_that_was_cut_counts_as_one_that_failed() -> None:
    assert issubclass(AgentCut, AgentFailed)
