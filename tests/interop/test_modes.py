"""The gateway's modes: every way to ask for a destination, over TCP and MPTCP on either side.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib
import ipaddress
import itertools
import json
import random
import re
import signal
import socket
import threading
import unittest

from support import Gateway, Lab, Server, observe, peers, program, wait_until
from support.programs import start_nginx

MEBIBYTE = 1 << 20
PROTOCOLS = ("tcp", "mptcp")
PAIRS = list(itertools.product(PROTOCOLS, PROTOCOLS))
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def ends(gateway, listener):
    """What the log says about the listener's ended connections, as dictionaries."""
    lines = re.findall(rf"connection (listener={listener} .*)", gateway.log())
    return [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in lines]


def wait_for_end(gateway, listener, count=1):
    return wait_until(lambda: len(all := ends(gateway, listener)) >= count and all,
                      what=f"{count} log lines of {listener}")[-1]


def forward(lab, web, accept="tcp", dial="tcp", more="", wrapper=()):
    """A gateway that forwards port 1000 of the lan to `web`. @return it and where it listens"""
    host = lab.hosts["gateway"]
    address = host.interfaces["lan0"].v4
    to = web.address()
    gateway = Gateway(host, f"""
        [[listen]]
        name = "only"
        mode = "forward"
        address = "{address}:1000"
        accept = "{accept}"
        dial = "{dial}"
        to = "{to[0]}:{to[1]}"
        {more}""", wrapper=wrapper)
    return gateway, (address, 1000)


class modes_with_curl(unittest.TestCase):
    """One lab for all: sixteen listeners, a web server on as many ports as transparent needs."""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host, cls.server = cls.lab.chain()
        root = cls.lab.directory / "www"
        root.mkdir()
        root.chmod(0o755)
        cls.file = random.Random("modes").randbytes(3 * MEBIBYTE + 17)
        (root / "file").write_bytes(cls.file)
        for number, _ in enumerate(PAIRS):
            start_nginx(cls.server, root, 8000 + number, wrapper=(program("manypath"), "run"))
        cls.lan = cls.host.interfaces["lan0"]
        cls.web = cls.server.interfaces["wan0"]
        cls.gateway = Gateway(cls.host, "\n".join(cls.listeners()))

    @classmethod
    def listeners(cls):
        for number, (accept, dial) in enumerate(PAIRS):
            for offset, mode in enumerate(("forward", "forward6", "socks5", "http-connect",
                                           "transparent")):
                port = 1000 + 10 * number + offset
                yield f"""
                    [[listen]]
                    name = "{mode}-{accept}-{dial}"
                    mode = "{mode.removesuffix("6")}"
                    accept = "{accept}"
                    dial = "{dial}" """
                if mode == "transparent":
                    yield f"""
                    address = ["0.0.0.0:{8000 + number}", "[::]:{8000 + number}"]
                    intercept = {{ interfaces = ["lan0"], ports = ["{8000 + number}"] }}"""
                else:
                    yield f'address = ["{cls.lan.v4}:{port}", "[{cls.lan.v6}]:{port}"]'
                if mode == "forward":
                    yield f'to = "{cls.web.v4}:8000"'
                if mode == "forward6":
                    yield f'to = "[{cls.web.v6}]:8000"'
                if mode in ("socks5", "http-connect"):
                    yield 'allow = ["198.18.0.0/15", "2001:db8::/32"]'

    def fetch(self, mode, number, *arguments):
        """Downloads the file with curl and looks at the log line of the connection."""
        accept, dial = PAIRS[number]
        name = f"{mode}-{accept}-{dial}"
        seen = len(ends(self.gateway, name))
        wrapper = (program("manypath"), "run", "--") if accept == "mptcp" else ()
        done = self.client.run(*wrapper, "curl", "-sS", "--max-time", "20", *arguments, text=False)
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(),
                         hashlib.sha256(self.file).hexdigest())
        end = wait_for_end(self.gateway, name, seen + 1)
        self.assertEqual(end["client_protocol"], accept)
        self.assertEqual(end["server_protocol"], dial)
        self.assertGreater(int(end["to_client"]), len(self.file))
        self.assertEqual(end["end"], "finished")

    def for_each(self, check):
        """Calls check(number of the pair, family) for each pair of protocols and each family."""
        for (number, pair), family in itertools.product(enumerate(PAIRS), FAMILIES):
            with self.subTest(accept=pair[0], dial=pair[1], family=family.name):
                check(number, family)

    def test_forward_leads_to_its_one_server(self):
        def check(number, family):
            mode = "forward" if family == socket.AF_INET else "forward6"
            port = 1000 + 10 * number + (mode == "forward6")
            at = bracketed(self.lan.address(family))
            self.fetch(mode, number, f"http://{at}:{port}/file")

        self.for_each(check)

    def test_socks5_leads_to_addresses(self):
        def check(number, family):
            proxy = f"{bracketed(self.lan.address(family))}:{1002 + 10 * number}"
            at = bracketed(self.web.address(family))
            self.fetch("socks5", number, "--socks5", proxy, f"http://{at}:8000/file")

        self.for_each(check)

    def test_http_connect_leads_to_addresses(self):
        def check(number, family):
            proxy = f"http://{bracketed(self.lan.address(family))}:{1003 + 10 * number}"
            at = bracketed(self.web.address(family))
            self.fetch("http-connect", number, "-p", "-x", proxy, f"http://{at}:8000/file")

        self.for_each(check)

    def test_transparent_keeps_the_destination(self):
        def check(number, family):
            at = bracketed(self.web.address(family))
            self.fetch("transparent", number, f"http://{at}:{8000 + number}/file")
            end = ends(self.gateway, "transparent-" + "-".join(PAIRS[number]))[-1]
            self.assertEqual(end["to"], f"{at}:{8000 + number}")

        self.for_each(check)

    def test_errors_are_told_in_the_words_of_the_protocol(self):
        def curl(*arguments):
            return self.client.run("curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w",
                                   "%{http_connect}", *arguments, check=False)

        http = ("-p", "-x", f"http://{self.lan.v4}:1003")
        socks = ("--socks5-hostname", f"{self.lan.v4}:1002")
        self.assertEqual(curl(*http, f"http://{self.web.v4}:9/").stdout, "502")
        self.assertEqual(curl(*http, f"http://{self.lan.v4}:1000/").stdout, "403")
        self.assertEqual(curl(*http, "http://nowhere.invalid/").stdout, "502")
        self.assertIn("(5)", curl(*socks, f"http://{self.web.v4}:9/").stderr)
        self.assertIn("(2)", curl(*socks, f"http://{self.lan.v4}:1000/").stderr)
        self.assertIn("(4)", curl(*socks, "http://nowhere.invalid/").stderr)

    def test_data_sent_with_the_request_reaches_the_server(self):
        get = f"GET /file HTTP/1.0\r\nHost: {self.web.v4}\r\n\r\n".encode()
        to = socket.inet_aton(self.web.v4) + (8000).to_bytes(2, "big")
        requests = {
            1002: (b"\x05\x01\x00\x05\x01\x00\x01" + to + get, b"\x05\x00\x05\x00\x00\x01"),
            1003: (f"CONNECT {self.web.v4}:8000 HTTP/1.1\r\n\r\n".encode() + get,
                   b"HTTP/1.1 200 "),
        }
        for port, (sent, answer) in requests.items():
            with self.subTest(port=port):
                with peers.connect(self.client, (self.lan.v4, port)) as sock:
                    sock.sendall(sent)
                    got = peers.read_all(sock)
                self.assertTrue(got.startswith(answer), got[:40])
                self.assertTrue(got.endswith(self.file))


