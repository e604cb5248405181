"""Which version a name of another system stands for."""

from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle.external_refs import AmbiguousReferenceError, NamedVersion, find_by_external_ref
from lifecycle.seed import seed

#: (version, tenant, automation, number, status): all of them are called `airflow/load`.
Row = tuple[str, str, str, int, str]


def given_versions(connection: sa.Connection, *rows: Row) -> None:
    tenants = sorted({tenant for _, tenant, *_ in rows})
    automations = sorted({(automation, tenant) for _, tenant, automation, *_ in rows})
    versions: list[dict[str, Any]] = []
    for name, tenant, automation, number, status in rows:
        version = {"id": name, "tenant_id": tenant, "automation_id": automation, "version": number, "status": status}
        versions.append(version | ({"archived_at": "2026-01-01T00:00:00Z"} if status == "Archived" else {}))
    seed(
        connection,
        {
            "tenants": [{"id": tenant, "name": tenant} for tenant in tenants],
            "automations": [{"id": name, "tenant_id": tenant, "name": name} for name, tenant in automations],
            "automation_versions": versions,
            "workflows": [
                {"workflow_id": f"wf-{name}", "tenant_id": tenant, "name": name} for name, tenant, *_ in rows
            ],
            "workflow_bindings": [
                {
                    "tenant_id": tenant,
                    "automation_version_id": name,
                    "wrk_workflow_id": f"wf-{name}",
                    "status": "active",
                    "external_ref": "airflow/load",
                }
                for name, tenant, *_ in rows
            ],
        },
    )


@pytest.mark.parametrize(
    ("rows", "tenants", "expected"),
    [
        pytest.param([("v1", "t1", "a1", 1, "Live")], None, "v1", id="one: that one"),
        pytest.param([("v1", "t1", "a1", 1, "Live")], ["t2"], None, id="of another tenant: none"),
        pytest.param([("v1", "t1", "a1", 1, "Live"), ("v2", "t2", "a2", 1, "Live")], ["t2"], "v2", id="of this tenant"),
        pytest.param([("v1", "t1", "a1", 1, "Live"), ("v2", "t2", "a2", 1, "Live")], None, "?", id="of two tenants"),
        pytest.param(
            [("v1", "t1", "a1", 1, "Live"), ("v2", "t1", "a2", 1, "Live")], None, "?", id="of two automations"
        ),
        pytest.param(
            [("v1", "t1", "a1", 1, "Live"), ("v2", "t1", "a1", 2, "Build in Progress")], None, "v1", id="the live one"
        ),
        pytest.param(
            [("v1", "t1", "a1", 1, "Archived"), ("v2", "t1", "a1", 2, "Paused")], None, "v2", id="the paused one"
        ),
        pytest.param(
            [("v1", "t1", "a1", 1, "Archived"), ("v2", "t1", "a1", 2, "Archived")],
            None,
            "v2",
            id="the newest of equals",
        ),
        pytest.param(
            [("v1", "t1", "a1", 1, "Live"), ("v2", "t2", "a2", 1, "Archived")],
            None,
            "v1",
            id="an archived one is behind",
        ),
    ],
)
def test_a_name_stands_for_the_version_that_runs(
    engine: sa.Engine, rows: list[Row], tenants: list[str] | None, expected: str | None
) -> None:
    with engine.begin() as connection:
        given_versions(connection, *rows)
        try:
            found = find_by_external_ref(connection, "airflow/load", tenants)
        except AmbiguousReferenceError:
            assert expected == "?"
            return
    assert (found and found.automation_version_id) == expected


def test_the_workflow_comes_with_it(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        given_versions(connection, ("v1", "t1", "a1", 1, "Live"))
        found = find_by_external_ref(connection, "airflow/load")
        assert found == NamedVersion(tenant_id="t1", automation_version_id="v1", workflow_id="wf-v1")
        assert find_by_external_ref(connection, "airflow/load2") is None
        assert find_by_external_ref(connection, "airflow\x00load") is None
