"""Runs a benchmark so that what the user can put right ends it with one sentence, as on the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError

from textome.errors import TextomeError


def in_one_sentence(main: Callable[[], object]) -> None:
    """Call `main`. An error that the user can put right, here or in a process of its own, ends all with its sentence."""
    try:
        main()
    except TextomeError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except PackageNotFoundError as error:
        print(f"this benchmark needs the package {error.name}; run: pip install {error.name}", file=sys.stderr)
        sys.exit(3)
    except FileNotFoundError as error:
        print(f"{error.filename}: there is no such file; see the options with --help", file=sys.stderr)
        sys.exit(2)
    except subprocess.CalledProcessError as error:
        print(error.stderr.strip().splitlines()[-1] if error.stderr else error, file=sys.stderr)
        sys.exit(error.returncode)
