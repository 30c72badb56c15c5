"""Asks a search in a process of its own, so that the operator's loop never waits for it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process

import msgspec

from moorage_crds.snapshot_file import PlannerSnapshot, encode
from moorage_operator.defragmentation.facts import Question
from moorage_policies.errors import UnavailableError
from moorage_policies.rescheduling.proposals import DefragmentParams, Picture, Proposal

START_S = 180.0
"""What loading the solver and compiling may take on top, on a slow machine."""
LEAST_S = 0.5
WARM_S = 300.0
"""A process that nobody asked for this long ends; the next question starts another."""
LONGEST_LINE = 64 * 1024 * 1024


class Task(msgspec.Struct):
    """The first line of a question; the snapshot follows in ``size`` bytes."""

    params: DefragmentParams
    is_look: bool
    size: int = 0


class Outcome(msgspec.Struct):
    """What the process answers: a picture when asked to look, else a proposal, or why not."""

    picture: Picture | None = None
    proposal: Proposal | None = None
    failed: str = ""


class Search:
    """One warm process that answers one question after the other.

    Args:
        warm_s: how long it is kept without a question.
    """

    def __init__(self, warm_s: float = WARM_S) -> None:
        self._warm_s = warm_s
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._end: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process that is warm, if any."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def ask(self, question: Question, *, is_look: bool) -> Outcome:
        """Return the answer.

        Raises:
            UnavailableError: the search failed or did not end in time.
        """
        snapshot = await asyncio.to_thread(
            encode, PlannerSnapshot(question.facts, question.planning)
        )
        first = msgspec.json.encode(Task(question.params, is_look, len(snapshot)))
        within_s = START_S + 4 * max(LEAST_S, question.params.deadline_s)
        async with self._turn:
            answer = await self._converse(first + b"\n" + snapshot, within_s)
        try:
            outcome = msgspec.json.decode(answer, type=Outcome)
        except msgspec.MsgspecError as error:
            raise UnavailableError(f"the search for moves gave no answer: {error!r}") from error
        if outcome.failed:
            raise UnavailableError(f"the search for moves failed: {outcome.failed}")
        return outcome

    async def close(self) -> None:
        """End the process."""
        if self._end is not None:
            self._end.cancel()
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        if self._ending is not None:
            await self._ending

    async def _converse(self, body: bytes, within_s: float) -> bytes:
        """Return one line for the question; a process that was cut off in it is not used again."""
        if self._end is not None:
            self._end.cancel()
        line = b""
        try:
            async with asyncio.timeout(within_s):
                process = await self._warm()
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(body)
                await process.stdin.drain()
                line = await process.stdout.readline()
        except (TimeoutError, ValueError, OSError) as error:
            raise UnavailableError(f"the search for moves gave no answer: {error!r}") from error
        finally:
            if not line.endswith(b"\n"):
                await self.close()
        self._end = asyncio.get_running_loop().call_later(self._warm_s, self._let_go)
        return line

    async def _warm(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "moorage_operator.defragmentation.worker",
                stdin=PIPE,
                stdout=PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=LONGEST_LINE,
            )
        return self._process

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._ending = asyncio.create_task(_finish(process))


async def _finish(process: Process) -> None:
    """Close the input: the process ends by itself."""
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
