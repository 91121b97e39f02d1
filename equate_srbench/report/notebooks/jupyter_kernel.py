"""The kernel that runs a report: this very interpreter, whatever kernels are installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_runtime_dir

#: Characters of a folder's path that leave room for a socket's name: Unix allows about 100.
_ROOM_FOR_SOCKETS = 50


class OwnKernel(AsyncKernelManager):
    """Starts this interpreter: a kernelspec called ``python3`` may belong to another one.

    Where it can, it talks through sockets that are files of this user instead of open ports.
    """

    #: Set by the subclass that ``logging_to`` makes.
    said: Path

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        # an interrupted benchmark ends its fits before its kernel is killed
        self.shutdown_wait_time = 30.0
        if os.name == "posix" and len(jupyter_runtime_dir()) < _ROOM_FOR_SOCKETS:
            self.transport = "ipc"

    async def start_kernel(  # type: ignore[override]  # typed there as if it waited
        self, *args: Any, **kwargs: Any
    ) -> None:
        """Start it; what it says beside its cells, as when it is interrupted, goes to ``said``."""
        with self.said.open("ab") as file:
            await super().start_kernel(*args, **{**kwargs, "stderr": file})

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec, whatever name was asked for."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )


def logging_to(path: Path) -> type[OwnKernel]:
    """The class of kernels whose own words go to a file."""
    return type("LoggedKernel", (OwnKernel,), {"said": path})
