"""nftables by libnftables in this process: one call, one transaction, 0.4 ms where the `nft`
command takes 5.

libnftables waits by select(2), which aborts the process for a descriptor above 1023, and a
supervisor of some hundred nodes has more. So every context lives in a thread that has a table of
descriptors of its own, empty when the library opens its socket, and that stands in the context's
namespace for good: a socket that the library opens anew is of that namespace too.
"""

from __future__ import annotations

import ctypes
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness.errors import HarnessError, UnavailableError
from harness.kernel import priority
from harness.kernel.descriptors import leave_table
from harness.kernel.namespaces import stay_in

_LIBRARY = "libnftables.so.1"
_OUTPUT_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON of nftables/libnftables.h


class Nft:
    """A libnftables context of one namespace: the one that it was made in, wherever it is used.

    Raises UnavailableError where the library is missing, otherwise as `stay_in`.
    """

    def __init__(self, namespace: int) -> None:
        try:
            library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise UnavailableError(
                f"nftables: {_LIBRARY} is needed (Debian package libnftables1): {error}"
            ) from error
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_free.argtypes = [ctypes.c_void_p]
        library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        for stream in ("output", "error"):
            getattr(library, f"nft_ctx_buffer_{stream}").argtypes = [ctypes.c_void_p]
            get = getattr(library, f"nft_ctx_get_{stream}_buffer")
            get.argtypes, get.restype = [ctypes.c_void_p], ctypes.c_char_p
        self._library = library
        self._thread = ThreadPoolExecutor(1, "nftables")
        try:
            self._context = self._thread.submit(self._open, namespace).result()
            self._number = self._thread.submit(threading.get_native_id).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def _open(self, namespace: int) -> Any:
        stay_in(namespace)
        leave_table()
        context = self._library.nft_ctx_new(0)
        self._library.nft_ctx_buffer_output(context)
        self._library.nft_ctx_buffer_error(context)
        return context

    def run(self, commands: str) -> str:
        """Carry out commands in nft(8)'s syntax, all or none; returns what they print. Raises
        HarnessError with nft's words.
        """
        with priority.prompt(self._number):  # from now on: raised by itself it would wait for that
            return self._thread.submit(self._run, commands, 0).result()

    def json(self, command: str) -> list[dict[str, Any]]:
        """Parse what a ``list …`` command prints, in the form of libnftables-json(5). Raises
        HarnessError.
        """
        said = self._thread.submit(self._run, command, _OUTPUT_JSON).result()
        found: list[dict[str, Any]] = json.loads(said)["nftables"]
        return found

    def _run(self, commands: str, flags: int) -> str:
        self._library.nft_ctx_output_set_flags(self._context, flags)
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()):
            error = (
                self._library.nft_ctx_get_error_buffer(self._context)
                .decode(errors="replace")
                .strip()
            )
            raise HarnessError(f"nftables refused a transaction: {error or 'no reason given'}")
        return str(self._library.nft_ctx_get_output_buffer(self._context).decode())

    def close(self) -> None:
        """Free the context and end its thread; what it set stays. May be called twice."""
        if self._context is not None:
            self._thread.submit(self._library.nft_ctx_free, self._context).result()
            self._context = None
            self._thread.shutdown()
