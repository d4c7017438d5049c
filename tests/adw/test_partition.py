from concurrent.futures import ThreadPoolExecutor

import pytest

from adw.partition import Partition


@pytest.fixture
def partition() -> Partition:
    made = Partition()
    made.join(["a", "b", "c", "child"], ["a", "b", "c"])
    return made


def test_who_comes_later_waits_for_those_that_touch_the_same_files(partition: Partition) -> None:
    for name, files in (("a", ["x.py", "y.py"]), ("b", ["./y.py"]), ("c", ["z.py"])):
        partition.planned(name, files)
    assert [partition.before(name) for name in "abc"] == [{}, {"a": ["y.py"]}, {}]


def test_nobody_is_told_before_all_have_planned_or_ended(partition: Partition) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(partition.before, "b")
        partition.planned("a", ["x"])
        partition.planned("b", ["x"])
        assert not waiting.done()
        partition.left("c")
        assert waiting.result(20) == {"a": ["x"]}


def test_who_plans_later_is_not_waited_for_and_waits_for_those_before(partition: Partition) -> None:
    for name in "abc":
        partition.planned(name, ["x"] if name == "a" else [])
    partition.planned("child", ["x"])
    assert partition.before("child") == {"a": ["x"]}


def test_who_is_added_waits_for_those_that_were_there(partition: Partition) -> None:
    for name in "abc":
        partition.planned(name, ["x"] if name == "a" else [])
    partition.join(["new"], ["new"])
    partition.planned("new", ["x"])
    assert (partition.before("new"), partition.before("b")) == ({"a": ["x"]}, {})
