"""`manypath run` and `manypath connect` between real hosts.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib
import os
import pty
import signal
import socket
import subprocess
import unittest

from support import Lab, Server, observe, peers, program, wait_until
from support.programs import start_nginx

MEBIBYTE = 1 << 20
FAMILIES = (socket.AF_INET, socket.AF_INET6)
RATE = "200mbit"  # a download of 8 MiB then lasts long enough for its subflows to be seen


def url(server, family, name="file"):
    address = server.interfaces["wan0"].address(family)
    return f"http://[{address}]/{name}" if family == socket.AF_INET6 else f"http://{address}/{name}"


def report_rows(text):
    """The table behind "manypath: report" as one dictionary per process."""
    lines = text[text.index("manypath: report\n"):].splitlines()
    names = lines[1].split()
    rows = []
    for line in lines[2:]:
        words = line.split(maxsplit=len(names))
        rows.append({**dict(zip(names, words)), "why": " ".join(words[len(names):])})
    return rows


class web_lab:
    """client ==2 paths== server with an nginx that serves 8 MiB; wrapped unless told otherwise."""

    def __init__(self, wrapped=True):
        self.wrapped = wrapped
        self.stack = Lab()

    def __enter__(self):
        lab = self.stack.__enter__()
        try:
            self.client, self.server = lab.pair(paths=2, rate=RATE)
            root = lab.directory / "www"
            root.mkdir()
            (root / "file").write_bytes(peers.pattern(0, 8 * MEBIBYTE))
            wrapper = (program("manypath"), "run", "--") if self.wrapped else ()
            start_nginx(self.server, root, wrapper=wrapper)
        except BaseException:
            self.stack.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception):
        self.stack.__exit__(*exception)

    def curl(self, *options, family=socket.AF_INET, check=True):
        """curl under `manypath run`. @return CompletedProcess; stdout is checked"""
        done = self.client.run(program("manypath"), "run", *options, "--", "curl", "-sgS",
                               url(self.server, family), text=False, check=check)
        if done.stdout != peers.pattern(0, 8 * MEBIBYTE):
            raise AssertionError(f"curl: {len(done.stdout)} bytes, {done.stderr.decode()}")
        return done


class run(unittest.TestCase):
    def test_curl_and_nginx_speak_mptcp_over_both_paths(self):
        with web_lab() as lab:
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    seen = observe.CounterDelta(lab.server)
                    lab.curl(family=family)
                    self.assertEqual(seen["MPCapableSYNRX"], 1)
                    self.assertGreaterEqual(seen["MPJoinAckRx"], 1)

    def test_the_report_tells_mptcp_and_its_subflows(self):
        with web_lab() as lab:
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    rows = report_rows(lab.curl("--report", family=family).stderr.decode())
                    self.assertEqual(len(rows), 1, rows)
                    row = rows[0]
                    self.assertEqual((row["PROGRAM"], row["MPTCP"], row["TCP"], row["SUBFLOWS"]),
                                     ("curl", row["ASKED"], "0", "2"), row)

    def test_the_report_tells_a_peer_without_mptcp(self):
        with web_lab(wrapped=False) as lab:
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    row = report_rows(lab.curl("--report", family=family).stderr.decode())[0]
                    self.assertEqual((row["TCP"], row["SUBFLOWS"]), ("1", "-"), row)
                    self.assertIn("answered without MPTCP", row["why"])

    def test_the_report_tells_that_the_kernel_refused_mptcp(self):
        with web_lab() as lab:
            lab.client.sysctl("net.mptcp.enabled", 0)
            row = report_rows(lab.curl("--report").stderr.decode())[0]
            self.assertEqual((row["MPTCP"], row["TCP"]), ("0", row["ASKED"]), row)
            self.assertIn("Protocol not available", row["why"])

    def test_the_report_covers_children_and_accepted_connections(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2, rate=RATE)
            listen = ("import socket; s = socket.create_server(('', 7000), family=socket.AF_INET6, "
                      "dualstack_ipv6=True); c = s.accept()[0]; c.sendall(bytes(8 << 20))")
            process = server.spawn(
                program("manypath"), "run", "--report", "sh", "-c",
                f'python3 -c "{listen}"; exit 3', stderr=subprocess.PIPE, text=True)
            wait_until(lambda: observe.listening(server, 7000), what="the wrapped listener")
            address = (server.interfaces["wan0"].v4, 7000)
            with peers.connect(client, address, mptcp=True) as sock:
                self.assertEqual(peers.receive_hash(sock)[0], 8 * MEBIBYTE)
            text = process.communicate(timeout=30)[1]
            self.assertEqual(process.returncode, 3)
            row = next(r for r in report_rows(text) if r["ACCEPTED"] != "0")
            self.assertTrue(row["PROGRAM"].startswith("python3"), row)
            self.assertEqual((row["ACCEPTED"], row["TCP"], row["SUBFLOWS"]), ("1", "0", "2"), row)

    def test_an_existing_preload_library_still_sees_every_call(self):
        source = ("#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\n"
                  "int socket(int d, int t, int p) {\n"
                  "    int (*next)(int, int, int) = dlsym(RTLD_NEXT, \"socket\");\n"
                  "    fprintf(stderr, \"other library: protocol %d\\n\", p);\n"
                  "    return next(d, t, p);\n}\n")
        with Lab() as lab:
            client = lab.host("client")
            other = lab.directory / "other.so"
            subprocess.run(["cc", "-shared", "-fPIC", "-o", other, "-xc", "-"], input=source,
                           text=True, check=True)
            show = "import socket; print(socket.socket().getsockopt(socket.SOL_SOCKET, 38))"
            done = client.run(program("manypath"), "run", "python3", "-c", show,
                              env={**os.environ, "LD_PRELOAD": str(other)})
            self.assertIn("other library: protocol 0", done.stderr)
            self.assertEqual(done.stdout.strip(), "262")

    def test_a_nested_run_changes_nothing_more(self):
        once = self.environment_under("run")
        twice = self.environment_under("run", program("manypath"), "run")
        self.assertEqual(once["LD_PRELOAD"], program("libmanypath.so"))
        self.assertEqual(once["GODEBUG"], "multipathtcp=1")
        self.assertEqual({k: v for k, v in once.items() if k != "_"},
                         {k: v for k, v in twice.items() if k != "_"})

    @staticmethod
    def environment_under(*command):
        done = subprocess.run([program("manypath"), *command, "env"], capture_output=True, text=True,
                              check=True)
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


class status(unittest.TestCase):
    """The wrapped program's end is the launcher's."""

    def launch(self, *arguments):
        return subprocess.run([program("manypath"), "run", *arguments], capture_output=True,
                              text=True, timeout=30)

    def test_status_and_signal_of_the_program_are_passed_on(self):
        for options in ((), ("--report",)):
            with self.subTest(options=options):
                self.assertEqual(self.launch(*options, "sh", "-c", "exit 42").returncode, 42)
                self.assertEqual(self.launch(*options, "sh", "-c", "kill -TERM $$").returncode,
                                 -signal.SIGTERM)
                self.assertEqual(self.launch(*options, "sh", "-c", "kill -KILL $$").returncode,
                                 -signal.SIGKILL)

    def test_a_signal_for_the_launcher_reaches_the_program(self):
        script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"
        for options in ((), ("--report",)):
            with self.subTest(options=options):
                process = subprocess.Popen([program("manypath"), "run", *options, "sh", "-c", script],
                                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                with process:
                    self.assertEqual(process.stdout.readline(), b"ready\n")
                    process.send_signal(signal.SIGTERM)
                    self.assertEqual(process.wait(timeout=30), 9)

    def test_any_signal_for_the_launcher_reaches_the_program(self):
        numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGIO, signal.SIGABRT, signal.SIGRTMIN + 1)
        script = f"trap 'exit 9' {' '.join(str(int(n)) for n in numbers)}; echo ready; " \
                 "while :; do sleep 0.01; done"
        for number in numbers:
            with self.subTest(number=number):
                process = subprocess.Popen([program("manypath"), "run", "--report", "bash", "-c",
                                            script], stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL)
                with process:
                    self.assertEqual(process.stdout.readline(), b"ready\n")
                    process.send_signal(number)
                    self.assertEqual(process.wait(timeout=30), 9)

    def test_ctrl_c_reaches_the_program_once(self):
        # Both get SIGINT from the terminal; if the launcher passed its own on, the count were 2. It
        # is stopped until the program has had its own, because two pending signals count as one.
        script = ("import signal, sys, time\n"
                  "seen = []\n"
                  "signal.signal(signal.SIGINT, lambda *_: seen.append(1))\n"
                  "signal.signal(signal.SIGTERM, lambda *_: sys.exit(40 + len(seen)))\n"
                  "print('ready', flush=True)\n"
                  "while True: time.sleep(0.01); seen and print('seen', flush=True)\n")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(program("manypath"), ["manypath", "run", "--report", "python3", "-c", script])
        with open(terminal, "rb", buffering=0) as screen:
            shown = b""

            def show_until(text):
                nonlocal shown
                while text not in shown:
                    shown += screen.read(4096)

            show_until(b"ready")
            os.kill(pid, signal.SIGSTOP)
            os.write(terminal, b"\x03")
            show_until(b"seen")
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGTERM)
            show_until(b"manypath: report")
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 41)

    def test_what_outlives_the_program_is_named_and_not_waited_for(self):
        # The child has its socket before the program ends, and lives until the test lets it.
        child = "import socket, sys; s = socket.socket(); print(flush=True); sys.stdin.read()"
        script = ("import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], "
                  "stdout=subprocess.PIPE); p.stdout.readline(); sys.exit(5)")
        with subprocess.Popen([program("manypath"), "run", "--report", "python3", "-c", script, child],
                              stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.assertEqual(process.wait(timeout=30), 5)
            while "still runs" not in (line := process.stderr.readline()):
                self.assertTrue(line, "no line says that the child still runs")

    def test_a_failed_start_says_why(self):
        with Lab() as lab:
            def made(name, content, mode):
                path = lab.directory / name
                path.write_text(content)
                path.chmod(mode)
                return str(path)

            fifo = str(lab.directory / "fifo")
            os.mkfifo(fifo, 0o755)
            cases = (
                ("no-such-program-anywhere", 127, "not found in PATH"),
                (str(lab.directory / "absent"), 127, "no such file"),
                (str(lab.directory), 126, "directory"),
                (fifo, 126, "forbidden"),
                (made("plain", "#!/bin/sh\n", 0o644), 126, "not executable"),
                (made("script", "#!/no/such/interpreter\n", 0o755), 126, "/no/such/interpreter"),
                (made("text", "hello\n", 0o755), 126, "no format"),
            )
            for options in ((), ("--report",)):
                for path, code, reason in cases:
                    with self.subTest(path=path, options=options):
                        done = self.launch(*options, path)
                        self.assertEqual(done.returncode, code, done.stderr)
                        self.assertIn(reason, done.stderr)
                        self.assertNotIn("report", done.stderr)

    def test_a_static_program_runs_with_one_line_of_warning(self):
        done = self.launch("/sbin/ldconfig", "--version")  # static wherever glibc is
        self.assertEqual(done.returncode, 0)
        self.assertIn("ldconfig", done.stdout)
        self.assertIn("statically linked", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_a_missing_library_is_said_and_not_ignored(self):
        done = subprocess.run([program("manypath"), "run", "true"], capture_output=True, text=True,
                              env={**os.environ, "MANYPATH_LIBRARY": "/nowhere/libmanypath.so"})
        self.assertEqual(done.returncode, 125)
        self.assertIn("/nowhere/libmanypath.so", done.stderr)

    def test_an_empty_environment_is_enough(self):
        done = subprocess.run([program("manypath"), "run", "env"], env={}, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("libmanypath.so", done.stdout)

    def test_wrong_usage_ends_with_2(self):
        for arguments in ((), ("run",), ("run", "--nonsense", "true"), ("check", "host"),
                          ("connect",), ("nonsense",)):
            with self.subTest(arguments=arguments):
                done = subprocess.run([program("manypath"), *arguments], capture_output=True)
                self.assertEqual(done.returncode, 2, done.stderr)


class connect(unittest.TestCase):
    def relay(self, client, address, data):
        return client.run(program("manypath"), "connect", *map(str, address), input=data,
                          text=False).stdout

    def test_bulk_passes_intact_in_both_directions_with_half_close(self):
        size = 32 * MEBIBYTE
        sent = b"".join(peers.pattern(i, MEBIBYTE) for i in range(0, size, MEBIBYTE))
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            service = Server(server, mptcp=True)
            for round_number, family in enumerate(FAMILIES, 1):
                with self.subTest(family=family.name):
                    address = service.address(family)
                    got = self.relay(client, address, b"get %d\n" % size)
                    self.assertEqual(hashlib.sha256(got).hexdigest(), peers.pattern_hash(size))
                    # The answer comes after the end of the input, over the half still open.
                    answer = self.relay(client, address, b"put\n" + sent)
                    self.assertEqual(answer.decode(), f"{size} {peers.pattern_hash(size)}\n")
                    # Here the server ends first, and the input goes on.
                    self.assertEqual(self.relay(client, address, b"silent\n" + sent), b"")
                    ended = service.wait_for_results(3 * round_number)
                    self.assertEqual(ended[-1], ("silent", size, None))
            self.assertEqual(service.mptcp_accepted, 6)

    def test_refused_mptcp_becomes_tcp(self):
        with Lab() as lab:
            client, server = lab.pair(paths=1)
            service = Server(server, mptcp=True)
            client.sysctl("net.mptcp.enabled", 0)
            got = self.relay(client, service.address(), b"get 1000\n")
            self.assertEqual(got, peers.pattern(0, 1000))
            self.assertEqual(service.mptcp_accepted, 0)

    def test_the_next_address_of_a_name_is_tried(self):
        with Lab() as lab:
            client, server = lab.pair(paths=1)
            service = Server(server, mptcp=True, family=socket.AF_INET)
            wan0 = server.interfaces["wan0"]
            hosts = lab.directory / "hosts"
            hosts.write_text(f"{wan0.v6} both\n{wan0.v4} both\n")
            script = f"mount --bind {hosts} /etc/hosts && exec {program('manypath')} connect both " \
                     f"{service.port}"
            got = client.run("unshare", "-m", "sh", "-c", script, input=b"get 1000\n", text=False)
            self.assertEqual(got.stdout, peers.pattern(0, 1000))

    def test_a_failure_says_why(self):
        with Lab() as lab:
            client, _server = lab.pair(paths=1)
            done = client.run(program("manypath"), "connect", "198.18.0.2", "9", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("Connection refused", done.stderr)
            done = client.run(program("manypath"), "connect", "--fdpass", "198.18.0.2", "9",
                              check=False)
            self.assertEqual(done.returncode, 1)

    def test_ssh_reaches_a_wrapped_sshd_by_proxy_command_and_by_descriptor(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2, rate=RATE)
            self.start_sshd(lab, server)
            big = lab.directory / "big"
            big.write_bytes(peers.pattern(0, 4 * MEBIBYTE))
            command = f"{program('manypath')} connect"
            for options in ([f"ProxyCommand={command} %h %p"],
                            [f"ProxyCommand={command} --fdpass %h %p", "ProxyUseFdpass=yes"]):
                for family in FAMILIES:
                    with self.subTest(options=options, family=family.name):
                        seen = observe.CounterDelta(server)
                        got = self.ssh(lab, client, server.interfaces["wan0"].address(family),
                                       options, f"cat {big}")
                        self.assertEqual(got, big.read_bytes())
                        self.assertEqual(seen["MPCapableSYNRX"], 1)
                        self.assertGreaterEqual(seen["MPJoinAckRx"], 1)

    @staticmethod
    def start_sshd(lab, server):
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            lab.directory / name], check=True)
        (lab.directory / "user.pub").rename(lab.directory / "authorized")
        configuration = lab.directory / "sshd_config"
        configuration.write_text(
            f"Port 2222\nHostKey {lab.directory}/host\nAuthorizedKeysFile {lab.directory}/authorized\n"
            "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n")
        os.makedirs("/run/sshd", exist_ok=True)
        server.spawn(program("manypath"), "run", "/usr/sbin/sshd", "-D", "-E",
                     lab.directory / "sshd.log", "-f", configuration)
        wait_until(lambda: observe.listening(server, 2222), what="the wrapped sshd")

    @staticmethod
    def ssh(lab, client, address, options, command):
        arguments = ["ssh", "-F", "none", "-p", "2222", "-i", lab.directory / "user"]
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR",
                       "IdentitiesOnly=yes", *options]:
            arguments += ["-o", option]
        return client.run(*arguments, f"root@{address}", command, text=False).stdout


if __name__ == "__main__":
    unittest.main()
