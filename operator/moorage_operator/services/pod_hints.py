"""Hints that stand on pods: what they were understood as goes onto the pod."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable

import msgspec

from moorage_cluster.errors import ApiError
from moorage_cluster.events import Subject
from moorage_crds.names import HINT_ANNOTATION, HINT_INTENTS_ANNOTATION, PODS
from moorage_crds.objects import ObjectMeta, Wire
from moorage_operator.services.announcing import Tell
from moorage_operator.services.hint_reading import BY_HAND, HintReader, read_by_hand
from moorage_operator.services.writing import Requests
from moorage_policies.hints import read_written, text_digest
from moorage_policies.ports import Reporter

MAX_WAITING = 10_000
"""Pods that wait to be answered at most; one more is not answered, and counted."""
TOLD_KEPT = 4096
SHOWN_CHARS = 200


class PodSpec(Wire):
    """Who schedules a pod."""

    scheduler_name: str = "default-scheduler"


class PendingPod(Wire):
    """A pod that has not started, as far as hints go."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


class PodHints:
    """Answers hinted pods one by one; what it does not get to do delays nobody.

    Args:
        session: the session.
        tell: writes events.
        reader: reads hints.
        is_off: whether the cluster's policy switches hints off.
        leads: whether this process leads.
        schedulers: names of the schedulers that call our extender.
        count: told what became of each hinted pod.
        reporter: hears of refused writes.
    """

    def __init__(
        self,
        session: Requests,
        tell: Tell,
        reader: HintReader,
        *,
        is_off: Callable[[], bool],
        leads: Callable[[], bool],
        schedulers: Collection[str],
        count: Callable[[str], None],
        reporter: Reporter,
    ) -> None:
        self._session = session
        self._tell = tell
        self._reader = reader
        self._is_off = is_off
        self._leads = leads
        self._schedulers = schedulers
        self._count = count
        self._reporter = reporter
        self._waiting: OrderedDict[str, PendingPod] = OrderedDict()
        self._told: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._came = asyncio.Event()

    def take_list(self, pods: Iterable[PendingPod]) -> None:
        """Take note of all pods that wait."""
        for pod in pods:
            self.notice(pod)

    def notice(self, pod: PendingPod) -> None:
        """Take note of a pod that is new or changed."""
        annotations = pod.metadata.annotations
        if HINT_ANNOTATION not in annotations and HINT_INTENTS_ANNOTATION not in annotations:
            return
        if len(self._waiting) >= MAX_WAITING and pod.metadata.uid not in self._waiting:
            self._count("overflow")
            return
        self._waiting[pod.metadata.uid] = pod
        self._came.set()

    def drop(self, pod: PendingPod) -> None:
        """Forget a pod that started or is gone."""
        self._waiting.pop(pod.metadata.uid, None)

    async def run(self) -> None:
        """Answer pods until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                _, pod = self._waiting.popitem(last=False)
                if self._leads():
                    await self._try(pod)

    async def _try(self, pod: PendingPod) -> None:
        try:
            await self._answer(pod)
        except ApiError as error:
            self._reporter.report("pod-hint.unwritten", pod=pod.metadata.name, error=str(error))

    async def _answer(self, pod: PendingPod) -> None:
        meta = pod.metadata
        text = meta.annotations.get(HINT_ANNOTATION, "")
        written = meta.annotations.get(HINT_INTENTS_ANNOTATION, "")
        if pod.spec.scheduler_name not in self._schedulers:
            ours = " or ".join(sorted(self._schedulers))
            await self._warn(
                pod,
                "OtherScheduler",
                f"hints count on pods of {ours} alone, and this pod's schedulerName is "
                f"{pod.spec.scheduler_name}; set schedulerName, or remove the annotation",
            )
        elif self._is_off():
            await self._warn(pod, "SwitchedOff", "the cluster's PlacementPolicy switches hints off")
        else:
            await self._answer_ours(pod, text, written)

    async def _answer_ours(self, pod: PendingPod, text: str, written: str) -> None:
        by_hand = read_by_hand(text, written)
        if by_hand is not None and by_hand.problem:
            await self._warn(pod, by_hand.outcome, by_hand.describe())
            return
        if not text:
            self._count(BY_HAND)
            return
        read = self._reader.read(pod.metadata.namespace, text, lambda: self.notice(pod))
        ours = read.to_annotation()
        if written == ours:
            return
        if written and self._is_by_hand(text, written):
            self._count(BY_HAND)
            return
        if read.hint.intents:
            self._count(read.outcome)
        else:
            shown = text[:SHOWN_CHARS].encode(errors="replace").decode()
            await self._warn(pod, read.outcome, f"{read.describe()}: {shown!r}")
        await self._annotate(pod, ours)

    def _is_by_hand(self, text: str, written: str) -> bool:
        """Return whether a person wrote or corrected intents that hold for this text."""
        is_stale = read_written(text, written) is None
        return not is_stale and written != self._reader.read_locally(text).to_annotation()

    async def _annotate(self, pod: PendingPod, written: str) -> None:
        meta = pod.metadata
        # the UID is a precondition: another pod of this name is not meant
        body = {"metadata": {"uid": meta.uid, "annotations": {HINT_INTENTS_ANNOTATION: written}}}
        await self._session.request(
            "PATCH",
            PODS.path(meta.namespace, meta.name),
            body=body,
            content_type="application/merge-patch+json",
        )

    async def _warn(self, pod: PendingPod, outcome: str, message: str) -> None:
        """Write an event, one for all pods of the same owner that say the same."""
        self._count(outcome)
        meta = pod.metadata
        owner = next((o.uid for o in meta.owner_references if o.controller), meta.uid)
        key = (owner, outcome, text_digest(message))
        if key in self._told:
            return
        self._told[key] = None
        if len(self._told) > TOLD_KEPT:
            self._told.popitem(last=False)
        subject = Subject(meta.namespace, meta.name, meta.uid)
        await self._tell(subject, f"Hint{outcome}", message)
