"""The planner's side: asks a question and loses nothing when the solver is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moorage_extender.solver.protocol import (
    HELLO,
    MESSAGES,
    Announcement,
    Message,
    encode_line,
)
from moorage_policies.errors import UnavailableError
from moorage_policies.planning.answer import Answer

GREETING_S = 1.0
GRACE_S = 1.0
REPEAT_WITHIN_S = 30.0
LONGEST_LINE = 64 * 1024 * 1024


@dataclass(slots=True)
class _Heard:
    """What was heard so far."""

    better: Mapping[str, str | None] | None = None
    answer: Answer | None = None


class SolverLink:
    """Asks one solver.

    Args:
        socket: where it listens.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def ask(
        self,
        snapshot: Sequence[bytes],
        *,
        deadline_s: float,
        on_answer: Callable[[Answer], Awaitable[None]],
    ) -> Answer:
        """Return the final answer, or the last one that was heard before the solver was cut off.

        Args:
            snapshot: the encoded snapshot in pieces.
            deadline_s: seconds after which the solver ends itself.
            on_answer: is given the first answer, which has the plans, while reasons are looked for.

        Raises:
            UnavailableError: the solver is not there, or fell silent before it found anything.
        """
        heard = _Heard()
        try:
            return await self._converse(snapshot, deadline_s, heard, on_answer, None)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            if heard.answer is not None:
                return heard.answer
            if heard.better is None:
                raise UnavailableError(f"the solver gave no answer: {error!r}") from error
        return await self._take_up(snapshot, deadline_s, heard.better, on_answer)

    async def is_warm(self) -> bool:
        """Return whether a worker greets."""
        with suppress(OSError, TimeoutError, UnavailableError):
            _, writer = await self._connect(GREETING_S)
            writer.close()
            return True
        return False

    async def _take_up(
        self,
        snapshot: Sequence[bytes],
        deadline_s: float,
        better: Mapping[str, str | None],
        on_answer: Callable[[Answer], Awaitable[None]],
    ) -> Answer:
        """Have the last placement of a solver that was cut off checked by its successor."""
        try:
            async with asyncio.timeout(REPEAT_WITHIN_S):
                heard = _Heard()
                return await self._converse(snapshot, deadline_s, heard, on_answer, better)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            raise UnavailableError(f"the solver did not come back: {error!r}") from error

    async def _connect(self, within_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=LONGEST_LINE)
            try:
                greeting = await reader.readline()
            except BaseException:
                writer.close()
                raise
        if greeting != HELLO:
            writer.close()
            raise UnavailableError("what listens on the solver's socket is no solver")
        return reader, writer

    async def _converse(
        self,
        snapshot: Sequence[bytes],
        deadline_s: float,
        heard: _Heard,
        on_answer: Callable[[Answer], Awaitable[None]],
        given: Mapping[str, str | None] | None,
    ) -> Answer:
        reader, writer = await self._connect(GREETING_S if given is None else REPEAT_WITHIN_S)
        try:
            size = sum(map(len, snapshot))
            writer.write(encode_line(Announcement(size, deadline_s, given)))
            for piece in snapshot:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(deadline_s + GRACE_S):
                return await self._listen(reader, heard, on_answer)
        finally:
            writer.close()

    async def _listen(
        self,
        reader: asyncio.StreamReader,
        heard: _Heard,
        on_answer: Callable[[Answer], Awaitable[None]],
    ) -> Answer:
        while True:
            line = await reader.readline()
            if not line.endswith(b"\n"):
                raise asyncio.IncompleteReadError(line, None)
            message: Message = MESSAGES.decode(line)
            if message.kind == "better":
                heard.better = message.better
            elif message.answer is not None:
                if heard.answer is None:
                    heard.answer = message.answer
                    await on_answer(message.answer)
                heard.answer = message.answer
                if message.final:
                    return message.answer
            else:
                raise UnavailableError(f"the solver refused: {message.failed}")
