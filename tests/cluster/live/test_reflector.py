"""The reflector against the real API server."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane
from moorage_cluster.reflector import Reflector
from moorage_cluster.session import ApiSession
from moorage_cluster.testing import Heard, eventually
from moorage_crds.names import PODS
from moorage_crds.objects import PodObject

pytestmark = pytest.mark.control_plane

PODS_AT_FIRST = 620
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class View:
    """What a user of the reflector would hold: the latest state of every object."""

    def __init__(self) -> None:
        self.items: dict[str, PodObject] = {}
        self.lists = 0

    def on_list(self, items: list[PodObject]) -> None:
        self.items = {item.metadata.uid: item for item in items}
        self.lists += 1

    def on_change(self, item: PodObject) -> None:
        self.items[item.metadata.uid] = item

    def on_delete(self, item: PodObject) -> None:
        del self.items[item.metadata.uid]

    def versions(self) -> dict[str, str]:
        return {i.metadata.name: i.metadata.resource_version for i in self.items.values()}


@asynccontextmanager
async def following(
    session: ApiSession, view: View, path: str, **options: Any
) -> AsyncIterator[Any]:
    reflector = Reflector(
        session,
        path,
        PodObject,
        on_list=view.on_list,
        on_change=view.on_change,
        on_delete=view.on_delete,
        **options,
    )
    running = asyncio.create_task(reflector.run())
    try:
        yield reflector
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def versions(session: ApiSession, path: str) -> dict[str, str]:
    listed = await session.get_json(path)
    return {i["metadata"]["name"]: i["metadata"]["resourceVersion"] for i in listed["items"]}


async def create_many(session: ApiSession, pods: list[dict[str, Any]]) -> None:
    path = PODS.path(pods[0]["metadata"]["namespace"])
    for start in range(0, len(pods), 20):
        await asyncio.gather(*(session.create(path, pod) for pod in pods[start : start + 20]))


def compact(control_plane: ControlPlane) -> None:
    """Make etcd forget every revision but the newest."""
    etcd = control_plane.address_of("etcd")

    def call(method: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{etcd}/v3/kv/{method}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            decoded: dict[str, Any] = json.load(answer)
            return decoded

    key = base64.b64encode(b"/registry").decode()
    revision = call("range", {"key": key})["header"]["revision"]
    call("compaction", {"revision": revision, "physical": True})


async def test_a_view_follows_hundreds_of_pods_through_changes(
    session: ApiSession, namespace: str, pod_manifest: Callable[..., dict[str, Any]]
) -> None:
    path = PODS.path(namespace)
    await create_many(session, [pod_manifest(f"p{i}") for i in range(PODS_AT_FIRST)])
    view = View()
    async with following(session, view, path) as reflector:
        await asyncio.wait_for(reflector.synced.wait(), 30)
        assert view.versions() == await versions(session, path)
        for i in range(10):
            await session.delete(f"{path}/p{i}", grace_period_s=0)
            await session.patch(f"{path}/p{i + 20}", {"metadata": {"labels": {"touched": "yes"}}})
        await create_many(session, [pod_manifest("newcomer")])
        wanted = await versions(session, path)
        await eventually(lambda: view.versions() == wanted)
        assert len(wanted) == PODS_AT_FIRST - 9
        assert view.lists == 1
        assert reflector.undecodable == 0


async def test_leaving_the_selector_is_a_deletion(
    session: ApiSession, namespace: str, pod_manifest: Callable[..., dict[str, Any]]
) -> None:
    path = PODS.path(namespace)
    await create_many(session, [pod_manifest("a"), pod_manifest("b")])
    view = View()
    async with following(session, view, path, label_selector="app in (a, b)") as reflector:
        await asyncio.wait_for(reflector.synced.wait(), 10)
        assert set(view.versions()) == {"a", "b"}
        await session.patch(f"{path}/a", {"metadata": {"labels": {"app": "c"}}})
        await eventually(lambda: set(view.versions()) == {"b"})


async def test_a_revision_that_etcd_has_forgotten_leads_to_a_new_list(
    own_control_plane: ControlPlane,
) -> None:
    """Compaction while nobody watches, and the API server has lost its own history too."""
    path = PODS.path("default")
    pod = {
        "metadata": {"name": "a"},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "i"}]},
    }
    view, heard = View(), Heard()
    async with await ApiSession.connect(own_control_plane.kubeconfig) as session:
        async with following(session, view, path, reporter=heard) as reflector:
            await asyncio.wait_for(reflector.synced.wait(), 10)
            await session.create(path, pod)
            await eventually(lambda: set(view.versions()) == {"a"})
            for i in range(3):  # the cluster moves on, the view of pods need not
                await session.create(CONFIG_MAPS, {"metadata": {"name": f"c{i}"}})
            await asyncio.to_thread(own_control_plane.kill, "kube-apiserver")
            await asyncio.to_thread(compact, own_control_plane)
            await asyncio.to_thread(own_control_plane.resume, "kube-apiserver")
            await session.delete(f"{path}/a", grace_period_s=0)
            await eventually(lambda: not view.items, deadline_s=90)
        assert view.lists == 2
        assert any("410" in str(facts["error"]) for facts in heard.facts("reflector.failed"))


async def test_a_peaceful_kind_is_proven_fresh_although_the_server_is_silent(
    session: ApiSession, namespace: str, pod_manifest: Callable[..., dict[str, Any]]
) -> None:
    """The server sends no bookmark while nothing happens in a kind after the watch began."""
    path = PODS.path(namespace)
    await create_many(session, [pod_manifest("a"), pod_manifest("b")])
    view, heard = View(), Heard()
    async with following(session, view, path, silence_s=0.2, reporter=heard) as reflector:
        await eventually(lambda: heard.facts("reflector.silent") != [])
        assert heard.facts("reflector.silent")[0]["missed_events"] is False
        assert reflector.age_s() < 5
        await session.delete(f"{path}/a", grace_period_s=0)
        await eventually(lambda: set(view.versions()) == {"b"})
    assert view.lists == 1
