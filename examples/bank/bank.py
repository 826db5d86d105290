"""The demo bank: pays when the member's vault said yes, and keeps the record that shows it.

Needs Python 3.9 and nothing else. The gateway's address and the file with its API key come from the environment:

    export VETTID_GATEWAY=http://127.0.0.1:8091 VETTID_KEY_FILE=api.key
    python3 bank.py invite
    python3 bank.py members
    python3 bank.py transfer CONNECTION 500.00 EUR "Bob Smith" DE89370400440532013000 "Rent for November"
"""

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

# A payment waits five minutes for its member; one call waits a minute at most.
WAIT_MS = 60_000


class Gateway:
    """The few calls of the gateway's HTTP API that a bank needs."""

    def __init__(self):
        self.address = os.environ["VETTID_GATEWAY"].rstrip("/")
        with open(os.environ["VETTID_KEY_FILE"], encoding="utf-8") as file:
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

    def json(self, *arguments, **named):
        return json.loads(self.call(*arguments, **named))


def masked(account):
    """What the member sees of an account that the bank knows whole."""
    return f"{account[:2]}•• {account[-4:]}"


def transfer(gateway, order):
    """Asks for the member's word; the order's number makes the call one that can be repeated."""
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
    while asked["status"] == "asked":
        asked = gateway.json("GET", f"/v1/requests/{asked['request_id']}?wait_ms={WAIT_MS}")
    if asked["status"] not in ("approved", "denied"):
        sys.exit(f"not paid: the request is {asked['status']}")
    # The record is what the bank shows if somebody asks why it paid; it is checked before it pays.
    with open(order.record, "wb") as file:
        file.write(gateway.call("GET", f"/v1/records/{asked['request_id']}"))
    subprocess.run([order.vettid, "verify", order.record], check=True, stdout=subprocess.DEVNULL)
    paid = asked["status"] == "approved"
    print(f"{'paid' if paid else 'not paid: the member said no'}; the record is in {order.record}")


def main():
    parser = argparse.ArgumentParser(description="The demo bank.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("invite", help="print a link that a member's app takes")
    commands.add_parser("members", help="list the members that are connected")
    order = commands.add_parser("transfer", help="pay, if the member says yes")
    for name in ("connection", "amount", "currency", "payee", "account", "reference"):
        order.add_argument(name)
    order.add_argument("--order", help="number of the order; the same number never pays twice")
    order.add_argument("--record", default="transfer.json", help="where the record goes")
    order.add_argument("--vettid", default="vettid", help="the program that checks the record")
    chosen, gateway = parser.parse_args(), Gateway()
    if chosen.command == "invite":
        print(gateway.json("POST", "/v1/invitations", {})["link"])
    elif chosen.command == "members":
        for member in gateway.json("GET", "/v1/connections?state=active")["connections"]:
            print(member["connection_id"], member["display_name"])
    else:
        transfer(gateway, chosen)


if __name__ == "__main__":
    main()
