"""What one scaling tick over many pools costs the operator: CPU, memory, writes at rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
import psutil

from moorage_crds.names import FIELD_MANAGER, ROLES, role_object_name
from moorage_crds.objects import NodeObject, PodObject
from moorage_crds.policy import PolicySpec
from moorage_operator.children import ChildObject, to_child
from moorage_operator.defragmentation.facts import Question
from moorage_operator.defragmentation.searching import Outcome
from moorage_operator.manifests.names import POOL_REPLICAS_ANNOTATION, class_labels, role_labels
from moorage_operator.manifests.templates import Json
from moorage_operator.metrics import Metrics
from moorage_operator.services.records import read_pool_record
from moorage_operator.services.scaling import ScalingService, ScalingSettings
from moorage_operator.services.scaling_acts import ScalingActs
from moorage_operator.services.scaling_moves import MoveBook
from moorage_operator.services.view import ClusterView
from moorage_operator.services.writing import Writer
from moorage_operator.signals.profiles import MetricProfile
from moorage_operator.signals.scrape import Endpoint
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.rescheduling.proposals import DefragmentParams, Want
from moorage_policies.scaling.samples import PodSample

NAMESPACE = "bench"
TICK_S = 15.0
START_S = 1_700_000_000.0
TOKENS_PER_S = 60.0
TICKS = 8
COUNTS = {"prefill": 2, "decode": 3}
PRODUCT = "NVIDIA-H100-80GB-HBM3"


class _Engines:
    """Pods that all do the same, all the time."""

    advice = ""

    def __init__(self) -> None:
        self.now_s = START_S

    async def fetch(
        self, endpoints: Sequence[Endpoint], _profile: MetricProfile
    ) -> dict[str, PodSample]:
        """Return a sample of each."""
        tokens = (self.now_s - START_S) * TOKENS_PER_S
        values = {"running": 4.0, "waiting": 0.0, "generated_tokens": tokens}
        return {e.uid: PodSample(e.uid, self.now_s, values) for e in endpoints}

    async def close(self) -> None:
        """Do nothing."""


class _Nowhere:
    """A search that nobody needs: all replicas have their place."""

    async def policy(self) -> PolicySpec:
        """Return the built-in policy."""
        return PolicySpec()

    async def gather(
        self, policy: PolicySpec, now_s: float, wants: Sequence[Want] = ()
    ) -> Question:
        """Return nothing to look at."""
        del policy, wants
        return Question(Facts(now_s, 0, (), ()), PlanningParams(), DefragmentParams())

    async def ask(self, question: Question, *, is_look: bool) -> Outcome:
        """Return no moves."""
        del question, is_look
        return Outcome()


class _Session:
    """Counts what would be written."""

    def __init__(self) -> None:
        self.writes = 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Count, and answer with nothing."""
        del method, path, params, body, content_type
        self.writes += 1
        return b"{}"


class _Silent:
    def report(self, event: str, /, **facts: object) -> None:
        """Say nothing."""


def measure_ticks(pools: int) -> Iterator[tuple[str, float, str]]:
    """Yield CPU per tick, memory and writes at rest of this many pools of five replicas."""
    process = psutil.Process()
    before_mib = process.memory_info().rss / 2**20
    woken: list[object] = []
    view = ClusterView(lambda key, **_: woken.append(key), _Silent())
    _fill(view, pools)
    filled_mib = process.memory_info().rss / 2**20
    engines, session = _Engines(), _Session()
    service = _service(view, engines, session)
    spent: list[float] = []
    asyncio.run(_tick(service, engines, woken, spent))
    costs = [after - before for before, after in pairwise(spent)]
    rest = costs[2:]  # the first ones learn, and tell it
    yield "tick_cpu_s", sum(rest) / len(rest), "s"
    yield "tick_cpu_us_per_pool", 1e6 * sum(rest) / len(rest) / pools, "us"
    yield "view_mib", filled_mib - before_mib, "MiB"
    yield "scaling_mib", process.memory_info().rss / 2**20 - filled_mib, "MiB"
    yield "writes_at_rest", float(session.writes), "1"
    yield "pools_woken_at_rest", float(len(woken)), "1"


