"""What manypathd does to a host, and that nothing of it stays.

A snapshot of everything the keeper may touch is taken before the start and compared after the end,
whichever of the processes was killed.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import ipaddress
import os
import re
import signal
import socket
import unittest
from pathlib import Path

from support import Gateway, Lab, Server, observe, peers, program, wait_until
from support.daemon import FORWARD, PATHS, TRANSPARENT, Daemon, snapshot, status_of

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = (socket.AF_INET, socket.AF_INET6)
CAP_NET_RAW = 1 << 13


class what_it_makes(unittest.TestCase):
    def test_rules_routes_endpoints_and_sysctls_appear_and_vanish(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            now = snapshot(daemon.host)
            wan0, wan1 = (daemon.host.interfaces[n] for n in ("wan0", "wan1"))
            for address in (wan0.v4, wan0.v6, wan1.v4, wan1.v6):
                self.assertIn(f"from {address} lookup", now["rules"])
                self.assertIn(address, now["endpoints"])
            self.assertIn(f"default via {wan1.peer.v4} dev wan1 table 1001", now["routes"])
            self.assertIn(f"default via {wan1.peer.v6} dev wan1 table 1001", now["routes6"])
            self.assertIn("unreachable default table 1000", now["routes"])
            self.assertIn("local default dev lo table 999", now["routes"])
            self.assertIn("flags owner", now["nft"])
            self.assertIn("subflows 4", now["limits"])
            self.assertEqual(now["net.mptcp.blackhole_timeout"], "0")
            self.assertEqual(now["net.ipv4.conf.all.src_valid_mark"], "0")
            self.assertEqual(daemon.gateway.stop(), 0)
            self.assertEqual(snapshot(daemon.host), daemon.before)
            self.assertTrue(daemon.is_clean())

    def test_intercepted_connections_use_both_paths(self):
        for strictness in (0, 1):
            with self.subTest(rp_filter=strictness), Lab() as lab:
                daemon = Daemon(lab, **{f"net.ipv4.conf.{name}.rp_filter": strictness
                                        for name in ("all", "lan0", "wan0", "wan1")})
                web = Server(daemon.server, mptcp=True)
                for family in FAMILIES:
                    delta = observe.CounterDelta(daemon.server)
                    with peers.connect(daemon.client, web.address(family)) as sock:
                        sock.sendall(b"echo\nfirst")
                        self.assertEqual(sock.recv(5, socket.MSG_WAITALL), b"first")
                        wait_until(lambda: delta["MPJoinAckRx"] >= 1, what="a join")

    def test_intercepted_mptcp_clients_join_with_their_second_path(self):
        toml = TRANSPARENT.replace("1081", "4001").replace("1-65535", "4001").replace(
            '["lan0"]', '["lan0", "lan1"]').replace('dial = "mptcp"',
                                                    'accept = "mptcp"\ndial = "tcp"')
        with Lab() as lab:
            daemon = Daemon(lab, toml, client_paths=2)
            web = Server(daemon.server, port=4001)
            for family in FAMILIES:
                delta = observe.CounterDelta(daemon.host)
                with peers.connect(daemon.client, web.address(family), mptcp=True) as sock:
                    sock.sendall(b"echo\nfirst")
                    self.assertEqual(sock.recv(5, socket.MSG_WAITALL), b"first")
                    wait_until(lambda: delta["MPJoinAckRx"] == 1, what="the join accepted")
                    self.assertEqual(observe.subflow_count(sock), 2)
                self.assertEqual(delta["MismatchPortSynRx"], 0)

    def test_a_preserved_source_finds_its_way_back(self):
        with Lab() as lab:
            daemon = Daemon(lab, PATHS + TRANSPARENT + "preserve_source = true\n",
                            **{"net.ipv4.conf.all.rp_filter": 1})
            web = Server(daemon.server, mptcp=True)
            for family in FAMILIES:
                with peers.connect(daemon.client, web.address(family)) as sock:
                    peers.download(sock, 1 << 20)
                lan0 = daemon.client.interfaces["lan0"]
                self.assertEqual(ipaddress.ip_address(web.peers[-1]),
                                 ipaddress.ip_address(lan0.address(family)))

    def test_local_services_of_the_gateway_stay_reachable(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            local = Server(daemon.host)
            lan0 = daemon.host.interfaces["lan0"]
            for family in FAMILIES:
                address = (lan0.address(family), local.address(family)[1])
                with peers.connect(daemon.client, address) as sock:
                    peers.download(sock, 1 << 16)


@contextlib.contextmanager
def as_user(number):
    """What happens inside is done in another user's name."""
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


