"""Where credentials come from, and what is said when there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from moorage_cluster.credentials import (
    InClusterCredentials,
    KubeconfigCredentials,
    find_credentials,
)
from moorage_policies.errors import BadInputError

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def mount(directory: Path, token: str = "first") -> Path:
    trustme.CA().cert_pem.write_to_path(str(directory / "ca.crt"))
    (directory / "token").write_text(f"{token}\n")
    return directory


def write_kubeconfig(path: Path, user: dict[str, Any], **cluster: Any) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://kube.test:6443", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_token_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    credentials = InClusterCredentials(mount(tmp_path), ENVIRONMENT)
    first = await credentials.endpoint()
    assert (first.server, first.authorization) == ("https://10.0.0.1:443", "Bearer first")
    assert await credentials.endpoint() is first
    fresh = tmp_path / "fresh"  # the kubelet swaps files, it does not write into them
    fresh.write_text("second")
    fresh.rename(tmp_path / "token")
    assert (await credentials.endpoint()).authorization == "Bearer second"


@pytest.mark.parametrize(
    ("host", "server"),
    [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")],
)
async def test_the_service_address_may_be_of_either_family(
    tmp_path: Path, host: str, server: str
) -> None:
    environment = {**ENVIRONMENT, "KUBERNETES_SERVICE_HOST": host}
    endpoint = await InClusterCredentials(mount(tmp_path), environment).endpoint()
    assert endpoint.server == server


def test_a_pod_without_a_mounted_account_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="mount it into the pod"):
        InClusterCredentials(tmp_path, ENVIRONMENT)


def test_a_broken_authority_is_told_so(tmp_path: Path) -> None:
    (mount(tmp_path) / "ca.crt").write_text("nonsense")
    with pytest.raises(BadInputError, match="service account"):
        InClusterCredentials(tmp_path, ENVIRONMENT)


def test_without_any_credentials_the_ways_are_named() -> None:
    with pytest.raises(BadInputError, match="set KUBECONFIG or run in a pod"):
        find_credentials(None, None)


async def test_the_given_kubeconfig_comes_before_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_kubeconfig(tmp_path / "given", {"token": "given"})
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "env", {"token": "env"})))
    write_kubeconfig(tmp_path / ".kube" / "config", {"token": "home"})
    for path, token in ((given, "given"), (None, "env")):
        endpoint = await find_credentials(path, None).endpoint()
        assert endpoint.authorization == f"Bearer {token}"
    monkeypatch.delenv("KUBECONFIG")
    assert (await find_credentials(None, None).endpoint()).authorization == "Bearer home"


async def test_a_kubeconfig_says_how_to_verify_the_server(tmp_path: Path) -> None:
    path = write_kubeconfig(
        tmp_path / "k",
        {"token": "t"},
        **{"insecure-skip-tls-verify": True, "tls-server-name": "other", "proxy-url": "http://p:1"},
    )
    endpoint = await KubeconfigCredentials(str(path), None).endpoint()
    assert endpoint.tls is not None
    assert not endpoint.tls.check_hostname
    assert (endpoint.server_name, endpoint.proxy) == ("other", "http://p:1")


@pytest.mark.parametrize(
    ("host", "proxied"), [("kube.test", True), ("127.0.0.1", False), ("localhost", False)]
)
async def test_the_environments_proxy_is_used_for_remote_servers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, proxied: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    path = write_kubeconfig(tmp_path / "k", {"token": "t"}, server=f"https://{host}:6443")
    endpoint = await KubeconfigCredentials(str(path), None).endpoint()
    assert (endpoint.proxy is not None) is proxied


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="no-yaml"),
        pytest.param("[1, 2]", id="a-list"),
        pytest.param("current-context: c\n", id="no-contexts"),
        pytest.param("users: [{user: {token: secret}}]\ncurrent-context: c\n", id="nameless-user"),
        pytest.param(
            "current-context: c\n"
            "contexts: [{name: c, context: {user: u, cluster: missing}}]\n"
            "clusters: []\n"
            "users: [{name: u, user: {token: secret}}]\n",
            id="unknown-cluster",
        ),
    ],
)
async def test_an_unusable_kubeconfig_is_named_without_its_secrets(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(BadInputError, match="check the file and the context") as caught:
        await KubeconfigCredentials(str(path), None).endpoint()
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", {"token": "t"})
    with pytest.raises(BadInputError, match="nowhere"):
        await KubeconfigCredentials(str(path), "nowhere").endpoint()


async def test_a_kubeconfig_is_loaded_once_for_all_that_were_refused(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", {"token": "old"})
    credentials = KubeconfigCredentials(str(path), None)
    refused = await credentials.endpoint()
    write_kubeconfig(path, {"token": "new"})
    assert (await credentials.endpoint()).authorization == "Bearer old"
    await credentials.renew(refused)
    renewed = await credentials.endpoint()
    assert renewed.authorization == "Bearer new"
    await credentials.renew(refused)
    assert await credentials.endpoint() is renewed


def test_a_pod_never_loads_the_official_client() -> None:
    """It costs 20 MiB, and only kubeconfigs need it."""
    code = (
        "import sys, moorage_cluster.session, moorage_cluster.reflector, moorage_cluster.lease\n"
        "import moorage_cluster.apply, moorage_cluster.bind, moorage_cluster.evict\n"
        "sys.exit('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
