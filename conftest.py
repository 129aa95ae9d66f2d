"""Two CPU devices, strict ranks: what a test sees is what a study on two cores sees."""

import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
