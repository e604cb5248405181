"""The admission gate for those who ask over HTTP (40.5): who is let in, and what is answered."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa
import structlog

from api.auth.access import Access
from api.auth.entrance import NotLetInError, TooManyRequestsError
from api.auth.limits import RateLimits
from api.auth.principal import EVERY_TENANT, Principal
from api.auth.remembered import RememberedTokens
from api.auth.tokens import RefusedTokenError, TokenVerifier
from api.database import Database
from api.ingest import Publish
from api.v1.batches import Batches
from config.metrics import ADMISSIONS, ENFORCEMENT_PROPAGATION
from dataflows.interop.acceptance import accept
from dataflows.interop.event_ids import event_id_of
from lifecycle.admission.admissions import Answer, Request, Unanswerable, answer, find_answer
from lifecycle.admission.facts import WorkflowFacts, read_facts
from lifecycle.admission.predicate import Facts, why_not
from lifecycle.breaker.blacklist_store import AdmissionUnavailable, BlacklistStore
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import RefusalCode

#: Requests in one transaction, and those that may wait: a second's worth and more of what one process manages.
LARGEST_BATCH = 500
MOST_WAITING = 5_000

#: The gate's own transactions concern whichever tenants ask at the moment.
_GATE = Principal(subject="service:gate", roles=frozenset(), tenants=EVERY_TENANT, is_service=True)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionParts:
    """What the gate is made of."""

    database: Database
    verifier: TokenVerifier
    limits: RateLimits
    publish: Publish
    max_future_skew: timedelta
    #: Says no while Postgres is away; None: nobody does.
    blacklist: BlacklistStore | None


class UnavailableError(Exception):
    """Nobody can say whether a run may start, so it may not."""


class ExecutionGate:
    """Lets services in, and answers them. For one event loop."""

    def __init__(self, parts: ExecutionParts) -> None:
        """Contact nothing yet."""
        self._parts = parts
        self._tokens = RememberedTokens(parts.verifier)
        self._access = Access(parts.database, _GATE)
        self._admissions = Batches(self._answer, largest=LARGEST_BATCH, waiting=MOST_WAITING)
        self._facts = Batches(self._read_facts, largest=LARGEST_BATCH, waiting=MOST_WAITING)

    async def let_in(self, authorization: str, address: str) -> Principal:
        """Who asks. A token is verified, and its request counted, once in a while."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise NotLetInError("no_token")
        principal = self._tokens.find(token)
        if principal is None:
            principal = await asyncio.to_thread(self._verify, token, address)
            self._tokens.remember(token, principal)
        if not principal.is_service:
            raise LifecycleError(ErrorCode.FORBIDDEN, "This is for services alone.")
        return principal

    async def admit(self, request: Request) -> Answer | Unanswerable | RefusalCode:
        """The answer to a request, kept; only its code when it can't be kept, as Postgres is away.

        `UnavailableError` when nobody can answer, `BusyError` when too many ask.
        """
        try:
            found: Answer | Unanswerable | RefusalCode = await self._admissions.ask(request)
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            found = await self._without_postgres(request.tenants, request.workflow_id, error)
        ADMISSIONS.labels("http", _word(found)).inc()
        return found

    async def check(self, tenants: frozenset[str] | None, workflow_id: str) -> RefusalCode | None:
        """Why a run would not be admitted now. `LifecycleError` for a workflow that nobody knows; as `admit`."""
        try:
            facts = await self._facts.ask(workflow_id)
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            return await self._without_postgres(tenants, workflow_id, error)
        known = _within(facts, tenants)
        return why_not(Facts(known.blacklisted, known.status, known.holds))

    async def report_stuck(
        self, tenants: frozenset[str] | None, workflow_id: str, execution_id: str, occurred_at: datetime | None
    ) -> str:
        """Write a `timed_out` event to the log; its id. `Unusable` for a time that is not believed.

        `NotAcknowledgedError` when the log did not take it. The id is the execution's: a second report counts once.
        """
        known = _within(await self._facts.ask(workflow_id), tenants)
        now = datetime.now(UTC)
        event_id = event_id_of("stuck", known.tenant_id, workflow_id, execution_id)
        event = {
            "event_id": event_id,
            "status": "timed_out",
            "occurred_at": occurred_at or now,
            "tenant_id": known.tenant_id,
            "workflow_id": workflow_id,
            "automation_version_id": known.automation_version_id,
            "execution_id": execution_id,
        }
        accepted = accept(
            msgspec.json.encode(event), latest=now + self._parts.max_future_skew, workflow_of=lambda *_: None
        )
        await asyncio.shield(self._parts.publish([(accepted.key, accepted.value)]))
        return event_id

    async def find(self, tenants: frozenset[str] | None, execution_id: str) -> Answer | None:
        """What was answered for an execution; None when nobody asked, or it is another tenant's."""

        def read() -> Answer | None:
            with self._access.write_platform() as connection:
                return find_answer(connection, execution_id)

        found = await asyncio.to_thread(read)
        return found if found is not None and (tenants is None or found.tenant_id in tenants) else None

    def _verify(self, token: str, address: str) -> Principal:
        wait = self._parts.limits.wait_of_address(address)
        if wait is not None:
            raise TooManyRequestsError(wait)
        try:
            return self._tokens.verify(token)
        except RefusedTokenError as refused:
            raise NotLetInError(refused.reason) from None

    async def _answer(self, requests: Sequence[Request]) -> Sequence[Answer | Unanswerable]:
        began = time.monotonic()

        def work() -> Sequence[Answer | Unanswerable]:
            with self._access.write_platform() as connection:
                return answer(connection, requests)

        answers = await asyncio.to_thread(work)
        ENFORCEMENT_PROPAGATION.labels("http").observe(time.monotonic() - began)
        return answers

    async def _read_facts(self, workflow_ids: Sequence[str]) -> Sequence[WorkflowFacts | None]:
        def work() -> Sequence[WorkflowFacts | None]:
            with self._access.write_platform() as connection:
                found = read_facts(connection, set(workflow_ids))
            return [found.get(workflow_id) for workflow_id in workflow_ids]

        return await asyncio.to_thread(work)

    async def _without_postgres(
        self, tenants: frozenset[str] | None, workflow_id: str, error: Exception
    ) -> RefusalCode:
        """A copy of the blacklist may say no; nobody but Postgres says yes."""
        _log.warning("gate_without_database", error=type(error).__qualname__)
        if self._parts.blacklist is not None and tenants is not None:
            for tenant_id in tenants:
                try:
                    if await self._parts.blacklist.is_blacklisted_async(tenant_id, workflow_id):
                        return RefusalCode.WORKFLOW_BLACKLISTED
                except AdmissionUnavailable:
                    break
        raise UnavailableError from None


def _within(facts: WorkflowFacts | None, tenants: frozenset[str] | None) -> WorkflowFacts:
    if facts is None or not (tenants is None or facts.tenant_id in tenants):
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such workflow.")
    return facts


def _word(found: Answer | Unanswerable | RefusalCode) -> str:
    return found.value if not isinstance(found, Answer) else (found.code or found.verdict).value
