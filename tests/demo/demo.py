"""demo.py: the main job, live. Started by ./dev demo.

                 lan0, lan1            wan0, wan1: 50 Mbit/s each
        client ============== gateway ============================ server

Three rounds move the same bytes with the same programs, curl and iperf3 as Debian ships them:
plain TCP; the programs under `manypath run`; and plain TCP again while manypathd works on the
gateway. Then a path is cut in mid-download. The server's nginx and iperf3 speak MPTCP because they
run under `manypath run` as well.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import Gateway, Lab, MissingPrerequisite, observe, peers, program, wait_until
from support.programs import start_iperf3, start_nginx

MEBIBYTE = 1 << 20
SIZE = 24 * MEBIBYTE
LONG_SIZE = 48 * MEBIBYTE
IPERF_SECONDS = 3
SHOWN_COUNTERS = ("MPCapableSYNTX", "MPCapableSYNACKRX", "MPJoinSynAckRx", "MPJoinAckRx")

CONFIGURATION = """
[[path]]
name = "first"
interface = "wan0"
gateway = ["{wan0.peer.v4}", "{wan0.peer.v6}"]

[[path]]
name = "second"
interface = "wan1"
gateway = ["{wan1.peer.v4}", "{wan1.peer.v6}"]

[[listen]]
name = "lan"
mode = "transparent"
address = ["0.0.0.0:1081", "[::]:1081"]
accept = "tcp"
dial = "mptcp"
intercept = {{ interfaces = ["lan0"], ports = ["80", "5201"] }}
allow = ["198.18.0.0/15", "2001:db8::/32"]
"""

TERMINAL = sys.stdout.isatty()


def styled(text, code):
    return f"\033[{code}m{text}\033[0m" if TERMINAL else text


def heading(text):
    print("\n" + styled(text, "1"), flush=True)


def note(text):
    print("  " + text, flush=True)


class Round:
    """One way of moving the bytes: who speaks MPTCP, and what was measured."""

    def __init__(self, title, stage, speaker, wrapper=()):
        self.title = title
        self.stage = stage
        self.speaker = speaker  # the host whose counters tell of MPTCP
        self.wrapper = wrapper
        self.rates = {}
        self.subflows = 0

    def run(self):
        wans = [self.stage.gateway.interfaces[name] for name in ("wan0", "wan1")]
        before = [wan.carried_bytes() for wan in wans]
        moved = observe.CounterDelta(self.speaker)
        self.rates["curl ↓"] = self._curl()
        self.rates["iperf3 ↓"] = self._iperf3("-R")
        self.rates["iperf3 ↑"] = self._iperf3()
        carried = [wan.carried_bytes() - b for wan, b in zip(wans, before)]
        self.shares = [round(100 * c / sum(carried)) for c in carried]
        self.counters = {name: moved[name] for name in SHOWN_COUNTERS}

    def _watch(self, process):
        while process.poll() is None:
            seen = [s["subflows"] for s in observe.mptcp_sockets(self.speaker)]
            self.subflows = max([self.subflows, *seen])
            time.sleep(0.3)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, process.args))} ended with {process.returncode}")

    def _curl(self):
        target = self.stage.lab.directory / "download"
        start = time.monotonic()
        self._watch(self.stage.download("short", target, self.wrapper))
        seconds = time.monotonic() - start
        self.stage.check(target, SIZE)
        return 8 * SIZE / seconds / 1e6

    def _iperf3(self, *direction):
        report = self.stage.lab.directory / "iperf3.json"
        with open(report, "wb") as out:
            self._watch(self.stage.client.spawn(
                *self.wrapper, "iperf3", "-c", self.stage.server_address, "-t", IPERF_SECONDS, "-J",
                *direction, stdout=out))
        return json.loads(report.read_text())["end"]["sum_received"]["bits_per_second"] / 1e6


class Stage:
    """The three hosts and what runs on the server."""

    def __init__(self, lab):
        self.lab = lab
        self.client, self.gateway, self.server = lab.chain(
            client_paths=2, server_paths=2, rate="50mbit", gateway_endpoints=False)
        self.server_address = self.server.interfaces["wan0"].v4
        self.wrapper = (program("manypath"), "run")
        files = lab.directory / "files"
        files.mkdir()
        self.hashes = {size: _write_pattern(files / name, size)
                       for name, size in (("short", SIZE), ("long", LONG_SIZE))}
        start_nginx(self.server, files, wrapper=self.wrapper)
        start_iperf3(self.server, wrapper=self.wrapper)

    def download(self, name, target, wrapper):
        """Starts curl. @return Popen"""
        return self.client.spawn(*wrapper, "curl", "-sS", "--fail", "--max-time", 60, "-o", target,
                                 f"http://{self.server_address}/{name}")

    def check(self, target, size):
        """Fails unless the file is what the server has."""
        with open(target, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.hashes[size]:
            raise RuntimeError(f"{target} differs from what the server sent")
        return digest

    def start_gateway(self):
        wans = {name: self.gateway.interfaces[name] for name in ("wan0", "wan1")}
        return Gateway(self.gateway, CONFIGURATION.format(**wans))

    def cut_in_mid_download(self, title, wrapper):
        """Pulls the first path's cable after a third of the download."""
        target = self.lab.directory / "cut"
        target.unlink(missing_ok=True)
        wan = self.gateway.interfaces["wan0"]
        start = time.monotonic()
        curl = self.download("long", target, wrapper)
        size = wait_until(lambda: (s := _size(target)) > LONG_SIZE // 3 and s, 30, "a third")
        wan.set_link(up=False)
        cut = time.monotonic() - start
        if curl.wait(60) != 0:
            raise RuntimeError(f"curl ended with {curl.returncode}")
        seconds = time.monotonic() - start
        digest = self.check(target, LONG_SIZE)
        wan.set_link(up=True)
        note(f"{title:<20} wan0 cut after {cut:.1f} s and {size // MEBIBYTE} of "
             f"{LONG_SIZE // MEBIBYTE} MiB; complete after {seconds:.1f} s, "
             + styled(f"sha256 {digest[:12]}… intact", "32"))


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _write_pattern(path, size):
    with open(path, "wb") as file:
        for offset in range(0, size, peers.CHUNK):
            file.write(peers.pattern(offset, min(peers.CHUNK, size - offset)))
    return peers.pattern_hash(size)


def table(rounds):
    names = list(rounds[0].rates)
    heading(f"{'Mbit/s':<20}" + "".join(f"{n:>11}" for n in names) + "   subflows   wan0 : wan1")
    for r in rounds:
        rates = "".join(f"{r.rates[n]:>11.1f}" for n in names)
        shares = " : ".join(f"{share} %" for share in r.shares)
        print(f"  {r.title:<18}{rates}{r.subflows or '–':>11}   {shares:>11}")
    heading("What the kernel counted (MPTcpExt…), on the host that opened the connections")
    for r in rounds:
        numbers = "  ".join(f"{name} {value}" for name, value in r.counters.items() if value)
        print(f"  {r.title:<18} {r.speaker.label + ':':<9} {numbers or 'nothing: plain TCP'}")


def main():
    started = time.monotonic()
    with Lab() as lab:
        heading("client == lan0, lan1 == gateway == wan0, wan1: 50 Mbit/s each == server")
        stage = Stage(lab)
        rounds = [Round("plain TCP", stage, stage.client),
                  Round("manypath run", stage, stage.client, stage.wrapper)]
        for r in rounds:
            note(f"curl and iperf3: {r.title}")
            r.run()
        gateway = stage.start_gateway()
        rounds.append(Round("through manypathd", stage, stage.gateway))
        note("curl and iperf3: plain TCP again, now through manypathd on the gateway")
        rounds[2].run()
        table(rounds)
        heading("One of the two paths is cut in mid-download")
        stage.cut_in_mid_download("through manypathd", ())
        gateway.stop()
        stage.cut_in_mid_download("manypath run", stage.wrapper)
    heading(f"{time.monotonic() - started:.0f} s; all namespaces, rules and processes are gone.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\n  interrupted; all namespaces, rules and processes are gone.")
        sys.exit(130)
    except MissingPrerequisite as missing:
        sys.exit(f"demo: {missing}")
