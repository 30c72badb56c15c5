"""A program, killed the moment its n-th write about plans has taken effect.

Arguments: ``operator`` or ``extender``, n, then the program's own flags. Of the operator, writes
that carry plans out count: progress, marks, evictions and workloads. Of the extender, those of a
planner: plans, words to pods and bells, not bindings.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from importlib import import_module
from typing import Any

from moorage_cluster.session import ApiSession

COUNTED = {
    "operator": r"/placementplans/[^/]+/status$|/pods/|/eviction$|/deployments/",
    "extender": r"/placementplans|/pods(/[^/]+(/status)?)?$|/events",
}
program, fatal = sys.argv.pop(1), int(sys.argv.pop(1))
counted = re.compile(COUNTED[program])
numbers = itertools.count(1)
send = ApiSession.request


async def dying_request(self: ApiSession, method: str, path: str, **fields: Any) -> bytes:
    answer = await send(self, method, path, **fields)
    if method != "GET" and counted.search(path) and next(numbers) == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


ApiSession.request = dying_request  # type: ignore[method-assign]
import_module(f"moorage_{program}.main").run()
