"""docs/reliability.md, written from the tests that are marked as faults: what was done, what happened."""

import pathlib

import pytest

OPTION = "--reliability"
HEAD = """# Faults tried, and what happened

Written by `make reliability`, which runs every test that carries the marker `fault`: a row says what was done, what
happened, and which test does it again.

| fault | what happened | test |
|---|---|---|
"""


class ReliabilityTable:
    """A plugin of pytest that writes the table once all tests have run.

    A test says `@pytest.mark.fault("what is done", "what happens")`; both are formatted with the test's parameters.
    Tests of the same two sentences share a row.
    """

    def __init__(self, file: pathlib.Path):
        self._file = file
        self._rows: dict[tuple[str, str], dict[str, str]] = {}  # (fault, promise) -> test -> outcome

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        # Reports carry what stands here from the worker processes to the one that writes.
        for item in items:
            for mark in item.iter_markers("fault"):
                parameters = item.callspec.params if hasattr(item, "callspec") else {}
                item.user_properties.append(("fault", [text.format(**parameters) for text in mark.args]))

    def pytest_runtest_logreport(self, report):
        for name, sentences in report.user_properties:
            if name == "fault" and (report.when == "call" or report.outcome != "passed"):
                self._rows.setdefault(tuple(sentences), {})[report.nodeid] = report.outcome

    def pytest_sessionfinish(self, session):
        if not hasattr(session.config, "workerinput"):
            rows = [self._row(*sentences, tests) for sentences, tests in sorted(self._rows.items())]
            self._file.write_text(HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows))

    def _row(self, fault, promise, tests):
        if "failed" in tests.values():
            promise = f"**not so**: {promise}"
        elif "passed" not in tests.values():
            promise = f"not tried on this machine: {promise}"
        return fault, promise, ", ".join(sorted({f"`{name.partition('[')[0]}`" for name in tests}))
