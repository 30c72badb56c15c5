"""The extender behind a Service with mutual TLS, for a scheduler that the admin runs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from moorage_cli.chart.helm import NAMESPACE, RELEASE
from moorage_crds.names import DEPLOYMENTS, PODS, SCHEDULER_NAME

Json = dict[str, Any]

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
SYSTEM = "kube-system"
OWN = "own-scheduler"
SERVER, CLIENT, STRANGER = "extender-server", "extender-client", "extender-stranger"
FILES = "/etc/kubernetes/moorage"
KNOCK = f"""
import ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context(cafile="{FILES}/ca.crt")
if sys.argv[2] == "certified":
    context.load_cert_chain("{FILES}/tls.crt", "{FILES}/tls.key")
try:
    urllib.request.urlopen(sys.argv[1], data=b"{{}}", context=context, timeout=10)
except urllib.error.HTTPError as error:
    print("answered", error.code, flush=True)
except OSError as error:
    print("closed", flush=True)
"""


class Authority:
    """An admin's own certificate authority."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("moorage-trial", self.key, is_authority=True)

    def secret(self, common_name: str, address: str = "") -> Json:
        """Return the data of a Secret with a new certificate for this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        return {
            "ca.crt": _encoded(_pem(self.certificate)),
            "tls.crt": _encoded(_pem(self._sign(common_name, key, address))),
            "tls.key": _encoded(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            ),
        }

    def _sign(
        self,
        common_name: str,
        key: ec.EllipticCurvePrivateKey,
        address: str = "",
        *,
        is_authority: bool = False,
    ) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        issuer = name if is_authority else self.certificate.subject
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


class Site(NamedTuple):
    """The control plane's node, the image of its scheduler, and the extender's address."""

    node: str
    image: str
    address: str


@pytest.fixture
def site(installed: Any) -> Site:
    """A control plane that is at hand."""
    api = installed.api
    nodes = api.get("/api/v1/nodes", labelSelector=CONTROL_PLANE)["items"]
    pods = api.get(PODS.path(SYSTEM), labelSelector="component=kube-scheduler")["items"]
    if not nodes or not pods:
        pytest.skip("the control plane's node is not part of this cluster")
    services = api.get("/api/v1/namespaces/default/services/kubernetes")["spec"]["clusterIP"]
    if ":" in services:
        pytest.skip("the story knows addresses of IPv4 alone")
    return Site(
        nodes[0]["metadata"]["name"],
        pods[0]["spec"]["containers"][0]["image"],
        f"{services.rpartition('.')[0]}.77",
    )


@pytest.fixture
def in_service_mode(pools: Any, site: Site, eventually: Any) -> Iterator[Any]:
    """The release in mode Service; afterwards it has its own scheduler again."""
    cluster, api = pools.cluster, pools.api
    authority = Authority()
    write_secret(api, NAMESPACE, SERVER, authority.secret(SERVER, site.address))
    write_secret(api, SYSTEM, CLIENT, authority.secret("kube-scheduler"))
    write_secret(api, pools.namespace, STRANGER, authority.secret("somebody-else"))
    cluster.helm(
        "upgrade", RELEASE, str(cluster.helm_program.chart), *cluster.settings,
        f"--set=mode=Service,extender.service.clusterIp={site.address}",
        f"--set=extender.service.tls.source=Secret,extender.service.tls.serverSecret={SERVER}",
    )  # fmt: skip
    try:
        cluster.wait_rolled_out(names=("moorage-extender", "moorage-operator"))
        assert not api.answers(DEPLOYMENTS.path(NAMESPACE, "moorage-scheduler"))
        yield cluster
    finally:
        cluster.install(*cluster.settings)
        api.delete(f"/api/v1/namespaces/{NAMESPACE}/secrets/{SERVER}")
        api.delete(f"/api/v1/namespaces/{SYSTEM}/secrets/{CLIENT}")


@pytest.fixture
def own_scheduler(in_service_mode: Any, site: Site, eventually: Any) -> Iterator[None]:
    """A kube-scheduler on the host's network, without cluster DNS, as a static pod has it."""
    api = in_service_mode.api
    entry = api.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/moorage-extender-entry")
    config = f"/api/v1/namespaces/{SYSTEM}/configmaps/{OWN}"
    text = scheduler_config(entry["data"]["extender.yaml"])
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": OWN}}
    api.apply(config, {**manifest, "data": {"scheduler.yaml": text}}, "stories")
    pod = PODS.path(SYSTEM, OWN)
    api.create(PODS.path(SYSTEM), scheduler_pod(site))
    try:
        eventually(lambda: is_ready(api.get(pod)), what="the admin's scheduler is ready")
        yield
    finally:
        api.delete(pod)
        api.delete(config)
        eventually(lambda: not api.answers(pod), what="the admin's scheduler is gone")


