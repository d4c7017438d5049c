"""Lines for people."""

from shelf.books import Book


def line(book: Book) -> str:
    """One line for a book."""
    return f"{book.title}: {book.price}"
