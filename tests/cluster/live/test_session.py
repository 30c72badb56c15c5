"""Sessions against the real API server: ways to log in, refusals, preconditions."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage_cli.control_plane import ControlPlane
from moorage_cluster.credentials import InClusterCredentials
from moorage_cluster.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
)
from moorage_cluster.session import ApiSession
from moorage_crds.names import PODS

pytestmark = pytest.mark.control_plane

WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


async def who_am_i(session: ApiSession) -> str:
    answer = await session.create(WHO_AM_I, REVIEW)
    user: str = answer["status"]["userInfo"]["username"]
    return user


def read_kubeconfig(control_plane: ControlPlane, namespace: str) -> dict[str, Any]:
    """The kubeconfig of the namespace's default ServiceAccount."""
    path = control_plane.kubeconfig_for_service_account(namespace, "default")
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def mount_service_account(directory: Path, document: dict[str, Any]) -> None:
    cluster = document["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"])
    (directory / "ca.crt").write_bytes(authority)
    (directory / "token").write_text("not-a-token")


async def test_a_client_certificate_logs_in(session: ApiSession) -> None:
    assert await who_am_i(session) == "moorage-admin"


async def test_a_service_account_token_logs_in_and_rbac_is_named_as_the_remedy(
    control_plane: ControlPlane, namespace: str
) -> None:
    path = control_plane.kubeconfig_for_service_account(namespace, "default")
    async with await ApiSession.connect(path) as session:
        assert await who_am_i(session) == f"system:serviceaccount:{namespace}:default"
        with pytest.raises(ForbiddenError, match=r"cannot list resource .*grant the verb"):
            await session.get_json(PODS.path(namespace))


async def test_a_pod_logs_in_by_its_mounted_files_and_takes_up_a_rotated_token(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    document = read_kubeconfig(control_plane, namespace)
    mount_service_account(tmp_path, document)
    host, port = control_plane.server.removeprefix("https://").split(":")
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    credentials = InClusterCredentials(tmp_path, environment)
    async with ApiSession(credentials) as session:
        with pytest.raises(UnauthorizedError, match="renew"):
            await who_am_i(session)
        (tmp_path / "token").write_text(document["users"][0]["user"]["token"])
        assert await who_am_i(session) == f"system:serviceaccount:{namespace}:default"


async def test_an_exec_plugin_is_asked_again_when_its_token_is_refused(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    document = read_kubeconfig(control_plane, namespace)
    token = document["users"][0]["user"]["token"]
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    for name, text in (("first", "expired"), ("second", token)):
        (tmp_path / name).write_text(json.dumps({**answer, "status": {"token": text}}))
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\ncd {tmp_path}\ncat first\ncp second first\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    command = {"apiVersion": answer["apiVersion"], "command": str(plugin)}
    document["users"][0]["user"] = {"exec": {**command, "interactiveMode": "Never"}}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    async with await ApiSession.connect(kubeconfig) as session:
        assert await who_am_i(session) == f"system:serviceaccount:{namespace}:default"


async def test_the_environment_names_the_kubeconfig(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setenv("KUBECONFIG", f"{missing}{os.pathsep}{control_plane.kubeconfig}")
    async with await ApiSession.connect() as session:
        assert await who_am_i(session) == "moorage-admin"


async def test_an_invalid_object_names_its_field(
    session: ApiSession, namespace: str, pod_manifest: Callable[..., dict[str, Any]]
) -> None:
    pod = pod_manifest("p", restartPolicy="Sometimes")
    with pytest.raises(InvalidError, match="Unsupported value") as caught:
        await session.create(PODS.path(namespace), pod)
    assert caught.value.field == "spec.restartPolicy"
    assert caught.value.failure.causes[0].reason == "FieldValueNotSupported"


async def test_preconditions_guard_a_delete(
    session: ApiSession, namespace: str, pod_manifest: Callable[..., dict[str, Any]]
) -> None:
    pod = await session.create(PODS.path(namespace), pod_manifest("p"))
    path = PODS.path(namespace, "p")
    with pytest.raises(ConflictError, match="UID"):
        await session.delete(path, uid="another")
    with pytest.raises(ConflictError, match="ResourceVersion"):
        await session.delete(path, resource_version="1")
    await session.delete(path, uid=pod["metadata"]["uid"], grace_period_s=0)
    with pytest.raises(NotFoundError):
        await session.get_json(path)


async def test_a_replace_over_a_newer_version_conflicts(
    session: ApiSession, namespace: str, pod_manifest: Callable[..., dict[str, Any]]
) -> None:
    path = PODS.path(namespace, "p")
    old = await session.create(PODS.path(namespace), pod_manifest("p"))
    await session.patch(path, {"metadata": {"labels": {"new": "yes"}}})
    with pytest.raises(ConflictError):
        await session.replace(path, old)


async def test_kinds_unknown_to_us_are_found_by_asking(session: ApiSession) -> None:
    found = await session.kinds.find("rbac.authorization.k8s.io/v1", "ClusterRole")
    assert (found.plural, found.namespaced) == ("clusterroles", False)
    found = await session.kinds.find("v1", "ConfigMap")
    assert found.path("ns", "x") == "/api/v1/namespaces/ns/configmaps/x"
    with pytest.raises(NotFoundError, match="CustomResourceDefinition"):
        await session.kinds.find("apps/v1", "Nonsense")
    with pytest.raises(NotFoundError):
        await session.kinds.find("nonsense.example.test/v1", "Nonsense")
