"""What every start would pay for: the program holds none of the libraries that only the workers need."""
import subprocess

from person import PROGRAM


def test_the_program_holds_neither_tls_nor_patterns():
    def symbols(program):
        return subprocess.run(["nm", "--defined-only", str(program)], capture_output=True, text=True, check=True).stdout
    ours, workers = symbols(PROGRAM), symbols(PROGRAM.parent / "stockade-worker")
    for name in ("SSL_new", "hs_scan"):
        assert f" {name}\n" not in ours, f"{name} is linked into stockade"
    assert " SSL_new\n" in workers or "SSL_new@" in workers
