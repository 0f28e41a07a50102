"""The library as a file: what it needs and exports, whom it lives with, what configures it.

ctest runs it with the directory of the build in MANYPATH_BUILD. Needs root for the setuid program
and for the network namespaces that unshare(1) makes.

SPDX-License-Identifier: Apache-2.0
"""

import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["MANYPATH_BUILD"])
SOURCE = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = BUILD / "lib" / "libmanypath.so"
PROBE = BUILD / "bin" / "preload_probe"
LINKED_PROBE = BUILD / "bin" / "preload_probe_linked"
NEIGHBOUR = BUILD / "lib" / "preload_neighbour.so"
NOBODY = 65534
HOOKS = {"accept", "accept4", "connect", "epoll_ctl", "getsockopt", "ioctl", "setsockopt",
         "socket"}
MPTCP, TCP = "262", "6"

# The library asks socket() for MPTCP, and these clients and servers are its programs.
CLIENT_AND_SERVER = """
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
for protocol in (0, 262):
    client = socket.socket()
    client.setsockopt(6, 18, 5000)
    client.connect(listener.getsockname())
    accepted, _ = listener.accept()
"""


def run(*command, preload=LIBRARY, **variables):
    """Runs a program under `preload`; returns what it printed, and its standard error."""
    env = {"PATH": os.environ["PATH"], **variables}
    if preload:
        env["LD_PRELOAD"] = ":".join(map(str, preload if isinstance(preload, list) else [preload]))
    done = subprocess.run([str(word) for word in command], env=env, check=True,
                          capture_output=True, text=True, timeout=60)
    return done.stdout, done.stderr


class file(unittest.TestCase):
    def test_it_exports_exactly_the_hooks(self):
        out = subprocess.check_output(["nm", "-D", "--defined-only", LIBRARY], text=True)
        self.assertEqual({line.split()[-1] for line in out.splitlines()}, HOOKS)

    def test_it_needs_libc_and_nothing_else(self):
        out = subprocess.check_output(["readelf", "-d", LIBRARY], text=True)
        self.assertEqual(re.findall(r"NEEDED.*\[(.*)\]", out), ["libc.so.6"])

    def test_it_uses_nothing_of_libc_that_locks_or_allocates(self):
        out = subprocess.check_output(["nm", "-D", "--undefined-only", LIBRARY], text=True)
        used = {line.split()[-1].partition("@")[0] for line in out.splitlines()}
        # dlsym and getenv are called by the constructor; the rest is async-signal-safe.
        allowed = {"__errno_location", "dlsym", "fstat", "getauxval", "getenv", "htonl", "memcmp",
                   "memcpy", "memmove", "memset", "mmap", "munmap", "prctl", "syscall"}
        self.assertLessEqual(used, allowed)

    def test_its_source_compiles_for_musl_and_for_32_bits(self):
        flags = ["-std=c++23", "-fsyntax-only", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra",
                 "-Werror", "-D_GNU_SOURCE", f"-I{SOURCE}"]
        # Debian's libstdc++ is configured for glibc; the header adds what it takes for granted.
        musl = ["-nostdinc", "-D__GLIBC_PREREQ(a,b)=0", "-include",
                SOURCE / "tests" / "preload" / "musl_shim.h"]
        compiler = subprocess.check_output(["g++", "-print-file-name=include"], text=True).strip()
        triplet = subprocess.check_output(["g++", "-dumpmachine"], text=True).strip()
        version = subprocess.check_output(["g++", "-dumpversion"], text=True).strip()
        multiarch = subprocess.check_output(["g++", "-print-multiarch"], text=True).strip()
        machine = triplet.partition("-")[0]
        for folder in (f"/usr/include/c++/{version}", f"/usr/include/{multiarch}/c++/{version}",
                       f"/usr/include/{machine}-linux-musl", compiler):
            self.assertTrue(os.path.isdir(folder), f"{folder} is missing: install musl-tools")
            musl += ["-isystem", folder]
        for source in sorted((SOURCE / "preload").glob("*.cpp")):
            with self.subTest(source=source.name):
                subprocess.run(["g++", *flags, *musl, source], check=True)
                if machine == "x86_64":
                    subprocess.run(["g++", *flags, "-m32", source], check=True)


