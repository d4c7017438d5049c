import pytest

from adw.config import Config, Gate, LandingConfig, override
from flows.ad_hoc import Order
from tests.conftest import Repository


@pytest.mark.parametrize(
    ("ticked", "gates"), [({}, None), ({"approve_plan": True}, ["plan"]), ({"approve_plan": True, "approve_landing": True}, ["plan", "landing"])]
)
def test_a_person_is_asked_about_what_is_ticked_in_the_form(repository: Repository, ticked: dict[str, bool], gates: list[Gate] | None) -> None:
    order = Order.model_validate({"repository": str(repository.path), "issue": "# Add a", **ticked})
    assert order.delivery().approve == gates


@pytest.mark.parametrize(("chosen", "land"), [("as configured", None), ("push", "push"), ("none", "none")])
def test_changes_go_where_the_form_says(repository: Repository, chosen: str, land: str | None) -> None:
    delivery = Order.model_validate({"repository": str(repository.path), "issue": "# Add a", "landing": chosen}).delivery()
    assert override(Config(landing=LandingConfig(mode="pull-request")), **delivery.overrides()).landing.mode == (land or "pull-request")
