"""What stories on the real control plane share: a scripted extender, polling, pods and nodes."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane, ExtenderConfig, NodeSpec, SchedulerConfig
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.testing import Eventually, eventually

Answer = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="session", name="eventually")
def _eventually() -> Eventually:
    return eventually


@dataclass
class ScriptedExtender:
    """An HTTP extender that answers by script and remembers what it was asked.

    A verb's script takes the decoded request and returns the object to answer with, or a
    ``(status, body bytes)`` pair. Verbs without a script let everything pass.
    """

    scripts: dict[str, Answer] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def asked(self, verb: str, pod: str | None = None) -> list[dict[str, Any]]:
        """Return the requests of one verb, of one pod if named, oldest first."""
        return [
            request
            for called, request in list(self.calls)
            if called == verb and pod in (None, _pod_name(request))
        ]

    def answer(self, verb: str, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        self.bodies.append((verb, body))
        self.calls.append((verb, request))
        script = self.scripts.get(verb) or _PASS[verb]
        value = script(request)
        if isinstance(value, tuple):
            return value
        return 200, json.dumps(value).encode()


def _pod_name(request: dict[str, Any]) -> str:
    name = request.get("PodName") or request["Pod"]["metadata"]["name"]
    return str(name)


_PASS: dict[str, Answer] = {
    "filter": lambda request: {"NodeNames": request["NodeNames"], "FailedNodes": {}},
    "prioritize": lambda request: [{"Host": n, "Score": 0} for n in request["NodeNames"]],
    "preempt": lambda request: {"NodeNameToMetaVictims": request["NodeNameToMetaVictims"]},
}


@pytest.fixture
def scripted_extender() -> Iterator[ScriptedExtender]:
    extender = ScriptedExtender()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = extender.answer(self.path.strip("/"), body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Stay silent: the tests look at ``calls``."""

    extender.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    extender.server.daemon_threads = True
    thread = threading.Thread(target=extender.server.serve_forever, daemon=True)
    thread.start()
    yield extender
    extender.server.shutdown()
    extender.server.server_close()


@pytest.fixture
def tag() -> str:
    """Return a short name that no other test has, for nodes, schedulers and namespaces."""
    return uuid.uuid4().hex[:8]


PRIORITIES = {"story-high": 300, "story-middle": 200, "story-low": 100}


