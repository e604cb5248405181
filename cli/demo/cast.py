"""Who appears in the demo: six customers with their automations, and the systems that those talk to.

Plain data, so that the rows of the database and the stream of events can't disagree.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from lifecycle.statuses import Status


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
    """A version of an automation, bound to a workflow of its own."""

    tenant_id: str
    name: str
    slug: str
    systems: tuple[str, ...]
    #: How long a run takes, and how long after its start the next one starts, both on average.
    duration: timedelta
    gap: timedelta
    job_type: str = "OTHER"
    version: int = 1
    status: Status = Status.LIVE
    #: What a run costs on average.
    credits: float = 2.0
    #: The version of the prompt that its runs give to a model, where they do.
    prompt: str | None = None

    @property
    def label(self) -> str:
        """What its ids are made of; no two workflows share it."""
        return self.slug if self.version == 1 else f"{self.slug}_v{self.version}"

    @property
    def workflow_id(self) -> str:
        """The platform's id."""
        return f"wf_{self.label}"

    @property
    def version_id(self) -> str:
        """The automation version's id."""
        return f"av_{self.slug}_v{self.version}"

    @property
    def automation_id(self) -> str:
        """The automation's id."""
        return f"au_{self.slug}"

    @property
    def project_id(self) -> str:
        """The project's id."""
        return f"pr_{self.label}"

    def credential_id(self, system_key: str) -> str:
        """The tenant's credential for one of the systems; workflows of a tenant share it."""
        return f"cr_{self.tenant_id.removeprefix('t_')}_{system_key}"


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
    System("zendesk", "Zendesk", "Zendesk"),
)

CUSTOMERS = (
    Customer("t_acme", "Acme Robotics", "Ada Byrne", "ada.byrne@acme.example", "u_acme_ada"),
    Customer("t_globex", "Globex Logistics", "Luis Ortega", "luis.ortega@globex.example", "u_globex_luis"),
    Customer("t_initech", "Initech Finance", "Mina Cho", "mina.cho@initech.example", "u_initech_mina"),
    Customer("t_umbrella", "Umbrella Health", "Sam Okafor", "sam.okafor@umbrella.example", "u_umbrella_sam"),
    Customer("t_hooli", "Hooli Media", "Iris Novak", "iris.novak@hooli.example", "u_hooli_iris"),
    Customer("t_vandelay", "Vandelay Imports", "Jon Reyes", "jon.reyes@vandelay.example", "u_vandelay_jon"),
)


def _workflow(
    tenant_id: str, slug: str, name: str, systems: tuple[str, ...], *, takes: int, every: int, job_type: str = "OTHER"
) -> Workflow:
    return Workflow(tenant_id, name, slug, systems, timedelta(seconds=takes), timedelta(seconds=every), job_type)


#: Its Salesforce token is revoked, and its spreadsheet's too; then both are renewed.
LEAD_SYNC = _workflow(
    "t_acme", "acme_lead_sync", "Lead sync to Salesforce", ("salesforce", "google_sheets"), takes=4, every=20
)
#: Its runs start and are never heard of again, until it may run again.
NIGHTLY_EXPORT = _workflow(
    "t_globex", "globex_nightly_export", "Nightly export", ("snowflake",), takes=90, every=300, job_type="BINDER_EXPORT"
)
#: A customer asks for orders that don't exist: not found is no question of credentials.
ORDER_STATUS = _workflow("t_acme", "acme_order_status", "Order status replies", ("shopify",), takes=3, every=25)
#: Its provider is down, and says so.
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
#: Its next version is deployed in its place.
SHIPMENT_DIGEST = _workflow(
    "t_globex", "globex_shipment_digest", "Shipment digest", ("gmail",), takes=8, every=60, job_type="EMAIL_SEND"
)
NEXT_SHIPMENT_DIGEST = replace(SHIPMENT_DIGEST, version=2, status=Status.READY_TO_LAUNCH)
#: Somebody changes its prompt, and each run costs eight times as much.
PRESS_REVIEW = replace(
    _workflow("t_hooli", "hooli_press_review", "Press review", ("openai",), takes=18, every=50, job_type="ANALYSIS"),
    credits=40.0,
    prompt="7",
)
#: One of each customer; their provider refuses all their tokens at once, which is the fault of none of them.
TICKET_SYNCS = tuple(
    _workflow(
        customer.tenant_id,
        f"{customer.tenant_id.removeprefix('t_')}_ticket_sync",
        "Ticket sync",
        ("zendesk",),
        takes=3,
        every=40,
    )
    for customer in CUSTOMERS
)
#: The token of one of them was revoked at the same time.
TRULY_REVOKED = TICKET_SYNCS[-1]

WORKFLOWS = (
    LEAD_SYNC,
    ORDER_STATUS,
    _workflow("t_acme", "acme_welcome_mails", "Welcome mails", ("gmail",), takes=2, every=30, job_type="EMAIL_SEND"),
    NIGHTLY_EXPORT,
    SHIPMENT_DIGEST,
    NEXT_SHIPMENT_DIGEST,
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
    PRESS_REVIEW,
    _workflow("t_vandelay", "vandelay_stock_levels", "Stock levels", ("shopify",), takes=4, every=30),
    *TICKET_SYNCS,
)
