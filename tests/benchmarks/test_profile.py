"""What a profile says of a step."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.problems import Problem
from benchmarks.profile import by_kind, profile
from benchmarks.protocol import Job


def test_kinds_are_added_up_and_the_rest_is_left_out():
    spent = Counter({"dot.1": 4000, "dot.2.clone": 2000, "add_fusion": 1000, "once": 9999,
                     "ThunkExecutor::Execute": 9999, "end: dot.1": 9999})  # fmt: skip
    count = Counter(dict.fromkeys(spent, 20) | {"once": 12})  # not of every step
    assert by_kind(spent, count, 20) == [("dot", 0.3, 2.0), ("add_fusion", 0.05, 1.0)]


def test_a_step_has_the_products_of_its_layers():
    kinds, steps = profile(Job("jaxnets", Problem("mlp", "points", 256, 32, widths=(8,)), 2, 3))
    assert steps == 2 * 3 * 8
    products = sum(often for kind, _, often in kinds if "dot" in kind or "ynn" in kind)
    assert products == pytest.approx(5, abs=0.5)  # 2 forward, 2 for the kernels, 1 for the hidden
    assert all(micro > 0 for _, micro, _ in kinds)