class Arena:
    """Nodes, pods and schedulers of one test, kept apart from other tests' by a tag."""

    def __init__(self, plane: ControlPlane, tag: str) -> None:
        self.plane = plane
        self.api = plane.api
        self.namespace = self.scheduler = f"arena-{tag}"
        self.other_scheduler = f"other-{tag}"
        self._tag = tag
        self._nodes: list[str] = []
        self._schedulers: list[str] = []
        self._markers = 0
        self.api.create(
            "/api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
        )
        account = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default"
        eventually(lambda: self.api.answers(account), what="the namespace has its account")
        for name, value in PRIORITIES.items():
            self._create_priority_class(name, value)

    @property
    def minor(self) -> tuple[int, int]:
        major, minor = self.plane.minor.split(".")
        return int(major), int(minor)

    def names(self, *nodes: str) -> list[str]:
        """Return the full names of this test's nodes."""
        return [f"{node}-{self._tag}" for node in nodes]

    def nodes(self, *nodes: str, gpus: int, **fields: Any) -> None:
        names = self.names(*nodes)
        labels = {"arena": self._tag}
        self.plane.create_nodes(
            NodeSpec(name, gpus=gpus, labels=labels, **fields) for name in names
        )
        self._nodes += names

    def start_scheduler(
        self,
        extender: ScriptedExtender,
        verbs: tuple[str, ...],
        **fields: Any,
    ) -> str:
        """Start this test's scheduler with the scripted extender; return its name."""
        named = {f"{verb}_verb": verb if verb in verbs else "" for verb in (*_PASS, "bind")}
        config = ExtenderConfig(
            extender.url, **named, **{"ignorable": False, "http_timeout_ms": 60_000, **fields}
        )
        return self._start(self.scheduler, SchedulerConfig((self.scheduler,), (config,)))

    def start_other_scheduler(self) -> str:
        return self._start(self.other_scheduler, SchedulerConfig((self.other_scheduler,)))

    def _start(self, name: str, config: SchedulerConfig) -> str:
        self.plane.start_scheduler(config, name=name)
        self._schedulers.append(name)
        return name

    def stop_scheduler(self, name: str) -> None:
        self.plane.stop_scheduler(name)
        self._schedulers.remove(name)

    def pod(
        self,
        name: str,
        *,
        gpus: int,
        priority: str = "story-middle",
        node: str | None = None,
        other_scheduler: bool = False,
        **spec: Any,
    ) -> str:
        """Create a pod that only this test's nodes accept; return its UID."""
        selector = {"arena": self._tag}
        if node is not None:
            [selector["kubernetes.io/hostname"]] = self.names(node)
        resources = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "schedulerName": self.other_scheduler if other_scheduler else self.scheduler,
                "priorityClassName": priority,
                "nodeSelector": selector,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "image": "none", "resources": resources}],
                **spec,
            },
        }
        created = self.api.create(f"/api/v1/namespaces/{self.namespace}/pods", manifest)
        return str(created["metadata"]["uid"])

    def get(self, pod: str) -> dict[str, Any]:
        return dict(self.api.get(f"/api/v1/namespaces/{self.namespace}/pods/{pod}"))

    def gone(self, pod: str) -> bool:
        try:
            return "deletionTimestamp" in self.get(pod)["metadata"]
        except RequestRefusedError:
            return True

    def wait_bound(self, *pods: str) -> list[str]:
        """Return the nodes that the pods are bound to, once all are."""
        return [
            eventually(lambda p=pod: self.get(p)["spec"].get("nodeName"), what=f"{pod} is bound")
            for pod in pods
        ]

    def wait_unschedulable(self, pod: str) -> str:
        """Return the message of the pod's PodScheduled=False condition."""
        return eventually(lambda: self._unschedulable(pod), what=f"{pod} is unschedulable")

    def _unschedulable(self, pod: str) -> str | None:
        for condition in self.get(pod)["status"].get("conditions", ()):
            told = (condition["type"], condition["status"], condition.get("reason"))
            if told == ("PodScheduled", "False", "Unschedulable"):
                return str(condition["message"])
        return None

    def wait_asleep(self, pods: int) -> None:
        """Return when the scheduler has put aside so many pods and is about to try none.

        News of what was bound just before may come during an attempt, upon which it tries again.
        """

        def is_asleep() -> bool:
            text = self.plane.metrics(self.scheduler)
            pattern = r'^scheduler_pending_pods\{queue="(\w+)"\} (\S+)'
            queues = dict(re.findall(pattern, text, re.MULTILINE))
            held = {name: float(count) for name, count in queues.items()}
            return held["unschedulable"] == pods and held["active"] + held["backoff"] == 0

        eventually(is_asleep, what=f"{pods} pods sleep")

    def failures_told(self, pod: str) -> list[str]:
        """Return the messages of FailedScheduling events of the pod."""
        events = self.api.get(f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [
            event.get("message") or event.get("note", "")
            for event in events
            if event["involvedObject"]["name"] == pod and event["reason"] == "FailedScheduling"
        ]

    def wait_event(self, pod: str, text: str) -> None:
        eventually(
            lambda: any(text in message for message in self.failures_told(pod)),
            what=f"an event of {pod} says {text!r}",
        )

    def wait_asked(self, extender: ScriptedExtender, verb: str, pod: str) -> None:
        eventually(lambda: extender.asked(verb, pod), what=f"{verb} is asked about {pod}")

    def wait_scheduler_sees_pods(self) -> None:
        """Return when the scheduler has seen every pod event up to now.

        Pod events reach it in order, so a pod created now and bound by it proves that.
        """
        self._markers += 1
        marker = f"marker-{self._markers}"
        self.pod(marker, gpus=0)
        self.wait_bound(marker)

    def nominate(self, pod: str, node: str) -> None:
        [name] = self.names(node)
        self._patch_pod(pod, {"status": {"nominatedNodeName": name}}, "/status")

    def wait_not_nominated(self, pod: str) -> None:
        eventually(
            lambda: not self.get(pod)["status"].get("nominatedNodeName"),
            what=f"{pod} lost its nomination",
        )

    def ungate(self, pod: str) -> None:
        self._patch_pod(pod, {"spec": {"schedulingGates": None}})

    def annotate_pod(self, pod: str, value: str) -> None:
        self._patch_pod(pod, {"metadata": {"annotations": {"arena": value}}})

    def label_pod(self, pod: str, value: str) -> None:
        self._patch_pod(pod, {"metadata": {"labels": {"arena": value}}})

    def annotate_node(self, node: str, value: str) -> None:
        [name] = self.names(node)
        self.api.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": {"touched": value}}})

    def delete_pod(self, pod: str) -> None:
        self.api.delete(f"/api/v1/namespaces/{self.namespace}/pods/{pod}")

    def bind_now(self, pod: str, node: str) -> None:
        [name] = self.names(node)
        self.bind({"PodName": pod, "PodNamespace": self.namespace, "Node": name})

    def bind(self, request: dict[str, Any]) -> dict[str, str]:
        """Bind as an extender's bind verb does; return its answer."""
        self.api.create(
            f"/api/v1/namespaces/{request['PodNamespace']}/pods/{request['PodName']}/binding",
            {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": request["PodName"]},
                "target": {"kind": "Node", "name": request["Node"]},
            },
        )
        return {"Error": ""}

    def scheduling_attempts(self) -> int:
        """Return how many pods the scheduler has tried so far, whatever came of it."""
        found = re.findall(
            r"^scheduler_schedule_attempts_total\{.*\} (\S+)$",
            self.plane.metrics(self.scheduler),
            re.MULTILINE,
        )
        return int(sum(float(value) for value in found))

    def close(self) -> None:
        for name in tuple(self._schedulers):
            self.stop_scheduler(name)
        # at once: the end of any bound pod wakes what waits for room, in the next arena as well
        self.api.delete(f"/api/v1/namespaces/{self.namespace}/pods", gracePeriodSeconds="0")
        self.api.delete(f"/api/v1/namespaces/{self.namespace}")
        self.plane.delete_nodes(self._nodes)

    def _patch_pod(self, pod: str, patch: dict[str, Any], subresource: str = "") -> None:
        self.api.patch(f"/api/v1/namespaces/{self.namespace}/pods/{pod}{subresource}", patch)

    def _create_priority_class(self, name: str, value: int) -> None:
        manifest = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
        }
        try:
            self.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", manifest)
        except RequestRefusedError as error:
            if error.status != 409:
                raise


@pytest.fixture
def arena(control_plane: ControlPlane, tag: str) -> Iterator[Arena]:
    arena = Arena(control_plane, tag)
    yield arena
    arena.close()
