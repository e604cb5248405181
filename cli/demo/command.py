"""`breakwater demo`: everything embedded, on this machine alone, until Ctrl-C (spec 80.1)."""

import shlex
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated

import sqlalchemy as sa
import typer

from cli.demo import cast
from cli.demo.api_client import ApiClient
from cli.demo.dead_letters import DeadLetterReader
from cli.demo.ending import Ending, StopAskedError
from cli.demo.narration import SCENES, Line, Narrator, Scene, Tone
from cli.demo.news import News
from cli.demo.people import People
from cli.demo.producer import StoryTeller
from cli.demo.scenario import SCENES_END, story
from cli.demo.screen import Screen
from cli.demo.stack import Stack, running
from cli.demo.watch import Totals, Watch
from cli.embedded.postgres import AlreadyRunningError
from cli.embedded.process import ChildError
from cli.embedded.smtp import ReceivedMail
from cli.options import fail_usage
from config.settings import Kafka
from lifecycle.options import LifecycleOptions

FOLDER = Path(".demo")
_LOOK_SECONDS = 0.25
#: After this the audience has seen all at the latest: the worker looks twice a minute whether the provider's incident
#: is over, and who fails a minute after it is blocked.
_STORY_END = SCENES_END + timedelta(seconds=115)


def demo(
    seconds: Annotated[
        float | None, typer.Option(help="End after so many seconds of the story instead of at Ctrl-C.", min=0)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the console; 8080, or a free one where that is taken.", min=1, max=65535)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps what it writes.", metavar="DIR")] = FOLDER,
    seed: Annotated[int, typer.Option(help="Another everyday traffic around the same scenes.")] = 1,
) -> None:
    """Show Breakwater at work: six customers, real servers, all on this machine. Ctrl-C ends it."""
    ending = Ending()
    screen = Screen()
    try:
        with ExitStack() as stack:
            mails: SimpleQueue[ReceivedMail] = SimpleQueue()
            system = stack.enter_context(running(folder, port, mails.put, screen.say, ending.check))
            _play(screen, system, mails, ending, seed, None if seconds is None else timedelta(seconds=seconds))
    except StopAskedError:
        pass
    except AlreadyRunningError:
        fail_usage(f"a demo is running in {folder} already")
    except ChildError as error:
        screen.say(f"breakwater: {error}")
        raise typer.Exit(1) from None
    screen.say("Ended; nothing is left running.")


def _play(
    screen: Screen,
    system: Stack,
    mails: SimpleQueue[ReceivedMail],
    ending: Ending,
    seed: int,
    length: timedelta | None,
) -> None:
    _introduce(screen, system)
    topics = Kafka()
    start = datetime.now(UTC)
    engine = sa.create_engine(system.database_url)
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.enter_context(screen.footer())
        dead_letters = stack.enter_context(DeadLetterReader(system.bootstrap_servers, topics.dead_letter_topic))
        watch = Watch(engine)
        api = stack.enter_context(ApiClient(system.public_url, system.development_key))
        people = stack.enter_context(People(api, watch, system.bootstrap_servers, topics))
        teller = stack.enter_context(StoryTeller(system.bootstrap_servers, topics.events_topic, story(start, seed)))
        news = News(
            narrator=Narrator(watch.system_names(), LifecycleOptions(public_url=system.public_url)),
            watch=watch,
            dead_letters=dead_letters,
            platform=system.platform,
            mails=mails,
        )
        scenes = list(SCENES)
        is_told = False
        while not ending.is_asked and (length is None or datetime.now(UTC) - start < length):
            since = datetime.now(UTC) - start
            for line in [*_scenes_due(scenes, since), *news.read(), *people.act(since)]:
                screen.show(line)
            screen.set_footer(_totals(watch.totals(), teller.sent))
            if not is_told and _is_over(watch, since):
                is_told = True
                screen.say(f"\nThat was the story: {_totals(watch.totals(), teller.sent)}.")
                screen.say(f"Everyday traffic goes on. Claim and complete the tasks at {system.console_url}\n")
            if (fallen := system.fallen()) is not None:
                # Raises, with the end of its log.
                fallen.wait_until(lambda: False)
            time.sleep(_LOOK_SECONDS)


def _introduce(screen: Screen, system: Stack) -> None:
    """Say where everything is, and how to ask oneself."""
    program = _from_here(system.command)
    blocked = f"{system.public_url}/v1/automation-versions?status=Blocked"
    screen.say(f"Console: {system.console_url}")
    screen.say(f"Metrics: {system.metrics_url} (the monitor's own: {system.monitor_metrics_url})")
    screen.say(f"Commands: {program} ledger verify (and any other of breakwater's)")
    screen.say(f'A token: TOKEN="$({program} token --staff --role admin)"')
    screen.say(f'The API: curl -H "Authorization: Bearer $TOKEN" "{blocked}"')
    screen.say("Ctrl-C ends the demo.\n")


def _from_here(path: Path) -> str:
    """A path as one types it."""
    path, here = path.absolute(), Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _scenes_due(scenes: list[Scene], since: timedelta) -> list[Line]:
    """Take what is due off the list."""
    due = []
    while scenes and scenes[0].after <= since:
        due.append(Line("·", scenes.pop(0).text, Tone.STORY))
    return due


def _is_over(watch: Watch, since: timedelta) -> bool:
    if since <= SCENES_END:
        return False
    return since > _STORY_END or watch.blocked_for(cast.TRULY_REVOKED.version_id) is not None


def _totals(totals: Totals, sent: int) -> str:
    return (
        f"{sent:,} events, {totals.decisions} decisions, {totals.tasks} tasks, "
        f"{totals.in_app} in-app notices, {totals.emails_delivered} emails delivered, "
        f"{totals.emails_taken_back} taken back"
    )
