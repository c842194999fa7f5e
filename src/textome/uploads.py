"""An upload over HTTP whose answer is read while it is still being sent."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from threading import Event, Thread


class Upload:
    """Sends pieces in a thread while the answer is read: both ways at once, neither waits for the other's end."""

    def __init__(
        self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str], pieces: Iterable[bytes]
    ) -> None:
        self._connection = connection
        self._error: BaseException | None = None
        self._stopped = Event()
        self._thread = Thread(target=self._send, args=(path, headers, pieces), daemon=True)
        self._thread.start()

    def _send(self, path: str, headers: Mapping[str, str], pieces: Iterable[bytes]) -> None:
        connection = self._connection
        try:
            connection.putrequest("POST", path)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            for piece in pieces:
                if self._stopped.is_set():
                    return
                if piece:
                    connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")
        except BaseException as error:  # told to the reader, who waits for an answer that will not come
            self._error = error
            if not isinstance(error, OSError) and connection.sock is not None:
                connection.close()

    def response(self) -> http.client.HTTPResponse:
        """The head of the answer, which may come before all is sent."""
        sock = self._connection.sock
        if sock is None:
            raise OSError("the connection was closed")
        response = http.client.HTTPResponse(sock, method="POST")
        try:
            response.begin()
        except (OSError, http.client.HTTPException) as error:
            raise self._error or error from error
        return response

    def stop(self) -> None:
        self._stopped.set()
