"""What the README shows is what the repository holds."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_is_the_script():
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block and block[1].strip() in (ROOT / "examples/00_readme.py").read_text()


def test_the_speeds_are_the_recorded_ones():
    (path,) = re.findall(r"recorded in \[(benchmarks/results/(?!references)[^]]+)\]", README)
    rows = json.loads((ROOT / path).read_text())["rows"]
    named = rows.items() if isinstance(rows, dict) else [(row["name"], row) for row in rows]
    table = dict(re.findall(r"\| (jaxnets, [^|]+?|Flax, [^|]+?) \| ([\d,]+) \|", README))
    assert len(table) >= 4
    for name, rate in table.items():
        recorded = next(row for key, row in named if name.startswith(key))
        assert f"{recorded['rate']:,.0f}" == rate


def test_figures_exist():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path
