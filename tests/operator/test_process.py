"""The parts around the work: settings, kopf's settings, probes, the sweep."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import aiohttp
import kopf
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from moorage_cluster.fake_api import FakeApi
from moorage_crds.names import POOLS, ROLES
from moorage_operator.config import OperatorConfig
from moorage_operator.handlers.memo import Memo
from moorage_operator.handlers.pools import pool_changed
from moorage_operator.handlers.roles import role_changed
from moorage_operator.kopf_runtime import make_registry, make_settings
from moorage_operator.listener import Probes, listening
from moorage_operator.services.view import ClusterView
from moorage_operator.watches import sweep

Json = dict[str, Any]


class Silent:
    def report(self, event: str, /, **facts: object) -> None:
        pass


def wake_nobody(key: tuple[str, str], *, urgent: bool = False, **_: float) -> None:
    pass


def new_view() -> ClusterView:
    return ClusterView(wake_nobody, Silent())


def body(kind: str, name: str, version: int, **meta: Any) -> Json:
    return {
        "apiVersion": "moorage.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "generation": 1,
            **meta,
        },
    }


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORAGE_OPERATOR_WORKERS", "3")
    monkeypatch.setenv("MOORAGE_OPERATOR_LOG_FORMAT", "json")
    config = OperatorConfig()
    assert (config.workers, config.log_format) == (3, "json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("WORKERS", "0", id="no-workers"),
        pytest.param("PATIENCE_S", "-1", id="negative-patience"),
        pytest.param("LISTEN_PORT", "70000", id="no-such-port"),
        pytest.param("LOG_LEVEL", "LOUD", id="no-such-level"),
    ],
)
def test_bad_settings_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MOORAGE_OPERATOR_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        OperatorConfig()


def test_kopf_only_reads() -> None:
    settings = make_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.process.ultimate_exiting_timeout is None
    registry = make_registry()
    for resource in (POOLS, ROLES):
        known = kopf.Resource(
            resource.group,
            resource.version,
            resource.plural,
            kind=resource.kind,
            singular=None,
            shortcuts=frozenset(),
            categories=frozenset(),
            subresources=frozenset(),
            namespaced=True,
            preferred=True,
            verbs=frozenset({"list", "watch", "patch"}),
        )
        # handlers of changes, daemons and timers would write annotations or finalizers
        assert not registry._changing.has_handlers(known)
        assert not registry._spawning.has_handlers(known)
        assert registry._watching.has_handlers(known)


async def test_handlers_take_note_and_forget() -> None:
    view = new_view()
    memo = Memo(view, credentials=None)  # type: ignore[arg-type]
    pool = body("GPUInferencePool", "llama", 5)
    role = body("GPUInferenceRole", "llama-server", 6, labels={"moorage.dev/pool": "llama"})
    await pool_changed(event={"type": None, "object": pool}, memo=memo)  # type: ignore[typeddict-item]
    await role_changed(event={"type": "ADDED", "object": role}, memo=memo)  # type: ignore[typeddict-item]
    record = view.pool(("team", "llama"))
    assert record is not None
    assert msgspec.json.decode(record.body) == pool
    assert [child.name for child in view.children()] == ["llama-server"]
    await pool_changed(event={"type": "DELETED", "object": pool}, memo=memo)  # type: ignore[typeddict-item]
    await role_changed(event={"type": "DELETED", "object": role}, memo=memo)  # type: ignore[typeddict-item]
    assert view.pools() == {}
    assert view.children() == []


async def test_a_sweep_notices_what_the_watch_never_mentioned() -> None:
    view = new_view()
    async with FakeApi() as api, api.session() as session:
        for name in ("kept", "gone"):
            await api.put(POOLS.path("team", name), body("GPUInferencePool", name, 1))
            labels = {"moorage.dev/pool": name}
            role = body("GPUInferenceRole", f"{name}-server", 1, labels=labels)
            await api.put(ROLES.path("team", f"{name}-server"), role)
        await sweep(session, view)
        assert {key[1] for key in view.pools()} == {"kept", "gone"}
        await api.remove(POOLS.path("team", "gone"))
        await api.remove(ROLES.path("team", "gone-server"))
        await sweep(session, view)
    assert {key[1] for key in view.pools()} == {"kept"}
    assert [child.name for child in view.children()] == ["kept-server"]


async def test_probes_say_what_is_wrong() -> None:
    wrong = {"alive": "", "ready": "not yet"}
    probes = Probes(alive=lambda: wrong["alive"], ready=lambda: wrong["ready"])
    async with (
        listening("127.0.0.1", 0, probes, CollectorRegistry()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):

        async def ask(path: str) -> tuple[int, str]:
            async with client.get(path) as answer:
                return answer.status, await answer.text()

        assert await ask("/livez") == (200, "ok\n")
        assert await ask("/readyz") == (503, "not yet\n")
        wrong.update(alive="a reconcile has taken 61 s", ready="")
        assert await ask("/healthz") == (503, "a reconcile has taken 61 s\n")
        assert await ask("/readyz") == (200, "ok\n")
        assert (await ask("/metrics"))[0] == 200


def test_the_operator_never_loads_a_solver() -> None:
    """Compilers and solvers cost 60 MiB and more; searches have processes of their own."""
    code = (
        "import sys, moorage_operator.main\n"
        "sys.exit(bool({'numba', 'ortools', 'scipy', 'sklearn', 'lightgbm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