async def _tick(
    service: ScalingService, engines: _Engines, woken: list[object], spent: list[float]
) -> None:
    for number in range(TICKS):
        spent.append(time.process_time())
        await service.tick()
        engines.now_s += TICK_S
        if number == 2:
            woken.clear()
    spent.append(time.process_time())


def _service(view: ClusterView, engines: _Engines, session: _Session) -> ScalingService:
    async def tell(*_: object) -> None:
        return None

    writer = Writer(session, lambda: True, lambda _verb, _kind: None)
    acts = ScalingActs(view, writer, session, lambda: True, lambda _verb, _kind: None, tell)
    nowhere = _Nowhere()
    return ScalingService(
        view,
        engines,
        acts,
        MoveBook(nowhere, nowhere, nowhere.ask, lambda: engines.now_s, _Silent()),
        lambda: engines.now_s,
        ScalingSettings(TICK_S, 45.0, 0.0),
        patience_s=15.0,
        metrics=Metrics(),
        reporter=_Silent(),
    )


def _fill(view: ClusterView, pools: int) -> None:
    nodes = [_node(number) for number in range(pools * 5 // 8 + 1)]
    view.surroundings.list_nodes(msgspec.convert(nodes, list[NodeObject]))
    pods: list[Json] = []
    roles = []
    for number in range(pools):
        name = f"pool-{number:04d}"
        view.put_pool(read_pool_record(msgspec.json.encode(_pool(name))))
        for role, count in COUNTS.items():
            body = msgspec.json.encode(_role(name, role, count))
            roles.append(to_child(ROLES, msgspec.json.decode(body, type=ChildObject), body))
            pods += [_pod(name, role, place, len(pods) + place) for place in range(count)]
    view.list_children(ROLES.kind, roles)
    view.pods.take_list(msgspec.convert(pods, list[PodObject]))


def _pool(name: str) -> Json:
    limits = {"nvidia.com/gpu": "1"}
    container = {"name": "engine", "image": "e", "resources": {"limits": limits}}
    roles = [
        {
            "name": role,
            "replicas": count,
            "accelerators": [{"class": "H100-80GB", "count": 1}],
            "template": {"spec": {"containers": [container]}},
        }
        for role, count in COUNTS.items()
    ]
    bounds = [{"role": r, "minReplicas": n, "maxReplicas": 8} for r, n in COUNTS.items()]
    ratio = {"numerator": "prefill", "denominator": "decode", "min": "0.25", "max": "1"}
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
        },
        "spec": {
            "model": {"name": "m"},
            "roles": roles,
            "scaling": {"target": "100", "bounds": bounds, "ratio": ratio},
        },
    }


def _role(pool: str, role: str, count: int) -> Json:
    owner = {
        "apiVersion": "moorage.dev/v1alpha1",
        "kind": "GPUInferencePool",
        "name": pool,
        "uid": f"uid-{pool}",
        "controller": True,
    }
    ours = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {}}}
    return {
        "metadata": {
            "name": role_object_name(pool, role),
            "namespace": NAMESPACE,
            "uid": f"uid-{pool}-{role}",
            "resourceVersion": "1",
            "labels": role_labels(pool, role),
            "annotations": {POOL_REPLICAS_ANNOTATION: str(count)},
            "ownerReferences": [owner],
            "managedFields": [ours],
        },
        "spec": {"poolName": pool, "roleName": role, "replicas": count},
    }


def _pod(pool: str, role: str, place: int, number: int) -> Json:
    name = f"{pool}-{role}-{place}"
    since = "2023-11-14T22:00:00Z"
    resources = {"requests": {"nvidia.com/gpu": "1"}}
    port = {"containerPort": 8000}
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "labels": class_labels(pool, role, "H100-80GB"),
            "creationTimestamp": since,
        },
        "spec": {
            "nodeName": f"node-{number // 8:05d}",
            "containers": [{"name": "engine", "resources": resources, "ports": [port]}],
        },
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}],
        },
    }


def _node(number: int) -> Json:
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8"}
    labels = {"nvidia.com/gpu.product": PRODUCT}
    return {
        "metadata": {"name": f"node-{number:05d}", "labels": labels},
        "status": {"allocatable": amounts},
    }
