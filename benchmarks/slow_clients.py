"""Clients that send nothing or hardly anything, and a service that goes on answering the others.

python benchmarks/slow_clients.py [--idle 1000] [--slow 1000] [--seconds 40] [--files N]

A service is started (with at most N open files, where --files is given). Then there are so many connections that send
nothing, and so many that send a byte a second, half of them of a request's head and half of its body. One that the
service closes is opened again. Meanwhile a client that behaves asks /healthz and /v1/annotate each second. Printed are
its answers and their times, how many connections were closed, and the bytes of log that the service wrote. The exit code
is 1 where an answer was missing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import re
import resource
import subprocess
import sys
import tempfile
import time

HEAD = b"POST /v1/annotate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
BODY = b'{"text": "gout"}'


class Crowd:
    """Connections that stand still or nearly so, opened again when they are closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.open = self.closed = self.refused = 0

    async def one(self, first: bytes, slowly: bytes) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(1)
                continue
            self.open += 1
            with contextlib.suppress(OSError):
                writer.write(first)
                sending = asyncio.create_task(self._drip(writer, slowly))
                while await reader.read(4096):
                    pass
                sending.cancel()
            self.open -= 1
            self.closed += 1
            writer.close()
            await asyncio.sleep(1)

    async def _drip(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        with contextlib.suppress(OSError):
            for byte in data:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)


def answered(port: int, path: str, body: bytes | None) -> tuple[int, float]:
    """The status of an answer, 0 where there was none in 10 s, and its time."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body else "GET", path, body)
        return connection.getresponse().status, time.perf_counter() - begun
    except (OSError, http.client.HTTPException):
        return 0, time.perf_counter() - begun
    finally:
        connection.close()


async def run(port: int, arguments: argparse.Namespace) -> bool:
    crowd = Crowd(port)
    members = [crowd.one(b"", b"") for _ in range(arguments.idle)]
    members += [crowd.one(b"", HEAD) for _ in range(arguments.slow // 2)]
    members += [crowd.one(HEAD + b"\r\n", b"x" * 100) for _ in range(arguments.slow - arguments.slow // 2)]
    tasks = [asyncio.create_task(member) for member in members]
    good = True
    requests = {"/healthz": None, "/v1/annotate": BODY}
    results: dict[str, list[tuple[int, float]]] = {name: [] for name in requests}
    most = 0
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        for name, body in requests.items():
            results[name].append(await asyncio.to_thread(answered, port, name, body))
        most = max(most, crowd.open)
        await asyncio.sleep(1)
    for name, answers in results.items():
        times = sorted(seconds for _, seconds in answers)
        number = sum(status == 200 for status, _ in answers)
        good = good and number == len(answers)
        print(
            f"{name}: {number} of {len(answers)} answered, {1000 * times[len(times) // 2]:.0f} ms (median), "
            f"{1000 * times[-1]:.0f} ms (slowest)"
        )
    print(f"at most {most} connections open at once, {crowd.closed} closed by the service, {crowd.refused} refused")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--files", type=int, default=0)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = [sys.executable, "-m", "textome.cli.main", "serve", "--port", "0"]

    def few_files() -> None:
        if arguments.files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (arguments.files, arguments.files))

    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stderr=log, text=True, preexec_fn=few_files)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            for _ in range(600):
                log.seek(0)
                if match := re.search(r"http://127.0.0.1:(\d+)", log.read()):
                    break
                time.sleep(0.1)
            assert match is not None, "the service did not start"
            good = asyncio.run(run(int(match[1]), arguments))
        finally:
            process.terminate()
            process.wait(60)
        log.seek(0, 2)
        print(json.dumps({"log_bytes": log.tell(), "files": arguments.files or hard}))
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
