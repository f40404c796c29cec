"""Tells many listeners what happens to runs, at the price of one small query per interval and process.

A listener holds neither a thread nor a connection while nothing happens. The one look asks for the newest event number of every
run that somebody listens to; only listeners of runs where something has happened read their events, two at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from kit.db import Database
from kit.errors import Unavailable
from workers import queue
from workers.queue import Head, RunEvent

MAX_LISTENERS = 1000

_AT_ONCE = 500
_log = logging.getLogger(__name__)


class TooManyListeners(Unavailable):
    """This process tells as many listeners as it may."""

    code = "run.too_many_listeners"


@dataclass(eq=False, slots=True)
class _Listener:
    run_id: str
    position: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class RunFeed:
    """Listeners of one process. ``interval``: seconds between two looks; ``still_here``: after which a silent listener is told so."""

    def __init__(self, database: Database, *, interval: float = 0.5, still_here: float = 15.0) -> None:
        self._database = database
        self._interval = interval
        self._still_here = still_here
        self._listeners: set[_Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self._stopped = False
        self._readers, self._looker = CapacityLimiter(2), CapacityLimiter(1)

    def check_room(self) -> None:
        """Raises TooManyListeners."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise TooManyListeners(
                "too many are listening to runs already; ask for the run's state now and then instead"
            )

    def stop(self) -> None:
        """End every stream soon, and those that come: the server is going. A listener comes back with where it was."""
        self._stopped = True
        for listener in self._listeners:
            listener.woken.set()

    async def stopped(self) -> None:
        """Return when nobody looks any more: soon after the last listener has left."""
        if self._looking is not None:
            await self._looking

    async def follow(self, run_id: str, after: int) -> AsyncGenerator[Sequence[RunEvent], None]:
        """Events of a run after that number, as they happen; an empty list where nothing has happened for a while. Ends after the
        last event of a run that has ended, or is there no more."""
        listener = _Listener(run_id, after)
        self._listeners.add(listener)
        try:
            while not self._stopped:
                listener.woken.clear()
                events, is_over = await to_thread.run_sync(self._read, listener, limiter=self._readers)
                if events:
                    listener.position = events[-1].seq
                    yield events
                elif is_over:
                    return
                else:
                    self._look()
                    if not await _happens(listener.woken, within=self._still_here):
                        yield ()
        finally:
            self._listeners.discard(listener)

    def _read(self, listener: _Listener) -> tuple[Sequence[RunEvent], bool]:
        """In a thread. The state is read before the events: when it is final, the events are all there are."""
        with self._database.reading() as session:
            head = queue.heads(session, [listener.run_id]).get(listener.run_id)
            if head is None or head.last_event <= listener.position:
                return (), head is None or head.has_ended
            return queue.events(session, listener.run_id, listener.position, limit=_AT_ONCE), False

    def _look(self) -> None:
        """See to it that somebody looks."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._keep_looking(), name="run-feed")

    async def _keep_looking(self) -> None:
        """Wake listeners of runs where something has happened, as long as there are any."""
        while not self._stopped:
            await asyncio.sleep(self._interval)
            if not (run_ids := {listener.run_id for listener in self._listeners}):
                return
            try:
                heads = await to_thread.run_sync(self._heads, run_ids, limiter=self._looker)
            except SQLAlchemyError as failure:
                _log.warning("runs cannot be looked at (%s); trying again", type(failure).__name__)
                continue
            for listener in self._listeners:
                head = heads.get(listener.run_id)
                if head is None or head.has_ended or head.last_event > listener.position:
                    listener.woken.set()

    def _heads(self, run_ids: Collection[str]) -> Mapping[str, Head]:
        with self._database.reading() as session:
            return queue.heads(session, run_ids)


async def _happens(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
