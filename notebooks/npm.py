"""Files of packages from npm, of pinned versions and with known checksums: fetched
once, checked, and kept in the cache.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from chapters import ROOT

IMPATIENT = ("--fetch-retries=0", "--fetch-timeout=60000")  # ms
CACHE = ROOT / "cache/npm"


def fetch(package: str, files: dict[str, str]) -> dict[str, bytes] | None:
    """Files of a package, "name@version", by their paths in it; None, with the reason
    on stderr, where they cannot be had.

    files: the SHA-256 of each, by its path.
    """
    kept = CACHE / package
    try:
        if not all(is_right(kept / name, digest) for name, digest in files.items()):
            download(package, files, kept)
        return {name: (kept / name).read_bytes() for name in files}
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        why = f"could not be fetched from npm ({error})"
        print(f"the book is made without {package}, which {why}", file=sys.stderr)
        return None


def is_right(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def download(package: str, files: dict[str, str], kept: Path) -> None:
    """Keep these files of a package in a folder. Raises ValueError for files other than
    expected, OSError or SubprocessError where npm does not work.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        command = [npm, "pack", package, "--ignore-scripts", *IMPATIENT]
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, timeout=300
        )
        (archive,) = Path(folder).glob("*.tgz")
        found = Path(folder) / "files"
        with tarfile.open(archive) as opened:
            for name, digest in files.items():
                content = opened.extractfile(f"package/{name}").read()
                (found / name).parent.mkdir(parents=True, exist_ok=True)
                (found / name).write_bytes(content)
                if not is_right(found / name, digest):
                    raise ValueError(f"{name} is another file than expected")
        shutil.rmtree(kept, ignore_errors=True)
        found.rename(kept)
