"""Who may log in to a control plane: its certificates and kubeconfigs, made before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.command_lines import LOOPBACK, Ports, ServerFiles
from moorage_cli.control_plane.kubeconfig import write_certificate_kubeconfig
from moorage_cli.control_plane.pki import Authority, KeyPair

ADMINISTRATORS: Final = "system:masters"

_SERVING_HOSTS: Final = (
    LOOPBACK,
    "localhost",
    "127.96.0.1",  # the first address of the service range: the `kubernetes` service
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that proves who is who.

    Args:
        server: address of the API server.
        authority: signs further certificates.
        admin: certificate of a cluster administrator.
        admin_kubeconfig: the same, as a kubeconfig.
        scheduler_kubeconfig: logs in as ``system:kube-scheduler``.
        files: what the servers read.
    """

    server: str
    authority: Authority
    admin: KeyPair
    admin_kubeconfig: Path
    scheduler_kubeconfig: Path
    files: ServerFiles


def make_identity(directory: Path, ports: Ports) -> Identity:
    """A fresh authority with all certificates and kubeconfigs of a control plane."""
    server = f"https://{LOOPBACK}:{ports.api}"
    authority = Authority(directory / "pki")
    admin = authority.issue_client("admin", "moorage-admin", (ADMINISTRATORS,))

    def kubeconfig(name: str, client: KeyPair) -> Path:
        path = directory / f"{name}.kubeconfig"
        return write_certificate_kubeconfig(path, server, authority.files.certificate, client)

    def component_kubeconfig(name: str, user: str, groups: tuple[str, ...] = ()) -> Path:
        return kubeconfig(name, authority.issue_client(name, user, groups))

    token_private_key, token_public_key = authority.issue_token_keys()
    return Identity(
        server=server,
        authority=authority,
        admin=admin,
        admin_kubeconfig=kubeconfig("admin", admin),
        scheduler_kubeconfig=component_kubeconfig("scheduler", "system:kube-scheduler"),
        files=ServerFiles(
            authority=authority.files,
            serving=authority.issue_server("kube-apiserver", _SERVING_HOSTS),
            token_private_key=token_private_key,
            token_public_key=token_public_key,
            controller_manager_kubeconfig=component_kubeconfig(
                "controller-manager", "system:kube-controller-manager"
            ),
            kwok_kubeconfig=component_kubeconfig("kwok", "moorage-kwok", (ADMINISTRATORS,)),
        ),
    )
