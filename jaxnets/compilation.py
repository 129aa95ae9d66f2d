"""JAX's persistent compilation cache, switched on where it is safe."""

import hashlib
import os
import platform
from pathlib import Path

import jax

from jaxnets import environment, files

LEAST_SECONDS = 0.5
"""Programs that compile faster are not kept: reading them would take as long."""


def use_compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep compiled programs on disk, so that the next process need not compile them again.

    A compiled program is the same bits wherever it comes from, so results do not depend on this.
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
