"""Runs that the gate refused count neither as failures nor as stuck, and break no streak (40.5, spec 10)."""

import json

import pytest

from dataflows.events import GATE_ERROR_CODES
from dataflows.gate_messages import Refused, RunRequest, Trigger, write
from tests.given import Line, decide, denied, ended, started, tick, time

REQUEST = RunRequest("t1", "wf1", Trigger.SCHEDULE, "key")


def refused(at: float, execution: str, error_code: str, **more: object) -> Line:
    """The event that the gate writes of a refused run."""
    written = write(REQUEST, Refused(execution, "v1", time(at), error_code, "whatever"))
    assert written is not None
    line: Line = json.loads(written.value)
    return {**line, **more}


@pytest.mark.parametrize("code", sorted(GATE_ERROR_CODES))
class TestRefusedRuns:
    """Many of them, where a few of any other kind would decide something."""

    def test_they_are_no_failures(self, code: str) -> None:
        lines = [refused(number / 10, f"e{number}", code, http_status=401, system_key="crm") for number in range(30)]
        assert decide(*lines, tick(600)) == []
        others = [denied(number / 10, f"e{number}") for number in range(30)]
        assert decide(*others, tick(600)) != [], "these would be, if the gate had not written them"

    def test_they_break_no_streak(self, code: str) -> None:
        without = [denied(0, "a"), denied(1, "b"), denied(2, "c")]
        between = [denied(0, "a"), refused(0.5, "x", code), denied(1, "b"), refused(1.5, "y", code), denied(2, "c")]
        assert decide(*between, tick(600)) == decide(*without, tick(600)) != []

    def test_they_are_not_stuck_and_end_nobody_elses_run(self, code: str) -> None:
        assert decide(*(refused(number, f"e{number}", code) for number in range(10)), tick(6000)) == []
        hanging = [started(0, "x")]
        assert decide(*hanging, refused(1, "x", code), tick(600)) == decide(*hanging, tick(600)) != []
        assert decide(started(0, "x"), refused(1, "y", code), ended(2, "x"), tick(600)) == []
