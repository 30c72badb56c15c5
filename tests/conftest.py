"""What all tests share: patience, and a real control plane for those marked ``control_plane``."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from moorage_cli.control_plane import ControlPlane, NodeSpec
from moorage_cli.control_plane.processes import wait_until
from moorage_cli.control_plane.toolchains import DEFAULT_MINOR

# no property depends on how fast the machine happens to be
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("patient", PATIENT)
# a landing is decided by the change and not by a draw; `make fuzz` draws anew, and much more
settings.register_profile("steady", PATIENT, derandomize=True)
settings.register_profile("fuzz", PATIENT, max_examples=2000)
settings.load_profile(os.environ.get("MOORAGE_EXAMPLES", "patient"))

# started in the background of a shell, Python ignores SIGINT, and so would what stories interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

MINORS = os.environ.get("MOORAGE_KUBERNETES_MINORS", DEFAULT_MINOR).replace(" ", "").split(",")

ONE_MINOR = DEFAULT_MINOR if DEFAULT_MINOR in MINORS else MINORS[0]

MakeNodes = Callable[[Iterable[NodeSpec]], None]


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "kubernetes_minor" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.control_plane)
    spare = [item for item in items if _is_spare(item)]
    config.hook.pytest_deselected(items=spare)
    items[:] = [item for item in items if item not in spare]


def _is_spare(item: pytest.Item) -> bool:
    """Return whether one minor says it all, and this is another."""
    if item.get_closest_marker("one_minor") is None or not isinstance(item, pytest.Function):
        return False
    return item.callspec.params["kubernetes_minor"] != ONE_MINOR


@pytest.fixture(scope="session", params=MINORS)
def kubernetes_minor(request: pytest.FixtureRequest) -> str:
    """Each Kubernetes minor under test, named in ``MOORAGE_KUBERNETES_MINORS``."""
    minor: str = request.param
    return minor


@pytest.fixture(scope="session")
def control_plane(kubernetes_minor: str) -> Iterator[ControlPlane]:
    """One control plane for the whole session: do not disturb it, others use it too."""
    with ControlPlane(kubernetes_minor) as plane:
        yield plane


@pytest.fixture
def own_control_plane(kubernetes_minor: str) -> Iterator[ControlPlane]:
    """A control plane for this test alone, which may crash its components."""
    with ControlPlane(kubernetes_minor) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace of the shared control plane, with its ServiceAccount ready."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    api = control_plane.api
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_until(
        lambda: api.answers(f"/api/v1/namespaces/{name}/serviceaccounts/default"),
        f"the default ServiceAccount of {name} exists",
        deadline_s=30.0,
    )
    yield name
    api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def make_nodes(control_plane: ControlPlane) -> Iterator[MakeNodes]:
    """Create simulated nodes in the shared control plane; they are removed after the test."""
    created: list[str] = []

    def make(specs: Iterable[NodeSpec]) -> None:
        specs = tuple(specs)
        created.extend(spec.name for spec in specs)
        control_plane.create_nodes(specs)

    yield make
    control_plane.delete_nodes(created)
