"""The command line of every component: loopback only, TLS and RBAC on, tuned for short lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.pki import KeyPair

LOOPBACK: Final = "127.0.0.1"
# Inside 127/8, so that a request to a service's address can never leave the machine.
SERVICE_RANGE: Final = "127.96.0.0/16"
SIMULATED_NODE_ANNOTATION: Final = "kwok.x-k8s.io/node"


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of one control plane."""

    etcd: int
    etcd_peer: int
    api: int
    controller_manager: int
    kwok: int


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What the servers read: certificates, keys, kubeconfigs of the components."""

    authority: KeyPair
    serving: KeyPair
    token_private_key: Path
    token_public_key: Path
    controller_manager_kubeconfig: Path
    kwok_kubeconfig: Path


def etcd_command(program: Path, ports: Ports, data: Path) -> list[str]:
    """Etcd without durability: its data lives as long as the control plane."""
    client = f"http://{LOOPBACK}:{ports.etcd}"
    peer = f"http://{LOOPBACK}:{ports.etcd_peer}"
    return [
        str(program),
        "--name=moorage",
        f"--data-dir={data}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=moorage={peer}",
        "--log-level=warn",
    ]


def api_server_command(
    program: Path, ports: Ports, files: ServerFiles, extra: Sequence[str]
) -> list[str]:
    """kube-apiserver with the Node and RBAC authorizers."""
    return [
        str(program),
        f"--etcd-servers=http://{LOOPBACK}:{ports.etcd}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports.api}",
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        *_serving_flags(files),
        f"--client-ca-file={files.authority.certificate}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={files.token_public_key}",
        f"--service-account-signing-key-file={files.token_private_key}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        "--profiling=false",
        *extra,
    ]


def controller_manager_command(
    program: Path, ports: Ports, files: ServerFiles, extra: Sequence[str]
) -> list[str]:
    """kube-controller-manager with every default controller but no node addresses to hand out."""
    return [
        str(program),
        *_kubeconfig_flags(files.controller_manager_kubeconfig),
        f"--kubeconfig={files.controller_manager_kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={ports.controller_manager}",
        *_serving_flags(files),
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={files.token_private_key}",
        f"--root-ca-file={files.authority.certificate}",
        f"--cluster-signing-cert-file={files.authority.certificate}",
        f"--cluster-signing-key-file={files.authority.key}",
        "--allocate-node-cidrs=false",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
        *extra,
    ]


def scheduler_command(
    program: Path,
    port: int,
    files: ServerFiles,
    kubeconfig: Path,
    config: Path,
    extra: Sequence[str],
) -> list[str]:
    """kube-scheduler with a configuration file."""
    return [
        str(program),
        f"--config={config}",
        *_kubeconfig_flags(kubeconfig),
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        *_serving_flags(files),
        *extra,
    ]


def kwok_command(program: Path, ports: Ports, files: ServerFiles, stages: Path) -> list[str]:
    """Kwok, playing the kubelet of the nodes that carry its annotation."""
    return [
        str(program),
        f"--config={stages}",
        f"--kubeconfig={files.kwok_kubeconfig}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={SIMULATED_NODE_ANNOTATION}=fake",
        "--cidr=10.128.0.0/14",
        f"--node-ip={LOOPBACK}",
        f"--server-address={LOOPBACK}:{ports.kwok}",
    ]


def _serving_flags(files: ServerFiles) -> list[str]:
    return [
        f"--tls-cert-file={files.serving.certificate}",
        f"--tls-private-key-file={files.serving.key}",
    ]


def _kubeconfig_flags(kubeconfig: Path) -> list[str]:
    return [
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
    ]
