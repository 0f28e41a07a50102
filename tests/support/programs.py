"""programs.py: the programs under test, and a gateway with its configuration.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import socket
import subprocess
from pathlib import Path

from .lab import MissingPrerequisite
from .observe import listening, wait_until

ROOT = Path(__file__).resolve().parents[2]


def build_directory():
    """Where the programs are; MANYPATH_BUILD names another one than build/."""
    return Path(os.environ.get("MANYPATH_BUILD", ROOT / "build"))


def program(name):
    """The path of "manypath", "manypathd", "manypathctl" or "libmanypath.so" as text."""
    path = build_directory() / ("lib" if name.endswith(".so") else "bin") / name
    if not path.exists():
        raise MissingPrerequisite(f"{path} is missing: run ./dev build")
    return str(path)


def start_nginx(host, root, port=80, wrapper=()):
    """Serves the files of a directory over HTTP, IPv4 and IPv6.
    @param wrapper  a command line in front, e.g. (program("manypath"), "run")
    @return Popen"""
    work = host.lab.directory / f"nginx-{host.label}-{port}"
    work.mkdir()
    configuration = work / "nginx.conf"
    temporary = "".join(f"{kind}_temp_path {work}/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration.write_text(
        f"user root; daemon off; worker_processes 1; pid {work}/pid; error_log {work}/error.log;"
        "events { worker_connections 4096; }"
        f"http {{ access_log off; sendfile on; {temporary}"
        f"server {{ listen {port}; listen [::]:{port}; root {root}; }} }}\n")
    process = host.spawn(*wrapper, "nginx", "-e", work / "error.log", "-c", configuration)
    _wait_for_port(host, port, process)
    return process


def start_iperf3(host, port=5201, wrapper=()):
    """An iperf3 server. @return Popen"""
    process = host.spawn(*wrapper, "iperf3", "-s", "-p", port, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    _wait_for_port(host, port, process)
    return process


def _wait_for_port(host, port, process):
    def is_listening():
        if process.poll() is not None:
            raise AssertionError(f"{process.args} ended with {process.returncode}")
        return listening(host, port)

    wait_until(is_listening, what=f"a listener on port {port} of {host.label}")


class Gateway:
    """manypathd in a namespace, ready to serve.

    @param toml     the configuration; [control] is added when it is not there
    @param options  further arguments of the daemon
    @param wrapper  a command line in front of it, e.g. ("prlimit", "--nofile=100:100")
    """

    def __init__(self, host, toml, *options, expect_ready=True, env=None, wait=15, wrapper=()):
        self.host = host
        self.lab = host.lab
        number = len(list(self.lab.directory.glob("manypathd-*.toml")))
        self.file = self.lab.directory / f"manypathd-{number}.toml"
        self.log_file = self.lab.directory / f"manypathd-{number}.log"
        self.control = self.lab.directory / f"control-{number}" / "control.sock"
        self.control.parent.mkdir(mode=0o755)
        self.write(toml)
        with self._notify_socket(number) as notify, open(self.log_file, "wb") as log:
            self.process = host.spawn(
                *wrapper, program("manypathd"), "--config", self.file, *options, stdout=log,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env={**os.environ, "NOTIFY_SOCKET": notify.getsockname(), **(env or {})})
            if expect_ready:
                self._wait_for_ready(notify, wait)

    def write(self, toml):
        """Writes another configuration, which reload() or SIGHUP puts into force."""
        if "[control]" not in toml:
            toml += f'\n[control]\nsocket = "{self.control}"\n'
        self.file.write_text(toml)

    def log(self):
        """What the daemon has written so far."""
        return self.log_file.read_text(errors="replace")

    def ctl(self, *arguments, check=True):
        """Asks over the control socket. @return CompletedProcess"""
        return self.host.run(program("manypathctl"), "--socket", self.control, *arguments,
                             check=check)

    def stop(self, grace=10):
        """SIGTERM, then waits. @return the exit status"""
        self.lab.end(self.process, grace)
        return self.process.returncode

    @contextlib.contextmanager
    def _notify_socket(self, number):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = self.lab.directory / f"notify-{number}"
            notify.bind(str(path))
            path.chmod(0o777)
            notify.setblocking(False)
            yield notify

    def _wait_for_ready(self, notify, wait):
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"manypathd ended with {self.process.returncode}:\n{self.log()}")
            with contextlib.suppress(BlockingIOError):
                return b"READY=1" in notify.recv(4096)
            return False

        try:
            wait_until(is_ready, wait, "READY=1 of manypathd")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None
