"""`breakwater schema`: the published JSON Schemas, made from the models that the program itself reads by."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer


class Subject(StrEnum):
    """What a schema describes."""

    RUN_EVENT = "run-event"
    CONTROL_EVENT = "control-event"
    DECISION = "decision"
    POLICIES = "policies"


def schema(subject: Annotated[Subject, typer.Argument(help="What the schema describes.")]) -> None:
    """Print a JSON Schema (draft 2020-12)."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _schema(subject)
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _schema(subject: Subject) -> dict[str, Any]:
    import msgspec

    from dataflows.decisions import Decision
    from dataflows.events import CONTROL_EVENTS

    match subject:
        case Subject.RUN_EVENT:
            return _run_event()
        case Subject.CONTROL_EVENT:
            models = list(CONTROL_EVENTS.values())
            references, parts = msgspec.json.schema_components(models, ref_template="#/$defs/{name}")
            return {"oneOf": list(references), "$defs": parts}
        case Subject.DECISION:
            return msgspec.json.schema(Decision)
        case Subject.POLICIES:
            from config.policies import policy_file_schema

            return policy_file_schema()


def _run_event() -> dict[str, Any]:
    """The model's schema, with what its types leave to the decoder: status words, the alias, the limits in bytes."""
    import msgspec

    from dataflows.events import EVENT_ID_PATTERN, STATUS_ALIASES, RunEvent

    document = msgspec.json.schema(RunEvent)
    model = document["$defs"]["RunEvent"]
    fields = model["properties"]
    fields["event_id"]["pattern"] = EVENT_ID_PATTERN
    fields["status"]["description"] = "Compared without regard to case."
    fields["status"]["enum"] = sorted(STATUS_ALIASES)
    fields["occurred_at"]["description"] = "RFC 3339 with an offset."
    fields["error_message"]["description"] = "At most 8192 bytes of UTF-8."
    fields["artifacts_link"]["anyOf"][0]["pattern"] = "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s/?#]+\\S*$"
    fields["payload"] = {"description": "Never read."}
    del fields["kind"]
    # Null is the same as absent, and either name of the execution will do.
    model["anyOf"] = [{"required": ["execution_id"]}, {"required": ["run_id"]}]
    return document