def write_secret(api: Any, namespace: str, name: str, data: Json) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
    api.apply(path, {**manifest, "type": "kubernetes.io/tls"}, "stories")


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def scheduler_config(entry: str) -> str:
    """Return what the install guide has the admin write, the printed entry included."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": "/etc/kubernetes/scheduler.conf"},
            "leaderElection": {"leaderElect": False},
            "percentageOfNodesToScore": 100,
            "profiles": [{"schedulerName": SCHEDULER_NAME}],
            "extenders": [yaml.safe_load(entry)],
        }
    )


def scheduler_pod(site: Site) -> Json:
    mounts = {
        "scheduler-conf": ("/etc/kubernetes/scheduler.conf", {
            "hostPath": {"path": "/etc/kubernetes/scheduler.conf", "type": "File"},
        }),
        "config": ("/etc/moorage-own", {"configMap": {"name": OWN}}),
        "certificates": (FILES, {"secret": {"secretName": CLIENT}}),
    }  # fmt: skip
    probe = {"path": "/livez", "port": 10359, "scheme": "HTTPS"}
    container = {
        "name": "kube-scheduler",
        "image": site.image,
        "command": [
            "kube-scheduler", "--config=/etc/moorage-own/scheduler.yaml", "--secure-port=10359",
        ],
        "readinessProbe": {"httpGet": probe, "periodSeconds": 1},
        "volumeMounts": [{"name": n, "mountPath": path} for n, (path, _) in mounts.items()],
    }  # fmt: skip
    return {
        "metadata": {"name": OWN, "labels": {"app": OWN}},
        "spec": {
            "nodeName": site.node,
            "hostNetwork": True,
            "dnsPolicy": "Default",
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": name, **source} for name, (_, source) in mounts.items()],
        },
    }


def knock(pools: Any, eventually: Any, site: Site, *, certified: bool) -> str:
    """Return what a pod is answered that calls the bind verb with the stranger's certificate."""
    name = "certified" if certified else "bare"
    words = [f"https://{site.address}:443/bind", name]
    pools.api.create(
        PODS.path(pools.namespace),
        {
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "c",
                    "image": pools.engine,
                    "command": ["/venv/bin/python3", "-c", KNOCK, *words],
                    "volumeMounts": [{"name": "tls", "mountPath": FILES}],
                }],
                "volumes": [{"name": "tls", "secret": {"secretName": STRANGER}}],
            },
        },
    )  # fmt: skip
    path = PODS.path(pools.namespace, name)
    eventually(
        lambda: pools.api.get(path)["status"]["phase"] in ("Succeeded", "Failed"),
        what=f"{name} has knocked",
    )
    return str(pools.log(pools.api.get(path))).strip()


def counted(cluster: Any, metric: str) -> float:
    """Return a counter of the extender."""
    [pod] = cluster.pods_of("extender")
    lines = cluster.proxied(pod, 8889, "/metrics").splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{metric} "))


@pytest.mark.usefixtures("own_scheduler")
def test_an_admins_scheduler_reaches_the_extender_and_nobody_else_does(
    pools: Any, in_service_mode: Any, site: Site, eventually: Any
) -> None:
    pools.apply("chat", {"worker": (2, 2)})
    pools.wait_running("chat", 2)
    assert counted(in_service_mode, 'moorage_extender_binds_total{outcome="bound"}') == 2

    assert knock(pools, eventually, site, certified=True) == "answered 403"
    assert knock(pools, eventually, site, certified=False) == "closed"
    assert counted(in_service_mode, "moorage_extender_refused_clients_total") == 1
