"""The client of Notion against a server: what is done, what is refused for good, and what is asked again later."""

import logging
import socket
from datetime import timedelta
from itertools import pairwise

import pytest
from pydantic import SecretStr

from lifecycle.notion.client import NotionClient
from lifecycle.notion.faults import RefusedError, Trouble, TryLaterError
from tests.lifecycle.notion_given import PATIENT, SOON
from tests.lifecycle.notion_server import TOKEN, Failure, Mishap, NotionServer


def connect(server: NotionServer, timeout: timedelta = PATIENT, **changes: object) -> NotionClient:
    return NotionClient(server.access(**changes), interval=timedelta(0), timeout=timeout)


def title(text: str) -> dict[str, object]:
    return {"Run_ID": {"title": [{"text": {"content": text}}]}}


def test_a_page_is_made_found_changed_and_locked(server: NotionServer) -> None:
    with connect(server) as notion:
        schema = notion.read_schema(server.databases["runs"])
        assert schema.properties["Severity"].type == "select"
        page = notion.create_page(schema.id, title("RUN-1"))
        notion.update_page(page.id, {"Severity": {"select": {"name": "SEV1"}}})
        assert notion.lock_page(page.id).is_locked
        found = notion.query(schema.id, filter={"property": "Run_ID", "title": {"equals": "RUN-1"}})
    assert [one["id"] for one in found.results] == [page.id]
    (row,) = server.rows("runs")
    assert (row["Run_ID"], row["Severity"]) == ("RUN-1", "SEV1")


@pytest.mark.parametrize(
    ("failure", "trouble", "certain", "wait"),
    [
        pytest.param((429, "rate_limited", {"retry-after": "7"}), Trouble.BUSY, True, 7, id="too many requests"),
        pytest.param(
            (429, "rate_limited", {"retry-after": "Mon, 02 Mar 9999999999999 08:00:00 GMT"}),
            Trouble.BUSY,
            True,
            None,
            id="too many requests until a year beyond all numbers",
        ),
        pytest.param((500, "internal_server_error"), Trouble.BUSY, False, None, id="an error of the server"),
        pytest.param((503, "service_unavailable", {"retry-after": "30"}), Trouble.BUSY, False, 30, id="out of service"),
        pytest.param((409, "conflict_error"), Trouble.BUSY, False, None, id="a conflict of two writers"),
        pytest.param(Mishap.HANG, Trouble.UNREACHABLE, False, None, id="no answer in time"),
        pytest.param(Mishap.RESET, Trouble.UNREACHABLE, False, None, id="a connection that is reset"),
        pytest.param(Mishap.GARBAGE, Trouble.GARBAGE, False, None, id="what is no answer of Notion"),
        pytest.param(Mishap.NESTED, Trouble.GARBAGE, False, None, id="lists of lists"),
        pytest.param(Mishap.LONG_NUMBER, Trouble.GARBAGE, False, None, id="a number of thousands of digits"),
        pytest.param(Mishap.TRICKLE, Trouble.UNREACHABLE, False, None, id="an answer that comes a byte at a time"),
    ],
)
def test_what_passes_by_is_asked_again_later(
    server: NotionServer, failure: object, trouble: Trouble, certain: bool, wait: int | None
) -> None:
    server.failures.append(Failure(failure))  # type: ignore[arg-type]
    timeout = SOON if failure in (Mishap.HANG, Mishap.TRICKLE) else PATIENT
    with connect(server, timeout) as notion, pytest.raises(TryLaterError) as told:
        notion.create_page("any", title("RUN-1"))
    assert (told.value.trouble, told.value.certain) == (trouble, certain)
    assert told.value.retry_after == (None if wait is None else timedelta(seconds=wait))
    assert len(server.asked) == 1, "the client tried again by itself"


def test_no_more_of_an_answer_is_read_than_any_has(server: NotionServer) -> None:
    server.failures.append(Failure(Mishap.ENDLESS))
    with connect(server) as notion, pytest.raises(TryLaterError) as told:
        notion.read_bot_id()
    assert told.value.trouble is Trouble.GARBAGE


def test_a_server_that_is_not_there_had_no_effect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with NotionServer() as server:
        access = server.access(base_url=address)
    with NotionClient(access, interval=timedelta(0)) as notion, pytest.raises(TryLaterError) as told:
        notion.read_bot_id()
    assert (told.value.trouble, told.value.certain) == (Trouble.UNREACHABLE, True)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        pytest.param((400, "validation_error"), "validation_error", id="a property that is not there"),
        pytest.param((401, "unauthorized"), "unauthorized", id="a token that is not good"),
        pytest.param((403, "restricted_resource"), "restricted_resource", id="an integration that may not"),
        pytest.param((404, "object_not_found"), "object_not_found", id="a database that is not shared"),
        pytest.param((418, "teapot"), "http_418", id="a code that Notion does not have"),
        pytest.param((301, "moved", {"location": "http://127.0.0.1:1/"}), "http_301", id="a redirect is not followed"),
    ],
)
def test_what_is_refused_for_good_says_notions_code(server: NotionServer, failure: object, code: str) -> None:
    server.failures.append(Failure(failure))  # type: ignore[arg-type]
    with connect(server) as notion, pytest.raises(RefusedError) as told:
        notion.read_bot_id()
    assert told.value.code == code


def test_no_fault_and_no_log_shows_the_token(server: NotionServer, caplog: pytest.LogCaptureFixture) -> None:
    server.failures += [Failure((400, "validation_error")), Failure((500, "internal_server_error"))]
    with caplog.at_level(logging.DEBUG), connect(server) as notion:
        for _ in range(2):
            with pytest.raises((RefusedError, TryLaterError)) as told:
                notion.read_bot_id()
            error = told.value
            assert TOKEN not in f"{error!r} {error.__cause__!r}"
            assert error.__suppress_context__
        notion.read_bot_id()
    ours = [record for record in caplog.records if not record.name.startswith(("httpcore", "asyncio"))]
    assert [record.getMessage() for record in ours] == []
    assert TOKEN not in caplog.text


def test_a_wrong_token_is_refused(server: NotionServer) -> None:
    with connect(server, token=SecretStr("ntn_wrong")) as notion, pytest.raises(RefusedError, match="unauthorized"):
        notion.read_bot_id()


def test_requests_keep_their_distance(server: NotionServer) -> None:
    turns: list[float] = []
    with NotionClient(server.access(), interval=timedelta(milliseconds=20)) as notion:
        for _ in range(3):
            notion.read_bot_id()
            turns.append(notion.next_turn)
    assert all(later - earlier > 0.0199 for earlier, later in pairwise(turns))
