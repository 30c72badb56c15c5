"""Solver and link: a real worker answers; one that is cut off loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage_crds.snapshot_file import PlannerSnapshot, decode, encode
from moorage_extender.solver.link import SolverLink
from moorage_extender.solver.protocol import HELLO, Message, encode_line
from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.planning.answer import Answer, Proof
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import Owner

OURS = "moorage-scheduler"
PODS = (
    make_pod("p", gpus=2, node="a", scheduler=OURS, ready=True, owner=Owner("R", "p", "p")),
    make_pod("q", gpus=2, node="b", scheduler=OURS, ready=True, owner=Owner("R", "q", "q")),
    make_pod("w", gpus=4, scheduler=OURS, unschedulable=True),
)
FACTS = Facts(
    1.0,
    7,
    (make_node("a", gpus=4), make_node("b", gpus=4)),
    PODS,
    migrations={"pod-default-p": "SurgeFirst", "pod-default-q": "SurgeFirst"},
)
SNAPSHOT = PlannerSnapshot(FACTS, PlanningParams(work_s=0.2))


@pytest.fixture(scope="module")
def solver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """Return the socket of a running solver, and its process id."""
    socket = tmp_path_factory.mktemp("solver") / "s"
    process = subprocess.Popen(
        [sys.executable, "-m", "moorage_extender.solver"],
        env={**os.environ, "MOORAGE_SOLVER_SOCKET": str(socket)},
        stderr=subprocess.DEVNULL,
    )
    yield socket, process.pid
    process.terminate()
    process.wait()


def child_of(parent: int) -> int:
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


async def wait_warm(link: SolverLink) -> None:
    async with asyncio.timeout(200):
        while not await link.is_warm():  # noqa: ASYNC110 - another process gets warm
            await asyncio.sleep(0.05)


async def ask(link: SolverLink, snapshot: PlannerSnapshot = SNAPSHOT, **fields: Any) -> Answer:
    async def ignore(_: Answer) -> None:
        """The final answer is enough."""

    return await link.ask([encode(snapshot)], deadline_s=10.0, on_answer=ignore, **fields)


async def test_a_worker_answers_and_its_successor_too(solver: tuple[Path, int]) -> None:
    socket, parent = solver
    link = SolverLink(socket)
    await wait_warm(link)
    first = await ask(link)
    assert first.words == {"pod-default-w": "Planned"}
    os.kill(child_of(parent), signal.SIGKILL)
    await wait_warm(link)
    assert await ask(link) == first  # the same facts, the same answer


async def test_nonsense_is_refused_and_the_worker_lives(solver: tuple[Path, int]) -> None:
    link = SolverLink(solver[0])
    await wait_warm(link)

    async def ignore(_: Answer) -> None:
        """Nothing comes."""

    with pytest.raises(UnavailableError, match="refused"):
        await link.ask([b'{"version": 99}'], deadline_s=5.0, on_answer=ignore)
    assert (await ask(link)).words == {"pod-default-w": "Planned"}


BETTER = {"pod-default-q": "a", "pod-default-w": "b"}
ANSWER = Answer((), Proof("Feasible"), {"pod-default-w": "Planned"}, {})


class Dying:
    """A solver that says some lines to each caller and hangs up."""

    def __init__(self, *scripts: list[Message]) -> None:
        self.scripts = list(scripts)
        self.announced: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        head = msgspec.json.decode(await reader.readline())
        await reader.readexactly(head["size"])
        self.announced.append(head)
        for message in self.scripts.pop(0):
            writer.write(encode_line(message))
        await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def dying(path: Path, solver: Dying) -> AsyncIterator[SolverLink]:
    async with await asyncio.start_unix_server(solver.serve, path):
        yield SolverLink(path)


async def test_the_last_better_placement_is_taken_up_by_the_successor(tmp_path: Path) -> None:
    better = Message("better", better=BETTER)
    solver = Dying([better], [Message("answer", answer=ANSWER, final=True)])
    async with dying(tmp_path / "s", solver) as link:
        assert await ask(link) == ANSWER
    assert [head.get("given") for head in solver.announced] == [None, BETTER]


async def test_an_answer_before_its_reasons_is_kept(tmp_path: Path) -> None:
    solver = Dying([Message("answer", answer=ANSWER)])
    async with dying(tmp_path / "s", solver) as link:
        assert await ask(link) == ANSWER


async def test_a_solver_that_found_nothing_is_unavailable(tmp_path: Path) -> None:
    async with dying(tmp_path / "s", Dying([])) as link:
        with pytest.raises(UnavailableError, match="no answer"):
            await ask(link)
    assert not await SolverLink(tmp_path / "nowhere").is_warm()


def test_a_snapshot_comes_back_as_it_went() -> None:
    assert decode(encode(SNAPSHOT)) == SNAPSHOT


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"version": 1, "nodes": 3}'])
def test_what_is_no_snapshot_is_refused(text: bytes) -> None:
    with pytest.raises(BadInputError, match=r"version|no planner snapshot"):
        decode(text)
