"""Who is told of a move, and what: the table of 30.3 in code."""

from typing import Any

import sqlalchemy as sa

from lifecycle.actors import ActorContext
from lifecycle.ids import stable_id
from lifecycle.kinds import Channel, Severity, Template
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, Recipient
from lifecycle.recipients import (
    analytics_recipients,
    champion_recipients,
    client_recipients,
    collaborators,
    name_of_actor,
    on_call_recipients,
    ops_recipients,
)
from lifecycle.statuses import Operation, Status
from lifecycle.texts import at_time, masked, one_line
from lifecycle.versions import LockedVersion


def notices_of_move(
    connection: sa.Connection,
    version: LockedVersion,
    move: Move,
    *,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> list[Notice]:
    """The notices of one move; none for a move that nobody is told of, or that tells people itself.

    Reads contacts and names, writes nothing. A block for credentials knows its systems and puts its own notices.
    """
    if move.operation is Operation.BLOCK_FOR_CREDENTIALS:
        return []

    def notice(
        template: Template,
        severity: Severity,
        link: str,
        recipients: tuple[Recipient, ...],
        **more: Any,
    ) -> Notice:
        return Notice(
            template=template,
            severity=severity,
            episode_id=_episode_of(version, move),
            decision_id=move.decision_id,
            link=link,
            context={
                "automation_name": one_line(version.automation_name),
                "version": version.version,
                "tenant_name": one_line(version.tenant_name),
                "since": at_time(version.now),
                "by": name_of_actor(connection, actor_context),
                "reason": masked(move.reason) if move.reason else None,
                **more,
            },
            recipients=recipients,
        )

    clients = client_recipients(connection, version.tenant_id)
    page, tasks = options.version_link(version.id), options.tasks_link(version.id)
    by_email_and_in_app = (Channel.EMAIL, Channel.IN_APP)
    match move.operation, move.target:
        case Operation.UPDATE_STATUS, Status.BUILD_IN_PROGRESS if version.status is not Status.QA_AND_TESTING:
            ops = ops_recipients(options, by_email_and_in_app)
            return [notice(Template.BUILD_STARTED, Severity.INFO, tasks, (*clients, *ops))]
        case Operation.UPDATE_STATUS, Status.QA_AND_TESTING:
            ops = ops_recipients(options, (Channel.IN_APP, Channel.SLACK))
            return [notice(Template.QA_STARTED, Severity.INFO, tasks, ops)]
        case Operation.UPDATE_STATUS, Status.READY_TO_LAUNCH:
            ops = ops_recipients(options, (Channel.EMAIL, Channel.SLACK))
            recipients = (*champion_recipients(connection, version.tenant_id), *ops)
            missing = ["the deployment, by a person who may deploy"]
            if options.deploy_needs_approval:
                missing.insert(0, "a second person's approval of the deployment")
            return [
                notice(Template.READY_TO_LAUNCH, Severity.INFO, page, recipients, approvals_missing=missing),
            ]
        case Operation.BLOCK, _:
            recipients = (*clients, *ops_recipients(options), *on_call_recipients(options))
            reason = masked(move.reason or move.columns["blocked_reason"])
            return [
                notice(Template.AUTOMATION_BLOCKED, Severity.CRITICAL, tasks, recipients, reason=reason, systems=[]),
            ]
        case ((Operation.UNBLOCK | Operation.UNBLOCK_FOR_CREDENTIALS), _):
            # The pager is told too, so that it ends what the block began.
            ops = (*ops_recipients(options, by_email_and_in_app), *on_call_recipients(options))
            times = {"since": at_time(version.blocked_at or version.now), "at": at_time(version.now)}
            return [
                notice(
                    Template.AUTOMATION_UNBLOCKED,
                    Severity.INFO,
                    page,
                    (*clients, *ops),
                    status=move.target,
                    **times,
                )
            ]
        case Operation.DEPLOY, _:
            live = (
                *clients,
                *collaborators(connection, version),
                *ops_recipients(options, (Channel.SLACK,)),
            )
            return [
                notice(Template.AUTOMATION_LIVE, Severity.INFO, page, live),
                notice(
                    Template.DEPLOYMENT_SUCCESS,
                    Severity.INFO,
                    page,
                    ops_recipients(options, (Channel.EMAIL,)),
                    bindings=[f"workflow {one_line(version.workflow_id)}"],
                ),
            ]
        case ((Operation.PAUSE | Operation.RESUME), _):
            paused = move.operation is Operation.PAUSE
            template = Template.WORKFLOW_PAUSED if paused else Template.WORKFLOW_RESUMED
            severity = Severity.WARNING if paused else Severity.INFO
            return [notice(template, severity, page, (*clients, *ops_recipients(options, by_email_and_in_app)))]
        case Operation.ARCHIVE, _:
            recipients = (*ops_recipients(options, (Channel.IN_APP,)), *analytics_recipients())
            return [notice(Template.ARCHIVED, Severity.INFO, page, recipients, from_status=version.status)]
        case _:
            return []


def _episode_of(version: LockedVersion, move: Move) -> str:
    """The block that the move begins or ends; else the move itself, which `now` tells from the next."""
    if move.episode_id is not None:
        return move.episode_id
    if version.block_episode_id is not None and move.operation is not Operation.ARCHIVE:
        return version.block_episode_id
    return stable_id("move", version.tenant_id, version.id, version.now.isoformat())
