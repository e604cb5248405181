"""Look whether the databases in Notion can take what is written to them, and add the columns that they lack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.settings import NotionAccess
from lifecycle.notion.client import NotionClient
from lifecycle.notion.columns import COLUMNS
from lifecycle.notion.faults import NotionError
from lifecycle.notion.kinds import NotionKind
from lifecycle.notion.sync import database_of
from lifecycle.notion.values import ColumnType, Layout, lay_out, options_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseReport:
    """How one database is."""

    kind: NotionKind
    #: False: its variable is not set, and nothing is written there.
    configured: bool = True
    #: Our word or Notion's code, when it could not be read.
    fault: str | None = None
    #: Columns that it does not have, and the type that each should have.
    missing: Mapping[str, str]
    #: Columns of a type that can't hold what they should, with the types that can.
    unfit: Mapping[str, Sequence[str]]
    #: What a status should offer and does not, by column; nobody but a person can add it.
    options: Mapping[str, Sequence[str]]

    @property
    def is_well(self) -> bool:
        """Whether everything that is written can be seen there."""
        return self.fault is None and not (self.missing or self.unfit or self.options)


def check_databases(notion: NotionClient, access: NotionAccess, *, add_missing: bool = False) -> list[DatabaseReport]:
    """Look at each database, in the order of `NotionKind`; two requests each. `add_missing` adds columns first."""
    return [_check(notion, access, kind, add_missing=add_missing) for kind in NotionKind]


def _check(notion: NotionClient, access: NotionAccess, kind: NotionKind, *, add_missing: bool) -> DatabaseReport:
    database = database_of(access, kind)
    if database is None:
        return DatabaseReport(kind=kind, configured=False, missing={}, unfit={}, options={})
    try:
        schema = notion.read_schema(database)
        layout = lay_out(COLUMNS[kind], schema)
        if add_missing and (columns := _addable(notion, access, layout)):
            schema = notion.add_columns(schema.id, columns)
            layout = lay_out(COLUMNS[kind], schema)
    except NotionError as error:
        return DatabaseReport(kind=kind, fault=str(error), missing={}, unfit={}, options={})
    return _report(kind, layout)


def _report(kind: NotionKind, layout: Layout) -> DatabaseReport:
    columns = {column.name: column for column in COLUMNS[kind]}
    options = {}
    for name, (_, property_) in layout.found.items():
        lacking = [one for one in columns[name].options if one not in options_of(property_)]
        if property_.type == "status" and lacking:
            options[name] = lacking
    return DatabaseReport(
        kind=kind,
        missing={column.name: column.type.value[0] for column in layout.missing},
        unfit={name: columns[name].type.value for name in layout.unfit},
        options=options,
    )


def _addable(notion: NotionClient, access: NotionAccess, layout: Layout) -> dict[str, Any]:
    """The missing columns in Notion's form; a relation to cases only where there is a database of cases."""
    added: dict[str, Any] = {}
    for column in layout.missing:
        if column.type is not ColumnType.PAGES:
            added[column.name] = {column.type.value[0]: {}}
        elif access.cases is not None:
            cases = notion.read_schema(access.cases)
            added[column.name] = {
                "relation": {"data_source_id": cases.id, "type": "single_property", "single_property": {}}
            }
    return added
