"""The product decides exactly what an independent, naive reading of the specification decides.

`tests/reference` was written from the specification alone and forgets nothing; the product forgets, batches and
takes short cuts. Random streams are made to hit every boundary.
"""

import os
import random

import pytest

from tests.dataflows.product import is_auth_failure, replay
from tests.reference.oracle import by_subject, decide
from tests.reference.readings import Archived, Readings
from tests.reference.streams import PROFILES, Stream, generate

#: How many streams of each kind; more of them for a long hunt.
SEEDS = int(os.environ.get("BREAKWATER_TEST_SEEDS", "6"))

#: docs/decisions/0003 says where the specification can be read in two ways, and why it is read so.
READINGS = Readings(hold_removes_auth_failures_only=True, archived=Archived.SINCE)


def with_switch(stream: Stream, seed: int) -> Stream:
    """The stream with a dead man's switch that its gaps may reach; streams are shorter than a day."""
    limit = random.Random(seed).choice([None, "2m", "5m", "15m", "1h", "24h"])
    policies = stream.policies or {}
    defaults = {**(policies.get("defaults") or {}), "silence": {"whole_stream": limit}}
    return stream._replace(policies={**policies, "defaults": defaults})


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("profile", PROFILES)
def test_decisions_and_counts_are_those_of_the_reference(profile: str, seed: int) -> None:
    stream = with_switch(generate(seed, profile), seed)
    expected = decide(
        stream.lines,
        policies=stream.policies,
        registry=stream.registry,
        until=stream.until,
        is_auth_failure=is_auth_failure,
        readings=READINGS,
    )
    outcome = replay(stream)
    assert by_subject(outcome.decisions) == by_subject(expected.decisions)
    assert outcome.summary == {name: expected.summary[name] for name in outcome.summary}
