"""What schemathesis must know of us: who asks, and how often what was answered.

Somebody who is signed in asks everything, and signs in again when their session has ended; operators' routes are asked with
the admin token. What ends a session or an account is asked by guests, who register when the guest before has no session any
more.
"""

import atexit
import base64
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


def session_of(access_token):
    claims = access_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sid"]


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
        self.guest = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        return token("/users/auth/register", self.guest)

    def set(self, case, data, context):
        super().set(case, data, context)
        # Of the sessions that a guest may end no document knows the ids.
        if "session_id" in (case.path_parameters or {}) and case.meta.generation.mode.is_positive:
            case.path_parameters["session_id"] = session_of(data)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # A pattern of ECMA-262 may ask for what is alphabetic; the generator knows letters only, which are a part of that.
    known = json.dumps(raw_schema).replace(r"\\p{Alphabetic}", r"\\p{L}")
    raw_schema.update(json.loads(known))


@schemathesis.hook
def after_call(context, case, response):
    # Other methods than the operation's are tried as well.
    is_its_own = case.method.upper() == case.operation.method.upper()
    operation = case.operation.label if is_its_own else f"{case.method.upper()} another method"
    ANSWERED[operation, response.status_code] += 1


@atexit.register
def write():
    rows = [[operation, status, count] for (operation, status), count in ANSWERED.items()]
    with open(os.environ["TIDINGS_ANSWERED"], "w") as file:
        json.dump(rows, file)
