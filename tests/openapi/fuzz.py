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
ROUNDS_MAX = 100
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
    command += [environment["TIDINGS_URL"] + "/openapi.json", "--checks", "all", "--seed", str(seed), *more, *only]
    status = subprocess.run(command, env=environment, cwd=report.parent).returncode
    for operation, code, count in json.loads(report.read_text()):
        answered[operation][code] += count
    return status == 0


def labels(document):
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


def main(target, requests):
    target = pathlib.Path(target).absolute()
    work = target.parent / "openapi" / "fuzz"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    world = subprocess.run([target / "world", work], check=True, capture_output=True, text=True)
    names = json.loads(world.stdout)
    answered = collections.defaultdict(collections.Counter)
    with open(work / "server.log", "w") as log:
        server, url = serve(target / "tidings", names["TIDINGS_DATA"], log)
    try:
        subprocess.run(["node", work.parent / "build" / "client.js", url], check=True)
        environment = {**os.environ, **names, "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"TIDINGS_URL": url, "TIDINGS_ANSWERED": str(work / "answered.json")}
        operations = labels(get(f"{url}/openapi.json"))
        ending = {it for it in operations if any(re.fullmatch(pattern, it) for pattern in ENDING)}
        guests = {**environment, "TIDINGS_GUESTS": "yes"}
        # None of these leads to another.
        good = run(guests, ending, 1, answered, "--max-examples", "10", "--phases", "examples,coverage,fuzzing")
        made = lambda: sum(count for codes in answered.values() for count in codes.values())
        for seed in range(1, ROUNDS_MAX + 1):
            good = run(environment, operations - ending, seed, answered, "--max-examples", str(EXAMPLES)) and good
            if made() >= requests or not good:
                break
    finally:
        server.terminate()
        ended = server.wait(timeout=READY_S)
    wrong = [] if good else ["schemathesis has found something"]
    if ended != 0:
        wrong.append(f"the server ended with {ended}")
    for operation in sorted(operations):
        codes = answered[operation]
        print(f"{operation:55}", *(f"{code}:{count}" for code, count in sorted(codes.items())))
        if not any(200 <= code < 300 for code in codes) and operation not in NEVER:
            wrong.append(f"{operation} has never succeeded")
    wrong += [f"{it} can succeed after all, or is gone" for it in sorted(NEVER) if not fails(answered[it])]
    if made() < requests:
        wrong.append(f"too few requests: {requests} were wanted")
    print(f"{made()} requests, of which {sum(codes[500] for codes in answered.values())} were answered 500")
    sys.exit("\n".join(wrong))


def fails(codes):
    return codes and not any(200 <= code < 300 for code in codes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
