"""Real programs under libmanypath.so: curl, nginx, openssh, iperf3, python's own socket tests.

Every one of them asks for TCP. What they got is read from the kernel: counters of both hosts, and
the sockets that ss sees.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib
import os
import re
import socket
import subprocess
import time
import unittest

from support import Lab, MissingPrerequisite, Server, observe, peers, program, wait_until

MEBIBYTE = 1 << 20
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def wrapped(**variables):
    """The environment of a program under the wrapper."""
    return {**os.environ, "LD_PRELOAD": program("libmanypath.so"), **variables}


def bracketed(address):
    return f"[{address}]" if ":" in address else address


class Nginx:
    """nginx with a configuration of its own, one worker, listening on `port`."""

    HEAD = """daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log; user root;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections 512; }}
"""

    def __init__(self, lab, host, port, body, env=None):
        self.directory = lab.directory / f"nginx-{host.label}"
        self.directory.mkdir()
        config = self.directory / "nginx.conf"
        config.write_text(self.HEAD.format(directory=self.directory) + body)
        host.spawn("nginx", "-p", self.directory, "-e", self.directory / "error.log", "-c", config,
                   env=env, stderr=subprocess.DEVNULL)
        wait_until(lambda: observe.listening(host, port), what="nginx listening")


def file_server(lab, host, size, env=None):
    """nginx serving the first `size` bytes of the test stream as /data."""
    files = lab.directory / "files"
    files.mkdir()
    with open(files / "data", "wb") as file:
        for offset in range(0, size, peers.CHUNK):
            file.write(peers.pattern(offset, min(peers.CHUNK, size - offset)))
    return Nginx(lab, host, 80, f"""http {{
access_log off;
server {{ listen 80; listen [::]:80; root {files}; }}
}}""", env)


def fetch(host, url, env=None, timeout=60):
    """curl's download. @return size and SHA-256 of what arrived"""
    out = host.run("curl", "-sSf", "--noproxy", "*", "-m", timeout, url, text=False,
                   env=env, timeout=timeout + 10).stdout
    return len(out), hashlib.sha256(out).hexdigest()


