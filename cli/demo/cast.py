"""Who appears in the demo: four customers with three automations each, and the systems that those talk to.

Plain data, so that the rows of the database and the stream of events can't disagree.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Customer:
    """A tenant, and the person there who is told of trouble."""

    tenant_id: str
    name: str
    contact_name: str
    contact_email: str
    contact_user_id: str


@dataclass(frozen=True)
class System:
    """An external system, by the name that texts may show."""

    key: str
    provider: str
    display_name: str


@dataclass(frozen=True)
class Workflow:
    """One automation with one version, which is Live and bound to one workflow."""

    tenant_id: str
    name: str
    slug: str
    systems: tuple[str, ...]
    #: How long a run takes, and how long after its start the next one starts, both on average.
    duration: timedelta
    gap: timedelta
    job_type: str = "OTHER"

    @property
    def workflow_id(self) -> str:
        """The platform's id."""
        return f"wf_{self.slug}"

    @property
    def version_id(self) -> str:
        """The automation version's id."""
        return f"av_{self.slug}_v1"

    @property
    def automation_id(self) -> str:
        """The automation's id."""
        return f"au_{self.slug}"

    @property
    def project_id(self) -> str:
        """The project's id."""
        return f"pr_{self.slug}"


SYSTEMS = (
    System("salesforce", "Salesforce", "Salesforce"),
    System("google_sheets", "Google", "Google Sheets"),
    System("hubspot", "HubSpot", "HubSpot"),
    System("shopify", "Shopify", "Shopify"),
    System("stripe", "Stripe", "Stripe"),
    System("quickbooks", "Intuit", "QuickBooks"),
    System("gmail", "Google", "Gmail"),
    System("snowflake", "Snowflake", "Snowflake"),
    System("openai", "OpenAI", "OpenAI"),
)

CUSTOMERS = (
    Customer("t_acme", "Acme Robotics", "Ada Byrne", "ada.byrne@acme.example", "u_acme_ada"),
    Customer("t_globex", "Globex Logistics", "Luis Ortega", "luis.ortega@globex.example", "u_globex_luis"),
    Customer("t_initech", "Initech Finance", "Mina Cho", "mina.cho@initech.example", "u_initech_mina"),
    Customer("t_umbrella", "Umbrella Health", "Sam Okafor", "sam.okafor@umbrella.example", "u_umbrella_sam"),
)


def _workflow(
    tenant_id: str, slug: str, name: str, systems: tuple[str, ...], *, takes: int, every: int, job_type: str = "OTHER"
) -> Workflow:
    return Workflow(tenant_id, name, slug, systems, timedelta(seconds=takes), timedelta(seconds=every), job_type)


#: Its Salesforce token is revoked, and its spreadsheet's soon after.
LEAD_SYNC = _workflow(
    "t_acme", "acme_lead_sync", "Lead sync to Salesforce", ("salesforce", "google_sheets"), takes=4, every=20
)
#: Its runs start and are never heard of again.
NIGHTLY_EXPORT = _workflow(
    "t_globex", "globex_nightly_export", "Nightly export", ("snowflake",), takes=90, every=300, job_type="BINDER_EXPORT"
)
#: A customer asks for orders that don't exist: not found is no question of credentials.
ORDER_STATUS = _workflow("t_acme", "acme_order_status", "Order status replies", ("shopify",), takes=3, every=25)
#: Its provider is down for everybody.
CAMPAIGN_SYNC = _workflow("t_initech", "initech_campaign_sync", "Campaign sync", ("hubspot",), takes=6, every=30)
#: Runs for more than an hour, and says so every few minutes.
CLAIMS_BACKFILL = _workflow(
    "t_umbrella",
    "umbrella_claims_backfill",
    "Claims backfill",
    ("snowflake",),
    takes=4500,
    every=1200,
    job_type="RECONCILE_BACKFILL",
)
#: A token expires and is renewed before the third failure.
INVOICE_POSTING = _workflow(
    "t_initech", "initech_invoice_posting", "Invoice posting", ("quickbooks",), takes=5, every=40
)

WORKFLOWS = (
    LEAD_SYNC,
    ORDER_STATUS,
    _workflow("t_acme", "acme_welcome_mails", "Welcome mails", ("gmail",), takes=2, every=30, job_type="EMAIL_SEND"),
    NIGHTLY_EXPORT,
    _workflow(
        "t_globex", "globex_shipment_digest", "Shipment digest", ("gmail",), takes=8, every=60, job_type="EMAIL_SEND"
    ),
    _workflow(
        "t_globex",
        "globex_rate_analysis",
        "Freight rate analysis",
        ("openai",),
        takes=25,
        every=45,
        job_type="ANALYSIS",
    ),
    CAMPAIGN_SYNC,
    INVOICE_POSTING,
    _workflow("t_initech", "initech_payout_check", "Payout check", ("stripe",), takes=4, every=35),
    CLAIMS_BACKFILL,
    _workflow(
        "t_umbrella", "umbrella_intake_triage", "Intake triage", ("openai",), takes=12, every=30, job_type="ANALYSIS"
    ),
    _workflow(
        "t_umbrella", "umbrella_filing", "Regulatory filing", ("google_sheets",), takes=15, every=120, job_type="FILING"
    ),
)
