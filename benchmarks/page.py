"""``python -m benchmarks.page``: pages and figures from the recorded results, nothing else.

README.md has the aims on all machines, ``results/<machine>/README.md`` everything of one.
"""

from pathlib import Path
from typing import Any

from benchmarks import depth_vs_width
from benchmarks.cases import CASES, cold_start, roofline, scale, sweep, throughput
from benchmarks.figures import draw
from benchmarks.record import read
from benchmarks.targets import Results, Target, targets

FOLDER = Path(__file__).parent
DEPTH_VS_WIDTH = "depth_vs_width"

HEAD = """# Benchmarks

Made by `python -m benchmarks.page` from the numbers in [results/](results), which has a folder for
every machine; every number is measured by the command that stands with it. Do not edit.

    pip install -e '.[bench]'
    python -m benchmarks                    # all cases
    python -m benchmarks small-mlp lenet    # some
    python -m benchmarks --quick            # does everything work here?
    python -m benchmarks --write && python -m benchmarks.page
    python -m benchmarks.profile resnet20   # where the time of a step goes

Each system has a process of its own. It imports, compiles, tries its variants (threads, fused or
not, memory formats, steps per execution) and keeps the two fastest; then all take turns, one at a
time, round after round, every second round backwards, so that what slows the machine for a while
falls on all; the load stands with each table. Numbers are medians over the rounds; what is done
once (tracing, compiling) is left out and stands in "once". A model-step is one update of one
network. A row counts only if its optimizer has made as many updates and its network has as many
parameters as the others', and if its training loss is the reference's within five standard errors
over seeds and 1 %: else it is void, and says why. FLOP/s count the layers' products alone.
"jaxnets" is what `fit` does by itself; "jaxnets side by side" is `fit(..., lanes=...)`. In
recordings before 2026-11-29, torch.func with 128 and 512 members trained for one or two epochs, so
that building so many networks counts for more than it should: there it may be faster than is shown.
"""


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """The texts, by where in a folder they belong; figures are drawn into it on the way."""
    found = read()
    texts = {Path("README.md"): _overview(found)}
    for machine, results in found.items():
        place = Path("results") / machine
        texts[place / "README.md"] = _machine_page(results, folder / place / "figures")
    return texts


def _overview(found: dict[str, Results]) -> str:
    """The aims, with a column per machine."""
    aims = {machine: {it.text: it for it in targets(results)} for machine, results in found.items()}
    fullest_first = sorted(aims.values(), key=len, reverse=True)  # whose order is that of the cases
    every = {text: it for own in fullest_first for text, it in own.items()}
    rows = [
        [text, _bound(it), *(_found(own.get(text)) for own in aims.values())]
        for text, it in every.items()
    ]
    columns = ["what", "aim"]
    said = []
    for machine, results in found.items():
        columns.append(f"[{_title(results)}](results/{machine}/README.md)")
        own = aims[machine].values()
        met = sum(it.met is True for it in own)
        said.append(f"- [{machine}](results/{machine}/README.md): {met} of {len(own)} aims met.")
    note = (
        "Where an aim is missed, the number is bold, and the machine's page says what limits it. "
        "Of 32 members those count that are faster: by themselves, or side by side.\n"
    )
    parts = [HEAD, "## Aims\n", *said, "", note, markdown(columns, rows, left=2)]
    return "\n".join(parts)


def _bound(target: Target) -> str:
    bound = "at least" if target.least else "at most"
    return f"{bound} {_number(target.wanted)} {target.unit}"


def _found(target: Target | None) -> str:
    """What was found, in short."""
    if target is None or target.found is None:
        return "not measured"
    number = _number(target.found)
    note = f" ({target.note})" if target.note else ""
    return (number if target.met else f"**{number}**") + note


def _title(results: Results) -> str:
    """A machine in short."""
    environment = next(iter(results.values()))["environment"]
    machine = environment["machine"]
    devices = machine["devices"]
    if devices["platform"] == "cpu":
        return f"{environment['cores']} cores, {_processor(machine)}"
    return f"{devices['count']} x {devices['kind']}"


def _machine_page(results: Results, figures: Path) -> str:
    """All that was recorded on one machine."""
    parts = [
        f"# {_title(results)}\n",
        "Made by `python -m benchmarks.page`; how it was measured, and other machines: "
        "[Benchmarks](../../README.md). Do not edit.\n",
        _aims(targets(results)),
    ]
    for name in CASES:
        if name in results:
            path = draw(name, results[name], figures)
            parts.append(_section(name, results[name], f"figures/{path.name}"))
    if DEPTH_VS_WIDTH in results:
        path = draw(DEPTH_VS_WIDTH, results[DEPTH_VS_WIDTH], figures)
        parts.append(_depth_vs_width(results[DEPTH_VS_WIDTH], f"figures/{path.name}"))
    missing = [f"`{name}`" for name in CASES if name not in results]
    if missing:
        parts.append(f"Not recorded yet: {', '.join(missing)}.\n")
    return "\n".join(parts)


