"""Options that all tests share."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the long tests, marked with `full`")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes long; runs with --full only")
    config.pluginmanager.register(NamesFailuresAtOnce(config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests on the lab are the longest row, so the others let them go first."""
    if not item.nodeid.startswith("tests/real/") and os.nice(0) == 0:
        os.nice(5)


class NamesFailuresAtOnce:
    """Since a run takes long, and one that is cut short should have said something."""

    def __init__(self, config: pytest.Config) -> None:
        self.plugins = config.pluginmanager

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self.plugins.get_plugin("terminalreporter")
        if terminal is not None and report.failed:
            terminal.ensure_newline()
            terminal.write_line(f"FAILED {report.nodeid} ({report.when})")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    long = [item for item in items if item.get_closest_marker("full")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time went, since the whole has a bound: per folder, and per file on the lab."""
    minutes: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                path = report.nodeid.partition("::")[0]
                minutes[path if path.startswith("tests/real/") else path.rpartition("/")[0]] += report.duration / 60
    long = [(name, spent) for name, spent in minutes.most_common() if spent >= 0.5]
    if long:
        terminalreporter.section("minutes by part")
        for name, spent in long:
            terminalreporter.line(f"{spent:6.1f}  {name}")


class OneWorkerForTheLab(LoadScopeScheduling):
    """Tests on the running lab share it, so one worker gets them all, in their order; any worker takes any other."""

    def _split_scope(self, nodeid: str) -> str:
        return "lab" if nodeid.startswith("tests/real/") else nodeid


# First, because pytest-xdist asks itself before it asks others.
@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return OneWorkerForTheLab(config, log)
