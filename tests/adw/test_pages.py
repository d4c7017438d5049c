import pytest

from adw import pages


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/ada/shop.git", "https://github.com/ada/shop/commit/1a2b"),
        ("git@github.com:ada/shop.git", "https://github.com/ada/shop/commit/1a2b"),
        ("ssh://git@ssh.github.com:443/ada/shop", "https://github.com/ada/shop/commit/1a2b"),
        ("https://token:x@github.example.org/ada/shop", "https://github.example.org/ada/shop/commit/1a2b"),
        ("git@gitlab.com:team/parts/shop.git", "https://gitlab.com/team/parts/shop/-/commit/1a2b"),
        ("https://git.example.org/ada/shop", ""),
        ("/srv/shop.git", ""),
        ("../shop", ""),
    ],
)
def test_a_commit_has_a_page_where_its_host_is_known_and_nothing_of_a_login_is_in_it(remote: str, page: str) -> None:
    assert pages.of_commit(remote, "1a2b") == page