def markdown(columns: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A table; the first ``left`` columns are aligned to the left."""
    lines = [f"| {' | '.join(columns)} |"]
    lines.append("|" + "---|" * left + "---:|" * (len(columns) - left))
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _aims(found: list[Target]) -> str:
    """Every aim with its verdict and what limits it."""
    if not found:
        return ""
    rows = []
    for target in found:
        rows.append([
            target.text,
            _bound(target),
            _found(target),
            target.verdict if target.met else f"**{target.verdict}**",
            target.limit if target.met is False else "",
        ])  # fmt: skip
    met = sum(target.met is True for target in found)
    columns = ["what", "aim", "found", "verdict", "what limits it"]
    return f"## Aims\n\n{met} of {len(found)} are met.\n\n" + markdown(columns, rows, left=5)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.2f}"


def _section(name: str, result: dict[str, Any], figure: str) -> str:
    parts = [f"## {result['title']}\n", f"`{result['command']}`, {_where(result)}\n"]
    parts.append(f"![{result['title']}]({figure})\n")
    parts.append(_table(name, result))
    void = [row for row in result["rows"] if row.get("void")]
    parts += [f"- void: {row['name']}: {row['void']}" for row in void]
    return "\n".join(parts) + "\n"


def _depth_vs_width(result: dict[str, Any], figure: str) -> str:
    found = result["ceilings"].items()
    said = [f"- {depth_vs_width.ceilings_text(dtype, ceiling)}" for dtype, ceiling in found]
    parts = [
        f"## Depth against width: {result['title']}\n",
        f"`{result['command']}`, {_machine(result['environment'])}; medians of {result['rounds']} "
        "rounds.\n",
        f"![{result['title']}]({figure})\n",
        *said,
        "",
        f"{depth_vs_width.NOTE}\n",
        markdown(list(depth_vs_width.COLUMNS), depth_vs_width.table_cells(result["rows"]), 0),
    ]
    return "\n".join(parts)


def _where(result: dict[str, Any]) -> str:
    return (
        f"{_machine(result['environment'])}; medians of {result['rounds']} rounds; load before "
        f"{result['load_before']}."
    )


def _machine(environment: dict[str, Any]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
    peers = ", ".join(
        f"{name} {environment[name]}" for name in ("torch", "keras", "scikit-learn")
        if environment.get(name)
    )  # fmt: skip
    machine = environment["machine"]
    devices = machine["devices"]
    commit = f", commit {environment['commit']}" if environment.get("commit") else ""
    if environment.get("tree") == "changed":
        commit += " and changes"
    flags = f", XLA_FLAGS={machine['XLA_FLAGS']}" if machine.get("XLA_FLAGS") else ""
    return (
        f"{environment['date']}{commit}: {environment['cores']} cores, {_processor(machine)}, "
        f"{devices['count']} x {devices['kind']}{flags}; Python {environment['python']}, {versions}"
        + (f", {peers}" if peers else "")
    )


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}
"""The widest registers first: machines of one name may differ in them."""


def _processor(machine: dict[str, Any]) -> str:
    """By name and the widest of its vectors, where they were recorded."""
    able = machine.get("instructions", "").split()
    widest = [words for name, words in VECTORS.items() if name in able][:1]
    return ", ".join([machine["processor"], *widest])


def _table(name: str, result: dict[str, Any]) -> str:
    if name == "depth-width":
        batches = list(dict.fromkeys(row["batch"] for row in result["rows"]))
        columns = ["depth x width", "system", *(f"batch {batch}" for batch in batches)]
        note = "Microseconds per step of one member, GFLOP/s in brackets.\n\n"
        return note + markdown(columns, roofline.table_cells(result), left=2)
    shapes: dict[str, tuple[Any, int]] = {
        "cold-start": (cold_start, 1),
        "scale": (scale, 0),
        "sweep": (sweep, 0),
    }
    module, left = shapes.get(name, (throughput, 2))
    return markdown(list(module.COLUMNS), module.table_cells(result), left)


def main() -> None:
    """Write the pages."""
    for place, text in pages().items():
        (FOLDER / place).write_text(text, encoding="utf-8")
        print(place)


if __name__ == "__main__":
    main()
