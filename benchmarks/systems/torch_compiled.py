"""torch.compile: network and loss in one graph. It needs a C++ compiler on a CPU."""

from collections.abc import Iterator

from benchmarks.protocol import Job, Variant
from benchmarks.systems import thread_counts
from benchmarks.systems.torch_eager import variant


def variants(job: Job) -> Iterator[Variant]:
    """The largest and the smallest number of threads."""
    for threads in {*thread_counts()[:1], *thread_counts()[-1:]}:
        images = job.problem.network in ("lenet", "resnet20")
        yield variant(job, threads, fused=True, last=images, compiled=True)
