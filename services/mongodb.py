"""Part of ./dev: asks the MongoDB server, which brings no client of its own.

`answers` ends well if the server takes writes. `settle` makes it the only member of its replica set, under the port that
it has now, and makes its user; both only where that was not done. It fails as long as the server is not that far.
"""

import sys
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

USER = "tidings"
# Numbers by which the server names what it refuses.
UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
TIMEOUT_MS = 2000


class Server:
    def __init__(self, port, replica_set, password):
        self.member = f"127.0.0.1:{port}"
        self.replica_set = replica_set
        self.password = password

    def client(self, **login):
        return MongoClient(
            self.member, directConnection=True, serverSelectionTimeoutMS=TIMEOUT_MS, socketTimeoutMS=TIMEOUT_MS, **login
        )

    def known(self):
        return self.client(username=USER, password=self.password)

    def takes_writes(self):
        return bool(self.client().admin.command("hello").get("isWritablePrimary"))

    def settle(self):
        if not self.client().admin.command("hello").get("setName"):
            self.found()
            return False
        if not self.takes_writes():
            return False
        try:
            self.known().admin.command("ping")
        except OperationFailure as error:
            if error.code != AUTHENTICATION_FAILED:
                raise
            # Whoever is on this machine may make the first user, and nothing else.
            self.client().admin.command("createUser", USER, pwd=self.password, roles=["root"])
        return True

    def found(self):
        config = {"_id": self.replica_set, "members": [{"_id": 0, "host": self.member}]}
        try:
            self.client().admin.command("replSetInitiate", config)
        except OperationFailure as error:
            if error.code != UNAUTHORIZED:
                raise
            # It has a user, so it had another port.
            admin = self.known().admin
            config = admin.command("replSetGetConfig")["config"]
            config["members"][0]["host"] = self.member
            config["version"] += 1
            admin.command("replSetReconfig", config, force=True)


def main():
    what, port, replica_set, password = sys.argv[1:]
    server = Server(port, replica_set, Path(password).read_text())
    try:
        done = server.settle() if what == "settle" else server.takes_writes()
    except PyMongoError as error:
        print(f"{what}: {error}", file=sys.stderr)
        done = False
    sys.exit(0 if done else 1)


main()
