"""The words of what is kept in Notion."""

from enum import StrEnum


class NotionKind(StrEnum):
    """What a page is of; each kind has its database."""

    CASE = "case"
    TASK = "task"  #: of evidence hygiene
    RECEIPT = "receipt"  #: of an attempt to make such a task
    REVIEW = "review"  #: of a week, of a tenant or of all together
    RUN = "run"  #: a row of the ledger


class NotionPart(StrEnum):
    """What of Notion may fail by itself."""

    API = "api"  #: all of it: no answer, or the token is not good
    CASE = "case"
    TASK = "task"
    RECEIPT = "receipt"
    REVIEW = "review"
    RUN = "run"


class NotionCursor(StrEnum):
    """What is read in order, and how far that has come."""

    RUNS = "runs"  #: a tenant's ledger
    STAGES = "stages"  #: pages of a database by the time of their last change


class PageOutcome(StrEnum):
    """What came of an attempt to write a page."""

    CREATED = "created"
    ADOPTED = "adopted"  #: an attempt whose end nobody saw had made it
    UPDATED = "updated"
    UNCHANGED = "unchanged"  #: nothing that it shows had changed
    REFUSED = "refused"  #: for good, until somebody changes something; tried again much later
    LATER = "later"  #: Notion is away or busy; or it is not known yet what became of an earlier attempt


class StageOutcome(StrEnum):
    """What came of a page that people changed."""

    CHANGED = "changed"  #: the case has its stage or gate now
    SAME = "same"
    UNKNOWN_CASE = "unknown_case"
    RESOLVED = "resolved"  #: the case is, and stays as it is
    MALFORMED = "malformed"  #: it can't be read
