from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from moorage_cli.control_plane.binaries import (
    DOWNLOADED,
    UNPACKED,
    cache_directory,
    find_binaries,
    find_programs,
)
from moorage_cli.control_plane.download import Hosts, published_sha256
from moorage_cli.control_plane.errors import (
    BuildFailedError,
    MissingBinariesError,
    UnknownMinorError,
)
from moorage_cli.control_plane.obtain import (
    obtain_binaries,
    obtain_descheduler,
    obtain_helm,
    obtain_prometheus,
)
from moorage_cli.control_plane.toolchains import (
    KUBERNETES_VERSIONS,
    Toolchain,
    helm_toolchain,
    prometheus_toolchain,
    target_platform,
    toolchains,
)

KUBERNETES, ETCD, KWOK = toolchains("1.34")
HELM = helm_toolchain()

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go9.9.9; exit; fi
echo "$GOFLAGS|$*" >> "$FAKE_GO_LOG"
while [ -e "$FAKE_GO_LOG.hold" ]; do :; done
if [ -e "$FAKE_GO_LOG.fail" ]; then echo "checksum mismatch" >&2; exit 3; fi
test -f go.mod && test -f go.sum || exit 4
while [ "$1" != -o ]; do shift; done
target=$2; shift 2
make() { printf '#!/bin/sh\\n' > "$1"; chmod +x "$1"; }
case $target in
  */) for package; do make "$target$(basename "$package")"; done ;;
  *) make "$target" ;;
esac
"""


def fake_program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def ignore(_step: str, _detail: str) -> None:
    """A report that nobody reads."""


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cached and PATH has only what the fake programs need."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "basename", "chmod", "test"):
        source = next(p for p in (Path("/bin") / tool, Path("/usr/bin") / tool) if p.exists())
        (tmp_path / "bin" / tool).symlink_to(source)


@pytest.fixture
def go_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` that builds nothing real and notes every build in this file."""
    program = tmp_path / "bin" / "go"
    program.write_text(FAKE_GO)
    program.chmod(0o755)
    log = tmp_path / "go.log"
    log.touch()
    monkeypatch.setenv("FAKE_GO_LOG", str(log))
    return log


@pytest.mark.parametrize(
    ("program", "says", "toolchain", "fits"),
    [
        pytest.param("kube-apiserver", "Kubernetes v1.34.2", KUBERNETES, True, id="any-patch"),
        pytest.param("kube-apiserver", "Kubernetes v1.33.9", KUBERNETES, False, id="other-minor"),
        pytest.param("kubectl", "Client Version: v1.35.0", KUBERNETES, True, id="kubectl-skew"),
        pytest.param("kubectl", "Client Version: v1.32.0", KUBERNETES, False, id="too-much-skew"),
        pytest.param("etcd", "etcd Version: 3.6.1", ETCD, True, id="etcd"),
        pytest.param("etcd", "etcd Version: 3.5.9", ETCD, False, id="old-etcd"),
        pytest.param("kwok", "kwok version v0.8.3 go1.26 (x)", KWOK, True, id="kwok"),
        pytest.param("helm", "v3.22.4+g1234567", HELM, True, id="helm"),
        pytest.param("helm", "v4.3.1+g1234567", HELM, False, id="other-helm"),
        pytest.param("kwok", "cannot run here", KWOK, False, id="says-no-version"),
    ],
)
def test_installed_programs_count_in_the_right_minor(
    tmp_path: Path, program: str, says: str, toolchain: Toolchain, fits: bool
) -> None:
    path = fake_program(tmp_path / "bin", program, says)
    assert find_programs(toolchain) == ({program: path} if fits else {})


