"""The command line. JAX is loaded only when something is to be trained."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

import jaxnets
from jaxnets.study.question import DepthWidth

USER_ERROR, INTERRUPTED = 2, 130


class UserError(Exception):
    """What the user can put right: one line, no traceback."""


@dataclass(frozen=True)
class DepthWidthCommand:
    """Depth against width: networks of equal size, tuned on validation, with error bars.

    The same command on the same folder continues an interrupted study, and reads a finished one.

    Attributes:
        question: The question.
        out: Folder for the results.
        devices: Devices to use: CPU cores, or GPUs. All of them if not given.
        dry_run: Print what would be trained, and stop.
        quiet: Print nothing but errors.
    """

    question: Annotated[DepthWidth, tyro.conf.arg(name="")] = field(default_factory=DepthWidth)
    out: Path = Path("runs/depth-width")
    devices: int | None = None
    dry_run: bool = False
    quiet: bool = False

    def __call__(self) -> None:
        """Run it.

        Raises:
            UserError: something that the user can put right.
            KeyboardInterrupt: stopped; what is finished is in the folder.
        """
        from rich.console import Console

        console = Console(quiet=self.quiet, highlight=False, soft_wrap=False)
        try:
            study = self._prepare()
            if self.dry_run:
                console.print(study.plan.table())
                return
            study.plan  # noqa: B018
        except (ValueError, TypeError, OSError, ImportError) as error:
            raise UserError(_one_line(error)) from error
        self._run(study, console)
