"""What the lifecycle is told from outside: addresses, and which statuses an automatic block may start from."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

from config.settings import Settings
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.kinds import Channel
from lifecycle.statuses import AUTOMATIC_BLOCK_SOURCES, Status


@dataclass(frozen=True, slots=True)
class LifecycleOptions:
    """The smallest part of the settings that the lifecycle needs."""

    #: Who of operations is told by email.
    ops_email: str = "ops@localhost"
    #: Prefix of links in tasks and notices, without a slash at its end.
    public_url: str = "http://127.0.0.1:8080"
    block_sources: frozenset[Status] = AUTOMATIC_BLOCK_SOURCES
    #: Whether work begins only when it is paid, for tenants without a pricing config of their own.
    payment_required: bool = False
    #: The share of tests that must pass before a launch.
    min_pass_rate: Decimal = Decimal("0.95")
    #: Whether credentials that work again end a block by themselves; else a person does.
    unblock_automatically: bool = True
    unblock_needs_ops_approval: bool = False
    deploy_needs_approval: bool = False
    #: Those of Slack, webhook and on-call that are set up; email and in-app always are.
    channels: frozenset[Channel] = frozenset()
    guard: GuardPolicy = field(default_factory=GuardPolicy)
    #: Whether cases have pages in Notion.
    case_pages: bool = False
    #: Files of credit monitoring: the baselines in force, the folder of weekly reviews, and the URL of their archive.
    baselines_path: Path = Path("config/credit-baselines.json")
    reviews_dir: Path = Path("runs/CREDIT_REVIEWS")
    reviews_archive: str | None = None
    #: For how long the gate remembers an answer.
    answers_kept: timedelta = timedelta(days=7)

    @classmethod
    def of(cls, settings: Settings) -> "LifecycleOptions":
        """The options that the settings describe."""
        return cls(
            ops_email=settings.ops_email,
            public_url=settings.http.public_url.rstrip("/"),
            channels=frozenset(
                channel
                for channel, address in (
                    (Channel.SLACK, settings.slack_addresses),
                    (Channel.WEBHOOK, settings.webhook.url),
                    (Channel.ON_CALL, settings.on_call.routing_key),
                )
                if address is not None
            ),
            guard=GuardPolicy(**settings.guard.model_dump()),
            case_pages=settings.notion is not None and settings.notion.cases is not None,
            baselines_path=settings.credit_baselines_path,
            reviews_dir=settings.reviews_dir,
            reviews_archive=settings.reviews_archive,
            answers_kept=settings.gate.answers_kept,
            **settings.lifecycle.model_dump(),
        )

    def tasks_link(self, automation_version_id: str) -> str:
        """The console's page of a version's open tasks."""
        return f"{self.public_url}/console/tasks?automation_version_id={quote(automation_version_id, safe='')}"

    def version_link(self, automation_version_id: str) -> str:
        """The console's page of a version."""
        return f"{self.public_url}/console/automations/{quote(automation_version_id, safe='')}"

    def decision_link(self, decision_id: str) -> str:
        """The console's page of a decision."""
        return f"{self.public_url}/console/decisions/{decision_id}"

    def decisions_link(self, task_id: str) -> str:
        """The console's page of all decisions that one task tells of."""
        return f"{self.public_url}/console/decisions?task_id={task_id}"

    def blacklist_link(self) -> str:
        """The console's page of the blacklist."""
        return f"{self.public_url}/console/blacklist"

    def case_link(self, case_id: str) -> str:
        """The console's page of a credit case."""
        return f"{self.public_url}/console/cases/{case_id}"

    def credits_link(self, tenant_id: str | None = None) -> str:
        """The console's page of what was spent, and of baselines; of all tenants together, or of one."""
        whose = "" if tenant_id is None else f"?tenant_id={quote(tenant_id, safe='')}"
        return f"{self.public_url}/console/credits{whose}"

    def review_link(self, iso_week: str, tenant_id: str | None) -> str:
        """The console's page of a weekly review; None is that of all tenants."""
        whose = "" if tenant_id is None else f"?tenant_id={quote(tenant_id, safe='')}"
        return f"{self.public_url}/console/credits/reviews/{iso_week}{whose}"

    def guard_link(self) -> str:
        """The console's page of holds and provider incidents."""
        return f"{self.public_url}/console/guard"

    def health_link(self) -> str:
        """The console's page of what works and what does not."""
        return f"{self.public_url}/console/health"
