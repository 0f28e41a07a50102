"""support: what every test against a real kernel needs.

    lab        network namespaces that vanish with the test: links, rates, addresses, cuts
    peers      servers and clients whose every byte is checked
    observe    what the kernel says: counters, subflows, sockets; wait_until()
    programs   the programs under test, and a gateway with its configuration

Python's standard library only, so that tests run on a bare Debian. Missing prerequisites raise
`MissingPrerequisite`: a test fails then and is never skipped.

A test reads like this (tests/interop/test_lab.py has more):

    from support import Lab, Server, observe, peers

    class transfer(unittest.TestCase):
        def test_a_download_uses_both_paths(self):
            with Lab() as lab:
                client, server = lab.pair(paths=2)
                web = Server(server, mptcp=True)
                with peers.connect(client, web.address(), mptcp=True) as sock:
                    peers.download(sock, 1 << 20)
                    self.assertEqual(observe.subflow_count(sock), 2)

SPDX-License-Identifier: Apache-2.0
"""

from .lab import Lab, MissingPrerequisite, Namespace
from .observe import wait_until
from .peers import IPPROTO_MPTCP, Server
from .programs import Gateway, program

__all__ = [
    "Gateway",
    "IPPROTO_MPTCP",
    "Lab",
    "MissingPrerequisite",
    "Namespace",
    "Server",
    "program",
    "wait_until",
]
