"""Books, and the shelf they stand on."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Book:
    """A book; its price is in cents."""

    title: str
    author: str
    price: int


@dataclass
class Shelf:
    """Books in the order they were put."""

    books: list[Book] = field(default_factory=list)

    def put(self, book: Book) -> None:
        """Put a book at the end."""
        self.books.append(book)

    def total(self) -> int:
        """What all books are worth, in cents."""
        return sum(book.price for book in self.books)
