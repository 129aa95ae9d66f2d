"""Keys: who may be a root key, and how every stream of every member follows from it.

    root key ── fold_in(seed) ── member key ── fold_in(stream) ── stream key ── fold_in(step)

No key is ever carried along: the key of any draw is a function of (root, seed, stream, step), so a
run can be resumed, extended or replayed from the middle without remembering a generator's state.

Each stream has a seed of its own that follows the member's ``seed`` unless it is given. Members
with equal ``order_seed`` and different ``init_seed`` see the same data in the same order from
different initialisations, and the reverse: that is how the two sources of variance are separated.
"""

import enum
from collections.abc import Mapping

import jax
import jax.numpy as jnp


class Stream(enum.IntEnum):
    """The independent sources of randomness of one member. The numbers are part of the contract:
    changing one changes every result.
    """

    INIT = 0
    ORDER = 1
    DROPOUT = 2
    AUGMENT = 3
    NOISE = 4

    @property
    def seed_name(self) -> str:
        """The member coordinate that seeds this stream, for example ``"order_seed"``."""
        return f"{self.name.lower()}_seed"


SEED_NAMES: tuple[str, ...] = ("seed", *(stream.seed_name for stream in Stream))

Keys = Mapping[Stream, jax.Array]


def check_key(key: object, argument: str = "key") -> jax.Array:
    """Refuse what is not one typed threefry key.

    Args:
        key: what the user gave.
        argument: its name in the message.

    Returns:
        The key, unchanged.

    Raises:
        TypeError: an integer or a raw ``uint32`` key.
        ValueError: an array of keys, or a key of another generator. The ``rbg`` generator ignores
            the keys of the members under ``vmap``: every member would draw the same numbers.

    Example:
        >>> import jax
        >>> check_key(0)
        Traceback (most recent call last):
        ...
        TypeError: key: expected a typed key such as jax.random.key(0), got int 0.
    """
    if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        got = (
            f"{key.dtype} array of shape {key.shape}"
            if isinstance(key, jax.Array)
            else f"{type(key).__name__} {key!r}"
        )
        hint = ""
        if isinstance(key, jax.Array) and key.dtype == jnp.uint32:
            hint = " Raw keys: use jax.random.key instead of jax.random.PRNGKey."
        raise TypeError(
            f"{argument}: expected a typed key such as jax.random.key(0), got {got}.{hint}"
        )
    if key.ndim:
        raise ValueError(
            f"{argument}: expected one key, got an array of keys of shape {key.shape}. "
            "The members' keys are derived from one root key."
        )
    impl = str(jax.random.key_impl(key))
    if impl != "threefry2x32":
        raise ValueError(
            f"{argument}: expected a threefry2x32 key, got {impl!r}. Other generators do not give "
            "every member draws of its own under vmap: use jax.random.key(0, impl='threefry2x32')."
        )
    return key


def abstract_key() -> jax.ShapeDtypeStruct:
    """The shape and dtype of a root key, for tracing: threefry whatever JAX's default generator.

    Example:
        >>> abstract_key().dtype
        key<fry>
    """
    return jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))


def stream_keys(root: jax.Array, seeds: Mapping[str, jax.Array | int]) -> dict[Stream, jax.Array]:
    """The key of every stream of one member.

    Args:
        root: the root key.
        seeds: ``"seed"`` and, where they differ from it, ``"init_seed"``, ``"order_seed"``, ...:
            integers or traced ``uint32`` scalars.

    Returns:
        One key per `Stream`: ``fold_in(fold_in(root, seed of the stream), stream)``.

    Example:
        >>> import jax
        >>> keys = stream_keys(jax.random.key(0), {"seed": 3, "order_seed": 0})
        >>> member = jax.random.fold_in(jax.random.key(0), 3)
        >>> bool(keys[Stream.INIT] == jax.random.fold_in(member, Stream.INIT))
        True
    """
    return {
        stream: jax.random.fold_in(
            jax.random.fold_in(root, seeds.get(stream.seed_name, seeds["seed"])), int(stream)
        )
        for stream in Stream
    }


def member_keys(key: jax.Array) -> dict[Stream, jax.Array]:
    """The key of every stream of the member whose key is ``key``.

    Args:
        key: a member's key, ``fold_in(root, seed)``, or any typed key for a run of its own.

    Returns:
        ``{stream: fold_in(key, stream)}``.

    Example:
        >>> import jax
        >>> sorted(member_keys(jax.random.key(0)))[0].seed_name
        'init_seed'
    """
    return {stream: jax.random.fold_in(key, int(stream)) for stream in Stream}


def permutation(key: jax.Array, n: int) -> jax.Array:
    """A random order of ``0 .. n-1``; what `jax.random.permutation` gives, several times faster on
    a CPU, where the sort of pairs that it uses costs as much as a third of a small network's epoch.

    Index and random bits share one 32-bit word, so that plain words are sorted. Further rounds
    permute the result again, until as many random bits as index bits have gone in: two examples
    then tie, and keep their order, with probability below 1/n.

    Args:
        key: one typed key.
        n: how many; static.

    Returns:
        ``int32`` array of shape ``(n,)``.

    Example:
        >>> import jax
        >>> sorted(permutation(jax.random.key(0), 5).tolist())
        [0, 1, 2, 3, 4]
    """
    index_bits = max(1, (n - 1).bit_length())
    if index_bits > 20:  # the words have too few random bits left to be worth it
        return jax.random.permutation(key, n).astype(jnp.int32)
    rounds = -(-index_bits // (32 - index_bits))
    index = jnp.arange(n, dtype=jnp.uint32)
    mask = jnp.uint32((1 << index_bits) - 1)
    order = index
    for bits in jax.random.bits(key, (rounds, n), jnp.uint32):
        words = (bits & ~mask) | index
        order = order[jax.lax.sort(words, is_stable=False) & mask]
    return order.astype(jnp.int32)


def epoch_order(order_key: jax.Array, epoch: jax.Array | int, n: int) -> jax.Array:
    """The order in which one epoch visits ``n`` examples.

    Args:
        order_key: the member's key of the stream `Stream.ORDER`.
        epoch: number of the epoch, from 0; may be traced.
        n: number of training examples; static.

    Returns:
        ``int32`` array of shape ``(n,)``.

    Example:
        >>> import jax
        >>> epoch_order(member_keys(jax.random.key(0))[Stream.ORDER], 0, 4).shape
        (4,)
    """
    return permutation(jax.random.fold_in(order_key, epoch), n)
