"""Who hears of spend anomalies: operations, when a task of them is opened, and as ever more join it (50.9, 60.5)."""

from typing import Any

import sqlalchemy as sa

from lifecycle.credits.case_told import in_credits
from lifecycle.credits.joined_spend import JoinedSpend, read_joined
from lifecycle.credits.spend_anomaly import SpendAnomaly
from lifecycle.credits.spend_history import SpendEpisode
from lifecycle.credits.spend_task import PLURALS, SpendTask, open_or_join, per
from lifecycle.ids import stable_id
from lifecycle.kinds import Channel, Severity, SpendRise, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, cancel_waiting, put_notices
from lifecycle.recipients import ops_recipients, tenant_name
from lifecycle.texts import at_time, brief, one_line
from lifecycle.workflows import SCENARIO_PREFIX

#: Of the workflows that rose, and of the anomalies of a task, so many are named.
_NAMED = 3


def tell_of_spend(connection: sa.Connection, anomaly: SpendAnomaly, *, options: LifecycleOptions) -> bool:
    """Have the anomaly join the task that is open for others like it, or open one; whether it opened one.

    Operations are told when a task is opened, and at each of its steps. The transaction is the caller's.
    """
    tenant = one_line(tenant_name(connection, anomaly.tenant_id))
    task = open_or_join(connection, anomaly, tenant=tenant, options=options)
    if is_step(task.count):
        if task.count == 1:
            link, context = options.decision_link(anomaly.decision_id), _of_one(anomaly, tenant)
        else:
            joined = read_joined(connection, [task.id], limit=_NAMED)[task.id]
            cancel_waiting(connection, _episode(task, step_before(task.count)))
            link, context = options.decisions_link(task.id), _of_many(joined)
        notice = Notice(
            template=Template.SPEND_ANOMALY,
            severity=Severity.WARNING,
            episode_id=_episode(task, task.count),
            decision_id=anomaly.decision_id,
            link=link,
            context={
                "tenant_name": tenant,
                "is_burst": anomaly.rise is SpendRise.BURST,
                "credits_link": options.credits_link(anomaly.tenant_id),
                **context,
            },
            recipients=ops_recipients(options, (Channel.IN_APP, Channel.SLACK)),
            # A task that somebody closed too early, or that another one follows, is told of with its like.
            cause=anomaly.rise,
        )
        put_notices(connection, tenant_id=anomaly.tenant_id, notices=[notice])
    return task.count == 1


def is_step(count: int) -> bool:
    """Whether so many anomalies of one task are worth another notice: 1, 3, 10, 30, 100 and so on. Pure."""
    first, others = str(count)[0], str(count)[1:]
    return first in "13" and not others.strip("0")


def step_before(step: int) -> int:
    """The step before a step other than the first. Pure."""
    return step // 3 if str(step).startswith("3") else step * 3 // 10


def _of_one(anomaly: SpendAnomaly, tenant: str) -> dict[str, Any]:
    name = None if anomaly.workflow is None else one_line(anomaly.workflow.name)
    return {
        "plural": None,
        "workflow_name": name,
        "whose": tenant if name is None else f"“{name}” of {tenant}",
        "spent": in_credits(anomaly.spent),
        "per": per(anomaly.rise),
        "expected": in_credits(anomaly.expected),
        "limit": in_credits(anomaly.limit),
        "runs": None if anomaly.runs is None else f"{anomaly.runs:,}",
        "risen": [one_line(workflow_id) for workflow_id in anomaly.risen[:_NAMED]],
        "at": at_time(anomaly.occurred_at),
    }


def _of_many(joined: JoinedSpend) -> dict[str, Any]:
    return {
        "plural": PLURALS[joined.rise],
        "count": f"{joined.count:,}",
        "since": at_time(joined.since),
        "at": at_time(joined.until),
        "furthest": [_in_words(one) for one in joined.furthest],
    }


def _in_words(episode: SpendEpisode) -> str:
    """One of several: `“Nightly invoices” 1,500 credits in one hour instead of 40`."""
    who = episode.workflow_name or (episode.workflow_id or "").removeprefix(SCENARIO_PREFIX)
    whose = f"“{brief(who)}”" if who else "all workflows together"
    return f"{whose} {in_credits(episode.spent)} credits {per(episode.rise)} instead of {in_credits(episode.expected)}"


def _episode(task: SpendTask, step: int) -> str:
    """What the notices of a step have in common: a step is told once."""
    return stable_id("spend_anomaly", task.opened_by, *([] if step == 1 else [str(step)]))
