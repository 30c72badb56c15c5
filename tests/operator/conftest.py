"""What the operator's tests share: an API in memory, a virtual clock, builders of pools."""

from __future__ import annotations

import asyncio
import copy
import itertools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import pytest

from moorage_cluster.errors import Failure, to_error
from moorage_cluster.events import Subject
from moorage_crds.names import POOLS
from moorage_crds.objects import NodeObject, PodObject
from moorage_operator.children import ChildObject, to_child
from moorage_operator.services.hint_reading import HintReader
from moorage_operator.services.outcome import Outcome
from moorage_operator.services.pool_hints import PoolHints
from moorage_operator.services.pools import PoolsService
from moorage_operator.services.records import read_pool_record
from moorage_operator.services.surroundings import NamedObject
from moorage_operator.services.view import ClusterView
from moorage_operator.services.writing import Writer
from moorage_operator.watches import CHILD_KINDS, GROUPS

Json = dict[str, Any]
T = TypeVar("T")

NAMESPACE = "team"
H100 = "NVIDIA-H100-80GB-HBM3"
A100 = "NVIDIA-A100-SXM4-40GB"
KINDS = {resource.plural: resource for resource in (*CHILD_KINDS, GROUPS)}


class CrashError(BaseException):
    """The process was killed: nothing may catch it."""


