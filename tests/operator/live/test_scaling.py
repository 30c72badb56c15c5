"""Scaling on a real control plane: pods of simulated nodes whose metrics the test drives."""

from __future__ import annotations

import copy
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from moorage_cli.control_plane import ControlPlane, NodeSpec
from moorage_cli.control_plane.simulated_nodes import H100
from moorage_cli.installation import OPERATOR, Installation
from moorage_cli.testing import Film, is_ready, unfold
from moorage_crds.names import PODS
from moorage_policies.scaling.replay import Record, replay

pytestmark = pytest.mark.control_plane

Json = dict[str, Any]
Make = Callable[..., Json]
SETTINGS = {
    "MOORAGE_OPERATOR_PATIENCE_S": "2",
    "MOORAGE_OPERATOR_SPACING_MS": "100",
    "MOORAGE_OPERATOR_PODS_SETTLE_MS": "50",
    "MOORAGE_OPERATOR_SCALING_TICK_S": "1",
    "MOORAGE_OPERATOR_SCALING_IN_WINDOW_S": "4",
    "MOORAGE_OPERATOR_SCALING_IDLE_S": "4",
    "MOORAGE_OPERATOR_SCALING_OBSERVE_S": "2",
    "MOORAGE_OPERATOR_METRICS_WARM_UP_S": "0",
    "MOORAGE_OPERATOR_METRICS_STALE_S": "4",
    "MOORAGE_OPERATOR_METRICS_TIMEOUT_S": "1",
}
GPUS = 4
COUNT_EVERY_S = 0.5
SLOWEST_START_S = 60.0  # of a pod that starts within a second; 180 is assumed of unknown ones


class Engines:
    """The metrics of the pods of one role: an equal part of the load each.

    Simulated pods on the network of their node all have its address, so one listener answers for
    them; each is told the same.
    """

    def __init__(self) -> None:
        self.tokens_per_s = 0.0
        self.busy_replicas = 0.0
        self._busy_s = 0.0
        self.answers = True
        self.replicas: Callable[[], int] = lambda: 1
        self._count, self._counted_s = 1, 0.0
        self._tokens = 0.0
        self._seen_s = time.monotonic()
        self._turn = threading.Lock()
        engines = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = engines.text().encode() if engines.answers else b""
                self.send_response(200 if engines.answers else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def text(self) -> str:
        with self._turn:
            now_s = time.monotonic()
            if now_s - self._counted_s > COUNT_EVERY_S:  # each question takes the API server's time
                self._count, self._counted_s = max(1, self.replicas()), now_s
            self._tokens += (now_s - self._seen_s) * self.tokens_per_s / self._count
            self._busy_s += (now_s - self._seen_s) * self.busy_replicas / self._count
            self._seen_s = now_s
        running = 1 if self.tokens_per_s or self.busy_replicas else 0
        return (
            f"vllm:num_requests_running {running}\nvllm:num_requests_waiting 0\n"
            f"vllm:generation_tokens_total {self._tokens}\n"
            f"vllm:request_prefill_time_seconds_sum {self._busy_s}\n"
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """The most accelerators that pods held, and who was ever told that there is no room."""

    most_gpus: int
    refused: set[str]


def see(film: Film) -> Seen:
    """Return what was seen at any revision of the pods."""
    states = unfold(film.before, film.events())
    most = max(sum(map(_gpus, pods.values())) for pods in states)
    pods = [*film.before, *(pod for _, pod in film.events())]
    return Seen(most, {pod["metadata"]["name"] for pod in pods if _is_refused(pod)})


def _gpus(pod: Json) -> int:
    return int(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])


def _is_refused(pod: Json) -> bool:
    said = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return said.get("PodScheduled") == "False"


@pytest.fixture(scope="module")
def arena(kubernetes_minor: str) -> Iterator[tuple[ControlPlane, Installation]]:
    with ControlPlane(kubernetes_minor) as plane, Installation(plane) as installation:
        installation.install()
        plane.create_nodes([NodeSpec(f"h{n}", gpu=H100) for n in range(6)])
        for name, value in (("high", 1000), ("low", 10)):
            body = {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name},
                "value": value,
                "preemptionPolicy": "Never",
            }
            plane.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", body)
        plane.start_scheduler()
        installation.start_operator(**SETTINGS)
        yield plane, installation


