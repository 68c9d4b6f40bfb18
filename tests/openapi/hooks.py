"""What schemathesis must know of us: who asks, and how often what was answered.

Somebody who is signed in asks everything, and signs in again when their session has ended; operators' routes are asked with
the admin token. What ends a session or an account is asked by guests, who register when the guest before has no session any
more.
"""

import atexit
import collections
import itertools
import json
import os

import requests
import schemathesis

URL = os.environ["TIDINGS_URL"]
PASSWORD = "correct horse battery"
ANSWERED = collections.Counter()
GUESTS = itertools.count()


def token(path, person):
    answer = requests.post(URL + path, json=person, timeout=30)
    answer.raise_for_status()
    return answer.json()["access_token"]


class Bearer:
    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/admin/")
class Operator(Bearer):
    def get(self, case, context):
        return os.environ["TIDINGS_ADMIN_TOKEN"]


@schemathesis.auth(retry_on=[401])
class Person(Bearer):
    def get(self, case, context):
        if "TIDINGS_GUESTS" not in os.environ:
            return token("/users/auth/login", {"email": os.environ["TIDINGS_READER"], "password": PASSWORD})
        name = f"guest_{os.getpid()}_{next(GUESTS)}"
        person = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        return token("/users/auth/register", person)


@schemathesis.hook
def after_call(context, case, response):
    ANSWERED[case.operation.label, response.status_code] += 1


@atexit.register
def write():
    rows = [[operation, status, count] for (operation, status), count in ANSWERED.items()]
    with open(os.environ["TIDINGS_ANSWERED"], "w") as file:
        json.dump(rows, file)
