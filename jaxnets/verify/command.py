"""The command line of the checks. JAX is loaded when it is called, not when it is described."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnets.verify.context import Train
    from jaxnets.verify.finding import Finding

HELD, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Verify:
    """The five laws, checked on this machine in a few minutes.

    Two small networks are trained again and again: repeated, compiled anew, in a fresh process, in
    other company, by a loop written by hand, killed and continued, beside members that diverge.
    The table says what was compared, and how large the largest difference was. Where a law fails
    the exit status is 1.

    Attributes:
        devices: Numbers of devices to check, for example 1 2 4. If not given: 1, 2, half of them
            and all.
        quick: Check all devices together, and no smaller number.
        json: File for the findings, with versions and machine.
    """

    devices: tuple[int, ...] = ()
    quick: bool = False
    json: Path | None = None

    def __call__(self, train: "Train | None" = None) -> int:
        """Run it.

        Args:
            train: what is to be checked in place of `jaxnets.fit`.

        Returns:
            The exit status: 0, 1 if a law fails, 2 for what the user can put right, 130 for Ctrl-C,
            143 for SIGTERM.
        """
        try:
            counts = self._prepare()
        except (ValueError, OSError) as error:
            print(f"jaxnets: {error}", file=sys.stderr)
            return USER_ERROR
        return self._run(counts, train)

    def _prepare(self) -> Sequence[int]:
        if self.json is not None and not self.json.absolute().parent.is_dir():
            raise ValueError(f"json: there is no folder {self.json.parent}.")
        if self.json is not None and self.json.is_dir():
            raise ValueError(f"json: {self.json} is a folder, expected a file.")
        if self.json is not None:
            place = self.json if self.json.exists() else self.json.absolute().parent
            if not os.access(place, os.W_OK):
                raise PermissionError(f"json: {self.json} cannot be written.")
        if any(count < 1 for count in self.devices):
            raise ValueError(f"devices: expected at least 1, got {min(self.devices)}.")
        # Another process is going to use the same accelerator.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jaxnets
        from jaxnets.verify.checks import device_counts

        there = jaxnets.use_all_cores(max(self.devices) if self.devices else None)
        if self.devices and max(self.devices) > there:
            raise ValueError(
                f"devices: expected at most the {there} there are, got {max(self.devices)}."
            )
        counts = self.devices or device_counts(there)
        return [max(counts)] if self.quick else counts

    def _run(self, counts: Sequence[int], train: "Train | None") -> int:
        import jax
        from rich.console import Console

        from jaxnets import environment
        from jaxnets.verify import report
        from jaxnets.verify.checks import verify

        console, start = Console(highlight=False), perf_counter()
        devices = jax.local_devices()[: max(counts)]
        about = environment.identity(devices)
        console.print(_heading(about), soft_wrap=True, markup=False)
        findings: list[Finding] = []
        given: dict[str, Any] = {} if train is None else {"train": train}
        with console.status("") as now:

            def started(law: str, on: tuple[int, ...]) -> None:
                now.update(f"{law}, {report.on_devices(on)} ...")

            stopped = None
            try:
                for finding in verify(counts, started=started, **given):
                    findings.append(finding)
            except KeyboardInterrupt as stop:
                stopped = getattr(stop, "status", INTERRUPTED)
        seconds = perf_counter() - start
        if findings or stopped is None:
            console.print(report.table(findings))
        for sentence in report.details(findings):
            console.print(sentence, markup=False)
        if stopped is not None:
            print(
                f"jaxnets: stopped; {len(findings)} checks were made, not all there are.",
                file=sys.stderr,
            )
            return stopped
        console.print(report.verdict(findings, seconds), markup=False)
        status = HELD if all(one.passed for one in findings) else FAILED
        if self.json is not None:
            surroundings = {"surroundings": environment.surroundings(), "seconds": seconds}
            try:
                report.save(self.json, findings, {**about, **surroundings})
            except OSError as error:
                print(f"jaxnets: {self.json}: {error.strerror}", file=sys.stderr)
                return status or USER_ERROR
        return status


def _heading(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    machine = about["machine"]
    devices = machine["devices"]
    return f"{versions}\n{devices['count']} x {devices['kind']} on {machine['processor']}"
