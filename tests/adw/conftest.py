from collections.abc import Iterator

import pytest

from adw.mirror import Hub
from adw.model import Arrival
from adw.phases import Site
from tests.adw.test_landing import ISSUE, candidate
from tests.adw.there import There, at_github
from tests.conftest import Repository


@pytest.fixture
def there(hub: Hub, site: Site, repository: Repository, origin: Repository) -> Iterator[There]:
    """A repository with its remote at GitHub."""
    with at_github(hub, site, repository, origin) as made:
        yield made


@pytest.fixture
def what(there: There) -> Arrival:
    """A change that is to be left there."""
    return Arrival(issue=ISSUE, candidate=candidate(there.far, "new.txt"))
