"""The cast as rows of the registry's tables."""

from typing import Any

import sqlalchemy as sa

from cli.demo import cast
from lifecycle.kinds import BindingStatus, CredentialStatus
from lifecycle.seed import seed
from lifecycle.statuses import Status


def seed_cast(engine: sa.Engine) -> None:
    """Write the cast's rows in one transaction; rows that are there stay."""
    with engine.begin() as connection:
        seed(connection, document())


def document() -> dict[str, list[dict[str, Any]]]:
    """The rows by table."""
    customers, workflows = cast.CUSTOMERS, cast.WORKFLOWS
    needs = [(each, system_key) for each in workflows for system_key in each.systems]
    return {
        "tenants": [{"id": each.tenant_id, "name": each.name} for each in customers],
        "users": [
            {"id": each.contact_user_id, "email": each.contact_email, "display_name": each.contact_name}
            for each in customers
        ],
        "memberships": [
            {"tenant_id": each.tenant_id, "user_id": each.contact_user_id, "roles": ["admin"]} for each in customers
        ],
        "contacts": [
            {
                "tenant_id": each.tenant_id,
                "name": each.contact_name,
                "email": each.contact_email,
                "user_id": each.contact_user_id,
            }
            for each in customers
        ],
        "systems": [
            {"system_key": each.key, "provider": each.provider, "display_name": each.display_name}
            for each in cast.SYSTEMS
        ],
        "automations": [
            {"id": each.automation_id, "tenant_id": each.tenant_id, "name": each.name}
            for each in workflows
            if each.version == 1
        ],
        "automation_versions": [
            {
                "id": each.version_id,
                "tenant_id": each.tenant_id,
                "automation_id": each.automation_id,
                "version": each.version,
                "status": each.status,
            }
            for each in workflows
        ],
        "workflows": [
            {"workflow_id": each.workflow_id, "tenant_id": each.tenant_id, "name": each.name} for each in workflows
        ],
        "workflow_bindings": [
            {
                "tenant_id": each.tenant_id,
                "automation_version_id": each.version_id,
                "wrk_workflow_id": each.workflow_id,
                "status": BindingStatus.ACTIVE if each.status is Status.LIVE else BindingStatus.PROVISIONED,
            }
            for each in workflows
        ],
        "projects": [
            {
                "id": each.project_id,
                "tenant_id": each.tenant_id,
                "automation_version_id": each.version_id,
                "name": each.name,
                "status": each.status,
            }
            for each in workflows
        ],
        "credentials": [
            {
                "id": each.credential_id(system_key),
                "tenant_id": each.tenant_id,
                "system_key": system_key,
                "status": CredentialStatus.ACTIVE,
            }
            for each, system_key in needs
        ],
        "automation_version_credentials": [
            {
                "tenant_id": each.tenant_id,
                "automation_version_id": each.version_id,
                "credential_id": each.credential_id(system_key),
            }
            for each, system_key in needs
        ],
    }
