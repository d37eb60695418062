"""Python imports a module of this name by itself, if it finds one. In a server that bench/storm.py starts
it is this one, and counts what that server reads from SQLite outside of what it writes, into the eight bytes
of a file. The server itself knows nothing of it.
"""

import mmap
import os
import sqlite3
import sys
import threading
from typing import Any


def count_reads(path: str) -> None:
    with open(path, "r+b") as file:
        counter = mmap.mmap(file.fileno(), 8)
    lock = threading.Lock()
    connect = sqlite3.connect

    def connect_and_count(*arguments: Any, **more: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **more)
        is_writing = False

        def trace(statement: str) -> None:
            nonlocal is_writing
            word = statement.split(None, 1)[0].upper()
            if word == "BEGIN":
                is_writing = "IMMEDIATE" in statement.upper()
            elif word in ("COMMIT", "END", "ROLLBACK"):
                is_writing = False
            elif word in ("SELECT", "WITH") and not is_writing:
                with lock:
                    count = int.from_bytes(counter[:8], sys.byteorder) + 1
                    counter[:8] = count.to_bytes(8, sys.byteorder)

        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = connect_and_count  # type: ignore[assignment]


if path := os.environ.get("COUNT_READS_IN"):
    count_reads(path)
