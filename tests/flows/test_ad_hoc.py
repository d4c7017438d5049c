import pytest

from adw.config import Gate
from flows.ad_hoc import Order
from tests.conftest import Repository


@pytest.mark.parametrize(
    ("ticked", "gates"), [({}, None), ({"approve_plan": True}, ["plan"]), ({"approve_plan": True, "approve_landing": True}, ["plan", "landing"])]
)
def test_a_person_is_asked_about_what_is_ticked_in_the_form(repository: Repository, ticked: dict[str, bool], gates: list[Gate] | None) -> None:
    order = Order.model_validate({"repository": str(repository.path), "issue": "# Add a", **ticked})
    assert order.delivery().approve == gates
