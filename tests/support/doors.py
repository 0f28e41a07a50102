"""doors.py: the ways into a gateway, one per mode, behind one call.

    toml = doors.configuration(gateway_host, server_host, server.port)
    gateway = Gateway(gateway_host, toml)
    with doors.enter("socks5", client, gateway_host, target) as sock: …

SPDX-License-Identifier: Apache-2.0
"""

import socket
import struct

from . import peers

MODES = ("transparent", "forward", "socks5", "http-connect")
PORTS = {"transparent": 1081, "forward": 1082, "socks5": 1083, "http-connect": 1084}

_LISTENER = """
[[listen]]
name = "{mode}"
mode = "{mode}"
address = ["0.0.0.0:{port}", "[::]:{port}"]
accept = "{accept}"
dial = "{dial}"
allow = ["198.18.0.0/15", "2001:db8::/32"]
{extra}
"""


def paths(gateway_host, prefix="wan"):
    """A [[path]] table for each of the host's wan interfaces."""
    return "".join(
        f'[[path]]\nname = "{name}"\ninterface = "{name}"\n'
        f'gateway = ["{end.peer.v4}", "{end.peer.v6}"]\n'
        for name, end in gateway_host.interfaces.items() if name.startswith(prefix))


def listener(mode, target, lans, accept="tcp", dial="mptcp", ports=()):
    """One [[listen]] table on the mode's port, for every address.
    @param target  (text, port): forward goes there, transparent intercepts this port
    @param lans    transparent: the names of the interfaces
    @param ports   transparent: intercepted as well"""
    port, extra = PORTS[mode], ""
    if mode == "forward":
        host = f"[{target[0]}]" if ":" in target[0] else target[0]
        extra = f'to = "{host}:{target[1]}"'
    if mode == "transparent":
        if accept == "mptcp":
            port = target[1]  # joins come to the listener's port alone
        names = ", ".join(f'"{lan}"' for lan in lans)
        caught = ", ".join(f'"{p}"' for p in (target[1], *ports))
        extra = f'intercept = {{ interfaces = [{names}], ports = [{caught}] }}'
    return _LISTENER.format(mode=mode, port=port, accept=accept, dial=dial, extra=extra)


def configuration(gateway_host, target, accept="tcp", dial="mptcp", ports=()):
    """A gateway with one listener per mode, for connections to `target`, (text, port)."""
    lans = [name for name in gateway_host.interfaces if name.startswith("lan")]
    return paths(gateway_host) + "".join(
        listener(mode, target, lans, accept, dial, ports) for mode in MODES)


def enter(mode, client, gateway_host, target, mptcp=False, timeout=30):
    """Connects to `target` through a gateway. @return the socket, past the mode's greeting"""
    if mode == "transparent":
        return peers.connect(client, target, mptcp, timeout)
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    door = gateway_host.interfaces["lan0"].address(family), PORTS[mode]
    sock = peers.connect(client, door, mptcp, timeout)
    try:
        {"forward": lambda *_: None, "socks5": _socks5, "http-connect": _connect}[mode](sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _read(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("the gateway ended during the greeting")
        data += piece
    return data


def _socks5(sock, target):
    sock.sendall(b"\x05\x01\x00")
    if _read(sock, 2) != b"\x05\x00":
        raise ConnectionError("socks5: no method accepted")
    if ":" in target[0]:
        address = b"\x04" + socket.inet_pton(socket.AF_INET6, target[0])
    else:
        address = b"\x01" + socket.inet_aton(target[0])
    sock.sendall(b"\x05\x01\x00" + address + struct.pack(">H", target[1]))
    _, status, _, kind = _read(sock, 4)
    _read(sock, {1: 6, 4: 18}[kind])
    if status != 0:
        raise ConnectionError(f"socks5: status {status}")


def _connect(sock, target):
    host = f"[{target[0]}]" if ":" in target[0] else target[0]
    sock.sendall(f"CONNECT {host}:{target[1]} HTTP/1.1\r\nHost: {host}:{target[1]}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _read(sock, 1)
    if head.split()[1] != b"200":
        raise ConnectionError(f"http-connect: {head.splitlines()[0].decode()}")
