"""What the README shows is what the repository holds."""

import json
import re
import sys
from pathlib import Path

import jax
import numpy as np

import jaxnets as jn

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks lie beside the package

from benchmarks.record import read
from benchmarks.targets import targets

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_is_the_script():
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block and block[1].strip() in (ROOT / "examples/00_readme.py").read_text()


def test_the_example_with_data_of_ones_own(capsys, tmp_path, monkeypatch):
    train, save = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1:]
    names = {"jax": jax, "jn": jn}
    exec(train.replace("epochs=100", "epochs=3"), names)
    monkeypatch.chdir(tmp_path)
    exec(save, names)
    with np.load(tmp_path / "network.npz") as saved:
        assert {"Dense_0/kernel", "Dense_1/bias", "scaling/std"} <= set(saved)
    assert "'kernel': (10," in capsys.readouterr().out and len(names["runs"]) == 10


def cells(heading: str) -> list[list[str]]:
    """The rows of the first table after a heading, without its two header lines."""
    lines = README.split(heading, 1)[1].split("\n|", 1)[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


MACHINE = read()["cpu-2-intel-xeon-processor-6-207"]
"""Whose speeds the README has."""

NEWER = read()["cpu-2-amd-epyc-25-1"]
"""Where ResNet-20 was recorded with oneDNN."""


def test_where_it_is_behind_is_what_was_recorded():
    found, newer = (
        {target.text: f"{target.found:.2f}" for target in targets(machine)}
        for machine in (MACHINE, NEWER)
    )
    seconds = {row["name"]: f"{row['seconds']:.1f} s" for row in MACHINE["cold-start"]["rows"]}
    several, one = "a population, against torch's best", "one member alone, against the best peer"
    shapes = "depth-width: 8 members of any shape and batch, against one of torch"
    (where,) = (target.limit for target in targets(MACHINE) if target.text == shapes)
    assert where == "The furthest behind: 2 x 1024, batch 1024."
    for text in (
        f"ResNet-20 trains at {found[f'resnet20: {one}']} of the rate of the best peer with one "
        f"member (at {found[f'resnet20: {several}']} of torch's best rate in a population), eight "
        f"networks of 2 x 1024 units in batches of 1024 at {found[shapes]} of the rate of one of "
        f"torch, and a process has its first metric after {seconds['jaxnets: first metric']}, one "
        "with a hand-written Flax loop after "
        f"{seconds['Flax, hand-written loop: first metric']}",
        "on two cores of an AMD EPYC (25, 1) with AVX2 it trains at "
        f"{newer[f'resnet20: {one}']} of the rate of the best peer with one member, at "
        f"{newer[f'resnet20: {several}']} of torch's best rate in a population.",
    ):
        assert text in " ".join(README.split()), text


def test_the_speeds_are_the_recorded_ones():
    result = MACHINE["small-mlp"]
    recorded = {row["name"]: row["rate"] for row in result["rows"]}
    loop = recorded["Flax, hand-written loop"]
    table = cells("## Speed")
    assert len(table) >= 10
    for name, rate, ratio in table:
        assert rate == f"{recorded[name]:,.0f}", name
        assert ratio == f"{recorded[name] / loop:.2g}", name
    # Nobody else is shown below her best.
    peers = [row for row in result["rows"] if not row["ceiling"] and row["system"][:7] != "jaxnets"]
    best = {row["system"]: row["name"] for row in sorted(peers, key=lambda row: row["rate"])}
    assert set(best.values()) <= {name for name, *_ in table}


def test_the_published_numbers_are_the_recorded_ones():
    lines = json.loads((ROOT / "benchmarks/results/references.json").read_text())["mnist1d"][
        "lines"
    ]
    recorded = {line["quantity"]: (line["published"], line["median"]) for line in lines}
    table = cells("## Published numbers")
    assert len(table) == 4
    for name, *found in table:
        kind = name.split(",")[0].removeprefix("bidirectional ").split()[0]
        for place, numbers in zip(("in order", "permuted"), (found[:2], found[2:]), strict=True):
            published, median = recorded[f"{kind}, {place}: test accuracy, %"]
            assert numbers == [published, f"{median:.1f}"], (name, place)


def test_the_campaigns_are_the_recorded_ones():
    found = json.loads((ROOT / "benchmarks/results/faults.json").read_text())
    words, larger = " ".join(README.split()), found["larger"]
    for text in (
        f"{found['kills']['kills']} kills at random moments",
        f"{found['damage']['damaged']} damaged files",
        f"{found['malformed']['malformed']} malformed inputs",
        f"{found['reruns']['runs']} repetitions",
        f"{found['soak']['studies']:,} small studies in one process, an hour of its processor time",
        f"a file of {larger['file GiB']:.0f} GiB on a machine of {larger['memory GiB']:.0f} GiB",
        f"with {larger['peak GiB of its own']:.1f} GiB of memory of its own",
        f"as long as one without, median {found['saving']['times as long']:.2f},",
    ):
        assert text in words
    assert all(campaign["wrong"] == {} for campaign in found.values())


def test_the_laws_were_seen_to_hold_on_many_devices():
    recorded = json.loads((ROOT / "benchmarks/results/verify.json").read_text())
    assert recorded["passed"]
    (between,) = (f for f in recorded["findings"] if f["law"] == "between devices")
    assert between["devices"] == [1, 2, 4, 8]
    assert between["largest"] == 0 and "members of 1, 2, 4 and 8 devices are equal" in README


def test_figures_exist():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path
