"""The Jupyter kernel that executes reports: the current interpreter, not a kernelspec."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_runtime_dir

#: Maximum length of the runtime folder's path for Unix sockets, whose paths have about 100.
_MAX_SOCKET_FOLDER = 50


class CurrentInterpreterKernel(AsyncKernelManager):
    """Starts the current interpreter: the kernelspec ``python3`` may point to a different one.

    Communicates over Unix sockets of this user instead of open ports where possible.
    """

    #: Receives the standard error of the process; set by ``logging_to``.
    log_file: Path

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        # leaves an interrupted benchmark time to end its fits before the kernel is killed
        self.shutdown_wait_time = 30.0
        if os.name == "posix" and len(jupyter_runtime_dir()) < _MAX_SOCKET_FOLDER:
            self.transport = "ipc"

    async def start_kernel(  # type: ignore[override]  # typed there as if it waited
        self, *args: Any, **kwargs: Any
    ) -> None:
        """Start the kernel with its standard error in ``log_file``."""
        with self.log_file.open("ab") as file:
            await super().start_kernel(*args, **{**kwargs, "stderr": file})

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec of the current interpreter, whatever name was requested."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )


def logging_to(path: Path) -> type[CurrentInterpreterKernel]:
    """A kernel manager class whose kernels write their standard error to a file."""
    return type("LoggedKernel", (CurrentInterpreterKernel,), {"log_file": path})
