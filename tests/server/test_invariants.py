"""Whatever a client does in whatever order, the rules of the protocol hold: see machine.py and invariants.py.

`make fuzz-server` does the same for as many behaviours as it is asked to.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

from tests.server.machine import AnyClient

EXAMPLES = int(os.environ.get("BARGEIN_FUZZ_EXAMPLES", "0"))

TestAnyClient = AnyClient.TestCase
TestAnyClient.settings = settings(
    max_examples=EXAMPLES or 40,
    stateful_step_count=60 if EXAMPLES else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate] + [Phase.shrink] * ("BARGEIN_NO_SHRINK" not in os.environ),
    print_blob=True,
)
