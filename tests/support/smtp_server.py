"""A mail server on loopback that stores all mails; it knows as much SMTP as a notifier uses."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import ClassVar


@dataclass(slots=True)
class Mailbox:
    """The mails that arrived.

    :param port: of the server.
    """

    port: int
    mails: list[EmailMessage] = field(default_factory=list)

    def connection(self) -> str:
        """Return the Airflow connection to the server, as JSON."""
        extra = {"disable_tls": True, "disable_ssl": True, "retry_limit": 1, "timeout": 20}
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra})

    def subjects(self) -> list[str]:
        """Return the subject of each mail."""
        return [str(mail["Subject"]) for mail in self.mails]


class _Session(socketserver.StreamRequestHandler):
    answers: ClassVar = {b"EHLO": b"250 loopback", b"QUIT": b"221 bye", b"DATA": b"354 go on"}

    def handle(self) -> None:
        self.wfile.write(b"220 loopback\r\n")
        for line in self.rfile:
            command = line[:4].upper()
            self.wfile.write(self.answers.get(command, b"250 ok") + b"\r\n")
            if command == b"DATA":
                self._receive()
            elif command == b"QUIT":
                return

    def _receive(self) -> None:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.removeprefix(b"."))
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        assert isinstance(self.server, _Server)
        self.server.mailbox.mails.append(mail)
        self.wfile.write(b"250 kept\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    mailbox: Mailbox


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    """Run the server on a free port of 127.0.0.1, and yield its mailbox."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.mailbox = Mailbox(int(server.server_address[1]))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.mailbox
        finally:
            server.shutdown()
            thread.join()
