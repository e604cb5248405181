"""Who owns which automation version: what an event's trusted ids are checked against (spec 10, Identity)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import SCENARIO_PREFIX, RunEvent


class Binding(msgspec.Struct, frozen=True):
    """The registry's row for one automation version."""

    tenant_id: str
    automation_version_id: str
    workflow_id: str | None = None
    project_id: str | None = None
    status: str | None = None

    @property
    def workflow(self) -> str:
        """The workflow that the version's runs belong to."""
        return self.workflow_id or self.automation_version_id


class Registry(Protocol):
    """Where bindings are looked up."""

    def binding(self, automation_version_id: str) -> Binding | None:
        """The binding of a version, None when it is unknown. Called for every event: must be fast."""

    def recheck(self, automation_version_id: str) -> Binding | None:
        """The binding as it is now, for an event that contradicts what `binding` said. May ask a store."""


class LookUp(Protocol):
    """A question that a registry was asked, answered beside the stream."""

    def answer(self) -> bool | None:
        """None as long as there is no answer; True when `known` has it, False when there will be none."""


@runtime_checkable
class LookUpRegistry(Registry, Protocol):
    """A registry that learns of versions while the process lives, without holding the stream."""

    def known(self, automation_version_id: str) -> Binding | None:
        """The binding in memory. Called for every event: must be fast."""

    def look_up(self, automation_version_ids: Sequence[str]) -> LookUp:
        """Ask for versions."""

    def look_up_now(self, automation_version_ids: Sequence[str]) -> None:
        """The same, for those that can't wait: `known` has the answer when it returns."""


class TrustingRegistry:
    """No registry at hand: what the envelope says is true."""

    def binding(self, automation_version_id: str) -> Binding | None:  # noqa: ARG002  (the protocol's signature)
        """Nothing is known, and nothing needs to be."""
        return None

    def recheck(self, automation_version_id: str) -> Binding | None:
        """Nothing, still."""
        return self.binding(automation_version_id)


class StaticRegistry:
    """Bindings that don't change while the process lives."""

    def __init__(self, bindings: Mapping[str, Binding]) -> None:
        self._bindings = dict(bindings)

    def binding(self, automation_version_id: str) -> Binding | None:
        """The binding of a version."""
        return self._bindings.get(automation_version_id)

    def recheck(self, automation_version_id: str) -> Binding | None:
        """The same."""
        return self.binding(automation_version_id)


class UnreadableRegistryError(Exception):
    """A registry file is no registry; the message names the row and what is wrong with it."""


def read_registry(path: Path) -> StaticRegistry:
    """The bindings of a JSON array (spec 20.7). `OSError` or `UnreadableRegistryError`."""
    try:
        rows = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UnreadableRegistryError(f"no JSON text: {error}") from None
    if not isinstance(rows, list):
        raise UnreadableRegistryError("must be a JSON array of objects")
    bindings = {}
    for number, row in enumerate(rows):
        try:
            binding = msgspec.convert(row, Binding)
        except msgspec.ValidationError as error:
            raise UnreadableRegistryError(f"row {number}: {error}") from None
        bindings[binding.automation_version_id] = binding
    return StaticRegistry(bindings)


def identify(event: RunEvent, registry: Registry) -> None:
    """Check an event's ids and fill in its workflow; `Unusable` when it is not what it says."""
    if isinstance(registry, TrustingRegistry):
        if event.workflow_id is None:
            event.workflow_id = event.automation_version_id
        return
    binding = registry.binding(event.automation_version_id)
    if binding is not None and not agrees(event, binding):
        # The version may have been bound anew since the registry was read.
        binding = registry.recheck(event.automation_version_id)
    if binding is None:
        binding = binding_of_scenario(event)
    if binding is None:
        raise Unusable(DeadLetterCode.UNKNOWN_AUTOMATION_VERSION, "the registry has no such automation version")
    if binding.tenant_id != event.tenant_id:
        raise Unusable(DeadLetterCode.TENANT_MISMATCH, "the automation version belongs to another tenant")
    if event.workflow_id is None:
        event.workflow_id = binding.workflow
    elif event.workflow_id != binding.workflow:
        raise Unusable(DeadLetterCode.TENANT_MISMATCH, "the workflow is not the one bound to the automation version")


def binding_of_scenario(event: RunEvent) -> Binding | None:
    """What an event of a pseudo-version is bound to: nobody has registered it, and only its credits are looked at."""
    version = event.automation_version_id
    return Binding(event.tenant_id, version) if version.startswith(SCENARIO_PREFIX) else None


def agrees(event: RunEvent, binding: Binding) -> bool:
    """Whether an event's ids are those of its version."""
    return event.tenant_id == binding.tenant_id and event.workflow_id in (None, binding.workflow)
