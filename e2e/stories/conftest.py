"""What the stories share: a real cluster, the chart installed on it, polling, pools and pods.

The cluster is the one of ``E2E_KUBECONFIG``: `make e2e` brings one up with kind. On a cluster of
yours the mock accelerators are installed on every node without the control plane's taint.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage_cli.chart.helm import NAMESPACE, RELEASE, Helm
from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.control_plane.obtain import obtain_helm
from moorage_cli.testing import Eventually, Json, is_ready
from moorage_cli.testing import eventually as eventually_soon
from moorage_crds.names import DEPLOYMENTS, PODS, POOL_LABEL, POOLS, SCHEDULER_NAME
from moorage_policies.errors import BadInputError

ROOT = Path(__file__).parents[2]
CONTROL_PLANE_TAINT = "node-role.kubernetes.io/control-plane"
GPUS_PER_NODE = 8
ENGINE = "registry.moorage.dev/moorage/sample-engine:0.1.0"
PRIORITIES = {"story-high": 1000, "story-middle": 500, "story-low": 10}


eventually = partial(eventually_soon, every_s=0.2)
"""Asks a real cluster less often."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kind)


@pytest.fixture(scope="session", name="eventually")
def _eventually() -> Eventually:
    return eventually


@dataclass
class Cluster:
    """A real cluster and helm, as its admin has them."""

    kubeconfig: Path
    api: ApiClient
    helm_program: Helm
    settings: tuple[str, ...] = ()
    since: str = ""

    def helm(self, *arguments: str, namespace: str = NAMESPACE) -> str:
        return self.helm_program.run(
            [*arguments, "--namespace", namespace, "--kubeconfig", str(self.kubeconfig)]
        )

    def install(self, *arguments: str) -> None:
        """Install or upgrade the release and wait until every pod of it is ready."""
        chart = str(self.helm_program.chart)
        self.helm("upgrade", "--install", RELEASE, chart, *arguments)
        self.wait_rolled_out()

    def wait_rolled_out(
        self,
        names: Sequence[str] = ("moorage-scheduler", "moorage-operator"),
        within_s: float = 600.0,
    ) -> None:
        for name in names:
            path = DEPLOYMENTS.path(NAMESPACE, name)

            def is_rolled_out(path: str = path) -> bool:
                found = self.api.get(path)
                status, wish = found.get("status", {}), found["spec"]["replicas"]
                return (
                    status.get("observedGeneration") == found["metadata"]["generation"]
                    and status.get("replicas") == status.get("updatedReplicas") == wish
                    and status.get("availableReplicas") == wish
                )

            try:
                eventually(is_rolled_out, what=f"{name} is rolled out", within_s=within_s)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.what_is_wrong()}") from None

    def what_is_wrong(self) -> str:
        """Return what the release's containers that are not ready say of themselves."""
        statuses = [
            (pod["metadata"]["name"], status)
            for pod in self.api.get(PODS.path(NAMESPACE))["items"]
            for status in pod["status"].get("containerStatuses", ())
        ]
        told = [
            f"{name}/{status['name']}: {json.dumps([status['state'], status.get('lastState')])}"
            for name, status in statuses
            if not status["ready"]
        ]
        return "\n".join(told) or "every container is ready"

    def pods_of(self, component: str) -> list[Json]:
        """Return the release's pods of one component that nobody deletes."""
        label = f"app.kubernetes.io/component={component}"
        found = self.api.get(PODS.path(NAMESPACE), labelSelector=label)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def leader(self, lease: str) -> Json:
        """Return the pod that holds a Lease of ours."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{lease}"

        def look() -> Json | None:
            holder = self.api.get(path)["spec"].get("holderIdentity") or ""
            pods = self.api.get(PODS.path(NAMESPACE))["items"]
            return next((p for p in pods if holder.startswith(p["metadata"]["name"])), None)

        return dict(eventually(look, what=f"a living pod holds {lease}"))

    def proxied(self, pod: Json, port: int, path: str) -> str:
        """Return what a pod of ours answers, by way of the API server."""
        name = f"{pod['metadata']['name']}:{port}"
        return self.api.raw("GET", f"{PODS.path(NAMESPACE)}/{name}/proxy{path}").decode()

    def gpu_nodes(self) -> list[str]:
        nodes = self.api.get("/api/v1/nodes", labelSelector="nvidia.com/gpu.present=true")
        return sorted(node["metadata"]["name"] for node in nodes["items"])


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster under test, with mock accelerators on it."""
    named = os.environ.get("E2E_KUBECONFIG")
    if not named:
        raise BadInputError(
            "names no cluster: run `make e2e`, or set it to a kubeconfig", field="E2E_KUBECONFIG"
        )
    homes = tmp_path_factory.mktemp("helm")
    for kind in ("CACHE", "CONFIG", "DATA"):
        os.environ[f"HELM_{kind}_HOME"] = str(homes / kind.lower())
    helm = Helm(obtain_helm(lambda _step, _detail: None, None), ROOT / "charts/moorage")
    cluster = Cluster(Path(named), ApiClient.from_kubeconfig(Path(named)), helm)
    offer_gpus(cluster)
    return cluster


