"""The dependency direction: every module of the package is read, and held to one table."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxnets"

MAY_IMPORT: dict[str, str] = {
    "errors": "",
    "numerics": "",
    "rng": "",
    "kinds": "",
    "network": "kinds",
    "devices": "",
    "files": "",
    "settings": "",
    "environment": "jaxnets",
    "compilation": "environment files",
    "processes": "",
    "hyper": "errors",
    "targets": "numerics",
    "losses": "errors hyper numerics targets",
    "metrics": "errors losses targets",
    "penalties": "errors numerics",
    "clipping": "numerics",
    "schedule": "hyper",
    "schedules": "hyper schedule",
    "optimizer": "clipping errors hyper penalties schedule",
    "adam": "",
    "optim": "adam errors optimizer penalties",
    "nn": "compilation devices environment errors files numerics",
    "data": "errors files rng",
    "train": "data devices errors hyper kinds losses metrics network numerics optim penalties rng",
    "population": "compilation data devices environment errors files hyper kinds losses network nn "
    "optim optimizer processes rng schedule settings train",
    "study": "data environment errors files nn optim population jaxnets",
    "verify": "data environment errors nn optim population rng jaxnets",
    "cli": "population processes study verify jaxnets",
    "__main__": "cli",
}
"""Room by room from the bottom to the top: what each may import from this package, however it is
written and wherever in the file. ``jaxnets`` is the package itself, imported for its version; its
own file looks everything up when it is asked for, and may name any room."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def imported(module: str) -> set[str]:
    """The rooms that a module imports, its own left out."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "jaxnets":
                while name not in MODULES:
                    name = name.rpartition(".")[0]
                found.add(room(name))
    return found - {room(module)}


def test_the_table_names_every_room_and_only_points_down():
    assert {room(module) for module in MODULES} - {"jaxnets"} == set(MAY_IMPORT)
    below: set[str] = {"jaxnets"}
    for name, allowed in MAY_IMPORT.items():
        assert set(allowed.split()) <= below, f"{name} is above something it may import"
        below.add(name)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"jaxnets"}))
def test_modules_import_only_what_lies_below(module: str):
    unexpected = imported(module) - set(MAY_IMPORT[room(module)].split())
    assert not unexpected, f"{module} imports {sorted(unexpected)}"


def test_training_and_networks_do_not_know_each_other():
    train = {name for module in MODULES if room(module) == "train" for name in imported(module)}
    nn = {name for module in MODULES if room(module) == "nn" for name in imported(module)}
    assert "nn" not in train and not nn & {"train", "population", "data", "network"}
