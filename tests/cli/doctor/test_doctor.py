from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.doctor.command import app
from moorage_cli.doctor.fetch import needed_rights
from moorage_cli.manifests import read_manifests
from moorage_crds.names import CUSTOM_RESOURCE_DEFINITIONS
from moorage_crds.render import crd_manifests


def levels(kubeconfig: Path, *arguments: str) -> tuple[int, dict[str, str]]:
    result = CliRunner().invoke(app, ["--kubeconfig", str(kubeconfig), "--json", *arguments])
    return result.exit_code, {one["check"]: one["level"] for one in json.loads(result.stdout)}


@pytest.fixture
def ready_extender() -> Iterator[str]:
    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_unreachable_server_is_a_finding(tmp_path: Path) -> None:
    user = {"name": "u", "user": {"token": "t"}}
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [user],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    assert levels(path) == (1, {"API server": "fail"})
    table = CliRunner().invoke(app, ["--kubeconfig", str(path)])
    assert (table.exit_code, "API server" in table.stdout) == (1, True)


def test_every_account_is_asked_for_its_own_rights() -> None:
    rights = set(needed_rights(read_manifests("accounts")))
    described = {str(right) for right in rights}
    assert "moorage-system/moorage-extender: create pods/binding" in described
    assert "moorage-system/moorage-operator: list gpuinferencepools.moorage.dev" in described
    leases = {(r.namespace, r.name) for r in rights if r.resource == "leases" and r.name}
    assert leases == {("moorage-system", "moorage-operator"), ("moorage-system", "moorage-planner")}


def test_doctor_sees_an_empty_cluster_and_then_its_installation(
    own_control_plane: ControlPlane, ready_extender: str
) -> None:
    plane = own_control_plane
    code, before = levels(plane.kubeconfig)
    assert code == 1
    broken = {check for check, level in before.items() if level == "fail"}
    assert broken == {"custom resources", "RBAC", "GPU nodes", "extender"}

    for manifest in crd_manifests():
        plane.api.create(CUSTOM_RESOURCE_DEFINITIONS.path(), manifest)
    accounts = "---\n".join(json.dumps(one) + "\n" for one in read_manifests("accounts"))
    plane.kubectl("apply", "-f", "-", stdin=accounts)
    plane.create_nodes(gpu_nodes(2))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")

    code, after = levels(plane.kubeconfig, "--extender", ready_extender)
    assert (code, {check for check, level in after.items() if level != "ok"}) == (
        0,
        {"GPU node taints"},
    )


def test_what_an_identity_may_not_read_is_a_warning(control_plane: ControlPlane) -> None:
    kubeconfig = control_plane.kubeconfig_for_user("nobody-special")
    _, found = levels(kubeconfig, "--extender", "http://127.0.0.1:9")
    assert found.pop("extender") == "fail"
    assert found.pop("Kubernetes version") == "ok"
    assert set(found.values()) == {"warn"}
