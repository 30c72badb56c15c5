"""The image of kind's nodes: the published one where it can be pulled, else one made here."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.build import go_program
from moorage_cli.control_plane.download import Hosts
from moorage_cli.control_plane.obtain import obtain_programs
from moorage_cli.control_plane.processes import ProcessGroup, wait_until
from moorage_cli.control_plane.progress import Report
from moorage_cli.control_plane.toolchains import (
    DEFAULT_MINOR,
    KUBERNETES_VERSIONS,
    kind_toolchain,
    node_toolchains,
)
from moorage_cli.kind import debian
from moorage_cli.kind.archive import Image, kept_layer, make_layer, write_archive
from moorage_cli.kind.engine import Engine
from moorage_cli.kind.packages import find, require
from moorage_cli.kind.places import FILES, cache, digest
from moorage_cli.kind.run import run, succeeds

VERSION: Final = KUBERNETES_VERSIONS[DEFAULT_MINOR]
PUBLISHED: Final = f"kindest/node:v{VERSION}"

_PULLED_WITHIN_S: Final = 600.0
_CONTAINERD_STARTS_WITHIN_S: Final = 30.0
_STATIC: Final = {
    "kube-apiserver": "kube-apiserver",
    "kube-controller-manager": "kube-controller-manager",
    "kube-scheduler": "kube-scheduler",
    "etcd": "etcd",
    "coredns": "coredns",
    "pause": "pause",
}
_UNITS_OFF: Final = (
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
)
_IPTABLES: Final = (
    "iptables", "ip6tables", "iptables-save", "iptables-restore", "ip6tables-save",
    "ip6tables-restore",
)  # fmt: skip


def ready_node_image(engine: Engine, report: Report, hosts: Hosts | None) -> str:
    """Return the name of a node image that the engine holds.

    Args:
        engine: that runs the nodes.
        report: told what is going on while it takes long.
        hosts: servers to download from, ``None`` to download and pull nothing.
    """
    own = f"moorage/node:v{VERSION}-{_inputs()}"
    for name in (PUBLISHED, own):
        if engine.has_image(name):
            return name
    archive = cache() / "images" / f"node-{VERSION}-{_inputs()}.tar.zst"
    if archive.exists():
        _load(engine, archive, report)
        return own
    if hosts is not None:
        report("pulling", PUBLISHED)
        pull = ["timeout", f"{_PULLED_WITHIN_S:g}", "docker", "pull", "--quiet", PUBLISHED]
        if succeeds(pull, environment=engine.environment):
            return PUBLISHED
    _build(engine, own, report, hosts)
    _save(engine, own, archive, report)
    return own


def _build(engine: Engine, name: str, report: Report, hosts: Hosts | None) -> None:
    require(["ctr", "containerd", "jq"], report)
    programs: dict[str, Path] = {}
    for toolchain in node_toolchains(DEFAULT_MINOR):
        programs |= obtain_programs(toolchain, report, hosts, exact=True)
    (cache() / "images").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".node-") as scratch:
        folder = Path(scratch)
        root = _debian_root(folder / "root", report)
        report("making the node image", "kind's own files and Kubernetes' programs")
        names = _image_names(programs)
        _prepare(root, _kind_files(folder), programs, names)
        report("making the node image", "images of the control plane")
        archive = _control_plane_images(root, programs, names, folder)
        _preload(root, archive, folder)
        archive.unlink()
        report("making the node image", "importing it into the engine")
        _import(engine, root, name)


def _debian_root(root: Path, report: Report) -> Path:
    """Debian's part, kept by itself: it takes longest and seldom changes."""
    name = f"node-{digest([Path(debian.__file__).read_bytes()])}.tar"
    layer = kept_layer(cache() / "layers" / name, lambda folder: debian.node_root(folder, report))
    root.mkdir()
    run(["tar", "-C", root, "-xpf", layer.file])
    return root


def _inputs() -> str:
    parts: list[bytes | str] = [
        debian.SUITE,
        Path(debian.__file__).read_bytes(),
        Path(__file__).read_bytes(),
    ]
    parts += [file.read_bytes() for file in sorted(FILES.iterdir())]
    toolchains = (kind_toolchain(), *node_toolchains(DEFAULT_MINOR))
    return digest([*parts, *(toolchain.fingerprint() for toolchain in toolchains)])


def _image_names(programs: Mapping[str, Path]) -> dict[str, str]:
    """Names and tags under which kubeadm looks for its images, by program."""
    listed = run(
        [programs["kubeadm"], "config", "images", "list", f"--kubernetes-version={VERSION}"]
    )
    return {line.rpartition("/")[2].partition(":")[0]: line for line in listed.split()}


