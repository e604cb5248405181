"""An automation with a Live version and one that is Ready to Launch, its platform, and what must hold of them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import sqlalchemy as sa

from cli.embedded.platform import EmbeddedPlatform
from config.settings import PlatformApi
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.options import LifecycleOptions
from lifecycle.platform import HttpPlatform, WorkflowState
from lifecycle.results import Transact
from lifecycle.seed import Document, seed
from lifecycle.sweep import sweep_intents

RELEASER = ActorContext.of_user("rita", "test", CAPABILITIES[Role.OPS_RELEASE])
OPS_ADMIN = ActorContext.of_user("otto", "test", CAPABILITIES[Role.OPS_ADMIN])
OPTIONS = LifecycleOptions()

WORLD: Document = {
    "tenants": [{"id": "t1", "name": "Acme"}],
    "contacts": [{"tenant_id": "t1", "name": "Ada", "email": "ada@acme.example"}],
    "automations": [{"id": "a1", "tenant_id": "t1", "name": "Invoice sync"}],
    "automation_versions": [
        {"id": "old", "tenant_id": "t1", "automation_id": "a1", "version": 1, "status": "Live"},
        {"id": "new", "tenant_id": "t1", "automation_id": "a1", "version": 2, "status": "Ready to Launch"},
    ],
    "workflows": [
        {"workflow_id": "wf-old", "tenant_id": "t1", "name": "Invoices"},
        {"workflow_id": "wf-new", "tenant_id": "t1", "name": "Invoices, better"},
    ],
    "workflow_bindings": [
        {"tenant_id": "t1", "automation_version_id": "old", "wrk_workflow_id": "wf-old", "status": "active"},
        {"tenant_id": "t1", "automation_version_id": "new", "wrk_workflow_id": "wf-new", "status": "provisioned"},
    ],
}


def given_deployable(engine: sa.Engine, platform: EmbeddedPlatform) -> None:
    """Write the world, and have the platform agree with it."""
    with engine.begin() as connection:
        seed(connection, WORLD)
    platform.workflows.update({"wf-old": "active", "wf-new": "inactive"})


class Platform(EmbeddedPlatform):
    """The double, which closes the clients that were made for it."""

    def __init__(self) -> None:
        super().__init__(hang=0.6)
        self.clients: list[HttpPlatform] = []

    def __exit__(self, *error: object) -> None:
        for one in self.clients:
            one.close()
        super().__exit__(*error)


def transact(engine: sa.Engine) -> Transact:
    """Transactions of the test's database."""
    return engine.begin


def client(platform: Platform, *, timeout: timedelta = timedelta(seconds=5)) -> HttpPlatform:
    """The product's client, which does not wait between its tries."""
    made = HttpPlatform(PlatformApi(url=platform.url, timeout=timeout), sleep=lambda _seconds: None)
    platform.clients.append(made)
    return made


def sweep(engine: sa.Engine, platform: Platform) -> int:
    """Sweep until nothing is left, as if all waits were over."""
    ended = 0
    for _ in range(10):
        with engine.begin() as connection:
            connection.execute(
                sa.update(tables.platform_intents).values(next_attempt_at=sa.func.clock_timestamp() - timedelta(1))
            )
        ended += sweep_intents(transact(engine), client(platform), options=OPTIONS)
        if not open_intents(engine):
            break
    return ended


def open_intents(engine: sa.Engine) -> list[str]:
    """Kinds of those that nobody has ended."""
    with engine.connect() as connection:
        intents = tables.platform_intents.c
        return list(connection.execute(sa.select(intents.kind).where(intents.ended_at.is_(None))).scalars())


def state(engine: sa.Engine, platform: EmbeddedPlatform) -> dict[str, tuple[str, str, str]]:
    """Of each version: its status, its binding's, and the platform's state of its workflow."""
    versions, bindings = tables.automation_versions.c, tables.workflow_bindings.c
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(versions.id, versions.status, bindings.status, bindings.wrk_workflow_id).join_from(
                tables.automation_versions,
                tables.workflow_bindings,
                bindings.automation_version_id == versions.id,
            )
        )
        return {id_: (status, binding, platform.workflows[workflow]) for id_, status, binding, workflow in rows}


BEFORE = {"old": ("Live", "active", "active"), "new": ("Ready to Launch", "provisioned", "inactive")}
DEPLOYED = {"old": ("Archived", "inactive", "inactive"), "new": ("Live", "active", "active")}


class Killed(BaseException):
    """The process ends here."""


class Kill:
    """Ends the process at the n-th of its steps: before or after each transaction and each call to the platform."""

    def __init__(self, at: int) -> None:
        self.left = at

    def step(self) -> None:
        """Die, if it is time."""
        self.left -= 1
        if self.left == 0:
            raise Killed

    def transact(self, engine: sa.Engine) -> Callable[[], AbstractContextManager[sa.Connection]]:
        """Transactions that may die before their commit, or after it."""

        @contextmanager
        def begin() -> Iterator[sa.Connection]:
            with engine.begin() as connection:
                yield connection
                self.step()
            self.step()

        return begin


class KilledPlatform:
    """The platform, asked by a process that may die before the question or after the answer."""

    def __init__(self, platform: HttpPlatform, kill: Kill) -> None:
        self._platform, self._kill = platform, kill

    def activate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Ask."""
        self._kill.step()
        self._platform.activate(workflow_id, idempotency_key=idempotency_key)
        self._kill.step()

    def deactivate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Ask."""
        self._kill.step()
        self._platform.deactivate(workflow_id, idempotency_key=idempotency_key)
        self._kill.step()

    def read_state(self, workflow_id: str) -> WorkflowState | None:
        """Ask."""
        return self._platform.read_state(workflow_id)
