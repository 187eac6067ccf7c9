"""64 clients at once run, describe and list tasks for some seconds: every request is answered, and soon. The load is that of
`benches/api_load.py`."""

import argparse
import pathlib
import sys

from session import ENDPOINT

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benches"))
import api_load

arguments = argparse.Namespace(clients=64, seconds=4, tasks=20)
measured, seconds = api_load.load(ENDPOINT, api_load.prepare(ENDPOINT, "busybox"), arguments)
errors = {error for _, _, error in measured if error}
assert not errors, errors
for operation in api_load.OPERATIONS:
    times = [took for name, took, _ in measured if name == operation]
    assert len(times) >= arguments.clients, (operation, len(times))
    assert max(times) < api_load.SECONDS_MAX, (operation, max(times))
api_load.show({"name": "Longshore", "seconds": seconds, "measured": measured, "memory": None})
