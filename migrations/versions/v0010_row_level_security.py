"""The API's database role, and row-level security by tenant for it (30.2).

A transaction of the API takes the role `breakwater_api` and says in `breakwater.tenants` whose rows it may see: an
array of tenant ids, or `*`. Without that it sees nothing, so a forgotten filter leaks nothing. The tables' owner,
whom the monitor and the worker connect as, is not bound by it.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

#: Rows with a `tenant_id`; null is the platform's.
_OF_A_TENANT = (
    "audit_logs",
    "automation_version_credentials",
    "automation_versions",
    "automation_versions_status_history",
    "automations",
    "block_reasons",
    "contacts",
    "credential_events",
    "credentials",
    "decision_evidence",
    "decisions",
    "holds",
    "memberships",
    "notifications",
    "outbox_events",
    "payments",
    "platform_intents",
    "pricing_config",
    "project_artifacts",
    "projects",
    "qa_results",
    "quotes",
    "stuck_executions",
    "tasks",
    "workflow_bindings",
    "workflow_blacklist",
    "workflows",
)
#: Of the platform alone.
_OF_THE_PLATFORM = ("dead_letters", "provider_incidents")

#: What the role may write; the rest it reads. Nothing is ever deleted by it.
_INSERTED = ("audit_logs", "automation_versions_status_history", "credential_events", "deliveries", "outbox_events")
_CHANGED = (
    "automation_version_credentials",
    "automation_versions",
    "automations",
    "block_reasons",
    "credentials",
    "decisions",
    "holds",
    "notifications",
    "payments",
    "platform_intents",
    "pricing_config",
    "project_artifacts",
    "projects",
    "provider_incidents",
    "qa_results",
    "quotes",
    "tasks",
    "workflow_bindings",
    "workflow_blacklist",
)

# Each is asked once a statement, not once a row: it stands in a sub-select.
_ALL = "(SELECT current_setting('breakwater.tenants', true) = '*')"
_VISIBLE = (
    f"{_ALL} OR {{column}} = ANY ((SELECT CASE current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)

_ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'breakwater_api') THEN
        CREATE ROLE breakwater_api NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- roles belong to the server: another database of it was quicker
END
$$
"""
_MEMBER = """
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'breakwater_api', 'MEMBER') THEN
        EXECUTE format('GRANT breakwater_api TO %I', current_user);
    END IF;
END
$$
"""

#: Staff name a thing without its tenant; this tells whose it is, and nothing else of it.
_TENANT_OF = """
CREATE FUNCTION tenant_of(kind text, id text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    RETURN CASE kind
        WHEN 'automation_version' THEN (SELECT t.tenant_id FROM automation_versions t WHERE t.id = $2)
        WHEN 'automation' THEN (SELECT t.tenant_id FROM automations t WHERE t.id = $2)
        WHEN 'project' THEN (SELECT t.tenant_id FROM projects t WHERE t.id = $2)
        WHEN 'workflow' THEN (SELECT t.tenant_id FROM workflows t WHERE t.workflow_id = $2)
        WHEN 'credential' THEN (SELECT t.tenant_id FROM credentials t WHERE t.id = $2)
        WHEN 'task' THEN (SELECT t.tenant_id FROM tasks t WHERE t.id::text = $2)
        WHEN 'hold' THEN (SELECT t.tenant_id FROM holds t WHERE t.id::text = $2)
        WHEN 'decision' THEN (SELECT t.tenant_id FROM decisions t WHERE t.decision_id::text = $2)
    END;
END
$$
"""


def upgrade() -> None:
    """Make the role, its rights and the policies."""
    op.execute(_ROLE)
    op.execute(_MEMBER)
    op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO breakwater_api")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO breakwater_api")
    op.execute(f"GRANT INSERT ON {', '.join(_INSERTED)} TO breakwater_api")
    op.execute(f"GRANT INSERT, UPDATE ON {', '.join(_CHANGED)} TO breakwater_api")
    # What is put into the outbox is a job of the queue as well.
    op.execute("GRANT INSERT, UPDATE ON procrastinate_jobs, procrastinate_events TO breakwater_api")
    for table in _OF_A_TENANT:
        _protect(table, _VISIBLE.format(column="tenant_id"))
    for table in _OF_THE_PLATFORM:
        _protect(table, _ALL)
    _protect("tenants", _VISIBLE.format(column="id"))
    _protect("users", f"{_ALL} OR EXISTS (SELECT FROM memberships m WHERE m.user_id = users.id)")
    _protect("deliveries", "EXISTS (SELECT FROM notifications n WHERE n.id = deliveries.notification_id)")
    op.execute(_TENANT_OF)
    op.execute("REVOKE ALL ON FUNCTION tenant_of(text, text) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION tenant_of(text, text) TO breakwater_api")


def downgrade() -> None:
    """Take policies and rights away. The role stays: other databases of the server may use it."""
    op.execute("DROP FUNCTION tenant_of(text, text)")
    for table in (*_OF_A_TENANT, *_OF_THE_PLATFORM, "tenants", "users", "deliveries"):
        op.execute(f"DROP POLICY rows_of_the_named_tenants ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute("DROP OWNED BY breakwater_api")


def _protect(table: str, visible: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY rows_of_the_named_tenants ON {table} TO breakwater_api USING ({visible}) WITH CHECK ({visible})"
    )
