"""Everything the extender counts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0,
)  # fmt: skip


class Metrics:
    """Counters of one extender, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "moorage_extender_request_seconds",
            "Time to answer a verb, reading the request included.",
            ("verb", "outcome"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.degraded = Counter(
            "moorage_extender_degraded",
            "Answers that are less than they should be; the scheduler does not notice them.",
            ("verb", "reason"),
            registry=self.registry,
        )
        self.rejected = Counter(
            "moorage_extender_rejected_requests",
            "Requests answered with a 4xx status.",
            ("verb", "status"),
            registry=self.registry,
        )
        self.refused_clients = Counter(
            "moorage_extender_refused_clients",
            "Connections of clients whose certificate has none of the names that may call.",
            registry=self.registry,
        )
        self.binds = Counter(
            "moorage_extender_binds",
            "Bindings by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self.refused_nodes = Counter(
            "moorage_extender_refused_nodes",
            "Nodes that filter took out, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.victims = Counter(
            "moorage_extender_victims",
            "Pods named as preemption victims.",
            registry=self.registry,
        )
        self.vetoes = Counter(
            "moorage_extender_preemption_vetoes",
            "Preemptions that were not allowed.",
            registry=self.registry,
        )
        self.assumed_expired = Counter(
            "moorage_extender_assumed_expired",
            "Bindings that the watch never confirmed.",
            registry=self.registry,
        )
        self.unreadable_objects = Counter(
            "moorage_extender_unreadable_objects",
            "Objects of the API server that could not be read and were left out.",
            ("kind",),
            registry=self.registry,
        )
        self.hints_read = Counter(
            "moorage_extender_hints_read",
            "Hints read, by how well they were understood.",
            ("result",),
            registry=self.registry,
        )
        self.hinted_rankings = Counter(
            "moorage_extender_hinted_rankings",
            "Rankings of pods with a hint, by what became of it.",
            ("outcome",),
            registry=self.registry,
        )
        self.network_rankings = Counter(
            "moorage_extender_network_rankings",
            "Rankings of pods that exchange data, by what the network said about them.",
            ("outcome",),
            registry=self.registry,
        )
        self.network_regret = Histogram(
            "moorage_extender_network_regret_ratio",
            "How much slower than on the best node the model expects the pod on the chosen one.",
            ("mode",),
            buckets=(0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0),
            registry=self.registry,
        )
        self.network_ignored = Counter(
            "moorage_extender_network_ignored",
            "Probes' reports and readings that were left out.",
            ("reason",),
            registry=self.registry,
        )
        self.planner_seconds = Histogram(
            "moorage_planner_solve_seconds",
            "Time from a snapshot to the solver's last word on it.",
            ("outcome",),
            buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
            registry=self.registry,
        )
        self.planner_plans = Counter(
            "moorage_planner_plans",
            "Plans written for pods that fit nowhere.",
            registry=self.registry,
        )
        self.planner_bells = Counter(
            "moorage_planner_bells",
            "Times that waiting pods were woken, since no event of their own would.",
            registry=self.registry,
        )
        self.planner_failures = Counter(
            "moorage_planner_failures",
            "Looks of the planner that failed.",
            registry=self.registry,
        )
        self._observers: dict[tuple[str, str], Histogram] = {}
        self._gauges: dict[str, Gauge] = {}

    def observe(self, verb: str, outcome: str, seconds: float) -> None:
        """Count one answer and the time it took."""
        key = (verb, outcome)
        if key not in self._observers:
            self._observers[key] = self.requests.labels(verb, outcome)
        self._observers[key].observe(seconds)

    def watch(self, name: str, what: str, read: Callable[[], float], **labels: str) -> None:
        """Export a number that is read whenever metrics are asked for."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, what, tuple(labels), registry=self.registry)
        (gauge.labels(**labels) if labels else gauge).set_function(read)

    def render(self) -> bytes:
        """Return the metrics in Prometheus's text form."""
        return generate_latest(self.registry)
