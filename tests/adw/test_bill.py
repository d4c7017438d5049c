from adw import bill
from adw.journal import Journal
from adw.mirror import Hub
from tests.adw.events import paid


def test_what_issues_cost_is_added_up_over_all_runs_but_the_one_under_way(hub: Hub) -> None:
    for run, issues in {"r1": "aab", "r2": "a", "now": "a"}.items():
        journal = Journal(hub.place.runs / run)
        journal.keep({})
        for issue in issues:
            told = {name: value for name, value in paid(issue=issue).items() if name not in {"event", "timestamp"}}
            journal.event("spent", **told)
        with journal.file.open("a") as file:
            file.write('{"event": "spent", "iss')  # killed as it wrote
    found = bill.earlier(hub.place, "now")
    assert {issue: (round(spent.usd, 2), spent.tokens.calls) for issue, spent in found.items()} == {"a": (3.15, 3), "b": (1.05, 1)}