def offer_gpus(cluster: Cluster) -> None:
    """Install the mock device plugin and wait until the kubelets offer its devices."""
    text = (ROOT / "e2e/moorage_mocks/device_plugin/daemonset.yaml").read_text()
    for manifest in yaml.safe_load_all(text):
        cluster.api.apply(path_of(manifest), manifest, "stories")
    nodes = [
        node["metadata"]["name"]
        for node in cluster.api.get("/api/v1/nodes")["items"]
        if not any(t["key"] == CONTROL_PLANE_TAINT for t in node["spec"].get("taints", ()))
    ]
    for node in nodes:
        labels = {"mock.moorage.dev/gpus": str(GPUS_PER_NODE)}
        cluster.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}})

    def offered() -> bool:
        found = cluster.api.get("/api/v1/nodes", labelSelector="nvidia.com/gpu.present=true")
        gpus = [n["status"]["allocatable"].get("nvidia.com/gpu") for n in found["items"]]
        return gpus == [str(GPUS_PER_NODE)] * len(nodes)

    eventually(offered, what="every kubelet offers the mock's devices", within_s=120)


KINDS = {
    "Namespace": ("/api/v1/namespaces", False),
    "ServiceAccount": ("/api/v1/namespaces/{}/serviceaccounts", True),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1/clusterroles", False),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", False),
    "DaemonSet": ("/apis/apps/v1/namespaces/{}/daemonsets", True),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1/priorityclasses", False),
}


def path_of(manifest: Json) -> str:
    collection, _namespaced = KINDS[manifest["kind"]]
    metadata = manifest["metadata"]
    return f"{collection.format(metadata.get('namespace', ''))}/{metadata['name']}"


# Quick enough for tests; a user's plans wait longer.
SETTINGS = (
    "--set=operator.settings.planSettleMs=500,operator.settings.planPollMs=300",
    "--set=operator.settings.spacingMs=200,operator.settings.defragmentationIntervalS=5",
)


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Iterator[Cluster]:
    """The chart installed where the restricted Pod Security standard is enforced."""
    metadata = {
        "name": NAMESPACE,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.api.apply(path_of(namespace), namespace, "stories")
    for name, value in PRIORITIES.items():
        manifest = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
        }
        cluster.api.apply(path_of(manifest), manifest, "stories")
    cluster.settings = SETTINGS
    cluster.since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    cluster.install(*SETTINGS)
    yield cluster
    with suppress(BadInputError):
        cluster.helm("uninstall", RELEASE, "--ignore-not-found")


