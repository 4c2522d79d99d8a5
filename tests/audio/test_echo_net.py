"""The near-end network in C says what the network it was made from says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.native import Block, address, lib

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "echo_net.json"


def made_features(hops: int) -> NDArray[np.float32]:
    """As `training.echo.export` makes them."""
    x = np.random.default_rng(1).standard_normal((hops, lib.RT_ECHO_FEATURES))
    for hop in range(1, hops):
        x[hop] = 0.95 * x[hop - 1] + 0.3 * x[hop]
    x += np.repeat([2.5, 1.5, 2.5, 2.0, 1.0, 0.0, 0.0], lib.RT_ECHO_BANDS)
    return np.asarray(x, np.float32)


def test_the_c_network_agrees_with_the_trained_one() -> None:
    stored = json.loads(GOLDEN.read_text())
    block = Block(lib.rt_echo_net_size())
    net = block.pointer("rt_echo_net *")
    lib.rt_echo_net_init(net)
    x = made_features(stored["hops"][-1] + 1)
    gains, near = np.zeros((len(x), lib.RT_ECHO_BANDS), np.float32), np.zeros(len(x), np.float32)
    lib.rt_echo_net_many(net, address(x, "float *"), len(x), address(gains, "float *"), address(near, "float *"))
    assert gains[stored["hops"]] == pytest.approx(np.array(stored["gains"]), abs=0.01)
    assert near[stored["hops"]] == pytest.approx(np.array(stored["near"]), abs=0.01)
    assert np.std(stored["near"]) > 0.05  # the vectors say something
    assert np.std(stored["gains"], axis=0).min() > 0.02
