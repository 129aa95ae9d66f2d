"""Many members on real devices: what they are, how they are laid out, run, and read."""

from jaxnets.population.fitting import fit
from jaxnets.population.group_result import GroupResult
from jaxnets.population.members import Member, grid, member
from jaxnets.population.plan import Plan, Program, make_plan
from jaxnets.population.results import Runs, Trained
from jaxnets.population.run import execute
from jaxnets.population.spec import Group, Spec, make_spec

__all__ = [
    "Group",
    "GroupResult",
    "Member",
    "Plan",
    "Program",
    "Runs",
    "Spec",
    "Trained",
    "execute",
    "fit",
    "grid",
    "make_plan",
    "make_spec",
    "member",
]
