"""Running nftables: one text, one transaction.

`libnftables` is loaded into the process where it can be found, which saves starting a program for every change; otherwise
the `nft` command does the same. Either way the whole text is applied or nothing of it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
import threading

from varka.base.errors import VarkaError


class Nft:
    """Applies rule texts in this process's network namespace; calls may come from any thread."""

    def __init__(self, *, library: bool = True) -> None:
        self._lock = threading.Lock()
        self._context = None
        self._library = _load() if library else None
        if self._library is not None:
            self._context = self._library.nft_ctx_new(0)
            self._library.nft_ctx_buffer_error(self._context)
            self._library.nft_ctx_buffer_output(self._context)

    def run(self, text: str) -> None:
        """Apply `text` in one transaction; VarkaError with nft's own message when it is refused."""
        if not text:
            return
        with self._lock:
            failure = self._run_library(text) if self._library is not None else _run_command(text)
        if failure is not None:
            raise VarkaError(f"nftables refused a change: {failure.strip().splitlines()[0] if failure.strip() else 'no message'}")

    def listing(self, table: str) -> str:
        """The rules of `table` as nft prints them; empty when there is none."""
        done = subprocess.run(["nft", "-t", "list", "table", *table.split()], capture_output=True, text=True, timeout=30, check=False)
        return done.stdout if done.returncode == 0 else ""

    def _run_library(self, text: str) -> str | None:
        assert self._library is not None
        status = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        message = self._library.nft_ctx_get_error_buffer(self._context) or b""
        self._library.nft_ctx_get_output_buffer(self._context)
        return message.decode(errors="replace") if status != 0 else None


def _run_command(text: str) -> str | None:
    try:
        done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr if done.returncode != 0 else None


def _load() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_buffer_error", "nft_ctx_buffer_output"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_error_buffer", "nft_ctx_get_output_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library
