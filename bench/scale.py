"""Many sandboxes at once: each is started with all before it alive; the last beside the first."""
import json
import pathlib
import statistics
import tempfile
import time

from runs import Folder, Running


def measure(program, tools, count=200):
    """Medians of the first and of the last ten, since one start is at the mercy of one time slice."""
    runs, memory = [], []
    with tempfile.TemporaryDirectory(prefix="stockade-bench-", dir="/srv") as name:
        folder = Folder(pathlib.Path(name), tools)
        try:
            for number in range(count):
                runs.append(Running(program, folder, ["/bench/bench_hostile", "processes", "1"], name=f"bench-{number}"))
                if number in range(10) or number >= count - 10:
                    memory.append(runs[-1].memory())
            begin = time.monotonic()
            failures = sum(run.process.poll() is not None for run in runs)
        finally:
            for run in runs:
                run.process.terminate()
            for run in runs:
                run.end()
        ready = [run.ready * 1000 for run in runs]
        return {"count": count, "failures": failures, "first_ms": statistics.median(ready[:10]), "last_ms": statistics.median(ready[-10:]),
                "first_kib": statistics.median(memory[:10]), "last_kib": statistics.median(memory[-10:]),
                "end_all_seconds": time.monotonic() - begin}


if __name__ == "__main__":
    import sys
    print(json.dumps(measure(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:])), indent=1))
