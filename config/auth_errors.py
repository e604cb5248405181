"""The auth-error rules as data: read, validated, compiled (spec 20.2)."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from dataflows.detectors.auth_errors import AuthErrorClassifier, AuthErrorRule, Verdict, Where

_PACKAGED = "auth_errors.yaml"


class Example(BaseModel):
    """One failure as a provider reports it; what is absent was absent there.  A bare string is a message."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    status: int | None = Field(default=None, ge=100, le=599)
    code: str | None = None
    message: str | None = None
    system: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _message_alone(cls, value: object) -> object:
        return {"message": value} if isinstance(value, str) else value

    def is_auth_failure(self, classifier: AuthErrorClassifier) -> bool:
        """The classifier's answer to this example."""
        return classifier.is_auth_failure(self.status, self.code, self.message, self.system)


class RuleEntry(BaseModel):
    """One rule as written in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    verdict: Verdict
    forms: tuple[str, ...] = ()
    where: Where = Where.BOTH
    codes: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    #: Failures that the classifier must call auth failures because of this rule (for an exclusion: must not).
    matches: tuple[Example, ...] = Field(min_length=1)
    #: Near misses, which must get the opposite answer.
    spares: tuple[Example, ...] = ()

    def to_rule(self) -> AuthErrorRule:
        """The rule without its examples."""
        return AuthErrorRule(
            name=self.name,
            verdict=self.verdict,
            forms=self.forms,
            where=self.where,
            codes=self.codes,
            systems=self.systems,
        )


class AuthErrorsFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1, le=1)
    classes: dict[str, tuple[str, ...]]
    rules: tuple[RuleEntry, ...]

    def compile(self) -> AuthErrorClassifier:
        """The classifier.  Raises `ValueError` for a form that is not in the language."""
        return AuthErrorClassifier(self.classes, (rule.to_rule() for rule in self.rules))

    def broken_examples(self, classifier: AuthErrorClassifier) -> list[str]:
        """The examples that get the wrong answer, as `rule: example`; empty when the file keeps its word."""
        broken = []
        for rule in self.rules:
            expected = rule.verdict is Verdict.CREDENTIAL
            for examples, answer in ((rule.matches, expected), (rule.spares, not expected)):
                broken += [f"{rule.name}: {e!r}" for e in examples if e.is_auth_failure(classifier) is not answer]
        return broken


def read_auth_errors(path: Path | None = None) -> AuthErrorsFile:
    """The validated file at `path`, or the packaged one.

    Raises `OSError` for an unreadable file and `ValueError` (naming every fault) for a bad one.
    """
    text = path.read_text("utf-8") if path else files("config").joinpath(_PACKAGED).read_text("utf-8")
    try:
        return AuthErrorsFile.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error


@cache
def load_auth_errors(path: Path | None = None) -> AuthErrorClassifier:
    """The compiled classifier of the file at `path`, or of the packaged one; compiled once in a process."""
    return read_auth_errors(path).compile()