class MemoryApi:
    """Objects in memory behind ``request``, with server-side apply and its field ownership.

    ``writes`` logs method and path of every write. ``crash_at`` kills the caller at that write,
    counted from 1, before or after it took effect; ``refuse`` maps a part of a path to a failure.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.writes: list[tuple[str, str]] = []
        self.reads: list[str] = []
        self.crash_at: tuple[int, bool] | None = None
        self.refuse: dict[str, Failure] = {}
        self._revision = itertools.count(1)
        self._uids = itertools.count(1)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> bytes:
        await asyncio.sleep(0)
        assert (content_type == "application/apply-patch+yaml") == (method == "PATCH")
        if method == "GET":
            self.reads.append(path)
            return msgspec.json.encode(self._get(path))
        self.writes.append((method, path))
        self._fail(path)
        self._crash(committed=False)
        answer = self._write(
            method, path, params or {}, msgspec.json.decode(msgspec.json.encode(body))
        )
        self._crash(committed=True)
        return msgspec.json.encode(answer)

    def edit(self, path: str, change: Callable[[Json], None]) -> None:
        """Change an object as another client would, who then owns what it changed."""
        live = self.objects[path]
        before = copy.deepcopy(live)
        change(live)
        for entry in live["metadata"].get("managedFields", []):
            _disown(entry["fieldsV1"], before, live)
        if before.get("spec") != live.get("spec"):
            live["metadata"]["generation"] += 1
        self._touch(live)

    def drop(self, path: str) -> None:
        del self.objects[path]

    def put(self, path: str, item: Json) -> Json:
        """Create an object as another client would."""
        meta = item.setdefault("metadata", {})
        meta.setdefault("uid", f"uid-{next(self._uids)}")
        meta.setdefault("generation", 1)
        self.objects[path] = item
        self._touch(item)
        return item

    def of_kind(self, plural: str) -> list[Json]:
        return [item for path, item in self.objects.items() if path.split("/")[-2] == plural]

    def _write(self, method: str, path: str, params: dict[str, str], body: Any) -> Json:
        if method == "DELETE":
            live = self._get(path)
            if body["preconditions"]["uid"] != live["metadata"]["uid"]:
                raise to_error(Failure(method, path, 409, "uid", reason="Conflict"))
            return self.objects.pop(path)
        assert method == "PATCH"
        assert params["fieldManager"] == "moorage-operator"
        return self._apply(path, body, force=params["force"] == "true")

    def _apply(self, path: str, body: Json, *, force: bool) -> Json:
        subresource = "status" if path.endswith("/status") else ""
        path = path.removesuffix("/status")
        if subresource:
            live = self._get(path)
        else:
            live = copy.deepcopy(self.objects.get(path)) or {"metadata": {}}
        meta = body["metadata"]
        expected = meta.pop("resourceVersion", None)
        if expected not in (None, live["metadata"].get("resourceVersion")):
            raise to_error(Failure("PATCH", path, 409, "modified", reason="Conflict"))
        before = copy.deepcopy(live)
        entries = live["metadata"].setdefault("managedFields", [])
        entry = next((e for e in entries if e["subresource"] == subresource), None)
        ours = entry["fieldsV1"] if entry else {}
        if not force and _takes_over(before.get("spec", {}), body["spec"], ours.get("f:spec", {})):
            raise to_error(Failure("PATCH", path, 409, "conflict", reason="Conflict"))
        if entry is not None:
            _prune(live, entry["fieldsV1"], body)
            entries.remove(entry)
        _merge(live, body)
        owned = {k: v for k, v in body.items() if k not in ("apiVersion", "kind")}
        owned["metadata"] = {k: v for k, v in meta.items() if k not in ("name", "namespace")}
        if subresource:
            del owned["metadata"]
        entries.append(
            {
                "manager": "moorage-operator",
                "operation": "Apply",
                "subresource": subresource,
                "fieldsV1": _fields(owned),
            }
        )
        if before.get("spec") != live.get("spec"):
            live["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
        live["metadata"].setdefault("uid", f"uid-{next(self._uids)}")
        if live != before:
            self._touch(live)
        self.objects[path] = live
        return live

    def _touch(self, item: Json) -> None:
        item["metadata"]["resourceVersion"] = str(next(self._revision))

    def _get(self, path: str) -> Json:
        if path not in self.objects:
            raise to_error(Failure("GET", path, 404, "not found", reason="NotFound"))
        return copy.deepcopy(self.objects[path])

    def _fail(self, path: str) -> None:
        for part, failure in self.refuse.items():
            if part in path:
                raise to_error(failure)

    def _crash(self, *, committed: bool) -> None:
        if self.crash_at == (len(self.writes), committed):
            self.crash_at = None
            raise CrashError


def _fields(value: object) -> Json:
    if isinstance(value, dict) and value:
        return {f"f:{key}": _fields(inner) for key, inner in value.items()}
    return {}


def _takes_over(live: Json, wanted: Json, ours: Json) -> bool:
    """Return whether an apply would change a value that somebody else owns."""
    for key, value in wanted.items():
        inner = ours.get(f"f:{key}")
        if key not in live or (inner is not None and not inner):
            continue
        if isinstance(value, dict) and isinstance(live[key], dict) and key != "selector":
            if _takes_over(live[key], value, inner or {}):
                return True
        elif live[key] != value:
            return True
    return False


def _merge(live: Json, over: Json) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            _merge(live[key], value)
        else:
            live[key] = copy.deepcopy(value)


def _prune(live: Json, fields: Json, body: Json) -> None:
    """Remove what was applied before and is not now."""
    for label, inner in fields.items():
        key = label.removeprefix("f:")
        if key not in live:
            continue
        if key not in body and not inner:
            del live[key]
        elif inner and isinstance(live[key], dict):
            _prune(live[key], inner, body.get(key, {}))
            if not live[key] and key not in body:
                del live[key]


def _disown(fields: Json, before: Any, after: Any) -> None:
    for label in list(fields):
        key = label.removeprefix("f:")
        old = before.get(key) if isinstance(before, dict) else None
        new = after.get(key) if isinstance(after, dict) else None
        if fields[label]:
            _disown(fields[label], old, new)
        elif old != new:
            del fields[label]


class Silent:
    def report(self, event: str, /, **facts: object) -> None:
        pass


class Bench:
    """One operator over a ``MemoryApi``; ``restart`` forgets all that a process keeps in memory."""

    crash = CrashError

    def __init__(self, api: MemoryApi) -> None:
        self.api = api
        self.now_s = 1_000_000.0
        self.leads = True
        self.woken: list[tuple[tuple[str, str], bool]] = []
        self.nodes: list[Json] = []
        self.pods: dict[str, Json] = {}
        self.priority_classes: list[str] = []
        self.serves_groups = False
        self.warnings: list[tuple[str, str, str]] = []
        self.hint_counts: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Forget everything and read the cluster as a new process does."""
        self.view = ClusterView(self._wake, Silent())
        writer = Writer(self.api, lambda: self.leads, lambda _verb, _kind: None)
        self.hints = HintReader(lambda: self.now_s, lambda _: None, Silent())
        pool_hints = PoolHints(
            self.hints,
            self._warn,
            is_off=lambda: self.view.surroundings.hints_are_off,
            wake=self._wake,
            count=self.hint_counts.append,
        )
        self.service = PoolsService(
            self.view, writer, lambda: self.now_s, pool_hints, patience_s=15.0
        )
        self.watch()

    def watch(self) -> None:
        """Bring the view up to the API's objects, as the watches would."""
        around = self.view.surroundings
        around.list_nodes(msgspec.convert(self.nodes, list[NodeObject]))
        around.list_priority_classes(
            [msgspec.convert({"metadata": {"name": n}}, NamedObject) for n in self.priority_classes]
        )
        around.note_groups(served=self.serves_groups)
        self.view.pods.take_list(msgspec.convert(list(self.pods.values()), list[PodObject]))
        for plural, resource in KINDS.items():
            items = [i for i in self.api.of_kind(plural) if _pool_label(i)]
            children = [to_child(resource, _decode(item)) for item in items]
            self.view.list_children(resource.kind, children)
        self._watch_roles()
        for record in list(self.view.pools().values()):
            if POOLS.path(*record.key) not in self.api.objects:
                self.view.drop_pool(record.key, record.uid)
        for item in self.api.of_kind(POOLS.plural):
            self.view.put_pool(read_pool_record(msgspec.json.encode(item)))

    def _watch_roles(self) -> None:
        from moorage_crds.names import ROLES

        bodies = [msgspec.json.encode(item) for item in self.api.of_kind(ROLES.plural)]
        children = [to_child(ROLES, msgspec.json.decode(b, type=ChildObject), b) for b in bodies]
        self.view.list_children(ROLES.kind, children)

    async def reconcile(self, name: str = "llama") -> Outcome:
        return await self.service.reconcile((NAMESPACE, name))

    async def settle(self, name: str = "llama", rounds: int = 10) -> None:
        """Reconcile until nothing is written any more."""
        for _ in range(rounds):
            self.watch()
            before = len(self.api.writes)
            await self.reconcile(name)
            if len(self.api.writes) == before:
                return
        raise AssertionError(f"still writing after {rounds} rounds: {self.api.writes[-5:]}")

    def apply_pool(self, manifest: Json) -> Json:
        """Create the pool, or change its spec, as a user would."""
        path = POOLS.path(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        if path not in self.api.objects:
            return self.api.put(path, copy.deepcopy(manifest))
        self.api.edit(path, lambda live: live.update(spec=copy.deepcopy(manifest["spec"])))
        return self.api.objects[path]

    def pool(self, name: str = "llama") -> Json:
        return self.api.objects[POOLS.path(NAMESPACE, name)]

    def condition(self, kind: str, name: str = "llama") -> Json:
        conditions = self.pool(name)["status"]["conditions"]
        found: Json = next(c for c in conditions if c["type"] == kind)
        return found

    def deployment(self, name: str) -> Json:
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"
        return self.api.objects[path]

    def add_node(self, name: str, product: str = H100, gpus: int = 8) -> None:
        self.nodes.append(
            {
                "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": product}},
                "status": {
                    "allocatable": {
                        "cpu": "64",
                        "memory": "512Gi",
                        "pods": "110",
                        "nvidia.com/gpu": str(gpus),
                    }
                },
            }
        )

    def run_pods(self, *, place: Callable[[Json], str | None], ready: bool = True) -> None:
        """Let every Deployment have its pods, placed where ``place`` says."""
        wanted: dict[str, Json] = {}
        for deployment in self.api.of_kind("deployments"):
            for index in range(deployment["spec"]["replicas"]):
                name = f"{deployment['metadata']['name']}-{index}"
                wanted[name] = self.pods.get(name) or _make_pod(name, deployment, self.now_s)
        for pod in wanted.values():
            if not pod["spec"].get("nodeName"):
                _place(pod, place(pod), ready)
        self.pods = wanted

    async def _warn(self, subject: Subject, reason: str, message: str) -> None:
        self.warnings.append((subject.name, reason, message))

    def _wake(self, key: tuple[str, str], *, urgent: bool = False, **_: float) -> None:
        self.woken.append((key, urgent))


