"""What a reload changes, and what a refused one leaves as it was.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import signal
import socket
import unittest
from pathlib import Path

from support import Gateway, Lab, Server, observe, peers, wait_until
from support.daemon import FORWARD, PATHS, TRANSPARENT, Daemon, snapshot


class what_a_reload_changes(unittest.TestCase):
    def test_listeners_and_paths_come_and_go(self):
        first_path = PATHS[:PATHS.index("[[path]]", 10)]
        with Lab() as lab:
            daemon = Daemon(lab, first_path + FORWARD.replace("{name}", "a").replace(
                "{port}", "4001"))
            wan1 = daemon.host.interfaces["wan1"]
            self.assertNotIn(wan1.v4, snapshot(daemon.host)["endpoints"])
            daemon.reload(PATHS + TRANSPARENT + FORWARD.replace("{name}", "b").replace(
                "{port}", "4002"), "the new configuration is in force")
            now = snapshot(daemon.host)
            self.assertIn(wan1.v4, now["endpoints"])
            self.assertIn("tproxy", now["nft"])
            self.assertTrue(observe.listening(daemon.host, 4002))
            wait_until(lambda: not observe.listening(daemon.host, 4001), what="4001 closed")
            daemon.reload(first_path + FORWARD.replace("{name}", "a").replace("{port}", "4001"),
                          "the new configuration is in force")
            now = snapshot(daemon.host)
            self.assertNotIn(wan1.v4, now["endpoints"] + now["rules"])
            self.assertNotIn("table 1001", now["routes"] + now["routes6"])
            self.assertEqual(daemon.gateway.stop(), 0)
            self.assertEqual(snapshot(daemon.host), daemon.before)

    def test_a_refused_reload_leaves_everything_as_it_was(self):
        refusals = {
            "nonsense = 1\n": "nonsense",
            PATHS + FORWARD.replace("{name}", "taken").replace("{port}", "4003"):
                'listener "taken": cannot listen on 127.0.0.1:4003',
            'backend = "kernel"\n' + FORWARD.replace("{name}", "a").replace("{port}", "4001"):
                "backend cannot change",
        }
        with Lab() as lab:
            daemon = Daemon(lab, FORWARD.replace("{name}", "a").replace("{port}", "4001"))
            taken = daemon.host.socket()
            taken.bind(("127.0.0.1", 4003))
            taken.listen()
            now = snapshot(daemon.host)
            for toml, reason in refusals.items():
                daemon.reload(toml, "the configuration stays as it was")
                self.assertIn(reason, daemon.gateway.log())
                self.assertEqual(snapshot(daemon.host), now)
                self.assertTrue(observe.listening(daemon.host, 4001))
            taken.close()

    def test_a_file_that_cannot_be_read_changes_nothing(self):
        with Lab() as lab:
            daemon = Daemon(lab, FORWARD.replace("{name}", "a").replace("{port}", "4001"))
            daemon.gateway.file.unlink()
            daemon.gateway.file.mkdir()
            os.kill(daemon.keeper, signal.SIGHUP)
            wait_until(lambda: "cannot be read" in daemon.gateway.log(), what="the refusal")
            self.assertTrue(observe.listening(daemon.host, 4001))
            self.assertEqual(daemon.gateway.stop(), 0)

    def test_a_reload_without_descriptors_is_refused_and_serving_goes_on(self):
        with Lab() as lab, contextlib.ExitStack() as stack:
            daemon = Daemon(lab, start=False)
            web = Server(daemon.server)
            daemon.toml = (FORWARD.replace("{name}", "web").replace("127.0.0.1:{port}",
                           "0.0.0.0:4001").replace("127.0.0.1:9", "{0}:{1}".format(
                               *web.address(socket.AF_INET))) + 'allow = ["0.0.0.0/0"]\n')
            daemon.start(wrapper=("prlimit", "--nofile=64:64"))
            descriptors = Path(f"/proc/{daemon.worker()}/fd")
            address = (daemon.host.interfaces["lan0"].v4, 4001)
            for _ in range(30):
                stack.enter_context(peers.connect(daemon.client, address))
            wait_until(lambda: "accepting stops" in daemon.gateway.log(), what="a full worker")
            more = daemon.toml + "".join(FORWARD.format(name=f"more{i}", port=4010 + i)
                                         for i in range(8))
            daemon.reload(more, "the configuration stays as it was: the worker has no descriptors")
            stack.close()
            wait_until(lambda: len(list(descriptors.iterdir())) < 30, what="free descriptors")
            daemon.reload(more, "the new configuration is in force")
            with peers.connect(daemon.client, address) as sock:
                peers.download(sock, 1000)
            self.assertEqual(daemon.gateway.stop(), 0)

    def test_reloads_asked_for_at_once_are_all_answered(self):
        with Lab() as lab, contextlib.ExitStack() as stack:
            daemon = Daemon(lab, FORWARD.replace("{name}", "a").replace("{port}", "4001"))
            askers = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(8)]
            for asker in askers:
                asker.settimeout(30)
                asker.connect(str(daemon.gateway.control))
            for asker in askers:
                asker.sendall(b'{"command": "reload"}\n')
            for asker in askers:
                self.assertEqual(asker.recv(4096), b'{"result":"reloaded"}\n')

    def test_a_taken_port_is_named_at_the_start(self):
        with Lab() as lab:
            host = lab.host("gateway")
            with host.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                taken.bind(("127.0.0.1", 4001))
                taken.listen()
                gateway = Gateway(host, FORWARD.format(name="a", port=4001), expect_ready=False)
                self.assertEqual(gateway.process.wait(10), 1)
                self.assertIn('listener "a": cannot listen on 127.0.0.1:4001', gateway.log())

    def test_no_connection_is_lost_over_reloads(self):
        with Lab() as lab:
            daemon = Daemon(lab, start=False)
            web = Server(daemon.server)
            daemon.toml = (FORWARD.replace("{name}", "web").replace("127.0.0.1:{port}",
                           "0.0.0.0:4001").replace("127.0.0.1:9", "{0}:{1}".format(
                               *web.address(socket.AF_INET))) + 'allow = ["0.0.0.0/0"]\n')
            daemon.start()
            address = (daemon.host.interfaces["lan0"].v4, 4001)
            for _ in range(20):
                os.kill(daemon.keeper, signal.SIGHUP)
                for _ in range(10):
                    with peers.connect(daemon.client, address) as sock:
                        peers.download(sock, 1000)

    def test_a_path_recovers_with_its_interface(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            wan1 = daemon.host.interfaces["wan1"]
            whole = snapshot(daemon.host)
            daemon.host.ip("link", "set", "wan1", "down")
            wait_until(lambda: f"via {wan1.peer.v4}" not in snapshot(daemon.host)["routes"],
                       what="the route gone")
            daemon.host.ip("link", "set", "wan1", "up")
            wait_until(lambda: snapshot(daemon.host)["routes"] == whole["routes"],
                       what="the routes back")
            self.assertEqual(daemon.gateway.stop(), 0)
            self.assertEqual(snapshot(daemon.host), daemon.before)


if __name__ == "__main__":
    unittest.main()
