"""Callback plugin that writes down every execution of a module, exactly: one line `HOST MODULE` each.

Tasks are not a measure: a template is two executions, a debug none. Workers are forked from the process that loads
this plugin, so what it wraps they inherit.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: module_executions
type: aggregate
short_description: Writes down each execution of a module
description: Appends a line with host and module to the file named by MODULE_EXECUTIONS_PATH.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_executions"

    def __init__(self) -> None:
        super().__init__()
        path = os.environ["MODULE_EXECUTIONS_PATH"]
        execute = ActionBase._execute_module

        def counted(action: ActionBase, module_name: str | None = None, *args: Any, **words: Any) -> Any:
            name = module_name or action._task.action
            host = (words.get("task_vars") or {}).get("inventory_hostname", "?")
            where = action._task.delegate_to or host
            with open(path, "a") as file:  # one short line in append mode is written whole
                file.write(f"{host} {where} {name}\n")
            return execute(action, module_name, *args, **words)

        ActionBase._execute_module = counted
