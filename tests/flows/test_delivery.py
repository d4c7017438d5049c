from datetime import UTC, datetime

from flows.delivery import new_name

WHEN = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def test_runs_that_prefect_scheduled_together_have_folders_of_their_own() -> None:
    ids = ["01a21031-cc2b-7f87-b8fa-b00500db33b4", "01a21031-cc2b-7f87-b8fa-b00500db44c5"]  # made in the same millisecond
    assert len({new_name(WHEN, one) for one in ids}) == 2


def test_a_run_that_prefect_runs_once_more_finds_its_folder_again() -> None:
    assert new_name(WHEN, "01a21031-cc2b-7f87-b8fa-b00500db33b4") == "20261125-020000-00db33b4"
