from shelf.books import Book
from shelf.report import line


def test_a_line_names_the_book():
    assert "Emma" in line(Book("Emma", "Austen", 850))