def _prepare(
    root: Path, base: Path, programs: Mapping[str, Path], names: Mapping[str, str]
) -> None:
    """Make Debian into a node, as kind's own image build does."""
    for part in ("kind", "etc", "usr"):
        run(["cp", "-r", "--no-preserve=mode", base / part, root])
    for folder in ("usr/local/bin", "kind/bin"):
        for program in (root / folder).iterdir():
            program.chmod(0o755)
    for pattern in _UNITS_OFF:
        for unit in root.glob(pattern):
            unit.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as journal:
        journal.write("ReadKMsg=no\n")
    # Two changes for a machine without CAP_SYS_RESOURCE; elsewhere they do no harm.
    unit = root / "etc/systemd/system/containerd.service"
    unit.write_text(
        "\n".join(x for x in unit.read_text().split("\n") if not x.startswith("OOMScoreAdjust"))
    )
    settings = root / "etc/containerd/config.toml"
    _change(settings, "restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    _change(settings, "registry.k8s.io/pause:3.10", names["pause"])
    (root / "etc/containerd/cri-base.json").write_text(_container_defaults())
    # Debian's containerd and network plugins, where kind looks for its own.
    (root / "usr/local/bin/containerd").symlink_to("/usr/bin/containerd")
    for folder in ("opt/cni", "etc/kubernetes/manifests", "kind/manifests"):
        (root / folder).mkdir(parents=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    for name in ("kubeadm", "kubelet", "kubectl"):
        shutil.copy(programs[name], root / "usr/bin" / name)
    shutil.copy(FILES / "pod-network.sh", root / "kind/bin")
    (root / "kind/bin/pod-network.sh").chmod(0o755)
    shutil.copy(FILES / "pod-network.service", root / "etc/systemd/system")
    for manifest in ("default-cni.yaml", "default-storage.yaml"):
        shutil.copy(FILES / manifest, root / "kind/manifests")
    (root / "kind/version").write_text(f"v{VERSION}")
    units = ["kubelet.service", "containerd.service", "undo-mount-hacks.service"]
    run(["chroot", root, "systemctl", "-q", "enable", *units, "pod-network.service"])
    run(["chroot", root, "systemctl", "-q", "mask", "systemd-binfmt.service"])
    for left in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log"):
        shutil.rmtree(root / left, ignore_errors=True)
        (root / left).mkdir(parents=True)


def _control_plane_images(
    root: Path, programs: Mapping[str, Path], names: Mapping[str, str], scratch: Path
) -> Path:
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


def _preload(root: Path, archive: Path, scratch: Path) -> None:
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


def _import(engine: Engine, root: Path, name: str) -> None:
    tar = ["tar", "-C", str(root), "-c", "."]
    entry = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
    changes = ["-c", "ENV container=docker", "-c", entry]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as files:
        subprocess.run(
            ["docker", "import", *changes, "-", f"{name}-base"],
            env={**os.environ, **engine.environment},
            stdin=files.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    # `docker import` knows no STOPSIGNAL, which systemd needs.
    recipe = f"FROM {name}-base\nSTOPSIGNAL SIGRTMIN+3\n".encode()
    run(
        ["docker", "build", "--quiet", "--tag", name, "-"],
        environment={**engine.environment, "DOCKER_BUILDKIT": "0"},
        stdin=recipe,
    )


def _save(engine: Engine, name: str, archive: Path, report: Report) -> None:
    report("keeping the node image", str(archive))
    require(["zstd"], report)
    partial = archive.with_name(f".{archive.name}.partial")
    pipe = 'docker save "$0" | zstd -q -f -3 -T0 -o "$1"'
    run(["bash", "-o", "pipefail", "-c", pipe, name, partial], environment=engine.environment)
    partial.replace(archive)


def _load(engine: Engine, archive: Path, report: Report) -> None:
    report("loading the node image", str(archive))
    require(["zstd"], report)
    pipe = 'zstd -dcq "$0" | docker load -q'
    run(["bash", "-o", "pipefail", "-c", pipe, archive], environment=engine.environment)


def _kind_files(scratch: Path) -> Path:
    """What kind puts into its base image, out of its Go module, whose sum is pinned."""
    go = go_program(kind_toolchain(), ["kind's files"])
    module = shutil.copytree(kind_toolchain().module, scratch / "kind-module")
    environment = {"GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    command = [go, "mod", "download", "-json", "sigs.k8s.io/kind"]
    downloaded = json.loads(run(command, cwd=module, environment=environment))
    return Path(downloaded["Dir"]) / "images/base/files"


def _container_defaults() -> str:
    """Containerd's defaults for containers, and kind's hook that hides the machine's product id."""
    hook = '{"path": "/kind/bin/mount-product-files.sh"}'
    change = f".hooks.createContainer = [{hook}] | del(.process.rlimits)"
    return run(["bash", "-o", "pipefail", "-c", 'ctr oci spec | jq "$0"', change])


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if old not in text:
        raise AssertionError(f"{file} has no {old!r}")
    file.write_text(text.replace(old, new))
