"""runner.py: runs tests/interop and says plainly what happened.

    PYTHONPATH=tests python3 -m support.runner [NAME…]    NAME: "lab" for test_lab.py, "lab.rate" for
                                                          the tests of it whose name has "rate"

One line per test with its duration; the last line is "N passed, N failed". A skipped test counts
as failed: a machine that cannot run a test must say so. Modules run one after the other in this
process, since the machine's CPUs belong to the programs under test.

SPDX-License-Identifier: Apache-2.0
"""

import importlib.util
import signal
import sys
import time
import traceback
import unittest
from pathlib import Path

LIMIT_SECONDS = 300  # of one test; one that hangs has failed
FOLDER = Path(__file__).resolve().parents[1] / "interop"


class Reporter(unittest.TestResult):
    """Prints each test as it ends."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = []
        self._trouble = []

    def startTest(self, test):
        super().startTest(test)
        self._trouble = []
        self._start = time.monotonic()
        signal.alarm(LIMIT_SECONDS)

    def stopTest(self, test):
        super().stopTest(test)
        signal.alarm(0)
        word = "FAILED" if self._trouble else "ok"
        print(f"{word:6} {_title(test)} ({time.monotonic() - self._start:.1f} s)", flush=True)
        for text in self._trouble:
            print("    " + text.rstrip().replace("\n", "\n    "))
        if self._trouble:
            self.failed.append(_title(test))
        else:
            self.passed += 1

    def addError(self, test, err):
        self._trouble.append("".join(traceback.format_exception(*err)))
        if not isinstance(test, unittest.TestCase):  # setUpClass, setUpModule
            self.failed.append(str(test))
            print(f"FAILED {test}\n{self._trouble[-1]}")

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._trouble.append(f"{subtest._subDescription()}\n"
                                 + "".join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        self._trouble.append(f"skipped, which counts as failed: {reason}")

    def addUnexpectedSuccess(self, test):
        self._trouble.append("unexpected success")


def _title(test):
    module = type(test).__module__.removeprefix("test_")
    words = test.id().rpartition(".")[2].removeprefix("test_").replace("_", " ")
    return f"{module}: {words}"


def _load(path, pattern):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    specification.loader.exec_module(module)
    loader = unittest.TestLoader()
    if pattern:
        loader.testNamePatterns = [f"*{pattern.replace(' ', '_')}*"]
    suite = loader.loadTestsFromModule(module)
    if suite.countTestCases() == 0:
        raise SystemExit(f"{path}: no test matches {pattern!r}")
    return suite


def _on_alarm(_number, _frame):
    raise TimeoutError(f"the test took longer than {LIMIT_SECONDS} s")


def main(names):
    signal.signal(signal.SIGALRM, _on_alarm)
    wanted = [name.partition(".")[::2] for name in names]
    if not wanted:
        wanted = [(path.stem.removeprefix("test_"), "") for path in sorted(FOLDER.glob("test_*.py"))]
    reporter = Reporter()
    for name, pattern in wanted:
        try:
            _load(FOLDER / f"test_{name}.py", pattern).run(reporter)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            reporter.failed.append(f"test_{name}.py")
    for title in reporter.failed:
        print(f"FAILED {title}")
    print(f"{reporter.passed} passed, {len(reporter.failed)} failed")
    return 1 if reporter.failed or not reporter.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
