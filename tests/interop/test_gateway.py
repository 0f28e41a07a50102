"""The gateway as a whole: what its users send arrives, whichever door they take and whatever breaks.

tests/interop/test_modes.py has what single modes promise, test_keeper.py what the keeper does.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import itertools
import json
import signal
import socket
import threading
import unittest

from support import Gateway, Lab, Server, doors, observe, peers, program, wait_until
from support.programs import ROOT, start_iperf3, start_nginx

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
FAMILIES = (socket.AF_INET, socket.AF_INET6)
COMBINATIONS = tuple(itertools.product(("tcp", "mptcp"), repeat=2))


@contextlib.contextmanager
def stage(accept="tcp", dial="mptcp", family=socket.AF_INET, wrapper=(), ports=(), **chain):
    """client == gateway with every door == server. Yields an object with all of them."""
    with Lab() as lab:
        client, gateway_host, server_host = lab.chain(
            gateway_endpoints=False, client_paths=2 if accept == "mptcp" else 1, **chain)
        server = Server(server_host, mptcp=dial == "mptcp")
        target = server.address(family)
        text = doors.configuration(gateway_host, target, accept, dial, ports)
        gateway = Gateway(gateway_host, text, wrapper=wrapper)
        yield Stage(lab, client, gateway_host, server, target, accept, gateway)


class Stage:
    def __init__(self, lab, client, gateway_host, server, target, accept, gateway):
        self.lab = lab
        self.client = client
        self.gateway_host = gateway_host
        self.server = server
        self.target = target
        self.accept = accept
        self.gateway = gateway

    def enter(self, mode, timeout=30):
        return doors.enter(mode, self.client, self.gateway_host, self.target,
                           self.accept == "mptcp", timeout)


class bulk(unittest.TestCase):
    """A GiB each way through every mode."""

    def carry(self, mode, family):
        with stage(family=family) as s:
            with s.enter(mode, timeout=120) as sock:
                peers.download(sock, GIBIBYTE)
            with s.enter(mode, timeout=120) as sock:
                peers.upload(sock, GIBIBYTE)
            self.assertEqual(s.server.mptcp_accepted, 2)

    def test_transparent_ipv4(self):
        self.carry("transparent", socket.AF_INET)

    def test_transparent_ipv6(self):
        self.carry("transparent", socket.AF_INET6)

    def test_forward_ipv4(self):
        self.carry("forward", socket.AF_INET)

    def test_forward_ipv6(self):
        self.carry("forward", socket.AF_INET6)

    def test_socks5_ipv6(self):
        self.carry("socks5", socket.AF_INET6)

    def test_http_connect_ipv6(self):
        self.carry("http-connect", socket.AF_INET6)


class combinations(unittest.TestCase):
    """TCP and MPTCP on either side."""

    def carry(self, accept, dial, family):
        with stage(accept, dial, family) as s:
            for mode in doors.MODES:
                with self.subTest(mode=mode), s.enter(mode) as sock:
                    sock.sendall(b"echo\n" + b"x" * 100)
                    self.assertEqual(sock.recv(1), b"x")
                    if accept == "mptcp":
                        wait_until(lambda: observe.subflow_count(sock) == 2,
                                   what="two subflows of the client")
                    if dial == "mptcp":
                        wait_until(lambda: [c["subflows"] for c in self._dialled(s)] == [2],
                                   what="two subflows towards the server")
                    else:
                        self.assertEqual(self._dialled(s), [])
                    for _ in range(64):
                        sock.sendall(peers.pattern(0, 65536))
                    sock.shutdown(socket.SHUT_WR)
                    self.assertEqual(99 + 64 * 65536, len(peers.read_all(sock)))
            moved = observe.counters(s.server.host)
            self.assertEqual(moved["MPJoinAckRx"], len(doors.MODES) if dial == "mptcp" else 0)
            self.assertEqual(s.server.mptcp_accepted, len(doors.MODES) if dial == "mptcp" else 0)
            joins = observe.counters(s.gateway_host)["MPJoinAckRx"]
            self.assertEqual(joins, len(doors.MODES) if accept == "mptcp" else 0)

    @staticmethod
    def _dialled(s):
        port = f":{s.server.port}"
        return [c for c in observe.mptcp_sockets(s.server.host) if c["local"].endswith(port)]

    def test_tcp_to_tcp(self):
        for family in FAMILIES:
            self.carry("tcp", "tcp", family)

    def test_tcp_to_mptcp(self):
        for family in FAMILIES:
            self.carry("tcp", "mptcp", family)

    def test_mptcp_to_tcp(self):
        for family in FAMILIES:
            self.carry("mptcp", "tcp", family)

    def test_mptcp_to_mptcp(self):
        for family in FAMILIES:
            self.carry("mptcp", "mptcp", family)


class cuts(unittest.TestCase):
    """A path is cut after a quarter of a download; every byte arrives over the other one."""

    SIZE = 24 * MEBIBYTE

    def cut(self, mode, direction, how, family=socket.AF_INET, path="wan0"):
        with stage(family=family, rate="200mbit") as s, s.enter(mode, timeout=60) as sock:
            wan = s.gateway_host.interfaces[path]
            done = threading.Event()
            cutter = threading.Thread(target=self._cut_after, args=(wan, how, done))
            cutter.start()
            direction(sock, self.SIZE)
            done.set()
            cutter.join()
            self.assertTrue(self.was_cut, "the transfer ended before the cut")

    def _cut_after(self, wan, how, done):
        self.was_cut = False
        before = wan.carried_bytes()
        wait_until(lambda: done.is_set() or wan.carried_bytes() > before + self.SIZE // 8, 30,
                   "an eighth on the path to be cut")
        if not done.is_set():
            how(wan)
            self.was_cut = True

    def test_a_download_survives_a_pulled_cable(self):
        self.cut("transparent", peers.download, lambda wan: wan.set_link(up=False))

    def test_an_upload_survives_a_pulled_cable(self):
        self.cut("socks5", peers.upload, lambda wan: wan.set_link(up=False), socket.AF_INET6)

    def test_a_download_survives_silent_loss(self):
        self.cut("http-connect", peers.download, lambda wan: wan.cut_silently(), socket.AF_INET6)

    def test_an_upload_survives_silent_loss(self):
        self.cut("forward", peers.upload, lambda wan: wan.cut_silently())

    def test_an_upload_survives_the_loss_of_the_second_path(self):
        self.cut("transparent", peers.upload, lambda wan: wan.cut_silently(), path="wan1")


class endings(unittest.TestCase):
    """Ends of streams and resets pass through as they came."""

    def in_every_way(self, check):
        """Calls check(stage, mode) for each mode of each combination."""
        for accept, dial in COMBINATIONS:
            with stage(accept, dial) as s:
                for mode in doors.MODES:
                    with self.subTest(accept=accept, dial=dial, mode=mode):
                        check(s, mode)

    def test_the_client_may_end_first(self):
        def check(s, mode):
            with s.enter(mode) as sock:
                peers.upload(sock, 3 * MEBIBYTE)

        self.in_every_way(check)

    def test_the_server_may_end_first(self):
        def check(s, mode):
            served = len(s.server.results)
            with s.enter(mode) as sock:
                sock.sendall(b"silent\n")
                self.assertEqual(sock.recv(1), b"")
                peers.send_pattern(sock, 3 * MEBIBYTE)
                sock.shutdown(socket.SHUT_WR)
                result = s.server.wait_for_results(served + 1)[served]
            self.assertEqual(result, ("silent", 3 * MEBIBYTE, None))

        self.in_every_way(check)

    def test_a_reset_by_the_server_reaches_the_client(self):
        def check(s, mode):
            with s.enter(mode) as sock, self.assertRaises(ConnectionResetError):
                sock.sendall(b"reset 1000\n")
                peers.read_all(sock)

        self.in_every_way(check)

    def test_a_reset_by_the_client_reaches_the_server(self):
        def check(s, mode):
            served = len(s.server.results)
            sock = s.enter(mode)
            sock.sendall(b"hold\n")
            self.assertEqual(sock.recv(16), b"held\n")
            peers.reset(sock)
            error = s.server.wait_for_results(served + 1)[served][2]
            self.assertIsInstance(error, ConnectionResetError)

        self.in_every_way(check)


class load(unittest.TestCase):
    def test_a_thousand_short_connections(self):
        with stage() as s:
            for mode, number in itertools.product(doors.MODES, range(250)):
                with s.enter(mode) as sock:
                    peers.download(sock, number * 7)
            s.server.wait_for_results(1000)
            self.assertEqual([r for r in s.server.results if r[2]], [])

    def test_no_connection_is_lost_by_reloads(self):
        with stage() as s:
            stop = threading.Event()
            failures, done = [], []

            def work(mode):
                while not stop.is_set():
                    try:
                        with s.enter(mode) as sock:
                            peers.download(sock, 200_000)
                        done.append(mode)
                    except Exception as error:
                        failures.append(f"{mode}: {error!r}")

            with s.enter("forward") as old:
                old.sendall(b"echo\n")
                workers = [threading.Thread(target=work, args=(m,)) for m in doors.MODES]
                for worker in workers:
                    worker.start()
                for _ in range(10):
                    count = len(done)
                    self.assertEqual(s.gateway.ctl("reload").returncode, 0)
                    wait_until(lambda: len(done) >= count + 20, 30, "twenty more connections")
                stop.set()
                for worker in workers:
                    worker.join()
                old.sendall(b"still here")
                self.assertEqual(old.recv(10), b"still here")
            self.assertEqual(failures, [])
            self.assertEqual(set(done), set(doors.MODES))

    def test_sighup_reloads_and_a_wrong_file_changes_nothing(self):
        with stage() as s:
            right = s.gateway.file.read_text()
            s.gateway.write(right.replace('mode = "socks5"', 'mode = "sokcs5"'))
            s.gateway.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "sokcs5" in s.gateway.log(), what="the error in the log")
            with s.enter("socks5") as sock:
                peers.download(sock, 1000)
            s.gateway.write(right.replace(f":{doors.PORTS['socks5']}", ":1999"))
            s.gateway.process.send_signal(signal.SIGHUP)
            wait_until(lambda: observe.listening(s.gateway_host, 1999), what="the new port")
            wait_until(lambda: not observe.listening(s.gateway_host, doors.PORTS["socks5"]),
                       what="the end of the old port")

    def test_the_gateway_drains_and_says_good_bye(self):
        with stage() as s, s.enter("forward") as sock:
            sock.sendall(b"echo\n" + b"before")
            self.assertEqual(sock.recv(6), b"before")
            s.gateway.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not observe.listening(s.gateway_host, doors.PORTS["forward"]),
                       what="no listener any more")
            sock.sendall(b"during")
            self.assertEqual(sock.recv(6), b"during")
            self.assertIsNone(s.gateway.process.poll())
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(peers.read_all(sock), b"")
            self.assertEqual(s.gateway.process.wait(10), 0)


class descriptors(unittest.TestCase):
    """A gateway with few descriptors serves what it can, says so and recovers."""

    def test_exhaustion_is_said_and_overcome(self):
        with stage(wrapper=("prlimit", "--nofile=400:400")) as s:
            with contextlib.ExitStack() as open_sockets:
                served, waiting = [], []
                while len(waiting) < 3:
                    self.assertLess(len(served), 400, "there was no end of descriptors")
                    sock = open_sockets.enter_context(s.enter("forward"))
                    sock.sendall(b"hold\n")
                    sock.settimeout(1)
                    try:
                        self.assertEqual(sock.recv(16), b"held\n")
                        served.append(sock)
                    except TimeoutError:
                        waiting.append(sock)
                self.assertGreater(len(served), 100)
                wait_until(lambda: "descriptor" in s.gateway.log(), what="the log to say so")
                for sock in served[:10]:
                    sock.close()
                for sock in waiting:  # those in the backlog get their turn
                    sock.settimeout(10)
                    self.assertEqual(sock.recv(16), b"held\n")
            with s.enter("socks5") as sock:
                peers.download(sock, MEBIBYTE)

    def test_eight_thousand_connections_are_carried(self):
        count = 8000
        with stage() as s, contextlib.ExitStack() as open_sockets:
            sockets = []
            for _ in range(count):
                sock = open_sockets.enter_context(s.enter("forward"))
                sock.sendall(b"hold\n")
                sockets.append(sock)
            for sock in sockets:
                self.assertEqual(sock.recv(16), b"held\n")


class programs(unittest.TestCase):
    """Programs that people run, unmodified, on both sides of a gateway that dials MPTCP."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.stage = s = cls.stack.enter_context(stage(ports=(8080, 5201)))
        cls.address = s.target[0]
        files = s.lab.directory / "files"
        files.mkdir()
        (files / "file").write_bytes(peers.pattern(0, MEBIBYTE) * 8)
        wrapper = (program("manypath"), "run")
        start_nginx(s.server.host, files, port=8080, wrapper=wrapper)
        start_iperf3(s.server.host, wrapper=wrapper)

    def curl(self, *options):
        s = self.stage
        target = s.lab.directory / "fetched"
        joins = observe.CounterDelta(s.gateway_host)
        s.client.run("curl", "-sS", "--fail", "-o", target, *options,
                     f"http://{self.address}:8080/file")
        self.assertEqual(target.read_bytes(), peers.pattern(0, MEBIBYTE) * 8)
        self.assertEqual(joins["MPCapableSYNACKRX"], 1)

    def test_curl_transparently(self):
        self.curl()

    def test_curl_by_socks5(self):
        door = self.stage.gateway_host.interfaces["lan0"]
        self.curl("--proxy", f"socks5h://{door.v4}:{doors.PORTS['socks5']}")
        self.curl("--proxy", f"socks5h://[{door.v6}]:{doors.PORTS['socks5']}")

    def test_curl_by_http_connect(self):
        door = self.stage.gateway_host.interfaces["lan0"]
        self.curl("--proxytunnel", "--proxy", f"http://{door.v4}:{doors.PORTS['http-connect']}")
        self.curl("--proxytunnel", "--proxy", f"http://[{door.v6}]:{doors.PORTS['http-connect']}")

    def test_iperf3_both_ways(self):
        s = self.stage
        for direction in ((), ("-R",)):
            moved = observe.CounterDelta(s.gateway_host)
            report = s.client.run("iperf3", "-c", self.address, "-n", 32 * MEBIBYTE, "-J", *direction)
            got = json.loads(report.stdout)["end"]["sum_received"]["bytes"]
            self.assertGreater(got, 16 * MEBIBYTE)
            self.assertEqual(moved["MPCapableSYNACKRX"], 2)


class examples(unittest.TestCase):
    """Each file of config/examples starts on a host that has its interfaces."""

    def test_each_starts(self):
        files = sorted((ROOT / "config" / "examples").glob("*.toml"))
        self.assertGreaterEqual(len(files), 3)
        for file in files:
            with self.subTest(file=file.name), Lab() as lab:
                host, neighbour = lab.host("gateway"), lab.host("neighbour")
                for name in ("lan0", "wan0", "wan1", "wlan0", "wwan0"):
                    lab.link(host, neighbour, name, name)
                gateway = Gateway(host, file.read_text())
                self.assertIn("uptime", gateway.ctl("status", "--json").stdout)
                self.assertEqual(gateway.stop(), 0)


if __name__ == "__main__":
    unittest.main()