class access(unittest.TestCase):
    def test_an_open_proxy_needs_an_access_list(self):
        with Lab() as lab:
            client, host, server = lab.chain(server_paths=1)
            web = Server(server)
            to = web.address()
            gateway = Gateway(host, """
                [[listen]]
                name = "closed"
                mode = "socks5"
                address = "0.0.0.0:1080"
                accept = "tcp"
                dial = "tcp" """)
            request = b"\x05\x01\x00\x05\x01\x00\x01" + socket.inet_aton(to[0]) + \
                to[1].to_bytes(2, "big") + b"get 5\n"
            lan = host.interfaces["lan0"].v4
            # The reset may overtake connect(); an ordinary end of the stream would be no refusal.
            with (self.assertRaises(ConnectionResetError),
                  peers.connect(client, (lan, 1080)) as sock):
                sock.sendall(request)
                while sock.recv(100):
                    pass
            self.assertEqual(wait_for_end(gateway, "closed")["end"], "refused")
            with peers.connect(host, ("127.0.0.1", 1080)) as sock:
                sock.sendall(request)
                sock.shutdown(socket.SHUT_WR)
                self.assertTrue(peers.read_all(sock).endswith(peers.pattern(0, 5)))


class source(unittest.TestCase):
    def test_a_preserved_source_is_what_the_server_sees(self):
        for dial, family in itertools.product(PROTOCOLS, FAMILIES):
            with self.subTest(dial=dial, family=family.name), Lab() as lab:
                client, host, server = lab.chain(server_paths=1)
                web = Server(server, port=8000, mptcp=dial == "mptcp")
                Gateway(host, f"""
                    [[listen]]
                    name = "lan"
                    mode = "transparent"
                    address = ["0.0.0.0:1081", "[::]:1081"]
                    accept = "tcp"
                    dial = "{dial}"
                    preserve_source = true
                    intercept = {{ interfaces = ["lan0"], ports = ["8000"] }}""")
                with peers.connect(client, web.address(family)) as sock:
                    peers.download(sock, 100_000)
                own = ipaddress.ip_address(client.interfaces["lan0"].address(family))
                self.assertEqual([ipaddress.ip_address(peer) for peer in web.peers], [own])
                self.assertEqual(web.mptcp_accepted, int(dial == "mptcp"))