@dataclass
class Pools:
    """The pools and pods of one namespace, as a user works with them."""

    cluster: Cluster
    namespace: str
    engine: str = ENGINE
    ended: list[str] = field(default_factory=list)

    @property
    def api(self) -> ApiClient:
        return self.cluster.api

    def apply(
        self,
        name: str,
        roles: dict[str, tuple[int, int]],
        *,
        priority: str = "story-low",
        strategy: str = "SurgeFirst",
    ) -> None:
        """Apply a pool of sample engines, each role with (replicas, GPUs)."""
        container = {
            "name": "engine",
            "image": ENGINE,
            "args": ["--warm-up-s=1", "--drain-s=1"],
            "ports": [{"name": "http", "containerPort": 8000}],
            "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "48Mi"}},
        }
        manifest = {
            "apiVersion": POOLS.api_version,
            "kind": POOLS.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "model": {"name": "sample", "engine": "vllm"},
                "priorityClassName": priority,
                "roles": [
                    {
                        "name": role,
                        "replicas": replicas,
                        "accelerators": [{"class": "H100-80GB", "count": gpus}],
                        "migration": {"strategy": strategy},
                        "template": {
                            "spec": {
                                "containers": [container],
                                "terminationGracePeriodSeconds": 2,
                            }
                        },
                    }
                    for role, (replicas, gpus) in roles.items()
                ],
            },
        }
        self.api.apply(POOLS.path(self.namespace, name), manifest, "stories")

    def status(self, name: str) -> Json:
        return dict(self.api.get(POOLS.path(self.namespace, name)).get("status", {}))

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        """Return (status, reason, message) of one condition."""
        for condition in self.status(name).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def pods(self, pool: str) -> list[Json]:
        """Return the pool's pods that nobody deletes and that have not ended."""
        found = self.api.get(PODS.path(self.namespace), labelSelector=f"{POOL_LABEL}={pool}")
        return [
            pod
            for pod in found["items"]
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] != "Failed"
        ]

    def running(self, pool: str) -> list[Json]:
        return [pod for pod in self.pods(pool) if is_ready(pod)]

    def wait_running(self, pool: str, replicas: int, within_s: float = 120.0) -> list[Json]:
        def look() -> list[Json]:
            pods = self.running(pool)
            whole = len(pods) == replicas and self.condition(pool, "Ready")[0] == "True"
            return pods if whole else []

        try:
            return eventually(look, what=f"{replicas} of {pool} run", within_s=within_s)
        except AssertionError as error:
            status = json.dumps(self.status(pool), indent=1)
            raise AssertionError(f"{error}\n{status}") from None

    def log(self, pod: Json) -> str:
        path = PODS.path(self.namespace, pod["metadata"]["name"])
        return self.api.raw("GET", f"{path}/log").decode()

    def served(self, pod: Json, path: str) -> str:
        name = f"{pod['metadata']['name']}:8000"
        return self.api.raw("GET", f"{PODS.path(self.namespace)}/{name}/proxy{path}").decode()

    def bare_pod(self, name: str, gpus: int, **spec: Any) -> Json:
        """Create a pod that no pool owns."""
        resources = {"requests": {"cpu": "10m"}, "limits": {"nvidia.com/gpu": str(gpus)}}
        container = {
            "name": "c", "image": ENGINE, "args": ["--warm-up-s=0"], "resources": resources,
        }  # fmt: skip
        manifest = {
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "containers": [container],
                "schedulerName": SCHEDULER_NAME,
                "terminationGracePeriodSeconds": 1,
                **spec,
            },
        }
        return dict(self.api.create(PODS.path(self.namespace), manifest))

    def wait_pod(self, name: str, within_s: float = 60.0) -> Json:
        """Return a pod that no pool owns once it is ready."""

        def look() -> Json | None:
            pod = self.api.get(PODS.path(self.namespace, name))
            return pod if is_ready(pod) else None

        return dict(eventually(look, what=f"{name} runs", within_s=within_s))

    def events(self, reason: str) -> list[Json]:
        path = f"/api/v1/namespaces/{self.namespace}/events"
        return list(self.api.get(path, fieldSelector=f"reason={reason}")["items"])

    def evict_from(self, node: str, pool: str) -> list[str]:
        """Ask to evict the pool's pods from a node, as a drain does; return who was there."""
        left = [p["metadata"]["name"] for p in self.pods(pool) if p["spec"].get("nodeName") == node]
        for name in left:
            eviction = {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": name, "namespace": self.namespace},
            }
            with suppress(RequestRefusedError):  # the budget is closed: the drain asks again
                self.api.create(f"{PODS.path(self.namespace, name)}/eviction", eviction)
        return left

    def clear(self) -> None:
        """Delete everything and wait until no pod is left."""
        for pool in self.api.get(POOLS.path(self.namespace))["items"]:
            self.api.delete(POOLS.path(self.namespace, pool["metadata"]["name"]))
        eventually(
            lambda: not self.api.get(DEPLOYMENTS.path(self.namespace))["items"],
            what="the workloads are gone",
        )
        for pod in self.api.get(PODS.path(self.namespace))["items"]:
            with suppress(RequestRefusedError):
                self.api.delete(PODS.path(self.namespace, pod["metadata"]["name"]))
        eventually(
            lambda: not self.api.get(PODS.path(self.namespace))["items"], what="the pods are gone"
        )
        self.api.delete(f"/api/v1/namespaces/{self.namespace}")