class Site:
    def __init__(self, plane: ControlPlane, installation: Installation, namespace: str) -> None:
        self.plane, self.installation, self.namespace = plane, installation, namespace
        self.engines = {"prefill": Engines(), "decode": Engines()}
        for role, engines in self.engines.items():
            engines.replicas = lambda role=role: self.ready(role)  # type: ignore[misc]

    def apply(self, pool: Json) -> None:
        made = copy.deepcopy(pool)
        made["metadata"]["namespace"] = self.namespace
        for role in made["spec"]["roles"]:
            role["accelerators"] = [{"class": "H100-80GB", "count": GPUS}]
            template = role["template"]
            port = str(self.engines[role["name"]].port)
            template["metadata"] = {
                "annotations": {
                    "prometheus.io/port": port,
                    "moorage.dev/simulated-start": "1s",
                    "moorage.dev/simulated-stop": "2s",
                }
            }
            template["spec"]["hostNetwork"] = True
        self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(made))

    def get(self, kind: str, name: str) -> Json:
        text = self.plane.kubectl("get", kind, name, "-n", self.namespace, "-o", "json")
        found: Json = json.loads(text)
        return found

    def pods(self, pool: str = "llama") -> list[Json]:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        items: list[Json] = self.plane.api.get(path)["items"]
        return [p for p in items if p["metadata"]["labels"]["moorage.dev/pool"] == pool]

    def film(self) -> Film:
        return Film(self.plane.api, PODS.path(self.namespace))

    def ready(self, role: str, pool: str = "llama") -> int:
        return sum(
            pod["metadata"]["labels"]["moorage.dev/role"] == role and is_ready(pod)
            for pod in self.pods(pool)
        )

    def count(self, role: str, pool: str = "llama") -> int:
        return int(self.get("gir", f"{pool}-{role}")["spec"]["replicas"])

    def counts(self) -> tuple[int, int]:
        return self.count("prefill"), self.count("decode")

    def record(self) -> bytes:
        """Return the operator's record of its last decision about the pool."""
        door = self.installation.doors[OPERATOR]
        path = f"{door.health}/debug/scaling/{self.namespace}/llama"
        return bytes(self.installation.fetch(path))

    def condition(self, kind: str) -> Json:
        conditions = self.get("gip", "llama").get("status", {}).get("conditions", ())
        return next((c for c in conditions if c["type"] == kind), {})

    def eventually(self, holds: Callable[[], Any], why: str, deadline_s: float = 60.0) -> None:
        ends_s = time.monotonic() + deadline_s
        while not (said := holds()):
            if time.monotonic() > ends_s:
                log = self.installation.log_tail(OPERATOR)
                pytest.fail(f"not within {deadline_s} s: {why} (last: {said!r})\n{log}")
            time.sleep(0.2)

    def stays(self, holds: Callable[[], Any], why: str, for_s: float) -> None:
        ends_s = time.monotonic() + for_s
        while time.monotonic() < ends_s:
            assert holds(), why
            time.sleep(0.2)


@pytest.fixture
def site(
    arena: tuple[ControlPlane, Installation], request: pytest.FixtureRequest
) -> Iterator[Site]:
    plane, installation = arena
    name = f"s{abs(hash(request.node.nodeid)) % 10**8}"
    plane.kubectl("create", "namespace", name)
    site = Site(plane, installation, name)
    yield site
    plane.kubectl("delete", "gip", "--all", "-n", name)
    plane.kubectl("delete", "deploy", "--all", "-n", name)
    site.eventually(
        lambda: not plane.api.get(f"/api/v1/namespaces/{name}/pods")["items"], "pods are gone"
    )
    plane.kubectl("delete", "namespace", name, "--wait=false")
    for engines in site.engines.values():
        engines.server.shutdown()
        engines.server.server_close()


@pytest.fixture
def make(new_pool: Make, new_role: Make) -> Make:
    def build(name: str = "llama", decode: int = 2, **fields: Any) -> Json:
        bounds = [
            {"role": "prefill", "minReplicas": 1, "maxReplicas": 6},
            {"role": "decode", "minReplicas": 1, "maxReplicas": 12},
        ]
        ratio = {"numerator": "prefill", "denominator": "decode", "min": "0.25", "max": "1"}
        scaling = {"target": "100", "bounds": bounds, "ratio": ratio, **fields.pop("scaling", {})}
        roles = [new_role("prefill", replicas=1), new_role("decode", replicas=decode)]
        return new_pool(name, roles=roles, scaling=scaling, **fields)

    return build


