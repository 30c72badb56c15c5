"""The whole program against a fake API server: settings, reading, binding, signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from moorage_cli.control_plane.ports import free_ports
from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.testing import eventually

PROGRAM = Path(sys.executable).with_name("moorage-extender")
RECORDED = json.loads((Path(__file__).with_name("data") / "cap-filter-1.request.json").read_text())
POD: dict[str, Any] = RECORDED["Pod"]
PODS = "/api/v1/namespaces/default/pods"


def _node(name: str, gpus: str = "8") -> dict[str, Any]:
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": gpus}
    return {"metadata": {"name": name}, "status": {"allocatable": amounts}}


class Program:
    """The running extender and how to talk to it."""

    def __init__(self, api: FakeApi, directory: Path, **settings: str) -> None:
        self.api = api
        self.port, self.health_port = free_ports(2)
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [{"name": "fake", "cluster": {"server": api.address}}],
                    "users": [{"name": "fake", "user": {}}],
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
                }
            )
        )
        environment = {
            **os.environ,
            "MOORAGE_EXTENDER_KUBECONFIG": str(kubeconfig),
            "MOORAGE_EXTENDER_PORT": str(self.port),
            "MOORAGE_EXTENDER_HEALTH_PORT": str(self.health_port),
            "MOORAGE_EXTENDER_DRAIN_S": "0.2",
            **settings,
        }
        self.process = subprocess.Popen(
            [PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.http = aiohttp.ClientSession()

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.health_port}{path}"
        try:
            async with self.http.get(url) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            return 0, str(error)

    async def is_ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200

    async def ask(self, verb: str, request: dict[str, Any]) -> Any:
        url = f"http://127.0.0.1:{self.port}/{verb}"
        async with self.http.post(url, json=request) as answer:
            assert answer.status == 200
            return await answer.json()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, bytes, bytes]:
        self.process.send_signal(number)
        out, err = await asyncio.to_thread(self.process.communicate, timeout=30)
        return self.process.returncode, out, err

    async def close(self) -> None:
        await self.http.close()
        if self.process.poll() is None:
            self.process.kill()
            await asyncio.to_thread(self.process.communicate)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        for name in ("gpu-0000", "gpu-0001"):
            await server.put(f"/api/v1/nodes/{name}", _node(name))
        await server.put(f"{PODS}/gpu1", POD)
        yield server


@pytest.fixture
async def program(api: FakeApi, tmp_path: Path) -> AsyncIterator[Program]:
    one = Program(api, tmp_path)
    yield one
    await one.close()


async def test_it_reads_the_cluster_binds_and_ends_on_sigterm(
    api: FakeApi, program: Program
) -> None:
    await eventually(program.is_ready, deadline_s=30)
    _, metrics = await program.get("/metrics")
    assert 'moorage_extender_cache_objects{kind="nodes"} 2.0' in metrics
    assert 'moorage_extender_cache_objects{kind="pending-pods"} 1.0' in metrics
    assert 'moorage_extender_cache_age_seconds{kind="poddisruptionbudgets"}' in metrics

    request = {**RECORDED, "NodeNames": ["gpu-0000", "gpu-0001"]}
    assert (await program.ask("filter", request))["NodeNames"] == request["NodeNames"]
    uid = POD["metadata"]["uid"]
    order = {"PodName": "gpu1", "PodNamespace": "default", "PodUID": uid, "Node": "gpu-0001"}
    assert await program.ask("bind", order) == {"Error": ""}
    (bound,) = api.items(PODS)
    assert bound["spec"]["nodeName"] == "gpu-0001"

    code, out, err = await program.end()
    assert (code, err) == (0, b"")
    lines = [json.loads(line) for line in out.splitlines()]  # every line is JSON
    decided = [line for line in lines if line["event"] == "decision"]
    assert [(line["verb"], line["node"]) for line in decided] == [("bind", "gpu-0001")]
    assert {"listening", "listed", "draining"} <= {line["event"] for line in lines}


async def test_it_is_not_ready_before_every_kind_is_listed(api: FakeApi, tmp_path: Path) -> None:
    api.inject(Fault(status=503), path="poddisruptionbudgets", times=10_000)
    program = Program(api, tmp_path)
    try:

        async def waits_for_budgets() -> bool:
            status, why = await program.get("/readyz")
            return status == 503 and why.startswith("poddisruptionbudgets are not listed yet: ")

        await eventually(waits_for_budgets, deadline_s=30)
        assert (await program.get("/livez"))[0] == 200
        request = {**RECORDED, "NodeNames": ["gpu-0000"]}
        assert (await program.ask("filter", request))["NodeNames"] == ["gpu-0000"]
    finally:
        await program.close()


async def test_it_follows_what_happens_and_survives_what_it_cannot_read(
    api: FakeApi, program: Program
) -> None:
    await eventually(program.is_ready, deadline_s=30)
    await api.put("/api/v1/nodes/odd", _node("odd", gpus="lots"))
    await api.put("/api/v1/nodes/gpu-0002", _node("gpu-0002"))
    await api.remove("/api/v1/nodes/gpu-0000")
    await api.put(f"{PODS}/gpu1", {**POD, "spec": {**POD["spec"], "nodeName": "gpu-0002"}})

    async def has(*series: str) -> bool:
        _, metrics = await program.get("/metrics")
        return all(one in metrics for one in series)

    await eventually(
        lambda: has(
            'moorage_extender_unreadable_objects_total{kind="nodes"} 1.0',
            'moorage_extender_cache_objects{kind="nodes"} 2.0',
            'moorage_extender_cache_objects{kind="placed-pods"} 1.0',
        )
    )
    await api.remove(f"{PODS}/gpu1")
    await eventually(lambda: has('moorage_extender_cache_objects{kind="placed-pods"} 0.0'))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"MOORAGE_EXTENDER_HOST": "0.0.0.0"}, b"not loopback", id="open-verbs"),
        pytest.param({"MOORAGE_EXTENDER_PORT": "many"}, b"port: ", id="no-number"),
        pytest.param({"MOORAGE_EXTENDER_KUBECONFIG": "nowhere"}, b"nowhere", id="no-kubeconfig"),
    ],
)
async def test_settings_that_cannot_be_used_end_it_with_one_line(
    api: FakeApi, tmp_path: Path, settings: dict[str, str], said: bytes
) -> None:
    program = Program(api, tmp_path, **settings)
    out, err = await asyncio.to_thread(program.process.communicate, timeout=30)
    await program.close()
    assert program.process.returncode == 2
    assert said in err
    assert b"Traceback" not in out + err
    assert err.count(b"\n") == 1


async def test_a_port_that_is_taken_ends_it_with_one_line(api: FakeApi, tmp_path: Path) -> None:
    taken = api.address.rsplit(":", 1)[1]
    program = Program(api, tmp_path, MOORAGE_EXTENDER_PORT=taken)
    out, err = await asyncio.to_thread(program.process.communicate, timeout=30)
    await program.close()
    assert program.process.returncode == 2
    assert f"port {taken}".encode() in err
    assert b"Traceback" not in out + err
