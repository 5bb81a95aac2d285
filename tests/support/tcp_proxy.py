"""A TCP proxy between the product and PostgreSQL that loses what a test wants lost.

It reads the protocol's frames (a type byte and a length after the start-up packet), so it can
cut a connection at an exact message.
"""

import socket
import threading

# More than anything but a unit of events has.
LARGE = 4000


class Proxy:
    """Forwards to target; lose_commits(n) drops the answers of the next n COMMITs."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.lock = threading.Lock()
        self.commits_to_lose = 0
        self.lost = 0
        self.held = threading.Event()
        self.held.set()
        self.waiting = 0
        self.halving = False
        self.word = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_commits(self, count):
        with self.lock:
            self.commits_to_lose = count

    def hold_in_the_middle(self):
        """The first half of the next large chunk still reaches the server, the rest is held."""
        self.halving = True

    def hold_from(self, word):
        """Everything from the first chunk on that has this word (bytes) in it is held."""
        self.word = word

    def release(self):
        self.held.set()

    def close(self):
        self.release()
        self.listener.close()
        for pair in self.pairs:
            self._cut(*pair)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs.append((client, server))
            state = {"losing": False}
            for target in (self._to_server, self._to_client):
                threading.Thread(target=target, args=(client, server, state),
                                 daemon=True).start()

    @staticmethod
    def _cut(*ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def _to_server(self, client, server, state):
        try:
            while chunk := client.recv(65536):
                if self.halving and len(chunk) > LARGE:
                    self.halving = False
                    self.held.clear()
                    server.sendall(chunk[:len(chunk) // 2])
                    chunk = chunk[len(chunk) // 2:]
                if self.word is not None and self.word in chunk:
                    self.word = None
                    self.held.clear()
                if not self.held.is_set():
                    self.waiting += len(chunk)
                    self.held.wait()
                server.sendall(chunk)
        except OSError:
            pass
        self._cut(client, server)

    def _to_client(self, client, server, state):
        """Whole messages only: the one that says COMMIT is the byte at which it is cut."""
        buffer = b""
        started = False
        try:
            while chunk := server.recv(65536):
                buffer += chunk
                if not started:
                    # The answer to a request for encryption is one byte without a frame.
                    if buffer[:1] in (b"N", b"S") and len(buffer) == 1:
                        client.sendall(buffer)
                        buffer = b""
                        continue
                    started = True
                out = b""
                while len(buffer) >= 5:
                    size = 1 + int.from_bytes(buffer[1:5], "big")
                    if len(buffer) < size:
                        break
                    message, buffer = buffer[:size], buffer[size:]
                    if message[:1] == b"C" and message[5:] == b"COMMIT\0" and self._take():
                        # Everything before it arrives, the answer itself never does.
                        client.sendall(out)
                        self._cut(client, server)
                        return
                    out += message
                if out:
                    client.sendall(out)
        except OSError:
            pass
        self._cut(client, server)

    def _take(self):
        with self.lock:
            if self.commits_to_lose == 0:
                return False
            self.commits_to_lose -= 1
            self.lost += 1
            return True
