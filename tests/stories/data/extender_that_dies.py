"""The extender, killed the moment its n-th write as a planner has taken effect; n is the argument.

Plans, words to pods and bells count; bindings do not.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from typing import Any

from moorage_cluster.session import ApiSession
from moorage_extender.main import run

COUNTED = re.compile(r"/placementplans|/pods(/[^/]+(/status)?)?$|/events")
fatal = int(sys.argv.pop(1))
numbers = itertools.count(1)
send = ApiSession.request


async def dying_request(self: ApiSession, method: str, path: str, **fields: Any) -> bytes:
    answer = await send(self, method, path, **fields)
    if method != "GET" and COUNTED.search(path) and next(numbers) == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


ApiSession.request = dying_request  # type: ignore[method-assign]
run()
