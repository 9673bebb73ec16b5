"""This machine -> the facts without which its figures say nothing."""

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil


def facts(folder: Path) -> Iterator[str]:
    """Lines about processor, memory, load and how long the disk under the folder takes to be sure."""
    memory = psutil.virtual_memory().total / 2**30
    yield f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()} {platform.release()}"
    yield f"Python {platform.python_version()}; 8 kB fdatasync {_sync_milliseconds(folder):.2f} ms in {folder.parent}"
    load = os.getloadavg()[0]
    busy = " - THE MACHINE IS BUSY: figures are provisional" if load > 0.7 else ""
    yield f"load before the run: {load:.1f}{busy}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _sync_milliseconds(folder: Path) -> float:
    times = []
    path = folder / "fdatasync"
    with path.open("wb") as file:
        for _ in range(50):
            file.write(bytes(8192))
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    path.unlink()
    return median(times) * 1000