def test_both_roles_follow_one_decision_and_the_budget_holds_at_every_revision(
    site: Site, make: Make
) -> None:
    site.apply(make(maxGpus=7 * GPUS))
    site.eventually(lambda: site.ready("decode") == 2, "the pool runs")
    film = site.film()
    site.engines["decode"].tokens_per_s = 450.0
    site.eventually(lambda: site.counts()[1] >= 5 and site.counts()[0] >= 2, "both roles grew")
    history = site.get("gip", "llama")["status"]["scalingHistory"]
    same = [entry["role"] for entry in history if entry["time"] == history[-1]["time"]]
    assert {"prefill", "decode"} <= {entry["role"] for entry in history}
    assert same
    site.eventually(lambda: site.condition("MetricsFresh").get("status") == "True", "can be read")
    written = site.record()
    assert msgspec.json.encode(replay(msgspec.json.decode(written, type=Record))) == written
    site.engines["decode"].tokens_per_s = 120.0
    site.eventually(lambda: site.counts()[1] <= 4, "decode shrank again", deadline_s=120.0)
    site.engines["decode"].tokens_per_s = 2000.0
    site.eventually(lambda: sum(site.counts()) == 7, "all of the budget is used")
    site.stays(lambda: sum(site.counts()) <= 7, "the budget holds", 3.0)
    seen = see(film)
    assert 0 < seen.most_gpus <= 7 * GPUS
    assert not seen.refused
    learnt = msgspec.json.decode(site.record(), type=Record).params.roles
    assert all(role.start_up_s < SLOWEST_START_S for role in learnt), "from pods, not assumed"


@pytest.mark.parametrize("tokens_per_s", [0.0, 350.0])
def test_no_replica_is_lost_when_the_metrics_stop(
    site: Site, make: Make, tokens_per_s: float
) -> None:
    site.apply(make(decode=3))
    site.engines["decode"].tokens_per_s = 350.0
    site.eventually(lambda: site.ready("decode") >= 4, "the load is carried")
    site.engines["decode"].tokens_per_s = tokens_per_s
    for engines in site.engines.values():
        engines.answers = False
    site.eventually(lambda: site.condition("MetricsFresh").get("reason") == "Blind", "it is told")
    before = site.counts()
    site.stays(
        lambda: all(a >= b for a, b in zip(site.counts(), before, strict=True)),
        "nothing is lost while nothing is seen",
        12.0,
    )


def _target(pod: Json) -> Json:
    meta = pod["metadata"]
    port = meta["annotations"]["prometheus.io/port"]
    labels = {"namespace": meta["namespace"], "pod": meta["name"]}
    return {"targets": [f"127.0.0.1:{port}"], "labels": labels}


@pytest.fixture
def prometheus(
    arena: tuple[ControlPlane, Installation],
    start_prometheus: Callable[[Json], Any],
    serve_text: Callable[..., Any],
) -> Iterator[Any]:
    """A real Prometheus that is told the pods of all namespaces, and an operator that reads it."""
    plane, installation = arena

    def targets() -> str:
        return json.dumps([_target(p) for p in plane.api.get("/api/v1/pods")["items"]])

    page = f"http://127.0.0.1:{serve_text(targets, 'application/json').port}"
    discovery = [{"url": page, "refresh_interval": "1s"}]
    pods = {"job_name": "pods", "http_sd_configs": discovery}
    running = start_prometheus({"global": {"scrape_interval": "1s"}, "scrape_configs": [pods]})
    installation.stop(OPERATOR, signal.SIGTERM)
    installation.start_operator(**SETTINGS, MOORAGE_OPERATOR_METRICS_URL=running.url)
    yield running
    installation.stop(OPERATOR, signal.SIGTERM)
    installation.start_operator(**SETTINGS)


def test_no_replica_is_lost_when_prometheus_stops_at_any_load(
    site: Site, make: Make, prometheus: Any
) -> None:
    site.apply(make())
    site.eventually(lambda: site.ready("decode") == 2, "the pool runs")
    for tokens_per_s, carried in ((0.0, 1), (150.0, 2), (550.0, 6)):
        site.engines["decode"].tokens_per_s = tokens_per_s
        site.eventually(lambda least=carried: site.ready("decode") >= least, "it is carried")
        site.eventually(lambda: site.condition("MetricsFresh").get("status") == "True", "seen")
        prometheus.kill()
        site.eventually(
            lambda: site.condition("MetricsFresh").get("reason") == "Blind", "it is told"
        )
        before = site.counts()
        site.stays(
            lambda least=before: all(a >= b for a, b in zip(site.counts(), least, strict=True)),
            "nothing is lost while nothing is seen",
            5.0,
        )
        prometheus.start()
    site.engines["decode"].tokens_per_s = 0.0
    site.eventually(lambda: site.counts()[1] < 6, "and it shrinks when it is seen again")


