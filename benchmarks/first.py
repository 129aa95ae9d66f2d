"""One system's first number: what `benchmarks.cases.cold_start` times, and nothing beside it."""

import json
import sys

from benchmarks.protocol import Job
from benchmarks.systems import SYSTEMS


def first_metric(job: Job) -> float:
    """Train once, in the first way of the system."""
    variant = next(SYSTEMS[job.system].variants(job))
    return float(variant.train(0).losses[0, -1])


if __name__ == "__main__":
    print(first_metric(Job.from_json(json.loads(sys.argv[1]))))
