"""The kernel that notebooks are executed in; a module of its own, because its imports take seconds."""

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from workflow.forks import forked

__all__ = ["OwnKernel"]


class OwnKernel(AsyncKernelManager):
    """The kernel of the Python that runs this, wherever others are installed; a fork where there is a server.

    Ended by a request, without an interrupt first. jupyter_client interrupts every kernel that it ends, also
    one that has nothing left to do, and the kernel then complains of it.
    """

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[], parent=self)  # what is found nowhere is sys.executable's own

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        return forked(super().format_kernel_cmd(extra_arguments))

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
        if now or restart or not self.owns_kernel:
            return await super().shutdown_kernel(now=now, restart=restart)
        self.shutting_down = True
        self.stop_restarter()
        await self.request_shutdown(restart=False)
        await self.finish_shutdown(restart=False)
        await self.cleanup_resources(restart=False)
