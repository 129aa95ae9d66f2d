"""The command line. JAX is loaded only when something is to be trained."""

import gc
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

import jaxnets
from jaxnets.study.question import DepthWidth
from jaxnets.verify.command import Verify

if TYPE_CHECKING:
    from jaxnets.study.depth_width import Study

USER_ERROR, LOST, INTERRUPTED = 2, 75, 130


class UserError(Exception):
    """What the user can put right: one line, no traceback."""


class Interrupted(Exception):
    """Stopped by the user or the system; the text says how to go on.

    Attributes:
        status: the exit status, 128 and the number of the signal.
    """

    def __init__(self, text: str, status: int = INTERRUPTED) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class DepthWidthCommand:
    """Depth against width: networks of equal size, tuned on validation, with error bars.

    The same command on the same folder continues an interrupted study, and reads a finished one.
    With more seeds, rates, depths or epochs it trains only what is new.

    Attributes:
        question: What is asked.
        out: Folder for the results.
        save_every: Seconds between two saves, more where saving would cost over 3 % of the time; 0:
            save whenever possible.
        devices: How many devices to use, GPUs or CPU cores (more than there are would share them);
            all of them if not given. Part of the study, as lanes are.
        lanes: How many members side by side on each device. On a CPU 4 or 8 train small networks
            with small batches faster. Part of the study: other lanes, other last bits.
        coordinator: host:port of the first of several processes that share the work and the folder;
            found out under SLURM.
        processes: How many processes there are.
        process: The number of this one, from 0.
        dry_run: Print what would be trained if nothing were saved yet, and stop.
        quiet: Print nothing but errors.
    """

    question: Annotated[DepthWidth, tyro.conf.arg(name="")] = field(default_factory=DepthWidth)
    out: Path = Path("runs/depth-width")
    save_every: float = 10.0
    devices: int | None = None
    lanes: int | None = None
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    dry_run: bool = False
    quiet: bool = False

    def __call__(self) -> None:
        """Run it.

        Raises:
            UserError: something that the user can put right.
            Interrupted: stopped; what is finished is in the folder.
        """
        from rich.console import Console

        console = Console(quiet=self.quiet, highlight=False)
        from jaxnets.population.folder import check_save_every
        from jaxnets.population.stopping import Stopped
        from jaxnets.processes import DisagreementError, LostProcessError
        from jaxnets.study.tables import plan_table

        def tell(item: Any) -> None:
            # A path is not to be broken over two lines, and its brackets are no colours.
            text = isinstance(item, str)
            console.print(item, soft_wrap=text, markup=not text)

        # What can go wrong by the user's doing goes wrong here, before training: a ValueError
        # from further on is a fault of the program and keeps its traceback.
        try:
            check_save_every(self.save_every)
            study = self._prepare()
            if self.dry_run:
                console.print(plan_table(study.plan, study.shapes))
                return
            session = study.open(self.out, save_every=self.save_every)
        except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
            raise UserError(_one_line(error)) from error
        try:
            report = session.run(progress=False if self.quiet else None, tell=tell)
        except (OSError, MemoryError, DisagreementError) as error:
            raise UserError(_one_line(error)) from error
        except LostProcessError as error:
            raise Interrupted(_one_line(error), LOST) from None
        except Stopped as stop:
            raise Interrupted(str(stop), stop.status) from None
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped at once; {self.out} holds what was saved last: run the same again to go "
                "on from there."
            ) from None
        console.print(report.table())
        for sentence in report.sentences():
            console.print(sentence, markup=False)
        tell(f"Figure, tables and histories are in {self.out}.")

    def _prepare(self) -> "Study":
        import jax

        from jaxnets.processes import join

        if self.devices is not None and self.devices < 1:
            raise ValueError(f"devices: expected at least 1, got {self.devices}.")
        join(self.coordinator, self.processes, self.process)
        count = jaxnets.use_all_cores(self.devices)
        jaxnets.use_compilation_cache()
        if self.devices is not None and self.devices > count:
            raise ValueError(
                f"devices: expected at most the {count} there are, got {self.devices}."
            )
        from jaxnets.study.depth_width import prepare

        gc.freeze()  # what is imported stays: not to be looked through again while tracing
        devices = jax.local_devices()[: self.devices]
        return prepare(self.question, devices=devices, lanes=self.lanes)


DESCRIPTION = """Train a whole population of neural networks as one pure function of one key.

"jaxnets --version" prints the version, "jaxnets COMMAND --help" the options of a command."""

COMMANDS: dict[str, Any] = {"depth-width": DepthWidthCommand, "verify": Verify}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: what follows the program's name; ``None``: those of this process.

    Returns:
        The exit status: 0, 1 if a law fails, 2 for what the user can put right, 75 if one of
        several processes is gone, 130 for Ctrl-C, 143 for SIGTERM.

    Raises:
        SystemExit: help was asked for, or the options do not parse (status 2).

    Example:
        >>> main(["--version"])
        jaxnets ...
        0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no µ is no reason to fail
            stream.reconfigure(errors="replace")
    if given in (["--version"], ["-V"]):
        print(f"jaxnets {jaxnets.__version__}")
        return 0
    try:
        command = _parse(given)
        _keep_libraries_quiet()
        return command() or 0
    except UserError as error:
        return _fail(str(error), USER_ERROR)
    except Interrupted as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        return _fail("stopped before training; nothing was lost.", INTERRUPTED)
    finally:
        if "jaxnets.processes" in sys.modules:  # else nothing has joined any others
            from jaxnets.processes import leave

            leave()


def _parse(given: Sequence[str]) -> Callable[[], int | None]:
    try:
        # A question's numbers are checked as it is made, that is, while parsing.
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            args=given,
            prog="jaxnets",
            description=DESCRIPTION,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except (ValueError, TypeError) as error:
        raise UserError(_one_line(error)) from error


def _keep_libraries_quiet() -> None:
    """What libraries remark about themselves is not for a person who runs a study."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def _fail(message: str, status: int) -> int:
    print(f"jaxnets: {message}", file=sys.stderr)
    return status


def _one_line(error: BaseException) -> str:
    """The message on one line; a system error names its file."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror}"
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