class ends_of_streams(unittest.TestCase):
    def for_each_pair(self, check):
        """Calls check(server, gateway, function that connects) for each pair of protocols."""
        for accept, dial in PAIRS:
            with self.subTest(accept=accept, dial=dial), Lab() as lab:
                client, _, server = lab.chain()
                web = Server(server, mptcp=dial == "mptcp")
                gateway, at = forward(lab, web, accept, dial)
                check(web, gateway, lambda c=client, a=at, m=accept == "mptcp":
                      peers.connect(c, a, mptcp=m))

    def test_half_close_works_in_both_orders(self):
        def check(web, gateway, connect):
            with connect() as sock:
                peers.upload(sock, 2 * MEBIBYTE + 5)
            with connect() as sock:
                sock.sendall(b"silent\n")
                self.assertEqual(sock.recv(1), b"")
                sock.sendall(b"x" * 100_000)
                sock.shutdown(socket.SHUT_WR)
                self.assertEqual(web.wait_for_results(2)[1], ("silent", 100_000, None))
            wait_for_end(gateway, "only", 2)
            self.assertEqual([e["end"] for e in ends(gateway, "only")], ["finished"] * 2)

        self.for_each_pair(check)

    def test_a_reset_is_passed_on_in_both_directions(self):
        def check(web, gateway, connect):
            with connect() as sock, self.assertRaises(ConnectionResetError):
                sock.sendall(b"reset 1000\n")
                while sock.recv(100):
                    pass
            sock = connect()
            sock.sendall(b"hold\n")
            self.assertEqual(sock.recv(5), b"held\n")
            peers.reset(sock)
            self.assertIsInstance(web.wait_for_results(2)[1][2], OSError)
            wait_for_end(gateway, "only", 2)
            self.assertEqual([e["end"] for e in ends(gateway, "only")],
                             ["reset-by-server", "reset-by-client"])

        self.for_each_pair(check)


class fallback(unittest.TestCase):
    """What lies on the way to the server dislikes the MPTCP option."""

    def check(self, verdict):
        with Lab() as lab:
            client, host, server = lab.chain(server_paths=1)
            web = Server(server, mptcp=True)
            server.nft("table inet dislike {\n chain in {\n"
                       "  type filter hook input priority 0;\n"
                       f"  tcp flags syn tcp option 30 exists {verdict};\n }}\n}}")
            gateway, at = forward(lab, web, dial="mptcp")
            with peers.connect(client, at) as sock:
                peers.download(sock, 100_000)
            self.assertEqual(wait_for_end(gateway, "only")["server_protocol"], "tcp")
            asked = observe.CounterDelta(host)
            with peers.connect(client, at) as sock:
                peers.download(sock, 100_000)
            self.assertEqual(wait_for_end(gateway, "only", 2)["server_protocol"], "tcp")
            self.assertEqual(asked["MPCapableSYNTX"], 0)
            status = json.loads(gateway.ctl("--json", "status").stdout)
            self.assertEqual(status["fallbacks_remembered"], 1)

    def test_a_lost_option_leads_to_tcp_and_is_remembered(self):
        self.check("drop")

    def test_a_reset_option_leads_to_tcp_and_is_remembered(self):
        self.check("reject with tcp reset")

    def test_a_server_without_mptcp_is_remembered(self):
        with Lab() as lab:
            client, host, server = lab.chain(server_paths=1)
            web = Server(server)
            gateway, at = forward(lab, web, dial="mptcp")
            asked = observe.CounterDelta(host)
            for number, speaks in enumerate(("fallback", "tcp"), 1):
                with peers.connect(client, at) as sock:
                    peers.download(sock, 100_000)
                self.assertEqual(wait_for_end(gateway, "only", number)["server_protocol"], speaks)
            self.assertEqual(asked["MPCapableSYNTX"], 1)


