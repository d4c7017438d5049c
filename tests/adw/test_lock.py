from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adw.lock import held, shared, try_lock, wait_until_free
from tests.adw.tools import python, until

HOLDS = """
import sys, time
from pathlib import Path
from adw.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_excludes_until_it_is_closed(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "new" / "lock")
    assert first
    assert try_lock(tmp_path / "new" / "lock") is None
    first.close()
    with try_lock(tmp_path / "new" / "lock") as again:  # type: ignore[union-attr]
        assert again.writable()


def test_a_lock_keeps_what_its_file_holds(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("who")
    with held(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == "who"
    with try_lock(tmp_path / "lock") as file:  # type: ignore[union-attr]
        file.seek(0)
        assert file.read() == "who"


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    with python(HOLDS, tmp_path / "lock") as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert try_lock(tmp_path / "lock") is None
        holder.kill()
    with held(tmp_path / "lock"):
        assert holder.returncode == -9


def test_who_wants_a_lock_waits_for_it(tmp_path: Path) -> None:
    first, order = try_lock(tmp_path / "lock"), []

    def wait() -> None:
        with held(tmp_path / "lock"):
            order.append("second")

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)
        until(waiting.running)
        order.append("first")
        assert first
        first.close()
        waiting.result(timeout=30)
    assert order == ["first", "second"]


def test_many_share_a_lock_and_nobody_has_it_alone(tmp_path: Path) -> None:
    with shared(tmp_path / "lock"):
        with shared(tmp_path / "lock"):
            assert try_lock(tmp_path / "lock") is None
        assert not wait_until_free(tmp_path / "lock", 0)
    assert wait_until_free(tmp_path / "lock", 0)


def test_what_is_free_was_free_without_waiting(tmp_path: Path) -> None:
    assert wait_until_free(tmp_path / "new" / "lock", 0)
    with try_lock(tmp_path / "new" / "lock") as file:  # type: ignore[union-attr]
        assert file.name.endswith("lock")
