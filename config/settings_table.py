"""The table of all settings, made from the models: `python -m config.settings_table > docs/settings.md`."""

from collections.abc import Iterator
from datetime import timedelta

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config.durations import format_duration
from config.settings import Settings

_HEAD = """# Settings

Environment variables, or lines of a file `.env` in the working folder. A value that can't be used ends the program with
the setting's name and what is wrong. This page is made by `python -m config.settings_table`; a test compares it.

| variable | default | meaning |
| --- | --- | --- |
"""


def render() -> str:
    """The page."""
    return _HEAD + "".join(_rows(Settings, "BREAKWATER_"))


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _rows(field.annotation, f"{prefix}{name.upper()}__")
        else:
            variable = field.validation_alias or f"{prefix}{name.upper()}"
            yield f"| `{variable}` | {_default(field)} | {_meaning(field, model)} |\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{format_duration(value)}`"
        case _:
            return f"`{value}`"


def _meaning(field: FieldInfo, model: type[BaseModel]) -> str:
    return field.description or (model.__doc__ or "").split("\n")[0]


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201  (this is the page)
