"""What `cmake --install` leaves behind: every page, example and program, where the others look for it.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from support.programs import ROOT, build_directory


class installation(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="manypath-install-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        subprocess.run(["cmake", "--install", build_directory()], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": folder.name})

    def found(self, name):
        return [path for path in self.root.rglob(name) if path.is_file()]

    def test_every_manual_example_and_completion_is_there(self):
        sources = [*ROOT.glob("man/*.[1-8]"), *ROOT.glob("config/examples/*.toml"),
                   *ROOT.glob("config/*.toml")]
        self.assertGreater(len(sources), 8)
        for source in sources:
            with self.subTest(source=source.name):
                self.assertEqual([path.read_bytes() for path in self.found(source.name)],
                                 [source.read_bytes()])
        for name in ("_manypath", "_manypathd", "_manypathctl", "manypath.fish"):
            self.assertEqual(len(self.found(name)), 1, name)

    def test_what_the_unit_and_the_daemon_name_is_where_they_say(self):
        unit, = self.found("manypathd.service")
        named = re.findall(r"^Exec\w+=(/usr/sbin/\S+) .*--config (\S+)$", unit.read_text(), re.M)
        self.assertTrue(named)
        for path in {path for pair in named for path in pair}:
            self.assertTrue((self.root / path.lstrip("/")).is_file(), path)