def test_assets_come_before_path_and_path_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = fake_program(cache_directory(ETCD) / DOWNLOADED, "etcd", "")
    assert find_programs(ETCD) == {"etcd": cached}
    on_path = fake_program(tmp_path / "bin", "etcd", "etcd Version: 3.6.16")
    assert find_programs(ETCD) == {"etcd": on_path}
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert find_programs(ETCD) == {"etcd": on_path}
    asset = fake_program(tmp_path / "assets", "etcd", "etcd Version: 3.6.16")
    assert find_programs(ETCD) == {"etcd": asset}
    fake_program(tmp_path / "assets", "etcd", "etcd Version: 3.4.0")
    assert find_programs(ETCD) == {"etcd": on_path}


def test_cached_builds_of_another_go_serve_only_without_go(tmp_path: Path, go_log: Path) -> None:
    old = fake_program(cache_directory(ETCD) / "go1.0.0", "etcd", "")
    assert find_programs(ETCD) == {}
    (tmp_path / "bin" / "go").unlink()
    assert find_programs(ETCD) == {"etcd": old}


def test_missing_programs_are_named_with_the_command_that_gets_them() -> None:
    with pytest.raises(
        MissingBinariesError, match=r"kube-apiserver.*moorage control-plane build --minors 1\.34"
    ):
        find_binaries("1.34")


def test_unknown_minor_names_the_known_ones() -> None:
    with pytest.raises(UnknownMinorError, match=r"minor: '1\.2' is not one of 1\.34, 1\.37"):
        find_binaries("1.2")


@pytest.mark.parametrize("minor", KUBERNETES_VERSIONS)
def test_pinned_versions_agree_with_the_go_modules(minor: str) -> None:
    for toolchain in (*toolchains(minor), helm_toolchain()):
        required = (toolchain.module / "go.mod").read_text()
        assert f" v{toolchain.version}\n" in required
        assert all(package in required for package in toolchain.packages.values())


def test_everything_is_built_once_from_pinned_modules(go_log: Path) -> None:
    first = obtain_binaries("1.34", ignore, hosts=None)
    assert obtain_binaries("1.34", ignore, hosts=None) == first
    builds = go_log.read_text().splitlines()
    assert [build.split("|")[0] for build in builds] == ["-mod=readonly -buildvcs=false"] * 3
    assert "-X k8s.io/component-base/version.gitVersion=v1.34.10" in builds[0]
    assert sorted(first.paths) == sorted(
        ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "etcd", "kwok"]
    )
    assert all(path.parent.name == "go9.9.9" for path in first.paths.values())


def test_helm_is_built_by_itself_as_its_project_stamps_it(go_log: Path) -> None:
    path = obtain_helm(ignore, hosts=None)
    assert obtain_helm(ignore, hosts=None) == path
    (build,) = go_log.read_text().splitlines()
    assert "-X helm.sh/helm/v3/internal/version.version=v3.22.0" in build
    assert (path.name, path.parent.name) == ("helm", "go9.9.9")


def test_a_failing_build_shows_what_go_said_and_leaves_nothing(go_log: Path) -> None:
    Path(f"{go_log}.fail").touch()
    with pytest.raises(BuildFailedError, match=r"code 3 while building kubernetes(.|\n)*mismatch"):
        obtain_binaries("1.34", ignore, hosts=None)
    assert list((cache_directory(KUBERNETES) / "go9.9.9").iterdir()) == []


def test_without_go_the_remedy_is_named() -> None:
    with pytest.raises(BuildFailedError, match=r"install Go 1\.26\.0 or newer.*KUBEBUILDER_ASSETS"):
        obtain_binaries("1.34", ignore, hosts=None)


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a-file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with pytest.raises(BuildFailedError, match=r"cannot write to the cache .*XDG_CACHE_HOME"):
        obtain_binaries("1.34", ignore, hosts=None)


