"""bind: count the pod on the node, tell the API server, take it back if that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from moorage_cluster.bind import Binding, BindRefused, Bound, BoundElsewhere, PodGone
from moorage_cluster.errors import ClusterUnavailableError, TooManyRequestsError
from moorage_extender import wire
from moorage_extender.context import Context
from moorage_extender.decisions import Record
from moorage_extender.verbs.calls import Reply
from moorage_policies.errors import BadInputError, MoorageError
from moorage_policies.state import Snapshot


@dataclass(frozen=True, slots=True)
class PodToNode:
    """Which pod goes where."""

    namespace: str
    name: str
    uid: str
    node: str

    @property
    def key(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


Binder = Callable[[PodToNode], Awaitable[Binding]]


@dataclass(frozen=True, slots=True)
class BindResult:
    """How a binding ended; ``error`` is empty when the pod sits on the node."""

    outcome: str
    error: str = ""


class Bind:
    """Binds pods, several at once; asking again for the same pod and node is harmless.

    Args:
        ctx: the extender's context.
        binder: tells the API server.
    """

    name = "bind"

    def __init__(self, ctx: Context, binder: Binder) -> None:
        self._ctx = ctx
        self._binder = binder
        self._under_way: dict[PodToNode, asyncio.Task[BindResult]] = {}

    def decode(self, body: bytes) -> PodToNode:
        """Return the request."""
        args = wire.decode_request(body, wire.ExtenderBindingArgs)
        values = {
            "PodNamespace": args.pod_namespace,
            "PodName": args.pod_name,
            "PodUID": args.pod_uid,
            "Node": args.node,
        }
        for field, value in values.items():
            if not value:
                raise BadInputError("is empty", field=field)
        return PodToNode(*map(str, values.values()))

    def neutral(self, args: PodToNode) -> bytes:
        """Say that the pod was not bound."""
        return wire.encode_error(f"{args.key} was not bound: internal error of the extender")

    async def decide(self, args: PodToNode, deadline_s: float) -> Reply:  # noqa: ARG002
        """Bind, or join the same binding that is under way."""
        task = self._under_way.get(args)
        if task is None:
            task = self._under_way[args] = asyncio.create_task(self._bind(args))
            task.add_done_callback(lambda _: self._under_way.pop(args, None))
        # shielded: a caller that goes away must not stop what others wait for, or half do it
        result = await asyncio.shield(task)
        body = wire.encode_error(result.error)
        return Reply(body, result.outcome, lambda: self._record(args, result))

    async def _bind(self, args: PodToNode) -> BindResult:
        ctx = self._ctx
        snapshot = ctx.state.snapshot()
        if _sits_on(args, snapshot):
            return self._count(BindResult("already"))
        pod = ctx.pods_seen.find(args.uid, snapshot)
        if pod is None:
            ctx.degraded(
                self.name, "unknown-pod"
            )  # bound all the same, only not counted until seen
        else:
            ctx.state.assume(pod, args.node, ctx.clock())
        try:
            async with asyncio.timeout(ctx.settings.bind_timeout_s):
                binding = await self._binder(args)
        except (ClusterUnavailableError, TimeoutError) as error:
            # nobody knows whether it happened: the room stays counted until the watch or time tells
            return self._count(BindResult("unknown", f"no answer from the API server: {error}"))
        except TooManyRequestsError as error:
            ctx.state.forget(args.uid)
            return self._count(BindResult("throttled", str(error)))
        except MoorageError as error:
            ctx.state.forget(args.uid)
            ctx.failed_binds.note(args.uid, args.node)
            return self._count(BindResult("failed", str(error)))
        return self._count(self._settle(args, binding))

    def _settle(self, args: PodToNode, binding: Binding) -> BindResult:
        match binding:
            case Bound(earlier):
                return BindResult("already" if earlier else "bound")
            case BoundElsewhere(node):
                result = BindResult("elsewhere", f"{args.key} already sits on {node}")
            case BindRefused(message):
                self._ctx.failed_binds.note(args.uid, args.node)
                result = BindResult("refused", message)
            case PodGone():
                result = BindResult("gone", f"{args.key} with UID {args.uid} is gone")
        self._ctx.state.forget(args.uid)
        return result

    def _count(self, result: BindResult) -> BindResult:
        self._ctx.metrics.binds.labels(result.outcome).inc()
        return result

    def _record(self, args: PodToNode, result: BindResult) -> Record:
        return Record(
            pod=args.key,
            uid=args.uid,
            reason=result.error or f"bound to {args.node}",
            node=args.node,
            generation=self._ctx.state.snapshot().generation,
            candidates=1,
        )


def _sits_on(args: PodToNode, snapshot: Snapshot) -> bool:
    """Return whether the watch has shown the pod on the node; an assumption is no proof."""
    row = snapshot.node_index.get(args.node)
    if row is None or args.uid in snapshot.assumed:
        return False
    return any(pod.uid == args.uid for pod in snapshot.pods_on(row))