def _make_pod(name: str, deployment: Json, now_s: float) -> Json:
    import datetime as dt

    template = deployment["spec"]["template"]
    spec = copy.deepcopy(template["spec"])
    for container in spec["containers"]:
        resources = container["resources"]
        resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
    made = dt.datetime.fromtimestamp(now_s, dt.UTC).isoformat()
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"pod-{name}",
            "labels": template["metadata"]["labels"],
            "creationTimestamp": made,
        },
        "spec": spec,
        "status": {"phase": "Pending"},
    }


def _place(pod: Json, node: str | None, ready: bool) -> None:
    if node is None:
        refusal = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        pod["status"]["conditions"] = [{**refusal, "message": "0/1 nodes: Insufficient gpu"}]
        return
    pod["spec"]["nodeName"] = node
    pod["status"] = {"phase": "Running"}
    if ready:
        pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]


def _decode(item: Json) -> ChildObject:
    return msgspec.json.decode(msgspec.json.encode(item), type=ChildObject)


def _pool_label(item: Json) -> str:
    label: str = item["metadata"].get("labels", {}).get("moorage.dev/pool", "")
    return label


def make_pool(name: str = "llama", **spec: Any) -> Json:
    """A pool of one role with two replicas of four GPUs on H100."""
    return {
        "apiVersion": "moorage.dev/v1alpha1",
        "kind": "GPUInferencePool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"model": {"name": "m"}, "roles": [make_role()], **spec},
    }


def make_role(name: str = "server", **fields: Any) -> Json:
    return {
        "name": name,
        "replicas": 2,
        "accelerators": [{"class": "H100-80GB", "count": 4}],
        "template": {"spec": {"containers": [{"name": "engine", "image": "engine:1"}]}},
        **fields,
    }


@pytest.fixture
def new_bench() -> Callable[[], Bench]:
    """Make operators, each with an API in memory and two H100 nodes of its own."""

    def make() -> Bench:
        made = Bench(MemoryApi())
        made.add_node("h1")
        made.add_node("h2")
        return made

    return make


@pytest.fixture
def bench(new_bench: Callable[[], Bench]) -> Bench:
    """An operator, an API in memory and two H100 nodes."""
    return new_bench()


@pytest.fixture
def new_pool() -> Callable[..., Json]:
    return make_pool


@pytest.fixture
def new_role() -> Callable[..., Json]:
    return make_role


class _VirtualSelector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """Lets virtual time pass instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everything waits, and no time is set")
        self.now_s += timeout
        return super().select(0)


@pytest.fixture
def run_virtually() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Run a coroutine on a loop whose time passes only when everything waits."""
    selector = _VirtualSelector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now_s  # type: ignore[method-assign]
    yield loop.run_until_complete
    loop.close()
