"""The release over its life: a second one is refused, upgrade and rollback under load."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from moorage_cli.chart.helm import RELEASE
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_crds.names import PODS
from moorage_policies.errors import BadInputError


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def end_running(pools: Any) -> None:
    """Delete the pods of the load that run, each once."""
    for pod in pools.api.get(PODS.path(pools.namespace))["items"]:
        meta, phase = pod["metadata"], pod["status"]["phase"]
        is_new = meta["name"] not in pools.ended
        if meta["name"].startswith("load-") and phase == "Running" and is_new:
            pools.ended.append(meta["name"])
            pools.api.delete(PODS.path(pools.namespace, meta["name"]))


@contextmanager
def load(pools: Any, every_s: float = 2.0) -> Iterator[list[str]]:
    """Users who create a pod every few seconds, and delete it when it runs."""
    created: list[str] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def create() -> None:
        try:
            while not stop.wait(every_s):
                name = f"load-{len(created)}"
                pools.bare_pod(name, 1)
                created.append(name)
                end_running(pools)
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    thread = threading.Thread(target=create, daemon=True)
    thread.start()
    try:
        yield created
    finally:
        stop.set()
        thread.join(30)
    assert not failures


def measured(cluster: Any, seen: set[tuple[str, str]]) -> int:
    """Return how many ways between nodes were measured so far, by which probe and to which peer.

    A reading may be gone again a moment later: on a busy node echoes come back too late.
    """
    for probe in cluster.pods_of("probe"):
        if any(c["ready"] for c in probe["status"].get("containerStatuses", ())):
            with suppress(RequestRefusedError):  # it has just been restarted
                text = cluster.proxied(probe, 8890, "/metrics")
                peers = re.findall(r'^moorage_probe_rtt_ms\{peer="([^"]+)"\}', text, re.MULTILINE)
                seen |= {(probe["spec"]["nodeName"], peer) for peer in peers}
    return len(seen)


def wait_served(pools: Any, created: list[str], eventually: Any) -> None:
    """Wait until every pod of the load was placed and ran."""

    def waiting() -> list[str]:
        pods = pools.api.get(f"/api/v1/namespaces/{pools.namespace}/pods")["items"]
        ran = {p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"}
        return [name for name in created if name not in ran and name not in pools.ended]

    eventually(lambda: not waiting(), what="every pod of the load ran", within_s=90)


def test_a_second_release_is_refused_and_told_of_the_first(installed: Any) -> None:
    with pytest.raises(BadInputError, match=r"moorage-installation.*exists and cannot be imported"):
        installed.helm(
            "install", "other", str(installed.helm_program.chart), "--create-namespace",
            "--set=crds.install=false", namespace="elsewhere",
        )  # fmt: skip


def test_upgrade_and_rollback_under_load_lose_nothing(pools: Any, eventually: Any) -> None:
    pools.apply("chat", {"worker": (2, 2)})
    before = pools.wait_running("chat", 2)
    cluster = pools.cluster
    chart = str(cluster.helm_program.chart)
    with load(pools) as created:
        cluster.helm(
            "upgrade", RELEASE, chart, "--reuse-values",
            "--set=scheduler.logVerbosity=3,operator.settings.logLevel=DEBUG",
            "--set=extender.settings.logLevel=debug,probe.enabled=true",
            r"--set-string=probe.pod.nodeSelector.nvidia\.com/gpu\.present=true",
        )  # fmt: skip
        cluster.wait_rolled_out()
        ways: set[tuple[str, str]] = set()
        nodes = len(cluster.gpu_nodes())
        eventually(
            lambda: measured(cluster, ways) == nodes * (nodes - 1),
            what="every probe has measured the way to every other node",
            within_s=180,
        )
        upgraded = len(created)
        cluster.helm("rollback", RELEASE)
        cluster.wait_rolled_out()
    assert 0 < upgraded < len(created)
    wait_served(pools, created, eventually)
    assert uids(pools.wait_running("chat", 2)) == uids(before)
