from shelf.books import Book, Shelf


def test_a_shelf_is_worth_the_sum_of_its_books():
    shelf = Shelf()
    shelf.put(Book("Moby-Dick", "Melville", 1150))
    shelf.put(Book("Emma", "Austen", 850))
    assert shelf.total() == 2000
