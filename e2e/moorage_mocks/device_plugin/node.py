"""The mock's own node: what it asks for, and the labels it gets."""

from __future__ import annotations

import asyncio

from msgspec import field

from moorage_cluster.errors import ApiError
from moorage_cluster.pace import Sleep
from moorage_cluster.reflector import Reflector
from moorage_cluster.session import ApiSession, Json
from moorage_crds.names import NODES
from moorage_crds.objects import ObjectMeta, Wire
from moorage_mocks.device_plugin.board import Board, read_board
from moorage_mocks.device_plugin.labels import changed_labels
from moorage_mocks.device_plugin.plugin import MockPlugin
from moorage_policies.errors import BadInputError
from moorage_policies.ports import Reporter

PROBLEM_ANNOTATION = "mock.moorage.dev/problem"
_RETRY_S = 2.0


class LabelledNode(Wire):
    """A node of which only labels and annotations count."""

    metadata: ObjectMeta = field(default_factory=ObjectMeta)


class NodeFollower:
    """Shows a plugin what its node asks for, and labels the node with what it shows.

    Labels or annotations that cannot be used leave the devices as they are; the annotation
    ``mock.moorage.dev/problem`` says why.
    """

    def __init__(
        self,
        session: ApiSession,
        name: str,
        plugin: MockPlugin,
        reporter: Reporter,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._session = session
        self._name = name
        self._plugin = plugin
        self._reporter = reporter
        self._sleep = sleep
        self._node = LabelledNode()
        self._changed = asyncio.Event()
        self.read = asyncio.Event()
        """Set once the node was seen."""

    async def run(self) -> None:
        """Follow the node until cancelled."""
        reflector = Reflector(
            self._session,
            NODES.path(),
            LabelledNode,
            on_list=self._take_all,
            on_change=self._take,
            on_delete=lambda _node: None,
            field_selector=f"metadata.name={self._name}",
            reporter=self._reporter,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reflector.run())
            tasks.create_task(self._keep_labelled())

    def _take_all(self, nodes: list[LabelledNode]) -> None:
        for node in nodes:
            self._take(node)

    def _take(self, node: LabelledNode) -> None:
        if node.metadata.name == self._name:
            self._node = node
            self._changed.set()

    async def _keep_labelled(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            metadata = self._node.metadata
            problem = self._show(metadata)
            self.read.set()
            change = _change(self._plugin.board, metadata, problem)
            if change:
                await self._write(change)

    def _show(self, metadata: ObjectMeta) -> str | None:
        """Return why the node's wish cannot be met, if it cannot."""
        try:
            board = read_board(self._name, metadata.labels, metadata.annotations)
        except BadInputError as error:
            self._reporter.report("node.unusable", node=self._name, error=str(error))
            return str(error)
        if board != self._plugin.board:
            self._reporter.report(
                "node.devices",
                node=self._name,
                devices=len(board.gpus),
                broken=[gpu.index for gpu in board.gpus if gpu.broken],
            )
        self._plugin.show(board)
        return None

    async def _write(self, change: Json) -> None:
        try:
            await self._session.patch(NODES.path(name=self._name), {"metadata": change})
        except ApiError as error:
            self._reporter.report("node.failed", node=self._name, error=str(error))
            await self._sleep(_RETRY_S)
            self._changed.set()


def _change(board: Board, metadata: ObjectMeta, problem: str | None) -> Json:
    """Return the merge patch of a node's metadata; empty when nothing is to be written."""
    change: Json = {}
    if labels := changed_labels(board, metadata.labels):
        change["labels"] = labels
    if metadata.annotations.get(PROBLEM_ANNOTATION) != problem:
        change["annotations"] = {PROBLEM_ANNOTATION: problem}
    return change