class neighbours(unittest.TestCase):
    def test_a_library_before_it_sees_what_the_program_asked_for(self):
        out, _ = run(PROBE, preload=[NEIGHBOUR, LIBRARY])
        self.assertEqual(out.splitlines()[-2:], ["neighbour saw 0", MPTCP])

    def test_a_library_after_it_sees_mptcp(self):
        out, _ = run(PROBE, preload=[LIBRARY, NEIGHBOUR])
        self.assertEqual(out.splitlines()[-2:], [f"neighbour saw {MPTCP}", MPTCP])

    def test_it_serves_other_libraries_constructors(self):
        for order in ([NEIGHBOUR, LIBRARY], [LIBRARY, NEIGHBOUR]):
            out, _ = run(PROBE, preload=order)
            self.assertIn(f"early {MPTCP}", out.splitlines())

    def test_a_library_after_it_sees_the_retry_as_tcp(self):
        out, _ = run("unshare", "--net", "sh", "-c",
                     f'echo 0 > /proc/sys/net/mptcp/enabled; LD_PRELOAD="{LIBRARY} {NEIGHBOUR}" '
                     f'exec {PROBE}', preload=None)
        self.assertEqual(out.splitlines()[-3:], [f"neighbour saw {MPTCP}", "neighbour saw 0", TCP])


class configuration(unittest.TestCase):
    def test_manypath_0_switches_it_off(self):
        self.assertEqual(run(PROBE)[0].split(), [MPTCP])
        self.assertEqual(run(PROBE, MANYPATH="1")[0].split(), [MPTCP])
        self.assertEqual(run(PROBE, MANYPATH="0")[0].split(), [TCP])

    def test_it_is_silent_unless_asked(self):
        self.assertEqual(run(PROBE)[1], "")
        self.assertEqual(run(PROBE, MANYPATH_DEBUG="0")[1], "")

    def test_debugging_tells_each_decision(self):
        _, err = run(sys.executable, "-c", CLIENT_AND_SERVER, MANYPATH_DEBUG="1")
        for line in (r"socket \d+ \(IPv4\): MPTCP", r"option 6/18 kept until it is TCP",
                     r"socket \d+: connected with MPTCP", r"socket \d+: accepted with MPTCP"):
            self.assertRegex(err, rf"(?m)^libmanypath\[\d+\]: .*{line}$")

    def test_debugging_never_writes_into_a_file_that_became_descriptor_2(self):
        with tempfile.NamedTemporaryFile() as other:
            out, err = run(PROBE, other.name, MANYPATH_DEBUG="1")
            self.assertEqual((out.split(), err, other.read()), ([MPTCP], "", b""))

    def test_it_reads_the_environment_once(self):
        changing = "import os, socket; os.environ['MANYPATH'] = '0'; os.unsetenv('LD_PRELOAD');" \
                   "print(socket.socket().getsockopt(1, 38))"
        self.assertEqual(run(sys.executable, "-c", changing)[0].split(), [MPTCP])

    def test_secure_execution_ignores_the_callers_variables(self):
        off = {"MANYPATH": "0", "MANYPATH_DEBUG": "1"}
        with tempfile.TemporaryDirectory(dir=BUILD) as folder:
            os.chmod(folder, 0o755)
            program = pathlib.Path(folder) / "setuid_probe"
            program.write_bytes(LINKED_PROBE.read_bytes())
            program.chmod(0o755)
            as_nobody = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", program]
            self.assertEqual(run(*as_nobody, preload=None, **off)[0].split(), [TCP])
            program.chmod(0o4755)
            out, err = run(*as_nobody, preload=None, **off)
            self.assertEqual((out.split(), err), ([MPTCP], ""))


