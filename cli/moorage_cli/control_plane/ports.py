"""Free loopback ports that stay free for a while."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from typing import Final

from moorage_cli.control_plane.command_lines import LOOPBACK, Ports
from moorage_cli.control_plane.errors import ComponentFailedError

# Below the range that Linux takes for outgoing connections: nobody is handed such a port by chance
# while a component restarts on it.
_FIRST: Final = 15_000
_LAST: Final = 32_000
_ATTEMPTS: Final = 500


def free_ports(count: int) -> list[int]:
    """Distinct ports on which nothing listens now."""
    ports = set[int]()
    for port in _candidates():
        if _is_free(port):
            ports.add(port)
        if len(ports) == count:
            return sorted(ports)
    raise ComponentFailedError(f"found no {count} free ports between {_FIRST} and {_LAST}")


def choose_ports() -> Ports:
    """Ports for one control plane."""
    return Ports(*free_ports(5))


def _candidates() -> Iterator[int]:
    chance = random.SystemRandom()
    for _attempt in range(_ATTEMPTS):
        yield chance.randint(_FIRST, _LAST)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
