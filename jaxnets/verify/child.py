"""The same training in a process of its own: ``python -m jaxnets.verify.child``.

It reads requests from its standard input, one line of JSON each, and writes what came out to the
file that the request names. One process serves several checks: most of its time goes into
importing and compiling.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import jax
import numpy as np

from jaxnets import environment

CONFIG = (
    "jax_default_matmul_precision", "jax_num_cpu_devices", "jax_platforms", *environment.FLAGS,
)  # fmt: skip
"""Settings of JAX that decide bits, and that a program may have made by other means than the
environment, which a child has anyway."""


class Child:
    """A process that trains. It is killed when nobody needs it any more.

    Args:
        train: the training function, see `reference`.
        networks: of `jaxnets.verify.problem.CANDIDATES`.
        devices: how many.
        folder: for its files.
    """

    def __init__(self, train: str, networks: tuple[str, ...], devices: int, folder: Path) -> None:
        self._own = Path(mkdtemp(dir=folder, prefix="process-"))
        self._log = self._own / "log.txt"
        self._asked = 0
        # It is to find what this process finds, and to leave it room on the device.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jaxnets.verify.child"],
                env=quiet | os.environ | {"PYTHONPATH": path},
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        config = {name: jax.config.values[name] for name in CONFIG if name in jax.config.values}
        about = {"config": config, "train": train, "networks": networks, "devices": devices}
        self._send(about)

    def ask(self, options: Mapping[str, Any]) -> Path:
        """Have the population trained.

        Args:
            options: of `jaxnets.fit`, as far as JSON can say them.

        Returns:
            The file of the answer, which is there when all of it is; see `read`.
        """
        self._asked += 1
        answer = self._own / f"{self._asked}.npz"
        self._send({"options": options, "answer": str(answer)})
        return answer

    def wait(self, answer: Path, timeout: float) -> None:
        """Wait for an answer.

        Raises:
            RuntimeError: the process has ended without it, or takes too long; with the last line
                that it wrote.
        """
        if not wait_until(lambda: answer.exists() or not self.running, timeout):
            raise RuntimeError(f"a process of its own took more than {timeout:g} s")
        if not answer.exists():
            raise RuntimeError(f"a process of its own failed: {self.last_words()}")

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()
        self._process.communicate()

    def last_words(self) -> str:
        """The last line that it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # ended, or killed by us
            raise RuntimeError(f"a process of its own failed: {self.last_words()}") from None


def read(answer: Path) -> list[dict[str, np.ndarray]]:
    """What came out for every member, as `jaxnets.verify.comparison.outcomes`."""
    found: list[dict[str, np.ndarray]] = []
    with np.load(answer, allow_pickle=False) as arrays:
        for key in arrays.files:
            index, _, name = key.partition("|")
            found.extend({} for _ in range(len(found), int(index) + 1))
            found[int(index)][name] = arrays[key]
    return found


def reference(function: Callable[..., Any]) -> str:
    """A function by module and name.

    Raises:
        ValueError: it is not found under its name.

    Example:
        >>> reference(read)
        'jaxnets.verify.child:read'
    """
    name = f"{function.__module__}:{function.__qualname__}"
    if "<" in name or _find(name) is not function:
        raise ValueError(f"train: expected a function of a module, got {name}.")
    return name


def wait_until(condition: Callable[[], bool], timeout: float, pause: float = 0.002) -> bool:
    """Look again and again; whether it came true in time.

    Example:
        >>> wait_until(lambda: True, timeout=1.0)
        True
    """
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def main() -> None:
    """Do what is asked for, line by line, until nobody asks any more."""
    about = json.loads(sys.stdin.readline())
    for name, value in about["config"].items():
        jax.config.update(name, value)

    from jaxnets.verify.context import Context

    for line in sys.stdin:
        request = json.loads(line)
        answer = Path(request["answer"])
        context = Context(
            devices=tuple(jax.local_devices()[: about["devices"]]),
            folder=answer.parent,
            train=_find(about["train"]),
            networks=tuple(about["networks"]),
        )
        found = context.outcomes(context.members, **request["options"])
        arrays = {f"{i}|{k}": array for i, one in enumerate(found) for k, array in one.items()}
        partial = answer.with_suffix(".partial.npz")
        np.savez(partial, allow_pickle=False, **arrays)
        partial.rename(answer)


def _find(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


if __name__ == "__main__":
    main()
