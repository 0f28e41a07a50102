"""The lab itself: what the other interop tests stand on has to be right.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

from support import IPPROTO_MPTCP, Lab, Server, observe, peers, wait_until

MEBIBYTE = 1 << 20


class lab(unittest.TestCase):
    def test_a_download_and_an_upload_use_every_path(self):
        for family in (socket.AF_INET, socket.AF_INET6):
            with self.subTest(family=family.name), Lab() as lab:
                client, server = lab.pair(paths=3)
                web = Server(server, mptcp=True)
                moved = observe.CounterDelta(server)
                with peers.connect(client, web.address(family), mptcp=True) as sock:
                    sock.sendall(b"get %d\n" % (4 * MEBIBYTE))
                    wait_until(lambda: observe.subflow_count(sock) == 3, what="three subflows")
                    self.assertEqual(observe.mptcp_sockets(client)[0]["subflows"], 3)
                    self.assertEqual(peers.receive_hash(sock)[1], peers.pattern_hash(4 * MEBIBYTE))
                with peers.connect(client, web.address(family), mptcp=True) as sock:
                    peers.upload(sock, 4 * MEBIBYTE)
                self.assertGreaterEqual(moved["MPJoinAckRx"], 2)
                self.assertEqual(web.mptcp_accepted, 2)

    def test_a_rate_bounds_a_path(self):
        with Lab() as lab:
            client, server = lab.pair(paths=1, rate="20mbit")
            web = Server(server)
            with peers.connect(client, web.address()) as sock:
                peers.download(sock, MEBIBYTE)
            self.assertGreater(client.interfaces["wan0"].carried_bytes(), MEBIBYTE)
            self.assertIn("rate 20Mbit", subprocess.run(
                ["tc", "-n", client.name, "qdisc", "show", "dev", "wan0"],
                capture_output=True, text=True).stdout)

    def test_a_cut_path_is_silent_or_seen(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            first, second = client.interfaces.values()
            first.cut_silently()
            self.assertFalse(_reaches(client, first.peer.v4))
            self.assertTrue(_reaches(client, second.peer.v6))
            first.mend()
            self.assertTrue(_reaches(client, first.peer.v4))
            second.set_link(up=False)
            self.assertIn("DOWN", client.ip("-br", "link", "show", "wan1"))
            self.assertIn("DOWN", server.ip("-br", "link", "show", "wan1"))
            second.set_link(up=True)
            self.assertTrue(_reaches(client, second.peer.v6))

    def test_a_chain_routes_through_its_gateway(self):
        with Lab() as lab:
            client, _, server = lab.chain()
            web = Server(server)
            for family in (socket.AF_INET, socket.AF_INET6):
                with peers.connect(client, web.address(family, path=1)) as sock:
                    peers.download(sock, MEBIBYTE)
            self.assertEqual(web.peers[0], client.interfaces["lan0"].v4)

    def test_the_server_ends_as_it_was_asked(self):
        with Lab() as lab:
            client, server = lab.pair(paths=1)
            web = Server(server, mptcp=True)
            for mptcp in (False, True):
                with peers.connect(client, web.address(), mptcp=mptcp) as sock:
                    sock.sendall(b"silent\n")
                    self.assertEqual(sock.recv(1), b"")
                    sock.sendall(b"after the server's end")
                    sock.shutdown(socket.SHUT_WR)
                with peers.connect(client, web.address(), mptcp=mptcp) as sock, \
                        self.assertRaises(ConnectionResetError):
                    sock.sendall(b"reset 10\n")
                    peers.read_all(sock)
                with peers.connect(client, web.address(), mptcp=mptcp) as sock:
                    sock.sendall(b"echo\nbytes")
                    sock.shutdown(socket.SHUT_WR)
                    self.assertEqual(peers.read_all(sock), b"bytes")
            reads = sorted(result[:2] for result in web.wait_for_results(6))
            self.assertIn(("silent", 22), reads)

    def test_nothing_is_left_after_ctrl_c_and_sigterm(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number.name):
                child, name = _lab_of_another_process()
                os.kill(child.pid, number)
                child.wait(20)
                self.assertEqual(list(Path("/run/netns").glob(f"{name}*")), [])

    def test_a_killed_lab_is_removed_by_the_next_one(self):
        child, name = _lab_of_another_process()
        child.kill()
        child.wait()
        self.assertNotEqual(list(Path("/run/netns").glob(f"{name}*")), [])
        with Lab():
            self.assertEqual(list(Path("/run/netns").glob(f"{name}*")), [])

    def test_sockets_of_a_namespace_stay_in_it(self):
        with Lab() as lab:
            client, server = lab.pair(paths=1)
            with client.socket(protocol=IPPROTO_MPTCP) as sock:
                sock.bind((client.interfaces["wan0"].v4, 0))
            with server.socket() as sock, self.assertRaises(OSError):
                sock.bind((client.interfaces["wan0"].v4, 0))


def _reaches(host, address):
    """Whether a SYN to a closed port is answered."""
    try:
        peers.connect(host, (address, 9), timeout=0.5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    raise AssertionError("something listens on port 9")


def _lab_of_another_process():
    script = ("from support import Lab\n"
              "with Lab() as lab:\n"
              "    a, b = lab.pair()\n"
              "    p = a.spawn('sleep', '1000')\n"
              "    print(lab.name, flush=True)\n"
              "    p.wait()\n")
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    with child.stdout as out:
        return child, out.readline().strip()


if __name__ == "__main__":
    unittest.main()
