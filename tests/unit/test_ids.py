"""Ids that follow from their cause."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.ids import stable_id

NAMESPACE = uuid.UUID("3c1f4b5e-6f0a-5f0e-9d57-3f2b8a6f1c2d")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_it_is_the_uuid_of_the_parts_with_their_lengths(parts: list[str]) -> None:
    named = "|".join(f"{len(part)}:{part}" for part in parts)
    assert stable_id(*parts) == str(uuid.uuid5(NAMESPACE, named))


def test_ids_that_are_stored_do_not_change() -> None:
    assert stable_id("admission", "t1", "k1") == "fe31ae6e-82c8-548d-b0dc-e983eb866e16"
