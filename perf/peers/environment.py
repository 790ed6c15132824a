"""The virtual environment the peers run in: made once, kept in the user's cache, named by its requirements."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import venv

REQUIREMENTS = pathlib.Path(__file__).with_name("requirements.txt")
# Where torch publishes its CPU builds; asked only when no index pip already knows has one.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def folder():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return cache / "millrace" / f"perf-{digest}"


def _pip(python, *arguments):
    return subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *arguments],
                          check=False, capture_output=True, text=True)


def make():
    """The environment's python; makes the environment when it is not there."""
    where = folder()
    python = where / "bin" / "python"
    if (where / "complete").exists():
        return python
    print(f"making the peers' environment in {where} (about 2 GB, some minutes)", file=sys.stderr, flush=True)
    shutil.rmtree(where, ignore_errors=True)
    try:
        venv.create(where, with_pip=True)
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"bench: cannot make a virtual environment ({error}); on Debian: apt-get install python3-venv")
    done = _pip(python, "-r", REQUIREMENTS)
    if done.returncode != 0:
        done = _pip(python, "--extra-index-url", TORCH_CPU_INDEX, "-r", REQUIREMENTS)
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        sys.exit(f"bench: pip could not install the peers; is there a network?\n{said}")
    (where / "complete").touch()
    return python
