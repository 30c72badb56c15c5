"""Where pods show their metrics, and how long they took to serve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from moorage_crds.names import RESTING_ANNOTATION, SERVING_LABEL
from moorage_crds.objects import Container, PodObject
from moorage_operator.signals.scrape import Endpoint

PORT_ANNOTATION = "prometheus.io/port"
PATH_ANNOTATION = "prometheus.io/path"
PORT_NAMES = ("metrics", "http-metrics", "http")
LONGEST_START_S = 7200.0
PORTS = range(1, 65_536)


@dataclass(frozen=True, slots=True)
class PodPlace:
    """What scaling asks of one pod.

    Args:
        endpoint: where its metrics are, ``None`` while it has no address.
        ready_s: since when it serves, Unix seconds, ``None`` while it does not.
        start_up_s: how long it took to serve, ``None`` while unknown.
        resting_s: since when it is out of the Service, Unix seconds, ``None`` while it is in.
    """

    endpoint: Endpoint | None
    ready_s: float | None
    start_up_s: float | None
    resting_s: float | None = None


def read_place(item: PodObject) -> PodPlace:
    """Return what is known of a pod, before it is trimmed."""
    meta = item.metadata
    ready_s = None
    for condition in item.status.conditions:
        since = condition.last_transition_time
        if condition.type == "Ready" and condition.status == "True" and since is not None:
            ready_s = since.timestamp()
    start_up_s = None
    if ready_s is not None and meta.creation_timestamp is not None:
        took_s = ready_s - meta.creation_timestamp.timestamp()
        start_up_s = took_s if 0.0 <= took_s <= LONGEST_START_S else None
    return PodPlace(_endpoint(item), ready_s, start_up_s, _resting_s(item))


def _resting_s(item: PodObject) -> float | None:
    if item.metadata.labels.get(SERVING_LABEL, "true") != "false":
        return None
    try:
        return datetime.fromisoformat(item.metadata.annotations[RESTING_ANNOTATION]).timestamp()
    except (KeyError, ValueError):
        return 0.0  # somebody else took it out, or spoilt the time: long ago


def _endpoint(item: PodObject) -> Endpoint | None:
    port = _port(item)
    if not item.status.pod_ip or port is None:
        return None
    path = item.metadata.annotations.get(PATH_ANNOTATION, "/metrics")
    path = path if path.startswith("/") else f"/{path}"
    meta = item.metadata
    since_s = meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0
    return Endpoint(meta.uid, item.status.pod_ip, port, path, meta.namespace, meta.name, since_s)


def _port(item: PodObject) -> int | None:
    said = item.metadata.annotations.get(PORT_ANNOTATION, "")
    if said.isascii() and said.isdigit() and int(said) in PORTS:
        return int(said)
    containers: tuple[Container, ...] = item.spec.containers or ()
    ports = [port for container in containers for port in container.ports]
    named = {port.name: port.container_port for port in reversed(ports) if port.container_port}
    for name in PORT_NAMES:
        if name in named:
            return named[name]
    return next((port.container_port for port in ports if port.container_port), None)
