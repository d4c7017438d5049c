from prefect.settings import get_current_settings

from adw.model import Issue
from flows.labels import tags


def test_a_run_of_hundreds_of_issues_has_no_more_tags_than_prefect_takes_beside_what_else_it_is_related_to() -> None:
    found = tags("here", [Issue(id=f"i{number}", title="Add it", body="") for number in range(500)])
    assert {"adw", "repository:here", "issue:i0"} <= found
    assert get_current_settings().server.events.maximum_related_resources - len(found) > 45
