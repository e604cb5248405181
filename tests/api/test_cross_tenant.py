"""No tenant learns of another's ids, nor changes what is behind them (80.5, issue point 7)."""

import sqlalchemy as sa

from tests.api.cross_tenant_given import ask_as_every_role


def test_a_thousand_requests_for_another_tenants_ids_show_and_change_nothing(engine: sa.Engine) -> None:
    outcome = ask_as_every_role(engine, requests=1000, seed=0)
    assert outcome.requests == 1000
    assert not outcome.told_apart[:3]
    assert not outcome.shown
    assert not outcome.changed
