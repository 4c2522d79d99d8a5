"""The page of clients is made of the results, and the results are of the versions that are pinned."""

from __future__ import annotations

import json

from tests.interop.environments import environments
from tests.interop.matrix import PAGE, RESULTS, page

MAKE = "make test-interop RECORD=1"


def test_the_page_is_that_of_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(json.loads(RESULTS.read_text(encoding="utf-8"))), MAKE


def test_the_results_are_those_of_the_pinned_clients() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))["clients"]
    pinned = {driver.partition(".")[0]: c.versions for c in environments().values() for driver in c.drivers}
    assert {name: result["versions"] for name, result in results.items()} == pinned, MAKE
