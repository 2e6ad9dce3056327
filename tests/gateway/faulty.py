#!/usr/bin/env python3
"""The reference gateway with one named fault, which `muster gateway check` must find. faulty.py FAULT OPTIONS…"""
import json, secrets, sys, time

import reference
from reference import Gateway, Refused, Signer

answer, report, ask, verify = Gateway.answer, Gateway.report, Gateway.ask, Signer.verify


def trusting():
    Signer.verify = lambda *_: None


def patient():
    reference.TOLERANCE = 10**9


def forgetting_signatures():
    def unseen(self, headers, body):
        self.seen = {}
        verify(self, headers, body)

    Signer.verify = unseen


def wordless():
    def refusing(self, body):
        try:
            return answer(self, body)
        except Refused as refused:
            raise Refused(refused.args[0], "") from None

    Gateway.answer = refusing


def timeless():
    Gateway.answer = lambda self, body: answer(self, json.dumps({**json.loads(body), "deadline": "2999-01-01T00:00:00Z"}))


def reporting(change):
    """Changes the type and the fields of each report."""

    def changed(self, account, kind, steps=1, **fields):
        kind, fields = change(kind, fields)
        if kind:
            report(self, account, kind, steps, **fields)

    Gateway.report = changed


def of_another_session():
    reporting(lambda kind, it: (kind, {**it, "session": it["session"] + 7} if kind == "connected" else it))


def of_another_task():
    reporting(lambda kind, it: (kind, {**it, "task": it["task"] + 7} if kind == "code_sent" else it))


def without_attempt():
    reporting(lambda kind, it: (kind, {name: value for name, value in it.items() if name != "attempt"}))


def never_registered():
    reporting(lambda kind, it: (None if kind == "registered" else kind, it))


def forgetful():
    def again(self, body):
        self.state["done"] = []
        if json.loads(body).get("type") == "connect":
            self.state["sessions"].pop(json.loads(body)["account"], None)
        return answer(self, body)

    Gateway.answer = again


def unforgiving():
    def once(self, body):
        if json.loads(body).get("id") in self.state["done"]:
            raise Refused(409, "this was here before")
        return answer(self, body)

    Gateway.answer = once


def clinging():
    def kept(self, account, command):
        self.report(account, "disconnected", session=command["session"], reason="")

    Gateway.disconnect = kept


def empty_lists():
    Gateway.list_sessions = lambda *_: {"sessions": [], "next": None}


def endless_pages():
    listed = Gateway.list_sessions
    Gateway.list_sessions = lambda self, after, _: listed(self, after, 1000)


def renaming():
    def renamed(self, method, target, ident, body=b""):
        return ask(self, method, target, ident + secrets.token_hex(4), body)

    Gateway.ask = renamed


def repeating():
    """Signs once, and sends the very same again: the clock stands still."""
    begun = int(time.time())

    class Still:
        sleep = staticmethod(time.sleep)
        time = staticmethod(lambda: begun)

    def asked(self, *what):
        reference.time = Still
        try:
            return ask(self, *what)
        finally:
            reference.time = time

    Gateway.ask = asked


def deaf():
    def told(self, method, target, ident, body=b""):
        status, answer = ask(self, method, target, ident, body)
        if status == 409:
            return 200, {"acknowledged": json.loads(body)["reports"][-1]["sequence"]}
        return status, answer

    Gateway.ask = told


def skipping():
    def skipped(self, *what, **fields):
        self.state["sequence"] += 1
        report(self, *what, **fields)

    Gateway.report = skipped


def formless():
    def asked(self, method, target, ident, body=b""):
        return ask(self, method, target, ident, body.replace(b'"time"', b'"at"'))

    Gateway.ask = asked


def idle():
    Gateway.pull = lambda self: time.sleep(600)


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    reference.main()
