"""files.py: what every file of the tree has to have, and how long it may get.

SPDX-License-Identifier: Apache-2.0
"""

import re
import subprocess
import sys
from pathlib import Path

LINES = {".hpp": 200, ".h": 200, ".cpp": 400, ".c": 400, ".py": 500, ".sh": 200, "": 250}
UNIT_TEST_LINES = 700  # tables of cases may be long
LICENSE = "SPDX-License-Identifier: Apache-2.0"
# Files whose format has no comments, or which are data for a test.
NO_LICENSE = re.compile(r"LICENSE|.*\.(md|json|txt)|\.gitignore|.*/(corpus|data)/.*")
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def check(path):
    raw = Path(path).read_bytes()
    text = raw.decode("utf-8")
    head = "\n".join(text.splitlines()[:40])
    if not path.endswith(("files.py", ".md")) and (found := LEFTOVERS.search(text)):
        yield f"{path}: has a {found[0]}"
    if not NO_LICENSE.fullmatch(path) and LICENSE not in head:
        yield f"{path}: no line \"{LICENSE}\" near its top"
    if raw and not raw.endswith(b"\n"):
        yield f"{path}: does not end with a newline"
    if re.search(r"[ \t]+$", text, re.MULTILINE) and not path.endswith(".md"):
        yield f"{path}: has white space at the end of a line"
    limit = UNIT_TEST_LINES if path.startswith("tests/unit/") else LINES.get(Path(path).suffix)
    lines = text.count("\n")
    if limit and path != "LICENSE" and lines > limit:
        yield f"{path}: {lines} lines, the aim is {limit}"
    if path.endswith(".hpp") and "#pragma once" not in text:
        yield f"{path}: no #pragma once"


def main():
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    wrong = [line for path in listed.stdout.split() if Path(path).is_file() for line in check(path)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
