"""Messages of the topic `credential_events`: what an integration monitor found out about a credential (30.4)."""

import re
from datetime import datetime

import msgspec

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import AwareTime, EventId, Identifier

#: The longest message; what it has to say is short.
MAX_BYTES = 64 * 1024

STATUSES = frozenset({"active", "invalid", "expired", "revoked", "unknown"})

_event_id = re.compile(r"[A-Za-z0-9._:\-]+")


class CredentialMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `active` means that the credential was seen to work at that time."""

    event_id: EventId
    tenant_id: Identifier
    credential_id: Identifier
    status: str
    occurred_at: AwareTime


_decode = msgspec.json.Decoder(CredentialMessage).decode
_skim = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode_credential_message(raw: bytes, latest: datetime) -> CredentialMessage:
    """The finding that a message holds; `Unusable`, which names no value, says why there is none.

    `latest` is the latest event time that is believed.
    """
    if len(raw) > MAX_BYTES:
        raise Unusable(DeadLetterCode.TOO_LARGE, f"more than {MAX_BYTES} bytes")
    try:
        raw.decode()
        message = _decode(raw)
    except UnicodeDecodeError:
        raise Unusable(DeadLetterCode.NOT_JSON, "not UTF-8") from None
    except (msgspec.DecodeError, RecursionError):
        raise _fault(raw) from None
    if message.status not in STATUSES:
        raise Unusable(DeadLetterCode.INVALID_FIELD, "status: must be one of the five words")
    if _event_id.fullmatch(message.event_id) is None:
        raise Unusable(DeadLetterCode.INVALID_FIELD, "event_id: must be made of A-Z a-z 0-9 . _ : -")
    if any("\x00" in text for text in (message.tenant_id, message.credential_id)):
        raise Unusable(DeadLetterCode.INVALID_FIELD, "tenant_id, credential_id: must hold no NUL")
    if message.occurred_at > latest:
        raise Unusable(DeadLetterCode.FUTURE_TIMESTAMP, "occurred_at: is ahead of the clock")
    return message


def _fault(raw: bytes) -> Unusable:
    try:
        fields = _skim(raw)
    except msgspec.ValidationError:
        return Unusable(DeadLetterCode.NOT_AN_OBJECT, "JSON, but no object")
    except (msgspec.DecodeError, RecursionError):
        return Unusable(DeadLetterCode.NOT_JSON, "no JSON text")
    present = {name for name, value in fields.items() if bytes(value) != b"null"}
    for name in CredentialMessage.__struct_fields__:
        if name not in present:
            return Unusable(DeadLetterCode.MISSING_FIELD, f"{name}: is required")
    return Unusable(DeadLetterCode.INVALID_FIELD, "a field has the wrong type or a value outside its range")
