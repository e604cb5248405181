"""Is this failure an auth failure?  The classifier of spec 20.2: pure, compiled once, linear in the message.

What it knows are rules (`config/auth_errors.yaml`), each with a verdict; how it decides is here alone:

1. HTTP 401: yes.  429 and 5xx: no.
2. a credential code: yes.
3. HTTP 403: yes, unless code or message say that it is something else.
4. otherwise: yes if code or message have the form of a credential failure and neither says that it is
   something else.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus

import msgspec

from dataflows.detectors.word_forms import Lexicon

#: A code is at most this long (spec 10).
MAX_CODE_CHARACTERS = 128

_SYSTEM_PARTS = re.compile(r"[a-z0-9]+")


class Verdict(StrEnum):
    """What it means that a rule matches."""

    CREDENTIAL = "credential"  #: credentials were refused, are missing, or have ended
    #: A limit, a bot defence, a network block, a feature that is off: outweighs a 403 and a credential form.
    SOMETHING_ELSE = "something_else"
    #: Looks like a credential form and is none: outweighs that form, but not a 403.
    UNRELATED = "unrelated"


class Where(StrEnum):
    """Which of the two texts a rule's forms are looked for in."""

    BOTH = "both"
    CODE = "code"
    MESSAGE = "message"


class AuthErrorRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: phrases and codes that mean the same."""

    name: str
    verdict: Verdict
    #: Phrases in the language of `word_forms`.
    forms: tuple[str, ...] = ()
    where: Where = Where.BOTH
    #: Whole machine codes, compared without case.
    codes: frozenset[str] = frozenset()
    #: Names of systems (one of the parts of `system_key`); empty: every system.
    systems: frozenset[str] = frozenset()


class _Compiled:
    """The rules that apply together: the general ones, or those of one system."""

    def __init__(self, lexicon: Lexicon, rules: Sequence[AuthErrorRule]) -> None:
        self.code_verdicts = {code.lower(): rule.verdict for rule in rules for code in rule.codes}
        self.in_code = self._patterns(lexicon, rules, Where.CODE)
        self.in_message = self._patterns(lexicon, rules, Where.MESSAGE)
        credential = [form for rule in rules if rule.verdict is Verdict.CREDENTIAL for form in rule.forms]
        self.credential_anchor = lexicon.compile_anchors(credential)

    @staticmethod
    def _patterns(
        lexicon: Lexicon, rules: Sequence[AuthErrorRule], where: Where
    ) -> dict[Verdict, re.Pattern[str] | None]:
        forms: dict[Verdict, list[str]] = defaultdict(list)
        for rule in rules:
            if rule.where in (Where.BOTH, where):
                forms[rule.verdict].extend(rule.forms)
        return {verdict: lexicon.compile(forms[verdict]) if forms[verdict] else None for verdict in Verdict}

    def says_credential(self, code: str, message: str) -> bool:
        """As `says` for a credential; a text without any anchor costs one scan."""
        anchor = self.credential_anchor.search
        return bool(anchor(message) or anchor(code)) and self.says(Verdict.CREDENTIAL, code, message)

    def says(self, verdict: Verdict, code: str, message: str) -> bool:
        """Whether a form with this verdict stands in the symbols of code or message."""
        in_message, in_code = self.in_message[verdict], self.in_code[verdict]
        return bool(
            (in_message is not None and message and in_message.search(message))
            or (in_code is not None and code and in_code.search(code))
        )


class AuthErrorClassifier:
    """Answers spec 20.2's first question; holds only compiled rules, so threads may share it."""

    def __init__(self, classes: Mapping[str, Sequence[str]], rules: Iterable[AuthErrorRule]) -> None:
        """Compile the rules.  Raises `ValueError` for a form that is not in the language."""
        rules = tuple(rules)
        lexicon = Lexicon(classes, (form for rule in rules for form in rule.forms))
        by_system: dict[str, list[AuthErrorRule]] = defaultdict(list)
        for rule in rules:
            for system in rule.systems:
                by_system[system].append(rule)
        self._lexicon = lexicon
        self._general = _Compiled(lexicon, [rule for rule in rules if not rule.systems])
        self._by_system = {system: _Compiled(lexicon, own) for system, own in by_system.items()}

    def is_auth_failure(
        self,
        http_status: int | None,
        error_code: str | None,
        error_message: str | None,
        system_key: str | None,
    ) -> bool:
        """Whether this terminal failure is an auth failure.

        Costs one pass over the code and over the message's first `word_forms.MAX_CHARACTERS` characters;
        401, 429 and 5xx are answered without reading either.  Source: spec 20.2.
        """
        if http_status is not None:
            if http_status == HTTPStatus.UNAUTHORIZED:
                return True
            if http_status == HTTPStatus.TOO_MANY_REQUESTS or http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return False
        raw_code = error_code.strip()[:MAX_CODE_CHARACTERS].lower() if error_code else ""
        applicable = [*self._of_system(system_key), self._general]
        # The system's own rules come first: a number means one thing there and another elsewhere.
        for rules in applicable:
            verdict = rules.code_verdicts.get(raw_code)
            if verdict is Verdict.CREDENTIAL:
                return True
            if verdict is Verdict.SOMETHING_ELSE or (verdict and http_status != HTTPStatus.FORBIDDEN):
                return False
        code = self._lexicon.read(error_code[:MAX_CODE_CHARACTERS]) if error_code else ""
        message = self._lexicon.read(error_message) if error_message else ""
        if http_status == HTTPStatus.FORBIDDEN:
            return not any(rules.says(Verdict.SOMETHING_ELSE, code, message) for rules in applicable)
        # Most failures have no credential form, so that is asked first.
        return any(rules.says_credential(code, message) for rules in applicable) and not any(
            rules.says(Verdict.SOMETHING_ELSE, code, message) or rules.says(Verdict.UNRELATED, code, message)
            for rules in applicable
        )

    def _of_system(self, system_key: str | None) -> list[_Compiled]:
        if not system_key:
            return []
        parts = dict.fromkeys(_SYSTEM_PARTS.findall(system_key.lower()))
        return [self._by_system[part] for part in parts if part in self._by_system]
