"""The demo bank: pays when the member's vault said yes, once for each order, and keeps the record that shows it.

Needs Python 3.9 and the program `vettid`, which checks records. The gateway's address and the file with its API key come from the environment:

    export VETTID_GATEWAY=http://127.0.0.1:8091 VETTID_KEY_FILE=api.key
    python3 bank.py invite
    python3 bank.py members
    python3 bank.py transfer CONNECTION 500.00 EUR "Bob Smith" DE89370400440532013000 "Rent for November" --order 17
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

# A payment waits five minutes for its member; one call waits a minute at most.
WAIT_MS = 60_000


def setting(name):
    return os.environ.get(name) or sys.exit(f"{name} is not set")


class Gateway:
    """The few calls of the gateway's HTTP API that a bank needs."""

    def __init__(self):
        self.address = setting("VETTID_GATEWAY").rstrip("/")
        with open(setting("VETTID_KEY_FILE"), encoding="utf-8") as file:
            self.key = file.read().strip()

    def call(self, method, path, body=None, once=None):
        """One call; `once` names it, so that its repetition has no second effect."""
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        if once:
            headers["idempotency-key"] = once
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_MS / 1000 + 15) as answer:
                return answer.read()
        except urllib.error.HTTPError as refusal:
            sys.exit(f"the gateway refused: {refusal.read().decode()}")
        except urllib.error.URLError as failure:
            sys.exit(f"the gateway does not answer at {self.address}: {failure.reason}")

    def json(self, *arguments, **named):
        return json.loads(self.call(*arguments, **named))


def masked(account):
    """What the member sees of an account that the bank knows whole."""
    return f"{account[:2]}•• {account[-4:]}"


class Books:
    """The bank's own books: which orders are paid. What the gateway knows of a repeated call it forgets after a day; the books do not."""

    def __init__(self, path):
        self.database = sqlite3.connect(path)
        self.database.execute('CREATE TABLE IF NOT EXISTS paid ("order" TEXT PRIMARY KEY, request_id TEXT NOT NULL)')

    def has(self, order):
        return self.database.execute('SELECT 1 FROM paid WHERE "order" = ?', (order,)).fetchone() is not None

    def pay(self, order, request_id):
        """Pays and marks the order as paid: both or neither. False if somebody else paid it meanwhile."""
        try:
            with self.database:
                self.database.execute("INSERT INTO paid VALUES (?, ?)", (order, request_id))
                # A bank moves the money here, in the same transaction. Where that is another system's work, the mark comes
                # first, and an order that is marked and did not arrive there is looked into by somebody, never sent again blindly.
            return True
        except sqlite3.IntegrityError:
            return False


def kept(record, path):
    """Keeps the record in a file of its own and never in place of another one."""
    try:
        with open(path, "xb") as file:
            file.write(record)
    except FileExistsError:
        # The same record was kept by an earlier run, which ended before it had paid.
        with open(path, "rb") as file:
            if file.read() != record:
                sys.exit(f"not paid: {path} holds something else; name another file with --record")


def decision(vettid, path):
    """What the member decided, by the record alone, which is checked."""
    checked = subprocess.run([vettid, "--json", "verify", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if checked.returncode != 0:
        sys.exit(f"not paid: the record in {path} does not hold: {checked.stdout}{checked.stderr}")
    return json.loads(checked.stdout)["decision"]


def transfer(gateway, order):
    """Pays an order on the member's word. Ended in the middle and run again within a day, it does not ask the member a second time."""
    vettid = shutil.which(order.vettid)
    if vettid is None:
        sys.exit(f"not asked: there is no program {order.vettid} to check the record with; name it with --vettid")
    books = Books(order.books)
    if books.has(order.order):
        return f"order {order.order} was paid before; nothing is paid, and nobody was asked"
    body = {
        "kind": "payment",
        "action": "transfer",
        "amount": {"value": order.amount, "currency": order.currency},
        "payee": {
            "name": order.payee,
            "account_masked": masked(order.account),
            "account_hash": base64.b64encode(hashlib.sha256(order.account.encode()).digest()).decode(),
        },
        "reference": order.reference,
        "wait_ms": WAIT_MS,
    }
    path = f"/v1/connections/{order.connection}/authorisations"
    asked = gateway.json("POST", path, body, once=order.order)
    while asked["status"] in ("asked", "pending"):
        asked = gateway.json("GET", f"/v1/requests/{asked['request_id']}?wait_ms={WAIT_MS}")
    if asked["status"] not in ("approved", "denied"):
        sys.exit(f"not paid: the request is {asked['status']}")
    # The record is what the bank shows if somebody asks why it paid; it is kept and checked before it pays.
    record = order.record or f"{asked['request_id']}.json"
    kept(gateway.call("GET", f"/v1/records/{asked['request_id']}"), record)
    if decision(vettid, record) != "approve":
        return f"not paid: the member said no; the record is in {record}"
    if not books.pay(order.order, asked["request_id"]):
        return f"order {order.order} was paid meanwhile; nothing is paid"
    return f"paid; the record is in {record}"


def members(gateway):
    """All members that are connected; a list comes in pages."""
    query = {"state": "active"}
    while True:
        page = gateway.json("GET", f"/v1/connections?{urllib.parse.urlencode(query)}")
        yield from page["connections"]
        if not page.get("next_cursor"):
            return
        query["cursor"] = page["next_cursor"]


def main():
    parser = argparse.ArgumentParser(description="The demo bank.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("invite", help="print a link that a member's app takes")
    commands.add_parser("members", help="list the members that are connected")
    order = commands.add_parser("transfer", help="pay, if the member says yes")
    for name in ("connection", "amount", "currency", "payee", "account", "reference"):
        order.add_argument(name)
    order.add_argument("--order", required=True, help="number of the order; the books have a number as paid once")
    order.add_argument("--books", default="bank.sqlite", help="the bank's books, made if they are not there")
    order.add_argument("--record", help="where the record goes, a new file; by itself REQUEST_ID.json")
    order.add_argument("--vettid", default="vettid", help="the program that checks the record")
    chosen, gateway = parser.parse_args(), Gateway()
    if chosen.command == "invite":
        print(gateway.json("POST", "/v1/invitations", {})["link"])
    elif chosen.command == "members":
        for member in members(gateway):
            print(member["connection_id"], member["display_name"])
    else:
        print(transfer(gateway, chosen))


if __name__ == "__main__":
    main()
