"""What other systems' names stand for (`workflow_bindings.external_ref`)."""

from collections.abc import Callable
from typing import NamedTuple


class Reference(NamedTuple):
    """The version that a name stands for."""

    tenant_id: str
    automation_version_id: str
    #: None while the version is bound to no workflow.
    workflow_id: str | None


#: Finds what a name stands for; None when nobody has given it, `Unusable` when it could be several.
LookUp = Callable[[str], Reference | None]
