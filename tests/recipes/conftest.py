"""Prints the table of docs/experiments.md after the twins have run."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("passed", [])
    rows = [value for report in reports for name, value in report.user_properties if name == "row"]
    if rows:
        terminalreporter.section("weights changed by 30 steps")
        terminalreporter.write_line("| recipe | steps | learning | frozen | largest gap, nats |\n|---|---|---|---|---|")
        terminalreporter.write_line("\n".join(rows))
