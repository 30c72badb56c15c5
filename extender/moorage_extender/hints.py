"""Hints on their way into the ranking: read off the verbs, only looked up inside them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec

from moorage_crds.names import HINT_ANNOTATION, HINT_INTENTS_ANNOTATION, POOL_LABEL
from moorage_crds.objects import ObjectMeta, Wire
from moorage_extender.metrics import Metrics
from moorage_policies.hints import (
    HintBook,
    HintMemory,
    HintSource,
    Intent,
    Reading,
    read_hint,
)
from moorage_policies.hints.lexicon import lexicon
from moorage_policies.types import Pod

PoolKey = tuple[str, str]
MAX_WAITING = 10_000
"""Hints that wait to be read at most; one more is read when a verb asks about it again."""
MODEL_PARSER = "LanguageModel"
LONG_TEXT_CHARS = 400
"""A longer text is read in a thread: verbs then wait for less than its reading takes."""


class TemplateMeta(Wire):
    """The metadata of a pod template."""

    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class Template(Wire):
    """A pod template of which only the annotations are read."""

    metadata: TemplateMeta = msgspec.field(default_factory=TemplateMeta)


class Migration(Wire):
    """How running replicas may be moved."""

    strategy: str = ""


class TemplateHolder(Wire):
    """A role, or one accelerator of it."""

    name: str = ""
    class_: str = msgspec.field(default="", name="class")
    nodes_per_replica: int = 1
    migration: Migration | None = None
    template: Template | None = None
    accelerators: tuple[TemplateHolder, ...] = ()


class PoolSpec(Wire):
    """The parts of a pool that can hold hints or say how replicas may be moved."""

    hints: str = ""
    actuation: str = "Auto"
    roles: tuple[TemplateHolder, ...] = ()


class PoolStatus(Wire):
    """What the operator wrote down about the pool's hint."""

    hint: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))


class WrittenHint(Wire):
    """Who read a pool's hint."""

    parser: str = ""


_decode_written = msgspec.json.Decoder(WrittenHint).decode


class PoolObject(Wire):
    """A GPUInferencePool as far as hints and moves go."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: PoolSpec = msgspec.field(default_factory=PoolSpec)
    status: PoolStatus = msgspec.field(default_factory=PoolStatus)


class Hints:
    """Knows what hints mean before their pods are ranked.

    Args:
        metrics: counts.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.book = HintBook()
        self.memory = HintMemory()
        self._metrics = metrics
        self._of_pools: dict[PoolKey, HintSource] = {}
        self._waiting: OrderedDict[HintSource, None] = OrderedDict()
        self._came = asyncio.Event()
        lexicon()  # built at the start, so that no verb waits for it

    def source_of(self, pod: Pod) -> HintSource | None:
        """Return where a pod's hint stands: on itself, else on its pool; ``None`` without one."""
        annotations = pod.annotations
        text = annotations.get(HINT_ANNOTATION, "")
        written = annotations.get(HINT_INTENTS_ANNOTATION, "")
        if text or written:
            return HintSource(text, written)
        pool = pod.labels.get(POOL_LABEL)
        return None if pool is None else self._of_pools.get((pod.namespace, pool))

    def reading_of(self, pod: Pod) -> Reading | None:
        """Return what a pod's hint means, ``None`` if it has none or nobody has read it yet."""
        source = self.source_of(pod)
        return None if source is None else self.book.find(source)

    def intents_of(self, pod: Pod) -> tuple[Intent, ...]:
        """Return the intents of a pod, as far as they are known by now."""
        reading = self.reading_of(pod)
        return () if reading is None else reading.hint.intents

    def is_unread(self, pod: Pod) -> bool:
        """Return whether a pod has a hint that nobody has read yet."""
        source = self.source_of(pod)
        return source is not None and self.book.find(source) is None

    def notice(self, pod: Pod) -> None:
        """Have a pod's hint read soon unless it is known."""
        source = self.source_of(pod)
        if source is not None:
            self._ask(source)

    def put_pool(self, pool: PoolObject) -> None:
        """Take note of a pool: its hints are read before its pods exist."""
        meta = pool.metadata
        written = meta.annotations.get(HINT_INTENTS_ANNOTATION, "") or _by_model(pool.status)
        source = HintSource(pool.spec.hints, written)
        if source.text or source.written:
            self._of_pools[meta.namespace, meta.name] = source
            self._ask(source)
        else:
            self._of_pools.pop((meta.namespace, meta.name), None)
        for text in filter(None, _template_hints(pool.spec.roles)):
            self._ask(HintSource(text))

    def list_pools(self, pools: Iterable[PoolObject]) -> None:
        """Take note of all pools there are."""
        self._of_pools.clear()
        for pool in pools:
            self.put_pool(pool)

    def drop_pool(self, pool: PoolObject) -> None:
        """Forget a pool that is gone."""
        self._of_pools.pop((pool.metadata.namespace, pool.metadata.name), None)

    async def run(self) -> None:
        """Read what waits, one hint at a time between which verbs are answered."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                source, _ = self._waiting.popitem(last=False)
                if len(source.text) > LONG_TEXT_CHARS:
                    reading = await asyncio.to_thread(read_hint, source)
                else:
                    reading = read_hint(source)
                self._learn(source, reading)
                await asyncio.sleep(0)

    def _ask(self, source: HintSource) -> None:
        if self.book.find(source) is not None or source in self._waiting:
            return
        if len(self._waiting) >= MAX_WAITING:
            return
        self._waiting[source] = None
        self._came.set()

    def _learn(self, source: HintSource, reading: Reading) -> None:
        self.book.put(source, reading)
        self._metrics.hints_read.labels(outcome_of(reading)).inc()


def _by_model(status: PoolStatus) -> str:
    """Return what a language model read; what our own parser read, we read as well."""
    try:
        hint = _decode_written(status.hint)
    except msgspec.DecodeError:
        return ""
    return bytes(status.hint).decode() if hint.parser == MODEL_PARSER else ""


def outcome_of(reading: Reading) -> str:
    """Return how well a hint was understood, as a metric's label."""
    hint = reading.hint
    if reading.problem:
        return "written-intents-unusable"
    if hint.refusal is not None:
        return _REFUSED[hint.refusal]
    if not hint.intents:
        return "nothing-understood"
    return "partly-understood" if hint.not_understood else "understood"


_REFUSED: Mapping[str, str] = {
    "TooLong": "too-long",
    "NotText": "not-text",
    "NotEnglish": "not-english",
}


def _template_hints(holders: Iterable[TemplateHolder]) -> Iterable[str]:
    for holder in holders:
        if holder.template is not None:
            yield holder.template.metadata.annotations.get(HINT_ANNOTATION, "")
        yield from _template_hints(holder.accelerators)