class life(unittest.TestCase):
    def test_reloads_under_load_lose_no_connection(self):
        with Lab() as lab:
            client, host, server = lab.chain()
            web = Server(server, mptcp=True)
            gateway, at = forward(lab, web, dial="mptcp")
            first = gateway.file.read_text()
            second = first.replace("[control]", f"""
                [[listen]]
                name = "added"
                mode = "forward"
                address = "{at[0]}:1001"
                to = "{web.address()[0]}:{web.port}"

                [control]""")
            stop = threading.Event()
            failures, served = [], []

            def load():
                while not stop.is_set():
                    try:
                        with peers.connect(client, at) as sock:
                            peers.download(sock, 20_000)
                        served.append(1)
                    except Exception as error:  # any failure is one
                        failures.append(repr(error))

            threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
            lab.on_exit(stop.set)
            with peers.connect(client, at) as long_lived:
                long_lived.sendall(b"hold\n")
                self.assertEqual(long_lived.recv(5), b"held\n")
                for thread in threads:
                    thread.start()
                for text in (second, first) * 3:
                    before = len(served)
                    gateway.file.write_text(text)
                    gateway.ctl("reload")
                    wait_until(lambda n=before: len(served) > n + 20, what="connections after a reload")
                    self.assertEqual(_accepts(client, (at[0], 1001)), text is second)
                stop.set()
                for thread in threads:
                    thread.join()
                self.assertEqual(failures, [])
                long_lived.sendall(b"still here")
                long_lived.shutdown(socket.SHUT_WR)
                self.assertEqual(peers.read_all(long_lived), b"")

    def test_a_refused_reload_changes_nothing(self):
        with Lab() as lab:
            client, _, server = lab.chain(server_paths=1)
            web = Server(server)
            gateway, at = forward(lab, web)
            gateway.file.write_text("nonsense = 1\n")
            refused = gateway.ctl("reload", check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("nonsense", refused.stdout + refused.stderr)
            with peers.connect(client, at) as sock:
                peers.download(sock, 1000)

    def test_accepting_stops_where_descriptors_end_and_resumes(self):
        with Lab() as lab:
            client, _, server = lab.chain(server_paths=1)
            web = Server(server)
            gateway, at = forward(lab, web, wrapper=("prlimit", "--nofile=256:256"))
            maximum = (256 - 256 // 5) // 2
            waiting = [peers.connect(client, at) for _ in range(maximum + 40)]
            for sock in waiting:
                sock.sendall(b"hold\n")
            wait_until(lambda: "accepting stops" in gateway.log(), what="the limit in the log")
            for sock in waiting[:maximum // 2]:
                self.assertEqual(sock.recv(5), b"held\n")
            self.assertLessEqual(web.accepted, maximum + 4)
            for sock in waiting[:60]:
                sock.close()
            for sock in waiting[60:]:
                self.assertEqual(sock.recv(5), b"held\n")
                sock.close()
            self.assertEqual(gateway.log().count("accepting again"), 1)
            self.assertEqual(gateway.log().count("accepting stops"), 1)
            with peers.connect(client, at) as sock:
                peers.download(sock, 1000)

    def test_sigterm_lets_connections_finish_and_takes_no_new_ones(self):
        with Lab() as lab:
            client, _, server = lab.chain(server_paths=1)
            web = Server(server)
            gateway, at = forward(lab, web, more="[timeouts]\ndrain = 20")
            with peers.connect(client, at) as sock:
                sock.sendall(b"hold\n")
                self.assertEqual(sock.recv(5), b"held\n")
                gateway.process.send_signal(signal.SIGTERM)
                wait_until(lambda: not _accepts(client, at), what="the end of accepting")
                sock.sendall(b"x" * 1000)
                sock.shutdown(socket.SHUT_WR)
                self.assertEqual(peers.read_all(sock), b"")
            self.assertEqual(gateway.process.wait(10), 0)
            self.assertIn(("hold", 1000, None), web.results)

    def test_the_end_of_the_drain_time_resets_what_is_left(self):
        with Lab() as lab:
            client, _, server = lab.chain(server_paths=1)
            web = Server(server)
            gateway, at = forward(lab, web, more="[timeouts]\ndrain = 1")
            with peers.connect(client, at) as sock:
                sock.sendall(b"hold\n")
                self.assertEqual(sock.recv(5), b"held\n")
                gateway.process.send_signal(signal.SIGTERM)
                with self.assertRaises(ConnectionResetError):
                    sock.recv(1)
            self.assertEqual(gateway.process.wait(10), 0)
            self.assertEqual(ends(gateway, "only")[-1]["end"], "aborted")


def _accepts(client, address):
    try:
        peers.connect(client, address, timeout=5).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    unittest.main()
