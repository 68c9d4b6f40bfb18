"""Holds a live server against its own document: first by a client that is typed by it, and then by schemathesis, with all
checks, all phases, and fixed seeds.

`fuzz.py TARGET REQUESTS` takes the built programs from TARGET and goes on, seed by seed, until REQUESTS were made. It fails
when a check fails or a warning is given, and when an operation has never succeeded.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import socket
import string
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
# Examples of each operation and seed; the phases have cases of their own besides.
EXAMPLES = 40
# Seeds at most, so that it ends.
SEEDS_MAX = 100
READY_S = 60
# Beside which the fuzzer's own requests must be none of anybody's business; the limits have tests of their own.
SETTINGS = {"TIDINGS_RATE_LIMITS": "all=100000000", "TIDINGS_LOG": "warn"}

# What ends the session that the run goes on with; asked in a run of its own, by guests. e2e: sessions, deletion.
ENDING = [
    r"POST /users/auth/logout",
    r"DELETE /users/me",
    r"DELETE /users/me/sessions/.*",
    r"PUT /users/me/password",
]

# What cannot succeed here, and where it is seen to.
NEVER = {
    # Embedded, a saga that can be undone ends within a moment: tests/nodes/stuck.rs has one wait, and undoes it.
    "POST /admin/sagas/{saga_id}/compensate",
    # What this program cannot apply it cannot apply again: projections/src/runner has it succeed.
    "POST /admin/parked/retry",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def serve(tidings, data, log):
    """A server on this data, and where it is; it is ready."""
    port = free_port()
    command = [tidings, "serve", "--data", data, "--listen", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **SETTINGS})
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + READY_S
    while time.monotonic() < until and server.poll() is None:
        try:
            get(f"{url}/readyz")
            return server, url
        except OSError:
            time.sleep(0.1)
    server.kill()
    sys.exit("the server was not ready in time")


def run(environment, operations, seed, answered, *more):
    """One run over these operations; what was answered is added up."""
    report = pathlib.Path(environment["TIDINGS_ANSWERED"])
    report.unlink(missing_ok=True)
    only = [word for operation in sorted(operations) for word in ("--include-name", operation)]
    config = report.with_name("schemathesis.toml")
    config.write_text(string.Template((HERE / config.name).read_text()).substitute(environment, HERE=HERE))
    command = [pathlib.Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run"]
    command += [environment["TIDINGS_URL"] + "/openapi.json", "--seed", str(seed), *more, *only]
    status = subprocess.run(command, env=environment, cwd=report.parent).returncode
    for operation, code, count in json.loads(report.read_text()):
        answered[operation][code] += count
    return status == 0


def labels(document):
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


class Live:
    """A server on a world of its own, so that the seed alone decides what a run finds."""

    def __init__(self, target, work):
        world = subprocess.run([target / "world", work], check=True, capture_output=True, text=True)
        names = json.loads(world.stdout)
        self.data = pathlib.Path(names["TIDINGS_DATA"])
        with open(work / "server.log", "a") as log:
            self.server, url = serve(target / "tidings", self.data, log)
        self.environment = {**os.environ, **names, "PYTHONDONTWRITEBYTECODE": "1", "TIDINGS_URL": url}
        self.environment["TIDINGS_ANSWERED"] = str(work / "answered.json")
        self.operations = labels(get(f"{url}/openapi.json"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.terminate()
        if self.server.wait(timeout=READY_S) != 0:
            sys.exit("the server did not stop in order")
        shutil.rmtree(self.data.parent)


def main(target, requests):
    target = pathlib.Path(target).absolute()
    work = target.parent / "openapi" / "fuzz"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    answered = collections.defaultdict(collections.Counter)
    with Live(target, work) as live:
        operations, url = live.operations, live.environment["TIDINGS_URL"]
        subprocess.run(["node", work.parent / "build" / "client.js", url], check=True)
        ending = {it for it in operations if any(re.fullmatch(pattern, it) for pattern in ENDING)}
        guests = {**live.environment, "TIDINGS_GUESTS": "yes"}
        # None of these leads to another.
        good = run(guests, ending, 1, answered, "--max-examples", "10", "--phases", "examples,coverage,fuzzing")
    seed = 0
    while good and made(answered) < requests and seed < SEEDS_MAX:
        seed += 1
        with Live(target, work) as live:
            good = run(live.environment, operations - ending, seed, answered, "--max-examples", str(EXAMPLES))
    wrong = []
    for operation in sorted(operations):
        codes = answered[operation]
        print(f"{operation:55}", *(f"{code}:{count}" for code, count in sorted(codes.items())))
        if not succeeds(codes) and operation not in NEVER:
            wrong.append(f"{operation} has never succeeded")
    wrong += [f"{it} can succeed after all, or is gone" for it in sorted(NEVER) if not answered[it] or succeeds(answered[it])]
    if made(answered) < requests:
        wrong.append(f"too few requests: {requests} were wanted")
    print(f"{made(answered)} requests with {seed} seeds")
    if not good:
        sys.exit("schemathesis has found something")
    if wrong:
        sys.exit("\n".join(wrong))


def made(answered):
    return sum(sum(codes.values()) for codes in answered.values())


def succeeds(codes):
    return any(200 <= code < 300 for code in codes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
