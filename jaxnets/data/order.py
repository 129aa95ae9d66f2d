"""Random orders from JAX keys, drawn on the host.

The key's two words seed NumPy's Philox bit generator, and a stable sort of its raw 64-bit words
gives the order. NumPy keeps the words of a bit generator the same in every version (NEP 19), which
it promises for no method above them; no device, flag or precision of JAX enters; and no global
generator is read or moved. The purpose of a draw goes into the seed too, so that a split and a
label permutation made with one key are independent.
"""

import hashlib
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from jaxnets.rng import check_key

# What jax.random.key(0) holds. Kept as numbers: building a key would start JAX's backend, and
# a user may still want to choose devices after loading data.
_DEFAULT_WORDS = (0, 0)


def philox(key: jax.Array | None, purpose: str, argument: str = "key") -> np.random.Philox:
    """A bit generator seeded by a key and a purpose.

    Args:
        key: a typed threefry key, or None for the constant ``jax.random.key(0)``.
        purpose: what the numbers are for; other purposes give independent numbers.
        argument: how errors call the key.

    Returns:
        A fresh ``numpy.random.Philox``.

    Raises:
        TypeError: an integer, a raw uint32 key or a traced key.
        ValueError: an rbg key or several keys at once.

    Example:
        >>> a = philox(None, "split").random_raw()
        >>> a == philox(jax.random.key(0), "split").random_raw()
        True
        >>> a == philox(None, "labels").random_raw()
        False
    """
    words = _DEFAULT_WORDS if key is None else _words(key, argument)
    salt = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return np.random.Philox(key=np.array([words[0] << 32 | words[1], salt], np.uint64))


def _words(key: Any, argument: str) -> tuple[int, int]:
    check_key(key, argument)
    if isinstance(key, jax.core.Tracer):
        raise TypeError(f"{argument}: data are prepared on the host, outside jit, vmap and grad.")
    first, second = np.asarray(jax.random.key_data(key)).tolist()
    return first, second


def permutation(
    key: jax.Array | None, n: int, purpose: str, argument: str = "key"
) -> npt.NDArray[np.int64]:
    """A random order of ``n`` things.

    Args:
        key: a typed threefry key, or None for the constant ``jax.random.key(0)``.
        n: how many.
        purpose: what the order is for.
        argument: how errors call the key.

    Returns:
        int64 ``(n,)``: each of 0 to n-1 once.

    Example:
        >>> sorted(permutation(jax.random.key(3), 5, "split").tolist())
        [0, 1, 2, 3, 4]
    """
    words = philox(key, purpose, argument).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64)