def test_no_traffic_falls_to_the_least(site: Site, make: Make) -> None:
    bounds = [{"role": r, "minReplicas": 0, "maxReplicas": 6} for r in ("prefill", "decode")]
    site.apply(make(scaling={"bounds": bounds}))
    site.engines["decode"].tokens_per_s = 250.0
    site.eventually(lambda: site.ready("decode") >= 3, "the load is carried")
    site.engines["decode"].tokens_per_s = 0.0
    site.eventually(lambda: site.counts() == (0, 0), "zero after the delay", deadline_s=30.0)
    site.plane.kubectl("scale", "gir/llama-decode", "--replicas=1", "-n", site.namespace)
    site.eventually(lambda: site.ready("decode") == 1, "a floor by hand wakes it")
    site.eventually(lambda: site.ready("prefill") == 1, "and the other role with it")


def test_only_what_fits_is_asked_for_and_no_pod_waits(site: Site, make: Make) -> None:
    site.apply(make())
    site.eventually(lambda: site.ready("decode") == 2, "the pool runs")
    film = site.film()
    site.engines["decode"].tokens_per_s = 5000.0
    site.eventually(lambda: sum(site.counts()) == 12, "the nodes are full")
    site.eventually(lambda: site.condition("ScalingLimited").get("reason") == "NoPlace", "told")
    site.stays(lambda: sum(site.counts()) == 12, "no more is asked for", 5.0)
    assert not see(film).refused, "no pod ever waits"


def test_the_critical_pool_gets_its_floor_from_the_lower_one_in_one_drain(
    site: Site, make: Make
) -> None:
    site.apply(make(priorityClassName="low"))
    site.engines["decode"].tokens_per_s = 5000.0
    site.eventually(lambda: sum(site.counts()) == 12, "the low pool takes all")
    bounds = [
        {"role": "prefill", "minReplicas": 1, "maxReplicas": 1},
        {"role": "decode", "minReplicas": 3, "maxReplicas": 3},
    ]
    critical = make("critical", decode=3, scaling={"bounds": bounds, "sla": {"itlMs": 50}})
    critical["spec"]["priorityClassName"] = "high"
    site.apply(critical)
    site.eventually(
        lambda: (site.ready("prefill", "critical"), site.ready("decode", "critical")) == (1, 3),
        "the floor is reached",
        deadline_s=90.0,
    )
    history = site.get("gip", "llama")["status"]["scalingHistory"]
    given = [e for e in history if "yields to" in e["reason"]]
    first = min(e["time"] for e in given)
    gone = sum(e["fromReplicas"] - e["toReplicas"] for e in given if e["time"] == first)
    assert gone == 4, "all that the floor lacks goes at once: it takes one drain"
    assert site.counts()[0] >= 1
    assert site.counts()[1] >= 1


def test_a_swap_outlives_its_operator_and_the_budget_holds_at_every_revision(
    site: Site, make: Make
) -> None:
    """A pool at its budget: prompts get long, so decode gives to prefill; killed at each write."""
    bounds = [
        {"role": "prefill", "minReplicas": 1, "maxReplicas": 5},
        {"role": "decode", "minReplicas": 1, "maxReplicas": 6},
    ]
    ratio = {"numerator": "prefill", "denominator": "decode", "min": "0.1", "max": "4"}
    site.apply(make(decode=6, maxGpus=7 * GPUS, scaling={"bounds": bounds, "ratio": ratio}))
    site.engines["decode"].tokens_per_s = 550.0
    site.eventually(lambda: (site.ready("prefill"), site.ready("decode")) == (1, 6), "it is full")
    film = site.film()
    site.engines["prefill"].busy_replicas = 3.6
    site.engines["decode"].tokens_per_s = 110.0
    for decode in (5, 3):
        site.eventually(lambda least=decode: site.counts()[1] <= least, "decode gives")
        site.installation.crash_and_restart(OPERATOR)
    site.eventually(lambda: site.ready("prefill") >= 4, "prefill has it", deadline_s=180.0)
    site.eventually(
        lambda: (site.ready("prefill"), site.ready("decode")) == site.counts(), "all of it runs"
    )
    assert sum(site.counts()) <= 7
    assert see(film).most_gpus <= 7 * GPUS


def test_an_operator_killed_in_the_middle_ends_at_the_same_counts(site: Site, make: Make) -> None:
    site.apply(make(decode=6, maxGpus=7 * GPUS))
    site.engines["decode"].tokens_per_s = 500.0
    site.eventually(lambda: site.ready("decode") >= 5, "the pool runs")
    film = site.film()
    site.engines["decode"].tokens_per_s = 110.0
    site.eventually(lambda: site.counts()[1] < 5, "it begins to shrink", deadline_s=120.0)
    site.installation.crash_and_restart(OPERATOR)
    site.engines["decode"].tokens_per_s = 500.0
    site.eventually(lambda: site.counts()[1] >= 5, "the next one goes on", deadline_s=90.0)
    site.eventually(lambda: site.ready("decode") == site.counts()[1], "and all of it runs")
    assert see(film).most_gpus <= 7 * GPUS