class how_it_ends(unittest.TestCase):
    def assert_clean(self, daemon):
        with contextlib.suppress(AssertionError):
            wait_until(daemon.is_clean, what="a clean host")
        self.assertEqual(snapshot(daemon.host), daemon.before)
        self.assertTrue(daemon.is_clean(), daemon.gateway.log())

    def test_sigkill_of_the_worker_leaves_nothing(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            os.kill(daemon.worker(), signal.SIGKILL)
            self.assertEqual(daemon.gateway.process.wait(10), 1)
            self.assertIn("the worker was killed by signal 9", daemon.gateway.log())
            self.assert_clean(daemon)

    def test_sigkill_of_the_keeper_leaves_nothing(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            os.kill(daemon.keeper, signal.SIGKILL)
            daemon.gateway.process.wait(10)
            self.assert_clean(daemon)

    def test_sigkill_of_the_janitor_and_then_of_the_keeper_leaves_nothing(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            first = daemon.janitor()
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: any(c != first and status_of(c)["Name"] == "manypath-undo"
                                   for c in daemon.children()), what="another janitor")
            os.kill(daemon.keeper, signal.SIGKILL)
            daemon.gateway.process.wait(10)
            self.assert_clean(daemon)

    def test_the_next_start_undoes_what_a_kill_of_all_processes_left(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            victims = [daemon.janitor(), daemon.keeper, daemon.worker()]
            for pid in victims:
                os.kill(pid, signal.SIGSTOP)
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            daemon.gateway.process.wait(10)
            left = snapshot(daemon.host)
            self.assertNotIn("manypath", left["nft"])
            self.assertNotEqual(left["rules"], daemon.before["rules"])
            directory = daemon.gateway.control
            daemon.toml = FORWARD.format(name="one", port=4001)
            daemon.toml += f'[control]\nsocket = "{directory}"\n'
            daemon.start()
            now = snapshot(daemon.host)
            self.assertEqual({**now, "net.mptcp.blackhole_timeout": "3600"}, daemon.before)
            self.assertEqual(daemon.gateway.stop(), 0)
            self.assertEqual(snapshot(daemon.host), daemon.before)

    def test_what_a_reload_added_goes_as_well(self):
        with Lab() as lab:
            daemon = Daemon(lab, FORWARD.replace("{name}", "a").replace("{port}", "4001"))
            daemon.reload(PATHS + TRANSPARENT, "the new configuration is in force")
            self.assertIn("tproxy", snapshot(daemon.host)["nft"])
            os.kill(daemon.keeper, signal.SIGKILL)
            daemon.gateway.process.wait(10)
            self.assert_clean(daemon)

    def test_ctrl_c_ends_it_in_order(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            os.killpg(daemon.keeper, signal.SIGINT)  # the whole group, as a terminal does
            self.assertEqual(daemon.gateway.process.wait(10), 0)
            self.assert_clean(daemon)

    def test_a_second_sigterm_aborts_what_the_first_one_drains(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            web = Server(daemon.server, mptcp=True)
            with peers.connect(daemon.client, web.address()) as sock:
                sock.sendall(b"echo\nrelayed")
                self.assertEqual(sock.recv(7, socket.MSG_WAITALL), b"relayed")
                os.kill(daemon.keeper, signal.SIGTERM)
                wait_until(lambda: "draining" in daemon.gateway.log(), what="draining")
                sock.sendall(b"still here")
                self.assertEqual(sock.recv(10, socket.MSG_WAITALL), b"still here")
                self.assertIsNone(daemon.gateway.process.poll())
                os.kill(daemon.keeper, signal.SIGTERM)
                with self.assertRaises(ConnectionResetError):
                    sock.recv(1)
                self.assertEqual(daemon.gateway.process.wait(10), 0)
            self.assert_clean(daemon)

    def test_a_worker_that_does_not_drain_is_killed(self):
        with Lab() as lab:
            daemon = Daemon(lab, PATHS + TRANSPARENT + "[timeouts]\ndrain = 1\n")
            os.kill(daemon.worker(), signal.SIGSTOP)
            os.kill(daemon.keeper, signal.SIGTERM)
            self.assertEqual(daemon.gateway.process.wait(30), 0)
            self.assertIn("the worker has not ended in time", daemon.gateway.log())
            self.assert_clean(daemon)


class whose_things_stay(unittest.TestCase):
    def test_endpoints_limits_and_tables_of_the_administrator_stay(self):
        with Lab() as lab:
            daemon = Daemon(lab, start=False)
            wan1 = daemon.host.interfaces["wan1"]
            daemon.host.ip("mptcp", "endpoint", "add", wan1.v4, "id", 9, "backup", "subflow")
            daemon.host.ip("mptcp", "limits", "set", "subflows", 8, "add_addr_accepted", 7)
            daemon.host.nft("table inet mine { chain c { type filter hook input priority 0; }\n }")
            daemon.before = snapshot(daemon.host)
            daemon.start()
            self.assertIn(f"{wan1.v4} id 9", snapshot(daemon.host)["endpoints"])
            self.assertEqual(snapshot(daemon.host)["limits"], daemon.before["limits"])
            daemon.host.sysctl("net.mptcp.blackhole_timeout", 77)
            self.assertEqual(daemon.gateway.stop(), 0)
            after = snapshot(daemon.host)
            self.assertEqual(after.pop("net.mptcp.blackhole_timeout"), "77")
            self.assertEqual(after, {k: v for k, v in daemon.before.items() if k in after})

    def test_a_stranger_with_the_name_of_the_claim_does_not_keep_the_gateway_out(self):
        for listens in (True, False):
            with self.subTest(listens=listens), Lab() as lab:
                daemon = Daemon(lab, start=False)
                with daemon.host.socket(socket.AF_UNIX) as name:
                    name.bind("\0manypath-network")
                    if listens:
                        with as_user(65534):
                            name.listen()
                    daemon.start(wait=30)
                    self.assertIn("is no gateway", daemon.gateway.log())
                    self.assertEqual(daemon.gateway.stop(), 0)
                    self.assertTrue(daemon.is_clean())

    def test_a_table_of_the_same_name_is_refused_and_stays(self):
        with Lab() as lab:
            daemon = Daemon(lab, start=False)
            daemon.host.nft("table inet manypath { chain c { }\n }")
            daemon.before = snapshot(daemon.host)
            daemon.start(expect_ready=False)
            self.assertEqual(daemon.gateway.process.wait(10), 1)
            self.assertIn("nft table inet manypath: ", daemon.gateway.log())
            self.assertTrue(daemon.is_clean())

    def test_a_second_gateway_of_the_same_namespace_is_refused(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            now = snapshot(daemon.host)
            other = Gateway(daemon.host, daemon.text(PATHS) + FORWARD.format(name="x", port=4001),
                            expect_ready=False)
            self.assertEqual(other.process.wait(15), 1)
            self.assertIn(f"another manypathd (process {daemon.keeper})", other.log())
            self.assertEqual(snapshot(daemon.host), now)


class who_serves(unittest.TestCase):
    def test_the_worker_has_no_capability(self):
        with Lab() as lab:
            daemon = Daemon(lab)
            status = status_of(daemon.worker())
            for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[key], 16), 0, key)
            self.assertNotIn("0", status["Uid"].split())
            self.assertNotIn("0", status["Gid"].split())
            self.assertEqual(status["Groups"], "")
            self.assertEqual(status["NoNewPrivs"], "1")

    def test_preserve_source_leaves_the_worker_raw_sockets_and_nothing_else(self):
        with Lab() as lab:
            daemon = Daemon(lab, PATHS + TRANSPARENT + "preserve_source = true\n")
            status = status_of(daemon.worker())
            for key in ("CapPrm", "CapEff"):
                self.assertEqual(int(status[key], 16), CAP_NET_RAW, key)
            for key in ("CapInh", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[key], 16), 0, key)

    def test_the_capabilities_of_the_unit_file_are_enough(self):
        unit = (ROOT / "packaging/systemd/manypathd.service").read_text()
        names = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M)[1].lower().split()
        bounds = ",".join(["-all", *("+" + n.removeprefix("cap_") for n in names)])
        with Lab() as lab:
            daemon = Daemon(lab, start=False)
            file = lab.directory / "unit.toml"
            file.write_text(daemon.text(PATHS + TRANSPARENT + "preserve_source = true\n") +
                            f'[control]\nsocket = "{lab.directory}/run/control.sock"\n')
            log = lab.directory / "unit.log"
            with open(log, "wb") as output:
                process = daemon.host.spawn(
                    "setpriv", "--no-new-privs", "--bounding-set", bounds, "--inh-caps", "-all",
                    program("manypathd"), "--config", file, stderr=output)
            wait_until(lambda: "serving" in log.read_text() or process.poll(), what="serving")
            self.assertIsNone(process.poll(), log.read_text())
            self.assertIn("tproxy", snapshot(daemon.host)["nft"])
            process.terminate()
            self.assertEqual(process.wait(10), 0)
            self.assertNotIn("warning", log.read_text())
            self.assertEqual(snapshot(daemon.host), daemon.before)

    def test_without_root_it_serves_what_needs_none(self):
        user = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        with Lab() as lab:
            host = lab.host("gateway")
            directory = lab.directory / "own"
            directory.mkdir()
            directory.chmod(0o777)
            for toml, complaint in ((FORWARD.format(name="a", port=4001), None),
                                    (FORWARD.format(name="b", port=81), "port 81"),
                                    (TRANSPARENT.format(), 'listen.mode = "transparent"')):
                file = directory / "manypathd.toml"
                file.write_text(toml + f'[control]\nsocket = "{directory}/control.sock"\n')
                with open(directory / "log", "wb") as log:
                    process = host.spawn(*user, program("manypathd"), "--config", file, stderr=log)
                if complaint is None:
                    wait_until(lambda: observe.listening(host, 4001), what="port 4001")
                    process.terminate()
                    self.assertEqual(process.wait(10), 0)
                    self.assertEqual(sorted(p.name for p in directory.iterdir()),
                                     ["log", "manypathd.toml"])
                else:
                    self.assertEqual(process.wait(10), 1)
                    self.assertIn(complaint, (directory / "log").read_text())


if __name__ == "__main__":
    unittest.main()
