"""What the operator counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The operator's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reconciles = Counter(
            "moorage_operator_reconciles",
            "Reconciles of pools by result: done, refused (in the status), unavailable, failed.",
            ["result"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "moorage_operator_reconcile_seconds",
            "Time of one reconcile, its API calls included.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.writes = Counter(
            "moorage_operator_writes",
            "Writes to the API server by verb and kind, the Lease aside.",
            ["verb", "kind"],
            registry=self.registry,
        )
        self.refused_pods = Counter(
            "moorage_operator_refused_pods",
            "Pods of pools that their kubelet refused; they are removed.",
            registry=self.registry,
        )
        self.hints = Counter(
            "moorage_operator_hints",
            "Hints of pods and pools by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.hint_model_calls = Counter(
            "moorage_operator_hint_model_calls",
            "Questions to the language model by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.scaling_ticks = Counter(
            "moorage_operator_scaling_ticks",
            "Decisions about pools by verdict: hold, out, in, swap.",
            ["verdict"],
            registry=self.registry,
        )
        self.tick_seconds = Histogram(
            "moorage_operator_scaling_tick_seconds",
            "Time of one tick over all pools, reading and writing included.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.blind_pools = Gauge(
            "moorage_operator_scaling_blind_pools",
            "Pools of which a role cannot be read.",
            registry=self.registry,
        )
        self.fairness_ratio = Gauge(
            "moorage_operator_scaling_fairness_ratio",
            "Jain's index of granted over wanted accelerators, when they were last short.",
            registry=self.registry,
        )
        self.wanted = Gauge(
            "moorage_operator_wanted_replicas",
            "Replicas that a role should have.",
            ["namespace", "pool", "role"],
            registry=self.registry,
        )
        self.leading = Gauge(
            "moorage_operator_leading",
            "1 while this replica holds the Lease.",
            registry=self.registry,
        )

    def count_write(self, verb: str, kind: str) -> None:
        """Count one write."""
        self.writes.labels(verb, kind).inc()

    def count_hint(self, outcome: str) -> None:
        """Count what became of one hint."""
        self.hints.labels(outcome).inc()

    def count_model_call(self, outcome: str) -> None:
        """Count one question to the language model."""
        self.hint_model_calls.labels(outcome).inc()

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read whenever somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(read)
