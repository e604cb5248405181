"""How a credit case moves, as data (50.4). One step at a time, or straight to Resolved; nothing leads back."""

from collections.abc import Mapping

from lifecycle.errors import Detail
from lifecycle.kinds import CaseSeverity, CaseStatus, RootCause

TRANSITIONS: Mapping[CaseStatus, frozenset[CaseStatus]] = {
    CaseStatus.OPEN: frozenset({CaseStatus.INVESTIGATING, CaseStatus.RESOLVED}),
    CaseStatus.INVESTIGATING: frozenset({CaseStatus.MITIGATING, CaseStatus.RESOLVED}),
    CaseStatus.MITIGATING: frozenset({CaseStatus.RESOLVED}),
    # To reopen a case is to open another one with a link to it.
    CaseStatus.RESOLVED: frozenset(),
}

#: Those that only operations' admins resolve, and that are not resolved without a word on how they don't come again.
GRAVE = frozenset({CaseSeverity.SEV0, CaseSeverity.SEV1})


def missing_to_resolve(
    severity: CaseSeverity, root_cause: RootCause | None, recurrence_notes: str | None
) -> list[Detail]:
    """What a case lacks to be resolved; nothing when it may be."""
    missing = []
    if root_cause is None:
        missing.append(Detail("root_cause_missing", "root_cause", "Say why it happened."))
    if severity in GRAVE and not (recurrence_notes or "").strip():
        missing.append(
            Detail("recurrence_notes_missing", "recurrence_notes", "Say how it is kept from happening again.")
        )
    return missing
