"""Asks a search in a process of its own, so that the operator's loop never waits for it."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from moorage_crds.snapshot_file import PlannerSnapshot, encode
from moorage_operator.defragmentation.facts import Question
from moorage_policies.errors import UnavailableError
from moorage_policies.rescheduling.proposals import DefragmentParams, Picture, Proposal

START_S = 180.0
"""What loading the solver and compiling may take on top, on a slow machine."""
LEAST_S = 0.5


class Task(msgspec.Struct):
    """The first line that the process reads; the snapshot follows."""

    params: DefragmentParams
    is_look: bool


class Outcome(msgspec.Struct):
    """What the process answers: a picture when asked to look, else a proposal, or why not."""

    picture: Picture | None = None
    proposal: Proposal | None = None
    failed: str = ""


async def ask(question: Question, *, is_look: bool) -> Outcome:
    """Return the answer of a process that ends with it.

    Raises:
        UnavailableError: it failed or did not end in time.
    """
    first = msgspec.json.encode(Task(question.params, is_look))
    snapshot = await asyncio.to_thread(encode, PlannerSnapshot(question.facts, question.planning))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "moorage_operator.defragmentation.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_S + 4 * max(LEAST_S, question.params.deadline_s)):
            answer, _ = await process.communicate(first + b"\n" + snapshot)
        outcome = msgspec.json.decode(answer, type=Outcome)
    except (TimeoutError, msgspec.MsgspecError, OSError) as error:
        raise UnavailableError(f"the search for moves gave no answer: {error!r}") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if outcome.failed:
        raise UnavailableError(f"the search for moves failed: {outcome.failed}")
    return outcome