class downloads(unittest.TestCase):
    SIZE = 16 * MEBIBYTE
    EXPECTED = (SIZE, peers.pattern_hash(SIZE))

    def test_curl_and_nginx_use_two_paths(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2, rate="200mbit")
            file_server(lab, server, self.SIZE, wrapped())
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    here, there = observe.CounterDelta(client), observe.CounterDelta(server)
                    url = f"http://{bracketed(server.interfaces['wan0'].address(family))}/data"
                    self.assertEqual(fetch(client, url, wrapped()), self.EXPECTED)
                    self.assertGreaterEqual(here["MPJoinSynAckRx"], 1)
                    self.assertGreaterEqual(there["MPCapableACKRX"], 1)
                    self.assertGreaterEqual(there["MPJoinAckRx"], 1)
            self.assertGreater(server.interfaces["wan1"].carried_bytes(), 4 * MEBIBYTE)

    def test_ss_sees_the_subflows_of_a_running_download(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2, rate="20mbit")
            file_server(lab, server, self.SIZE, wrapped())
            client.spawn("curl", "-s", "-o", "/dev/null",
                         f"http://{server.interfaces['wan0'].v4}/data", env=wrapped())
            wait_until(lambda: any(s["subflows"] == 2 for s in observe.mptcp_sockets(client)),
                       what="two subflows in ss -M")

    def test_a_download_survives_the_loss_of_its_first_path(self):
        for cut in ("cut_silently", "link down"):
            with self.subTest(cut=cut), Lab() as lab:
                client, server = lab.pair(paths=2, rate="50mbit")
                file_server(lab, server, self.SIZE, wrapped())
                first, second = client.interfaces.values()
                target = lab.directory / "arrived"
                curl = client.spawn("curl", "-sSf", "-m", "60", "-o", target,
                                    f"http://{first.peer.v4}/data", env=wrapped())
                wait_until(lambda: second.carried_bytes() > MEBIBYTE, what="the second path used")
                if cut == "cut_silently":
                    first.cut_silently()
                else:
                    first.set_link(up=False)
                self.assertEqual(curl.wait(60), 0)
                content = target.read_bytes()
                self.assertEqual((len(content), hashlib.sha256(content).hexdigest()),
                                 self.EXPECTED)

    def test_a_wrapped_client_reaches_a_server_without_mptcp(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            file_server(lab, server, self.SIZE)
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    moved = observe.CounterDelta(client)
                    url = f"http://{bracketed(server.interfaces['wan0'].address(family))}/data"
                    self.assertEqual(fetch(client, url, wrapped()), self.EXPECTED)
                    self.assertGreaterEqual(moved["MPCapableFallbackSYNACK"], 1)

    def test_a_wrapped_server_serves_a_client_without_mptcp(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            file_server(lab, server, self.SIZE, wrapped())
            moved = observe.CounterDelta(server)
            for family in FAMILIES:
                url = f"http://{bracketed(server.interfaces['wan0'].address(family))}/data"
                self.assertEqual(fetch(client, url), self.EXPECTED)
            self.assertEqual(moved["MPCapableSYNRX"], 0)

    def test_both_sides_work_where_the_kernel_refuses_mptcp(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            for host in (client, server):
                host.sysctl("net.mptcp.enabled", 0)
            file_server(lab, server, self.SIZE, wrapped())
            for family in FAMILIES:
                url = f"http://{bracketed(server.interfaces['wan0'].address(family))}/data"
                self.assertEqual(fetch(client, url, wrapped()), self.EXPECTED)
            self.assertEqual(observe.counters(client)["MPCapableSYNTX"], 0)

    def test_iperf3_both_ways(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2, rate="100mbit")
            server.spawn("iperf3", "-s", env=wrapped(), stdout=subprocess.DEVNULL)
            wait_until(lambda: observe.listening(server, 5201), what="iperf3 listening")
            for direction in ([], ["-R"]):
                moved = observe.CounterDelta(server)
                client.run("iperf3", "-c", server.interfaces["wan0"].v4, "-n", "8M", *direction,
                           env=wrapped())
                self.assertGreaterEqual(moved["MPJoinAckRx"], 1)


class remote_shell(unittest.TestCase):
    def test_ssh_carries_a_megabyte_over_mptcp(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            folder = lab.directory / "ssh"
            folder.mkdir(mode=0o700)
            for name in ("host", "user"):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                                folder / name], check=True)
            (folder / "config").write_text(f"""HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
""")
            os.makedirs("/run/sshd", exist_ok=True)
            server.spawn("/usr/sbin/sshd", "-D", "-e", "-f", folder / "config", env=wrapped(),
                         stderr=subprocess.DEVNULL)
            wait_until(lambda: observe.listening(server, 22), what="sshd listening")
            there = observe.CounterDelta(server)
            done = client.run("ssh", "-F", "none", "-i", folder / "user", "-o", "BatchMode=yes",
                              "-o", "StrictHostKeyChecking=no", "-o",
                              "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                              f"root@{server.interfaces['wan0'].v4}", "sha256sum", text=False,
                              input=peers.pattern(0, MEBIBYTE), env=wrapped())
            self.assertEqual(done.stdout.split()[0].decode(), peers.pattern_hash(MEBIBYTE))
            self.assertGreaterEqual(there["MPCapableACKRX"], 1)
            self.assertGreaterEqual(there["MPJoinAckRx"], 1)


class stream_proxy(unittest.TestCase):
    """nginx relays by edge-triggered epoll and FIONREAD, which do not fit together on an MPTCP
    socket: without the wrapper's help it waits for ever now and then. With it, pauses of some
    seconds remain, whose cause is not known; the limit tells them from waiting for ever."""

    SIZE = 64 * MEBIBYTE
    FOR_EVER = 90

    def run_downloads(self, client_mptcp, server_mptcp):
        with Lab() as lab:
            client, gateway, server = lab.chain(client_paths=1, server_paths=2)
            web = Server(server, mptcp=server_mptcp)
            Nginx(lab, gateway, 8080, f"""stream {{
server {{ listen 8080; proxy_half_close on; proxy_pass {web.address()[0]}:{web.port}; }}
}}""", wrapped())
            address = (gateway.interfaces["lan0"].v4, 8080)
            for _ in range(3):
                with peers.connect(client, address, mptcp=client_mptcp,
                                   timeout=self.FOR_EVER) as sock:
                    peers.download(sock, self.SIZE)
            for _ in range(3):
                with peers.connect(client, address, mptcp=client_mptcp,
                                   timeout=self.FOR_EVER) as sock:
                    peers.upload(sock, self.SIZE)

    def test_from_a_tcp_client_to_an_mptcp_server(self):
        self.run_downloads(client_mptcp=False, server_mptcp=True)

    def test_from_an_mptcp_client_to_a_tcp_server(self):
        self.run_downloads(client_mptcp=True, server_mptcp=False)

    def test_from_an_mptcp_client_to_an_mptcp_server(self):
        self.run_downloads(client_mptcp=True, server_mptcp=True)


class timeouts(unittest.TestCase):
    CONNECT = """
import socket, struct, sys
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
try:
    sock.connect((sys.argv[1], 9))
except OSError as error:
    print(error.errno)
"""

    def test_a_send_timeout_bounds_connect_as_with_tcp(self):
        with Lab() as lab:
            client, server = lab.pair(paths=1)
            client.interfaces["wan0"].cut_silently()
            answers = []
            for env in (None, wrapped()):
                begin = time.monotonic()
                answers.append(client.run("/usr/bin/python3", "-c", self.CONNECT,
                                          server.interfaces["wan0"].v4, env=env).stdout)
                self.assertLess(time.monotonic() - begin, 10)  # TCP gives up after two minutes
            self.assertEqual(answers[0], answers[1])
            self.assertTrue(answers[0].strip())


class socket_tests(unittest.TestCase):
    """The distribution's own tests of python's socket module (package libpython3.11-testsuite)."""

    # Without a hypervisor's device the tests of AF_VSOCK wait for ever.
    COMMAND = ("/usr/bin/python3", "-m", "test", "-v", "-i", "*VSOCK*", "test_socket")

    def test_they_end_as_without_the_wrapper(self):
        if not os.path.exists("/usr/lib/python3.11/test/test_socket.py"):
            raise MissingPrerequisite("libpython3.11-testsuite is missing: run ./dev setup")
        with Lab() as lab:
            host = lab.host("alone")
            runs = {}
            for name, env in (("plain", None), ("wrapped", wrapped())):
                folder = lab.directory / name
                folder.mkdir()
                output = folder / "output"
                with open(output, "w", encoding="utf-8") as file:
                    process = host.spawn(*self.COMMAND, env=env, stdout=file, cwd=folder,
                                         stderr=subprocess.STDOUT)
                runs[name] = (process, output)
            results = {}
            for name, (process, output) in runs.items():
                status = process.wait(240)
                text = output.read_text(encoding="utf-8", errors="replace")
                outcome = sorted(re.findall(r"^\w+ \((\S+)\) \.\.\. (ok|FAIL|ERROR|skipped)", text,
                                            re.MULTILINE))
                self.assertGreater(len(outcome), 500, text[-2000:])
                results[name] = (status, outcome)
            self.assertGreater(observe.counters(host)["MPCapableACKRX"], 50)
            self.assertEqual(results["wrapped"], results["plain"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