@pytest.fixture
def pools(installed: Cluster) -> Iterator[Pools]:
    """A namespace of this test alone; afterwards every pod of it is gone."""
    name = f"story-{uuid.uuid4().hex[:8]}"
    api = installed.api
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    eventually(lambda: api.answers(account), what="the namespace has its account")
    pools = Pools(installed, name)
    yield pools
    pools.clear()


@dataclass
class Processes:
    """Processes of one container, as this machine sees them."""

    ids: list[int]

    def send(self, signal_number: int) -> None:
        for process_id in self.ids:
            os.kill(process_id, signal_number)


@pytest.fixture(scope="session")
def processes_of() -> Callable[[Json, str], Processes]:
    """Find a program of a pod among this machine's processes; kind's nodes are containers of it."""

    def find(pod: Json, program: str) -> Processes:
        uid = pod["metadata"]["uid"]
        names = (uid, uid.replace("-", "_"))
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                control_groups = (folder / "cgroup").read_text()
                command = (folder / "cmdline").read_bytes()
                if any(name in control_groups for name in names) and program.encode() in command:
                    found.append(int(folder.name))
        if not found:
            pytest.skip("the nodes' processes are not on this machine, or not to be seen")
        return Processes(found)

    return find


NONSENSE = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>" + bytes(range(256)))
        print(self.path, flush=True)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 18888), Handler)
print("listening", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="session")
def nonsense(processes_of: Callable[[Json, str], Processes]) -> Callable[..., Any]:
    """Answer in a container's place with bytes that mean nothing, inside its pod's network."""

    @contextmanager
    def talking(pod: Json, program: str, *, port: int) -> Iterator[Callable[[], list[str]]]:
        # Redirected before the filter, so that only connections from before meet the second rule.
        inside = ["nsenter", f"--net=/proc/{processes_of(pod, program).ids[0]}/ns/net"]
        calls = ["OUTPUT", "-o", "lo", "-p", "tcp", "--dport", str(port), "-j"]
        rules = [
            ["-t", "nat", "{}", *calls, "REDIRECT", "--to-ports", "18888"],
            ["-t", "filter", "{}", *calls, "REJECT", "--reject-with", "tcp-reset"],
        ]

        def change(word: str, *, check: bool) -> None:
            for rule in rules:
                words = [part.format(word) for part in rule]
                subprocess.run([*inside, "iptables", *words], check=check)

        server = subprocess.Popen(
            [*inside, sys.executable, "-c", NONSENSE], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(server.stdout), daemon=True)
        reader.start()
        try:
            change("-A", check=True)
            yield lambda: said
        finally:
            change("-D", check=False)
            server.kill()
            server.wait()
            reader.join(5)

    return talking
