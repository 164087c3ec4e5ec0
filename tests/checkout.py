"""What tests need to know of the checkout they run in."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent


def tracked(*patterns: str) -> list[Path]:
    """Files of the checkout that are committed or about to be, matching git's patterns."""
    words = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "--", *patterns]
    # A checkout may belong to another user than the one who runs the tests.
    environment = os.environ | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    listed = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    return [path for name in listed if (path := ROOT / name).is_file() and not path.is_symlink()]


def tool(name: str) -> str:
    """A program installed beside the interpreter that runs the tests."""
    return str(Path(sys.executable).parent / name)


def ansible_environment(**more: str) -> dict[str, str]:
    """The environment for Ansible's commands: the checkout's collections, no colours, nothing of the caller's."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        **more,
    }


def load(path: str) -> ModuleType:
    """A program of a role, as a module."""
    file = ROOT / path
    spec = importlib.util.spec_from_file_location(f"bulwark_{file.stem}_{abs(hash(path))}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module
