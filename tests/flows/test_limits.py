from flows.limits import QUIET, TOGETHER, Pace


def test_the_limit_is_halved_when_an_agent_is_turned_away_and_never_below_one() -> None:
    pace = Pace(8)
    changes = [(pace.turned_away(when), pace.now) for when in (0.0, 10.0, 20.0, 30.0)]
    assert changes == [(True, 4), (True, 2), (True, 1), (False, 1)]


def test_several_that_are_turned_away_at_once_are_one_trouble() -> None:
    pace = Pace(8)
    assert [pace.turned_away(when) for when in (0.0, 1.0, TOGETHER)] == [True, False, False]
    assert pace.turned_away(2 * TOGETHER)
    assert pace.now == 2


def test_the_limit_is_raised_by_one_after_each_quiet_minute_up_to_what_is_configured() -> None:
    pace = Pace(4)
    pace.turned_away(0.0)
    seen = [(pace.time(when), pace.now) for when in (QUIET - 1, QUIET, QUIET + 1, 2 * QUIET, 4 * QUIET)]
    assert seen == [(False, 2), (True, 3), (False, 3), (True, 4), (False, 4)]


def test_trouble_in_a_quiet_minute_begins_it_anew() -> None:
    pace = Pace(4)
    pace.turned_away(0.0)
    pace.turned_away(QUIET - TOGETHER + 1)
    assert not pace.time(QUIET)
