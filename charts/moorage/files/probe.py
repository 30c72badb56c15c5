"""Ask each address until it answers 200; the whole of `helm test`."""

import sys
import time
import urllib.error
import urllib.request

PAUSE_S = 2.0
DEADLINE_S = 120.0


def ask(address: str) -> str:
    """Return what is wrong, empty when all is well."""
    try:
        urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - the chart's addresses
    except urllib.error.HTTPError as error:
        return f"status {error.code}: {error.read().decode(errors='replace').strip()}"
    except OSError as error:
        return str(error)
    return ""


end_s = time.monotonic() + DEADLINE_S
for address in sys.argv[1:]:
    while problem := ask(address):
        if time.monotonic() > end_s:
            sys.exit(f"{address}: {problem}")
        time.sleep(PAUSE_S)
    print(f"{address}: ready", flush=True)
