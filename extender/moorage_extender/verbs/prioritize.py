"""prioritize: the ranking of the nodes that passed, as scores from 0 to 10."""

from __future__ import annotations

import numpy as np

from moorage_extender.context import Context
from moorage_extender.decisions import Record, note_ranking
from moorage_extender.hint_records import HintUse, note_hint
from moorage_extender.verbs.calls import Reply
from moorage_extender.verbs.filter import PodAndNodes, decode_pod_and_nodes, note_dropped
from moorage_policies.scoring import Ranking
from moorage_policies.state import Snapshot
from moorage_policies.types import Decision, IntArray


class Prioritize:
    """Scores every node that was named, unknown ones with 0."""

    name = "prioritize"

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def decode(self, body: bytes) -> PodAndNodes:
        """Return the request."""
        return decode_pod_and_nodes(body, self._ctx)

    def neutral(self, args: PodAndNodes) -> bytes:
        """Score all nodes equally; the scheduler would ignore a failure without a word."""
        return args.nodes.encode_scores(np.zeros(len(args.nodes.names), dtype=np.int64))

    async def decide(self, args: PodAndNodes, deadline_s: float) -> Reply:
        """Return the scores."""
        ctx = self._ctx
        ctx.pods_seen.note(args.pod)
        if not ctx.listed():
            return self._reply_neutral(args, "not-listed", "the cluster is not listed yet")
        snapshot = ctx.state.snapshot()
        rows = args.nodes.rows_in(snapshot)
        known = rows >= 0
        decision = ctx.ranker.rank(args.pod, snapshot, rows[known], deadline_s=deadline_s)
        if not note_dropped(decision.value, self.name, ctx):
            return self._reply_neutral(args, "no-score", "the deadline left time for no scorer")
        scores: IntArray = np.zeros(len(rows), dtype=np.int64)
        scores[known] = decision.value.scores
        body = args.nodes.encode_scores(scores)
        outcome = "partial" if decision.value.dropped else "ok"
        ctx.network.note(args.pod, decision.value, snapshot)
        hint = note_hint(args.pod, decision.value, ctx, snapshot)
        return Reply(body, outcome, lambda: _record(args, decision, snapshot, hint))

    def _reply_neutral(self, args: PodAndNodes, cause: str, reason: str) -> Reply:
        self._ctx.degraded(self.name, cause)
        record = Record(pod=args.pod.key, uid=args.pod.uid, reason=reason)
        return Reply(self.neutral(args), "neutral", lambda: record)


def _record(
    args: PodAndNodes, decision: Decision[Ranking], snapshot: Snapshot, hint: HintUse | None
) -> Record:
    ranking = decision.value
    chosen = ranking.chosen
    record = Record(
        pod=args.pod.key,
        uid=args.pod.uid,
        reason=decision.reason,
        node="" if chosen is None else snapshot.node_names[ranking.rows[chosen]],
        generation=snapshot.generation,
        candidates=len(args.nodes.names),
        hint=None if hint is None else hint.to_record(args.pod, ranking, snapshot),
    )
    return note_ranking(record, ranking, snapshot)
