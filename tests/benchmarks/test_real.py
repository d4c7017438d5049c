from benchmarks.limits import Limits, Piece
from benchmarks.real import worked


def phase(issue: str, phase: str, seconds: float, **more: object) -> dict[str, object]:
    return {"event": "phase", "issue": issue, "phase": phase, "seconds": seconds, "state": "done", **more}


def test_what_a_delivery_did_in_slots_is_work_for_another_schedule_and_a_second_try_makes_it_longer() -> None:
    running = {"event": "phase", "issue": "a", "phase": "plan", "state": "running"}
    pieces = worked([running, phase("a", "plan", 2.0), phase("a", "test", 4.0), phase("a", "build", 3.0), phase("a", "build", 1.0), phase("a", "land", 9.0)])
    assert pieces == [Piece("a plan", 2.0), Piece("a build", 4.0, ("a plan",)), Piece("a test", 4.0, ("a build",))]
    assert Limits([*pieces, *worked([phase("b", "plan", 10.0)])], 2).best == 10.0
