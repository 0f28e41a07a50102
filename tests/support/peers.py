"""peers.py: a server and client calls whose every byte is checked.

A connection begins with one line from the client that says what the server shall do:

    get N      sends N bytes of pattern(), ends its side, waits for the client's end
    put        reads to the client's end, answers "BYTES SHA256\\n", closes
    echo       sends back what it reads until the client ends
    silent     ends its own side at once, then reads to the client's end and records it
    reset N    sends N bytes, then RST
    hold       sends "held\\n" and stays silent until the client ends

So half-close in both orders, RST and bulk in both directions are one call each.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import hashlib
import random
import socket
import struct
import threading

from .observe import wait_until

IPPROTO_MPTCP = 262
CHUNK = 1 << 20
# No power of two, so that a block displaced by a buffer's length cannot go unnoticed.
_BLOCK = random.Random("manypath").randbytes(CHUNK + 4099)


def pattern(offset, size):
    """Bytes [offset, offset+size) of the endless test stream; at most CHUNK bytes."""
    start = offset % len(_BLOCK)
    piece = _BLOCK[start:start + size]
    while len(piece) < size:
        piece += _BLOCK[:size - len(piece)]
    return piece


def pattern_hash(size):
    """SHA-256 of the first `size` bytes of the test stream, as hex."""
    digest = hashlib.sha256()
    for offset in range(0, size, CHUNK):
        digest.update(pattern(offset, min(CHUNK, size - offset)))
    return digest.hexdigest()


def send_pattern(sock, size):
    """Sends the first `size` bytes of the test stream."""
    for offset in range(0, size, CHUNK):
        sock.sendall(pattern(offset, min(CHUNK, size - offset)))


def receive_hash(sock, progress=None):
    """Reads to the end of the stream. @return bytes read and their SHA-256 as hex
    @param progress  called with the number of bytes so far"""
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    total = 0
    while size := sock.recv_into(buffer):
        digest.update(view[:size])
        total += size
        if progress:
            progress(total)
    return total, digest.hexdigest()


def reset(sock):
    """Closes with RST (MP_FASTCLOSE on MPTCP)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def connect(host, address, mptcp=False, timeout=30, source=None):
    """Connects from a namespace. @param address  (text, port) @return the socket"""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = host.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if mptcp else 0)
    try:
        sock.settimeout(timeout)
        if source:
            sock.bind(source)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def download(sock, size, progress=None):
    """Fetches `size` bytes from a Server and fails unless they are the right ones."""
    sock.sendall(b"get %d\n" % size)
    got = receive_hash(sock, progress)
    if got != (size, pattern_hash(size)):
        raise AssertionError(f"download: expected {size} bytes intact, got {got[0]}")


def upload(sock, size):
    """Sends `size` bytes to a Server and fails unless it got the right ones."""
    sock.sendall(b"put\n")
    send_pattern(sock, size)
    sock.shutdown(socket.SHUT_WR)
    answer = read_all(sock).decode()
    if answer != f"{size} {pattern_hash(size)}\n":
        raise AssertionError(f"upload: expected {size} bytes intact, server says {answer!r}")


def read_all(sock):
    """Reads to the end of the stream; for small answers."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def _read_line(sock):
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionError("the client ended before its request")
        line += byte
    return line.decode().split()


class Server:
    """Serves the requests above in threads of the test process, until the lab ends.

    `results` holds what happened, in order: (request, bytes read, error or None);
    `accepted` the number of connections, `peers` the addresses they came from."""

    def __init__(self, host, port=0, mptcp=False, family=socket.AF_INET6):
        """Listens on every address of the namespace, with AF_INET6 on IPv4 ones too."""
        self.host = host
        self.results = []
        self.peers = []
        self.mptcp_accepted = 0
        self._open = set()
        self.listener = host.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if mptcp else 0)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("", port))
        self.listener.listen(4096)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept_all, daemon=True).start()
        host.lab.on_exit(self.close)

    def address(self, family=socket.AF_INET, path=0):
        """Where the server is reached, over the host's nth interface. @return (text, port)"""
        interface = list(self.host.interfaces.values())[path]
        return interface.address(family), self.port

    @property
    def accepted(self):
        return len(self.peers)

    def wait_for_results(self, count, deadline=10):
        """Waits until `count` connections have ended. @return self.results"""
        wait_until(lambda: len(self.results) >= count, deadline, f"{count} served connections")
        return self.results

    def close(self):
        """Stops listening and drops what is open."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept_all(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer[0].removeprefix("::ffff:"))
            self.mptcp_accepted += sock.getsockopt(socket.SOL_SOCKET, 38) == IPPROTO_MPTCP
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        request, read, error = [], 0, None
        try:
            request = _read_line(sock)
            read = getattr(self, "_do_" + request[0])(sock, *request[1:])
        except (OSError, AttributeError) as e:
            error = e
        finally:
            self._open.discard(sock)
            sock.close()
        self.results.append((" ".join(request), read, error))

    @staticmethod
    def _do_get(sock, size):
        send_pattern(sock, int(size))
        sock.shutdown(socket.SHUT_WR)
        return receive_hash(sock)[0]

    @staticmethod
    def _do_put(sock):
        size, digest = receive_hash(sock)
        sock.sendall(f"{size} {digest}\n".encode())
        return size

    @staticmethod
    def _do_echo(sock):
        total = 0
        while data := sock.recv(CHUNK):
            sock.sendall(data)
            total += len(data)
        return total

    @staticmethod
    def _do_silent(sock):
        sock.shutdown(socket.SHUT_WR)
        return receive_hash(sock)[0]

    @staticmethod
    def _do_reset(sock, size):
        send_pattern(sock, int(size))
        reset(sock)
        return 0

    @staticmethod
    def _do_hold(sock):
        sock.sendall(b"held\n")
        return receive_hash(sock)[0]
