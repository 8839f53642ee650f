"""nftables by libnftables in this process: one call, one transaction, 0.4 ms where the `nft`
command takes 5.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

from harness.errors import HarnessError, UnavailableError
from harness.kernel.namespaces import inside

_LIBRARY = "libnftables.so.1"
_OUTPUT_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON of nftables/libnftables.h


class Nft:
    """A libnftables context of one namespace: the one that it was made in, wherever it is used.

    Raises UnavailableError where the library is missing.
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
        with inside(namespace):
            self._context = library.nft_ctx_new(0)
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Carry out commands in nft(8)'s syntax, all or none; returns what they print. Raises
        HarnessError with nft's words.
        """
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()):
            error = (
                self._library.nft_ctx_get_error_buffer(self._context)
                .decode(errors="replace")
                .strip()
            )
            raise HarnessError(f"nftables refused a transaction: {error or 'no reason given'}")
        return str(self._library.nft_ctx_get_output_buffer(self._context).decode())

    def json(self, command: str) -> list[dict[str, Any]]:
        """Parse what a ``list …`` command prints, in the form of libnftables-json(5). Raises
        HarnessError.
        """
        self._library.nft_ctx_output_set_flags(self._context, _OUTPUT_JSON)
        try:
            found: list[dict[str, Any]] = json.loads(self.run(command))["nftables"]
        finally:
            self._library.nft_ctx_output_set_flags(self._context, 0)
        return found

    def close(self) -> None:
        """Free the context; what it set stays. May be called twice."""
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None
