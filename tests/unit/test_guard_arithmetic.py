"""The guard's arithmetic: when many blocks are one provider's incident, and how many stops are too many (30.6)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.guard.arithmetic import GuardPolicy, Hit, budget, is_provider_incident, tenants_hit

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
WINDOW = timedelta(minutes=10)
POLICY = GuardPolicy()


def hits(*minutes: tuple[str, float]) -> list[Hit]:
    """Tenant and minute after `T0` of each."""
    return [Hit(tenant, T0 + timedelta(minutes=minute)) for tenant, minute in minutes]


INCIDENTS = {
    "five tenants within ten minutes": (hits(("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 9)), True),
    "four tenants": (hits(("a", 0), ("b", 1), ("c", 2), ("d", 3)), False),
    "five blocks of four tenants": (hits(("a", 0), ("a", 1), ("c", 2), ("d", 3), ("b", 4)), False),
    "five tenants in exactly ten minutes": (hits(("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 10)), False),
    "five tenants, told in any order": (hits(("e", 9), ("a", 0), ("d", 3), ("b", 1), ("c", 2)), True),
    "five tenants in two groups far apart": (hits(("a", 0), ("b", 1), ("c", 30), ("d", 31), ("e", 32)), False),
    "the new one is older than the others": (hits(("b", 5), ("c", 6), ("d", 7), ("e", 8), ("a", 0)), True),
}


@pytest.mark.parametrize("name", INCIDENTS)
def test_when_blocks_are_a_provider_incident(name: str) -> None:
    near, expected = INCIDENTS[name]
    assert is_provider_incident(near, near[-1].occurred_at, POLICY) is expected


@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 40)), min_size=1, max_size=9),
    st.integers(1, 15),
)
def test_the_fullest_stretch_is_the_one_that_trying_all_finds(said: list[tuple[str, int]], window: int) -> None:
    near = hits(*said)
    at, width = near[-1].occurred_at, timedelta(minutes=window)
    best = 0
    for size in range(1, len(near) + 1):
        for group in combinations(near, size):
            times = [hit.occurred_at for hit in group]
            if min(times) <= at <= max(times) and max(times) - min(times) < width:
                best = max(best, len({hit.tenant_id for hit in group}))
    assert len(tenants_hit(near, at, width)) == best


@given(st.permutations(hits(("a", 0), ("b", 4), ("c", 8), ("d", 12), ("e", 16), ("a", 9))))
def test_the_order_of_the_hits_does_not_matter(shuffled: list[Hit]) -> None:
    assert len(tenants_hit(shuffled, T0 + timedelta(minutes=8), WINDOW)) == 4


@pytest.mark.parametrize(
    ("live", "expected"), [(0, 10), (1, 10), (200, 10), (219, 10), (220, 11), (239, 11), (240, 12), (100_000, 5_000)]
)
def test_the_budget_is_ten_or_a_twentieth_of_the_live_ones(live: int, expected: int) -> None:
    assert budget(live, POLICY) == expected


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_live_automations_never_mean_a_smaller_budget(one: int, other: int) -> None:
    assert budget(min(one, other), POLICY) <= budget(max(one, other), POLICY)


@pytest.mark.parametrize(
    ("named", "wrong"),
    [
        ("incident_tenants", {"incident_tenants": 1}),
        ("incident_window", {"incident_window": timedelta(0)}),
        ("quiet_after", {"quiet_after": timedelta(seconds=-1)}),
        ("budget_floor", {"budget_floor": 0}),
        ("budget_share", {"budget_share": Decimal("1.01")}),
        ("budget_window", {"budget_window": timedelta(0)}),
        ("client_mail_delay", {"client_mail_delay": timedelta(seconds=-1)}),
    ],
)
def test_numbers_that_make_no_sense_are_named(named: str, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=named):
        GuardPolicy(**wrong)  # type: ignore[arg-type]