class report(unittest.TestCase):
    """The shared file, read as preload/report.hpp lays it out."""

    MAGIC, LAYOUT, PAGE, PROCESSES = 0x3172706D, 1, 4096, 1024
    COUNTERS = ("asked granted refused refused_errno failed multipath fell_back accepted "
                "accepted_tcp options_kept options_given next_socket").split()

    def run_reporting(self, *command, magic=MAGIC, size=PAGE * (PROCESSES + 1)):
        with tempfile.NamedTemporaryFile() as shared:
            shared.truncate(size)
            shared.write(struct.pack("=II", magic, self.LAYOUT))
            shared.flush()
            run(*command, MANYPATH_REPORT=shared.name)
            shared.seek(0)
            return shared.read()

    def processes(self, *command):
        content = self.run_reporting(*command)
        used = struct.unpack_from("=I", content, 8)[0]
        found = []
        for index in range(used):
            start = self.PAGE * (1 + index)
            pid, _, name = struct.unpack_from("=II16s", content, start)
            values = struct.unpack_from(f"={len(self.COUNTERS)}I", content, start + 24)
            notes = [struct.unpack_from("=QiIII", content, start + 128 + 32 * place)
                     for place in range(124)]
            found.append({"pid": pid, "command": name.rstrip(b"\0").decode(),
                          "notes": [note for note in notes if note[0]],
                          **dict(zip(self.COUNTERS, values))})
        return found

    def test_it_counts_what_was_asked_and_got(self):
        [process] = self.processes(sys.executable, "-c", CLIENT_AND_SERVER)
        self.assertEqual(process["asked"], 3)
        self.assertEqual(process["granted"], 3)
        self.assertEqual(process["refused"], 0)
        self.assertEqual(process["multipath"], 2)
        self.assertEqual(process["accepted"], 2)
        self.assertEqual(process["options_kept"], 2)
        self.assertEqual(len(process["notes"]), 5)

    def test_it_says_why_mptcp_was_refused(self):
        [process] = self.processes("unshare", "--net", "sh", "-c",
                                   f"echo 0 > /proc/sys/net/mptcp/enabled; exec {PROBE}")
        self.assertEqual(process["command"], PROBE.name[:15])
        self.assertEqual((process["asked"], process["granted"], process["refused"]), (1, 0, 1))
        self.assertEqual(process["refused_errno"], 92)

    def test_it_counts_fallbacks_and_options_given_to_the_kernel(self):
        [process] = self.processes(sys.executable, "-c", """
import subprocess, sys, socket, os
server = subprocess.Popen([sys.executable, "-c", '''
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
listener.accept()[0].recv(1)
'''], env={"MANYPATH": "0"}, stdout=subprocess.PIPE)
client = socket.socket()
client.setsockopt(6, 18, 5000)
client.connect(("127.0.0.1", int(server.stdout.readline())))
client.close()
server.wait()
""")
        self.assertEqual((process["granted"], process["fell_back"]), (1, 1))
        self.assertEqual((process["options_kept"], process["options_given"]), (1, 1))

    def test_fork_and_exec_begin_a_new_entry(self):
        found = self.processes(sys.executable, "-c", f"""
import os, socket
a, b = socket.socket(), socket.socket()
child = os.fork()
if child == 0:
    c = socket.socket()
    os._exit(0)
os.waitpid(child, 0)
os.execv({str(PROBE)!r}, ["probe"])
""")
        self.assertEqual([process["asked"] for process in found], [2, 1, 1])
        self.assertEqual(found[0]["pid"], found[2]["pid"])
        self.assertNotEqual(found[0]["pid"], found[1]["pid"])

    def test_a_file_of_another_kind_is_left_alone(self):
        content = self.run_reporting(PROBE, magic=7)
        self.assertEqual(content[8:].count(0), len(content) - 8)
        self.assertEqual(len(self.run_reporting(PROBE, size=100)), 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