def test_two_at_once_build_once(go_log: Path) -> None:
    hold = Path(f"{go_log}.hold")
    hold.touch()
    building = threading.Event()

    def first_report(step: str, _detail: str) -> None:
        if step.startswith("building"):
            building.set()

    def second_report(step: str, _detail: str) -> None:
        if step == "waiting":
            hold.unlink(missing_ok=True)

    first = threading.Thread(target=obtain_binaries, args=("1.34", first_report, None))
    second = threading.Thread(target=obtain_binaries, args=("1.34", second_report, None))
    first.start()
    assert building.wait(30)
    second.start()
    first.join(30)
    second.join(30)
    assert not first.is_alive()
    assert not second.is_alive()
    built = [line.rpartition(" ")[2] for line in go_log.read_text().splitlines()]
    assert sorted(built) == sorted(set(built))
    assert len(built) == 3


class Server(ThreadingHTTPServer):
    """Serves what is in ``files``, by path."""

    files: dict[str, bytes]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.files = {}
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def hosts(server: Server) -> Hosts:
    base = f"http://127.0.0.1:{server.server_address[1]}"
    return Hosts(kubernetes=f"{base}/k8s", github=f"{base}/gh", github_api=f"{base}/api")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def publish_all(files: dict[str, bytes]) -> None:
    """What the three projects publish for 1.34 on this kind of machine."""
    system, architecture = target_platform()
    for program in KUBERNETES.packages:
        content = f"#!/bin/sh\n# {program}\n".encode()
        path = f"/k8s/release/v1.34.10/bin/{system}/{architecture}/{program}"
        files |= {path: content, f"{path}.sha256": sha256(content).encode()}
    name = f"etcd-v{ETCD.version}-{system}-{architecture}"
    archive = tar_of(f"{name}/etcd", b"#!/bin/sh\n# etcd\n")
    base = f"/gh/etcd-io/etcd/releases/download/v{ETCD.version}"
    sums = f"{'0' * 64}  other.tar.gz\n{sha256(archive)}  {name}.tar.gz\n"
    files |= {f"{base}/{name}.tar.gz": archive, f"{base}/SHA256SUMS": sums.encode()}
    kwok, name = b"#!/bin/sh\n# kwok\n", f"kwok-{system}-{architecture}"
    release = {"assets": [{"name": name, "digest": f"sha256:{sha256(kwok)}"}]}
    base = "kubernetes-sigs/kwok/releases"
    files |= {
        f"/gh/{base}/download/v{KWOK.version}/{name}": kwok,
        f"/api/repos/{base}/tags/v{KWOK.version}": json.dumps(release).encode(),
    }


def tar_of(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_released_programs_are_downloaded_without_go(server: Server, hosts: Hosts) -> None:
    publish_all(server.files)
    binaries = obtain_binaries("1.34", ignore, hosts)
    for program, path in binaries.paths.items():
        assert path.parent.name == DOWNLOADED
        assert path.read_text() == f"#!/bin/sh\n# {program}\n"
        assert path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("spoiled", [False, True], ids=["as-published", "wrong-checksum"])
def test_released_helm_is_downloaded_unless_its_checksum_is_wrong(
    server: Server, go_log: Path, spoiled: bool
) -> None:
    name = f"helm-v{HELM.version}-{'-'.join(target_platform())}.tar.gz"
    archive = tar_of(f"{'-'.join(target_platform())}/helm", b"#!/bin/sh\n# helm\n")
    digest = "0" * 64 if spoiled else sha256(archive)
    server.files |= {f"/{name}": archive, f"/{name}.sha256sum": f"{digest}  {name}\n".encode()}
    path = obtain_helm(ignore, Hosts(helm=f"http://127.0.0.1:{server.server_address[1]}"))
    assert path.parent.name == ("go9.9.9" if spoiled else DOWNLOADED)


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(b"0" * 64, id="wrong-checksum"),
        pytest.param(b"", id="no-checksum"),
        pytest.param(None, id="no-checksum-file"),
    ],
)
def test_a_download_without_matching_checksum_is_dropped_and_built(
    server: Server, hosts: Hosts, go_log: Path, spoiled: bytes | None
) -> None:
    publish_all(server.files)
    for path in list(server.files):
        if path.endswith((".sha256", "SHA256SUMS")) or path.startswith("/api"):
            server.files.pop(path)
            server.files |= {} if spoiled is None else {path: spoiled}
    binaries = obtain_binaries("1.34", ignore, hosts)
    assert all(path.parent.name == "go9.9.9" for path in binaries.paths.values())
    leftovers = [p for p in cache_directory(KUBERNETES).rglob("*") if p.parent.name == DOWNLOADED]
    assert leftovers == []


