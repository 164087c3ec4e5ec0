"""A module as Ansible runs it, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

Run = Callable[..., dict[str, Any]]


def runner(capsys: pytest.CaptureFixture[str], common: Mapping[str, Any], secrets: Iterable[str]) -> Run:
    """A function from a module and its options, over the common ones, to its result, in which there are no secrets.

    An option that is None is not given.
    """

    def run(module: Any, check: bool = False, **options: Any) -> dict[str, Any]:
        given = {name: value for name, value in {**common, **options}.items() if value is not None}
        arguments = {**given, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        output = capsys.readouterr().out
        assert not [secret for secret in secrets if secret in output]
        result: dict[str, Any] = json.loads(output)
        return result

    return run
