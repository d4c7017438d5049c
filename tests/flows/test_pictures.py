import json
from pathlib import Path

import pytest

from adw import usage
from adw.journal import Journal
from adw.usage import Book, Used, Window
from flows.pictures import drawn, linked, shown
from tests.adw.runs import begun, ended, ran, told, two_on_two_slots


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A run that took more than a minute."""
    found = Journal(tmp_path / "run")
    found.folder.mkdir()
    for event in two_on_two_slots():
        found.take(event)
    book = Book(found.resources)
    book.add(Window(100, 171, Used(agents_cpu=1.0), Used(agents_cpu=2.0)))
    return found


def test_a_run_that_took_a_minute_is_drawn_beside_its_report_and_within_that_of_the_ui(journal: Journal) -> None:
    pictures = drawn(journal, usage.read(journal.resources), 2)
    assert [picture.name for picture in pictures] == ["gantt.png", "resources.png"]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert "](gantt.png)" in linked(pictures)
    assert shown(pictures).count("](data:image/png;base64,iVBOR") == 2


def test_a_short_run_is_not_drawn_and_its_report_says_nothing_of_pictures(tmp_path: Path) -> None:
    for event in told(begun(0, "a"), ran("a", "plan", 0, 50), ended(59)):
        Journal(tmp_path).take(event)
    assert drawn(Journal(tmp_path), [], 2) == []
    assert (linked([]), shown([])) == ("", "")


def test_a_run_that_cannot_be_drawn_has_its_report_all_the_same(journal: Journal) -> None:
    journal.resources.unlink()
    assert [picture.name for picture in drawn(journal, usage.read(journal.resources), 2)] == ["gantt.png"]
    assert "the run could not be drawn: Misuse: " in json.loads(journal.file.read_text().splitlines()[-1])["text"]
