"""filter: every node that kube-scheduler offers, but those that we know to be taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_extender import wire
from moorage_extender.context import Context
from moorage_extender.decisions import Record, note_ranking
from moorage_extender.hint_records import note_hint
from moorage_extender.node_lists import NodeList, decode_whole_nodes
from moorage_extender.quarantine import quarantined_nodes
from moorage_extender.reservations import nodes_being_filled
from moorage_extender.verbs.calls import Reply
from moorage_policies.errors import BadInputError
from moorage_policies.planning.gangs import gang_of
from moorage_policies.plans.slots import Slot, barred_nodes
from moorage_policies.scoring import Ranking
from moorage_policies.state import Snapshot
from moorage_policies.types import Decision, Pod

TOGETHER = "the pods of a gang get their places together, by a plan"
FAILED_BIND = "binding the pod to this node failed a moment ago"


@dataclass(frozen=True, slots=True)
class PodAndNodes:
    """A pod and the nodes that are in question for it."""

    pod: Pod
    nodes: NodeList


def decode_pod_and_nodes(body: bytes, ctx: Context) -> PodAndNodes:
    """Return the request of filter or prioritize."""
    args = wire.decode_request(body, wire.ExtenderArgs)
    pod = ctx.pods_decoded.decode(wire.present(args.pod, "Pod"))
    if not wire.is_null(args.node_names):
        return PodAndNodes(
            pod, ctx.names_decoded.decode(wire.present(args.node_names, "NodeNames"))
        )
    if wire.is_null(args.nodes):
        raise BadInputError("is null, as is Nodes; send one of them", field="NodeNames")
    return PodAndNodes(pod, decode_whole_nodes(wire.present(args.nodes, "Nodes")))


class Filter:
    """Takes out nodes, never adds one."""

    name = "filter"

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def decode(self, body: bytes) -> PodAndNodes:
        """Return the request."""
        return decode_pod_and_nodes(body, self._ctx)

    def neutral(self, args: PodAndNodes) -> bytes:
        """Let every node pass."""
        return args.nodes.encode_kept({})

    async def decide(self, args: PodAndNodes, deadline_s: float) -> Reply:
        """Return the nodes that are left."""
        ctx, pod, nodes = self._ctx, args.pod, args.nodes
        ctx.pods_seen.note(pod)
        ctx.hints.notice(pod)  # read after this answer, before prioritize, if the watch is behind
        ctx.network.notice(pod, ctx.state.snapshot())
        if not ctx.listed():
            ctx.degraded(self.name, "not-listed")
            return Reply(self.neutral(args), "neutral")
        snapshot = ctx.state.snapshot()
        refused = self._refuse(pod, nodes, snapshot)
        if self._decides(pod, snapshot):
            decision = self._decide_on_one(args, refused, snapshot, deadline_s)
            if decision is not None:
                return self._reply_one(args, refused, snapshot, decision)
        # prioritize comes next: find the rows while the scheduler reads this answer
        asyncio.get_running_loop().call_soon(nodes.rows_in, snapshot)
        if not refused:
            return Reply(self.neutral(args))
        outcome = "refused" if len(refused) == len(nodes.names) else "ok"
        record = self._start_record(args, refused, snapshot)
        return Reply(nodes.encode_kept(refused), outcome, lambda: record)

    def _decides(self, pod: Pod, snapshot: Snapshot) -> bool:
        """Return whether this answer is to be the node itself.

        A hint or network scores that are read while the scheduler turns to prioritize still count
        there, so the choice is left to it.
        """
        ctx = self._ctx
        if ctx.settings.ranking_form != "deciding-filter":
            return False
        return not ctx.hints.is_unread(pod) and not ctx.network.is_unscored(pod, snapshot)

    def _refuse(self, pod: Pod, nodes: NodeList, snapshot: Snapshot) -> dict[str, str]:
        """Return the nodes that are out, and why."""
        slots = self._ctx.kept_room.slots(snapshot)
        if self._waits_for_gang(pod, slots):
            return dict.fromkeys(nodes.names, TOGETHER)
        kept = barred_nodes(pod, slots, snapshot) if slots else {}
        taken = nodes_being_filled(pod, snapshot) | kept
        taken |= quarantined_nodes(pod, snapshot, self._ctx.settings.accelerators)
        failed = self._ctx.failed_binds.nodes_of(pod.uid)
        if not taken and not failed:
            return {}
        refused = {name: taken[name] for name in nodes.names if name in taken}
        # a failed node is the last resort: refused as the only one, the pod might wait for minutes
        if any(name not in failed and name not in taken for name in nodes.names):
            refused.update({n: FAILED_BIND for n in nodes.names if n in failed and n not in taken})
        return refused

    def _waits_for_gang(self, pod: Pod, slots: Sequence[Slot]) -> bool:
        """Return whether the pod has to wait until a plan keeps a place for each of its gang."""
        if self._ctx.settings.planner == "Off" or gang_of(pod) is None:
            return False
        return not any(slot.is_offered and slot.takes(pod) for slot in slots)

    def _decide_on_one(
        self, args: PodAndNodes, refused: Mapping[str, str], snapshot: Snapshot, deadline_s: float
    ) -> Decision[Ranking] | None:
        """Return the ranking of the nodes left, ``None`` when there is no choice to make."""
        rows = args.nodes.rows_in(snapshot)
        is_open = rows >= 0
        if refused:
            is_open &= np.array([name not in refused for name in args.nodes.names])
        if np.count_nonzero(is_open) < 2:  # noqa: PLR2004 - one node is no choice
            return None
        decision = self._ctx.ranker.rank(args.pod, snapshot, rows[is_open], deadline_s=deadline_s)
        return decision if note_dropped(decision.value, self.name, self._ctx) else None

    def _reply_one(
        self,
        args: PodAndNodes,
        refused: Mapping[str, str],
        snapshot: Snapshot,
        decision: Decision[Ranking],
    ) -> Reply:
        ranking = decision.value
        assert ranking.chosen is not None
        node = snapshot.node_names[ranking.rows[ranking.chosen]]
        self._ctx.network.note(args.pod, ranking, snapshot)
        hint = note_hint(args.pod, ranking, self._ctx, snapshot)

        def record() -> Record:
            made = self._start_record(args, refused, snapshot)
            made.node, made.reason = node, decision.reason
            made.hint = None if hint is None else hint.to_record(args.pod, ranking, snapshot)
            return note_ranking(made, ranking, snapshot)

        outcome = "partial" if ranking.dropped else "ok"
        return Reply(args.nodes.encode_kept(refused, [node]), outcome, record)

    def _start_record(
        self, args: PodAndNodes, refused: Mapping[str, str], snapshot: Snapshot
    ) -> Record:
        counts = Counter(refused.values())
        for reason, count in counts.items():
            self._ctx.metrics.refused_nodes.labels(reason).inc(count)
        named = len(args.nodes.names)
        return Record(
            pod=args.pod.key,
            uid=args.pod.uid,
            reason=f"{named - len(refused)} of {named} nodes pass",
            generation=snapshot.generation,
            candidates=named,
            refused=counts,
        )


def note_dropped(ranking: Ranking, verb: str, ctx: Context) -> bool:
    """Count scorers that the deadline dropped; return whether any scorer was heard."""
    if ranking.dropped:
        ctx.degraded(verb, "deadline")
    return bool(ranking.parts) or not ranking.dropped
