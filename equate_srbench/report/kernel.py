"""The kernel that runs a report: this very interpreter, whatever kernels are installed."""

from __future__ import annotations

import sys

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets import Float


class OwnKernel(AsyncKernelManager):
    """Starts this interpreter: a kernelspec called ``python3`` may belong to another one."""

    #: Seconds for an interrupted benchmark to end its fits before the kernel is killed.
    shutdown_wait_time = Float(30.0)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec, whatever name was asked for."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )
