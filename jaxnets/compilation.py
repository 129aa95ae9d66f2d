"""How programs are compiled, and kept on disk for the next process."""

import contextlib
import hashlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxnets import environment, files

LEAST_SECONDS = 0.5
"""Programs that compile faster are not kept: reading them would take as long."""


IN_PLACE = "xla_cpu_copy_insertion_use_region_analysis"
"""An option of XLA's CPU compiler. In a loop the parameters are read by the gradient and then
written by the update. Without it XLA sees only what depends on what, not that the layers below a
kernel have read it before its update is due, and copies in every step all kernels but the first.
With it the order counts, and the same bits come without the copies
(``python -m benchmarks.updates``)."""


def use_compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep compiled programs on disk, so that the next process need not compile them again.

    A compiled program is the same bits wherever it comes from, so results do not depend on this.
    Programs with convolutions by oneDNN are not kept: XLA cannot write them down.
    The command line calls it. A cache that the user has set up in JAX herself is left alone.

    Programs for a CPU use all that it can do, and a home folder may be shared by different
    machines: each kind of processor has a folder of its own.

    Args:
        folder: where; ``None``: ``compiled/`` in the user's cache folder (``$JAXNETS_CACHE``, else
            ``~/.cache/jaxnets``).

    Returns:
        The folder in use; ``None`` if there is none: no home, or ``$JAXNETS_CACHE`` is empty.

    Example:
        >>> import tempfile
        >>> before = jax.config.values["jax_compilation_cache_dir"]
        >>> with tempfile.TemporaryDirectory() as place:
        ...     used = use_compilation_cache(place)
        ...     print(used is not None)
        ...     jax.config.update("jax_compilation_cache_dir", before)
        True
    """
    known = jax.config.values.get("jax_compilation_cache_dir")
    if known and folder is None:
        return Path(known)
    base = Path(folder) if folder is not None else files.cache_folder()
    if base is None:
        return None
    place = base / "compiled" / processor()
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    return place


def processor() -> str:
    """What a program that is compiled here may need, the processor and all that it can do, as the
    name of a folder.

    Example:
        >>> len(processor())
        16
    """
    known = environment.cpuinfo()
    told = [known.get(name, "") for name in ("model name", "flags", "Features")]
    told += [platform.machine(), platform.processor(), platform.system()]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


@contextlib.contextmanager
def not_kept() -> Iterator[None]:
    """What this thread compiles in the block is written into no cache on the disk.

    Raises:
        AttributeError: a JAX that has no such setting for a block of code.

    Example:
        >>> with not_kept():
        ...     compiled = jax.jit(lambda x: x + 1).lower(1.0).compile()
    """
    from jax._src import config  # the setting is public, as one for a block it is not

    with config.persistent_cache_min_compile_time_secs(float("inf")):
        yield


def compile_in_place(
    lowered: jax.stages.Lowered, backend: str, options: dict[str, Any] | None = None
) -> jax.stages.Compiled:
    """Compile a loop that updates its state, without copies of the state where XLA can.

    Args:
        lowered: the program.
        backend: the platform of its devices.
        options: of the compiler, besides.

    Returns:
        The compiled program. Its results are the same bits as without.

    Example:
        >>> lowered = jax.jit(lambda x: x + 1).lower(1.0)
        >>> float(compile_in_place(lowered, "cpu")(1.0))
        2.0
    """
    wanted = dict(options or {})
    if backend == "cpu" and IN_PLACE not in os.environ.get("XLA_FLAGS", ""):
        try:
            return lowered.compile({**wanted, IN_PLACE: True})
        except jax.errors.JaxRuntimeError as error:
            if IN_PLACE not in str(error):  # else an XLA that does not know the option
                raise
    return lowered.compile(wanted)
