"""The images of a control plane, in the node's own store: nothing is pulled."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.processes import ProcessGroup, wait_until
from moorage_cli.kind.archive import Image, make_layer, write_archive
from moorage_cli.kind.packages import find
from moorage_cli.kind.run import run, succeeds

_CONTAINERD_STARTS_WITHIN_S: Final = 30.0
_STATIC: Final = {
    "kube-apiserver": "kube-apiserver",
    "kube-controller-manager": "kube-controller-manager",
    "kube-scheduler": "kube-scheduler",
    "etcd": "etcd",
    "coredns": "coredns",
    "pause": "pause",
}
_IPTABLES: Final = (
    "iptables", "ip6tables", "iptables-save", "iptables-restore", "ip6tables-save",
    "ip6tables-restore",
)  # fmt: skip


def image_names(programs: Mapping[str, Path], version: str) -> dict[str, str]:
    """Names and tags under which kubeadm looks for its images, by program."""
    listed = run(
        [programs["kubeadm"], "config", "images", "list", f"--kubernetes-version={version}"]
    )
    return {line.rpartition("/")[2].partition(":")[0]: line for line in listed.split()}


def control_plane_images(
    root: Path, programs: Mapping[str, Path], names: Mapping[str, str], scratch: Path
) -> Path:
    """Return an archive with the images that kubeadm starts.

    Args:
        root: of the node, whose iptables kube-proxy gets.
        programs: files of Kubernetes' programs by name.
        names: of the images, by program.
        scratch: where the archive goes, too.
    """
    images = []
    for name, program in _STATIC.items():
        folder = scratch / name
        target = folder / ("pause" if name == "pause" else f"usr/local/bin/{name}")
        target.parent.mkdir(parents=True)
        shutil.copy(programs[program], target)
        for empty in ("etc", "tmp"):
            (folder / empty).mkdir()
        layer = make_layer(folder, scratch / f"{name}.tar")
        user = "65535:65535" if name == "pause" else ""
        entry = [str(Path("/") / target.relative_to(folder))]
        images.append(Image(names[name], [layer], entry, user=user))
        shutil.rmtree(folder)
    layer = make_layer(_proxy_root(root, programs, scratch / "proxy"), scratch / "proxy.tar")
    images.append(Image(names["kube-proxy"], [layer], ["/usr/local/bin/kube-proxy"]))
    archive = scratch / "control-plane.tar"
    write_archive(images, archive)
    return archive


def _proxy_root(root: Path, programs: Mapping[str, Path], folder: Path) -> Path:
    """Kube-proxy with Debian's iptables, its extensions and every library that they load."""
    for directory in ("usr/local/bin", "usr/sbin", "usr/bin", "usr/lib/x86_64-linux-gnu",
                      "usr/lib64", "run", "tmp", "etc"):  # fmt: skip
        (folder / directory).mkdir(parents=True)
    for directory in ("lib", "lib64", "sbin", "bin"):
        (folder / directory).symlink_to(f"usr/{directory}")
    shutil.copy(programs["kube-proxy"], folder / "usr/local/bin")
    for program in ("xtables-nft-multi", "nft"):
        shutil.copy(root / "usr/sbin" / program, folder / "usr/sbin")
    for program in _IPTABLES:
        (folder / "usr/sbin" / program).symlink_to("xtables-nft-multi")
    plugins = "usr/lib/x86_64-linux-gnu/xtables"
    shutil.copytree(root / plugins, folder / plugins)
    # Without libm the plug-in `statistic` does not load, and Services lose their rules unheard.
    ask = f"ldd /usr/sbin/xtables-nft-multi /usr/sbin/nft /{plugins}/*.so"
    said = run(["chroot", root, "sh", "-c", f"{ask} 2>/dev/null || :"]).split()
    libraries = {word for word in said if word.startswith("/") and not word.endswith(":")}
    copy = 'chroot "$0" tar -ch "${@:2}" | tar -C "$1" -x'  # -h: the files that links lead to
    run(["bash", "-o", "pipefail", "-c", copy, root, folder, *sorted(libraries)])
    return folder


def preload(root: Path, archive: Path, scratch: Path) -> None:
    """Put the images into the node's own containerd store, so that it pulls nothing."""
    store = root / "var/lib/containerd"
    store.mkdir(parents=True, exist_ok=True)
    socket = scratch / "c.sock"
    settings = scratch / "containerd.toml"
    settings.write_text(
        f'version = 2\nroot = "{store}"\nstate = "{scratch / "state"}"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{socket}"\n'
    )
    with _containerd(settings, socket, scratch):
        ctr: list[str | Path] = ["ctr", "-a", socket, "-n", "k8s.io", "images"]
        run([*ctr, "import", "--no-unpack", "--digests", "--all-platforms", archive])
        for name in run([*ctr, "list", "--quiet"]).split():
            run([*ctr, "label", name, "io.cri-containerd.pinned=pinned"])  # never cleaned away


@contextmanager
def _containerd(settings: Path, socket: Path, scratch: Path) -> Iterator[None]:
    group = ProcessGroup(scratch, remove_directory=False)
    try:
        command = [str(find("containerd")), "--config", str(settings)]
        component = group.spawn("containerd", command)
        wait_until(
            lambda: socket.exists() and stat.S_ISSOCK(socket.stat().st_mode)
            and succeeds(["ctr", "-a", socket, "version"]),
            "containerd answers", deadline_s=_CONTAINERD_STARTS_WITHIN_S, component=component,
        )  # fmt: skip
        yield
        component.process.terminate()
        component.process.wait(_CONTAINERD_STARTS_WITHIN_S)
    finally:
        group.close()