def test_an_unreachable_host_falls_back_to_building(go_log: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    binaries = obtain_binaries("1.34", ignore, Hosts(nowhere, nowhere, nowhere))
    assert all(path.parent.name == "go9.9.9" for path in binaries.paths.values())


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param("abc\n", "abc", id="bare"),
        pytest.param("aaa  other\nbbb *file\n", "bbb", id="list-binary-mode"),
        pytest.param("aaa  other\nccc  more\n", None, id="not-in-list"),
        pytest.param('{"assets": [{"name": "file", "digest": null}]}', None, id="no-digest"),
        pytest.param('{"assets": [{"name": "file", "digest": "md5:1"}]}', None, id="other-digest"),
        pytest.param('{"assets": [{"name": "file", "digest": "sha256:d"}]}', "d", id="github"),
        pytest.param("", None, id="empty"),
    ],
)
def test_published_checksums(document: str, expected: str | None) -> None:
    assert published_sha256(document, "file") == expected


PROMETHEUS = prometheus_toolchain()


def offer_package(tmp_path: Path, made: str) -> None:
    """Put an apt-get and a dpkg-deb on PATH that know a package with this program."""
    folder = tmp_path / "bin"
    for name, script in (
        ("apt-get", '[ "$1 $3" = "download prometheus" ] && : > prometheus_1_any.deb'),
        ("dpkg-deb", f"mkdir -p $3/usr/bin; cd $3/usr/bin; : > {made}; chmod +x {made}"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    mkdir = shutil.which("mkdir", path="/bin:/usr/bin")
    assert mkdir is not None
    (folder / "mkdir").symlink_to(mkdir)


def test_prometheus_is_taken_from_the_systems_package(tmp_path: Path, go_log: Path) -> None:
    offer_package(tmp_path, "prometheus")
    path = obtain_prometheus(ignore)
    assert path.parent == cache_directory(PROMETHEUS) / UNPACKED
    assert [file.name for file in path.parent.iterdir()] == ["prometheus"]
    assert go_log.read_text() == ""


@pytest.mark.parametrize("has_package", [True, False], ids=["package-lacks-it", "no-package"])
def test_prometheus_is_built_where_no_package_has_it(
    tmp_path: Path, go_log: Path, has_package: bool
) -> None:
    if has_package:
        offer_package(tmp_path, "promtool")
    path = obtain_prometheus(ignore)
    assert path.is_relative_to(cache_directory(PROMETHEUS))
    assert "github.com/prometheus/prometheus/cmd/prometheus" in go_log.read_text()


def test_descheduler_is_built_unless_its_minor_is_installed(tmp_path: Path, go_log: Path) -> None:
    fake_program(tmp_path / "bin", "descheduler", "Descheduler version {GitVersion:v0.35.1}")
    obtain_descheduler(ignore)
    assert "sigs.k8s.io/descheduler/cmd/descheduler" in go_log.read_text()
    installed = fake_program(tmp_path / "bin", "descheduler", "{GitVersion:v0.36.2}")
    assert obtain_descheduler(ignore) == installed


@pytest.mark.parametrize(
    ("says", "counts"),
    [
        pytest.param("prometheus, version 2.42.0+ds (branch: x)", True, id="old-enough-to-know"),
        pytest.param("prometheus, version 4.1.0", True, id="newer"),
        pytest.param("prometheus, version 2.39.1", False, id="too-old"),
    ],
)
def test_an_installed_prometheus_counts_from_a_version_on(
    tmp_path: Path, says: str, counts: bool
) -> None:
    fake_program(tmp_path / "bin", "prometheus", says)
    assert bool(find_programs(PROMETHEUS)) == counts
