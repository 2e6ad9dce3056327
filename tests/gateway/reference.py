#!/usr/bin/env python3
"""An example gateway for Muster's bridge: it speaks the whole protocol, and simulates sessions.

The last four digits of a number choose its outcome, as in Muster's simulator: 0001 pairing fails, 0002 the network fails,
0003 is banned after it comes online, 0004 never responds. The correct code is 123456.
Accepted commands are in the state file, synced, before the response. Keys and codes are never written.
"""
import argparse, base64, hashlib, hmac, json, os, secrets, threading, time, urllib.request
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 300  # seconds between a request's timestamp and now

class Refused(Exception): """A rejected command: the HTTP status, and a message."""

class Signer:
    """Signs and verifies requests (Standard Webhooks)."""
    def __init__(self, secret):
        self.key, self.seen, self.lock = base64.b64decode(secret.strip().removeprefix("whsec_")), {}, threading.Lock()

    def signature(self, ident, timestamp, body):
        mac = hmac.new(self.key, f"{ident}.{timestamp}.".encode() + body, hashlib.sha256)
        return "v1," + base64.b64encode(mac.digest()).decode()

    def verify(self, headers, body):
        ident, timestamp, given = (headers.get("webhook-" + name, "") for name in ("id", "timestamp", "signature"))
        if not (ident and timestamp.isdigit() and given):
            raise Refused(401, "the request is not signed; sign it as Standard Webhooks")
        if abs(time.time() - int(timestamp)) > TOLERANCE:
            raise Refused(401, "the timestamp is too far from now; sign each attempt with the current time")
        ours = self.signature(ident, timestamp, body)
        if not any(hmac.compare_digest(ours.encode(), one.encode()) for one in given.split(" ")):
            raise Refused(401, "no signature matches; check the secret")
        with self.lock:
            self.seen = {key: at for key, at in self.seen.items() if time.time() - at <= 2 * TOLERANCE}
            if ours in self.seen:
                raise Refused(401, "this signature was used before; sign each attempt with the current time")
            self.seen[ours] = time.time()

class Gateway:
    """The state, in memory and in its file, and the effects of commands."""
    def __init__(self, path, delay, muster, signer):
        self.path, self.delay, self.muster, self.signer = path, delay, muster.rstrip("/"), signer
        self.lock, self.directory = threading.Condition(), os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        new = {"stream": secrets.token_hex(8), "sequence": 0, "done": [], "sessions": {}, "outbox": []}
        self.state = json.load(open(path)) if os.path.exists(path) else new

    def keep(self):
        with open(self.path + ".new", "w") as file:
            json.dump(self.state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)
        os.fsync(self.directory)
        self.lock.notify_all()

    def report(self, account, kind, steps=1, **fields):
        if not account.endswith("0004"):
            self.state["sequence"] += 1
            at = {"sequence": self.state["sequence"], "time": datetime.now(timezone.utc).isoformat()}
            report = {**at, "account": account, "type": kind, **fields}
            self.state["outbox"].append({"due": time.time() + steps * self.delay, "report": report})

    def answer(self, body):
        """The response to a command: HTTP status and body."""
        try:
            command = json.loads(body)
            if command["type"] not in ("connect", "disconnect", "request_code", "submit_code", "list_sessions"):
                raise Refused(422, f"there is no command of type {command['type']}")
            if datetime.fromisoformat(command["deadline"]) < datetime.now(timezone.utc):
                raise Refused(410, "the deadline has passed")
            with self.lock:
                if command["type"] == "list_sessions":
                    return 200, self.list_sessions(command.get("after") or "", command["limit"])
                if command["id"] not in self.state["done"]:
                    getattr(self, command["type"])(command["account"], command)
                    self.state["done"] = self.state["done"][-10_000:] + [command["id"]]
                    self.keep()
            return 202, {"accepted": True}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(400, f"the body is not a valid command: {error!r}") from None

    def connect(self, account, command):
        session, fate, sessions = command["session"], account[-4:], self.state["sessions"]
        fields = {"session": session, "instance_code": f"REF-{session}"}
        if fate in ("0001", "0002"):
            self.report(account, "disconnected", reason="1001" if fate == "0001" else "1002", **fields)
        elif fate != "0004" and sessions.get(account, {"session": 0})["session"] < session:
            sessions[account] = {**fields, "state": "banned" if fate == "0003" else "connected"}
            self.report(account, "connected", **fields)
            if fate == "0003":
                self.report(account, "banned", 2, reason="banned by the reference gateway")

    def disconnect(self, account, command):
        session, sessions = command["session"], self.state["sessions"]
        if account in sessions and (session is None or sessions[account]["session"] <= session):
            del sessions[account]
        self.report(account, "disconnected", session=session, reason="", instance_code=f"REF-{session}")

    def request_code(self, account, command):
        self.report(account, "code_sent", task=command["task"])

    def submit_code(self, account, command):
        fails = {} if command["code"] == "123456" else {"attempt": command["attempt"], "reason": "wrong code"}
        self.report(account, "registration_failed" if fails else "registered", task=command["task"], **fails)

    def list_sessions(self, after, limit):
        accounts = sorted(account for account in self.state["sessions"] if account > after)
        page = [{"account": account, **self.state["sessions"][account]} for account in accounts[:limit]]
        return {"sessions": page, "next": accounts[limit - 1] if len(accounts) > limit else None}

    def ask(self, method, target, ident, body=b""):
        """Sends a request to Muster: the response's status (0 if there is none) and body."""
        signed = {"webhook-id": ident, "webhook-timestamp": str(int(time.time())), "content-type": "application/json"}
        signed["webhook-signature"] = self.signer.signature(ident, signed["webhook-timestamp"], body or target.encode())
        try:
            request = urllib.request.Request(self.muster + target, body or None, signed, method=method)
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, json.loads(answer.read())
        except (OSError, ValueError) as error:  # An error response is an OSError too.
            return getattr(error, "code", 0), json.loads(error.read()) if getattr(error, "code", 0) == 409 else {}

    def send_reports(self):
        """Sends due reports, one batch at a time: unchanged, with the same id, until Muster has it."""
        batch = 0
        while True:
            with self.lock:
                outbox, now = self.state["outbox"], time.time()
                due = next((nth for nth, entry in enumerate(outbox) if entry["due"] > now), len(outbox))
                if not due:
                    self.lock.wait(outbox[0]["due"] - now if outbox else None)
                    continue
                batch = batch or min(due, 100)
                reports, stream = [entry["report"] for entry in outbox[:batch]], self.state["stream"]
            first = reports[0]["sequence"]
            body = json.dumps({"stream": stream, "reports": reports}).encode()
            status, answer = self.ask("POST", "/gateway/v1/reports", f"reports-{stream}-{first}", body)
            taken = answer["acknowledged"] if status == 200 else answer["error"]["expected"] - 1 if status == 409 else 0
            if status == 409 and taken < first - 1:  # Muster lost the stream, for example by a restore: start a new one.
                with self.lock:
                    self.state |= {"stream": secrets.token_hex(8), "sequence": len(self.state["outbox"])}
                    for nth, entry in enumerate(self.state["outbox"], 1):
                        entry["report"]["sequence"] = nth
                    self.keep()
            elif taken >= first:
                with self.lock:
                    self.state["outbox"] = [it for it in self.state["outbox"] if it["report"]["sequence"] > taken]
                    self.keep()
                batch = 0
            else:
                time.sleep(1)

    def pull(self):
        """Fetches commands, if Muster cannot reach this gateway."""
        while True:
            status, answer = self.ask("GET", "/gateway/v1/work?wait=25&limit=16", "work-" + secrets.token_hex(8))
            acks = []
            for work in answer.get("work", []):
                try:
                    acks.append({**self.answer(json.dumps(work["command"]))[1], "lease": work["lease"]})
                except Refused as refused:
                    acks.append({"lease": work["lease"], "error": refused.args[1]})
            if acks:
                self.ask("POST", "/gateway/v1/work/acks", acks[0]["lease"], json.dumps({"acks": acks}).encode())
            time.sleep(0 if status == 200 else 1)

class Commands(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            body = self.rfile.read(min(int(self.headers.get("content-length", 0)), 1 << 20))
            self.server.gateway.signer.verify(self.headers, body)
            status, answer = self.server.gateway.answer(body)
        except Refused as refused:
            status, answer = refused.args[0], {"error": refused.args[1]}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
    log_message = lambda *_: None

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for option, default in (("listen", "127.0.0.1:9000"), ("muster", "http://127.0.0.1:8080"),
                            ("secret-file", "bridge.secret"), ("state", "bridge.json")):
        parser.add_argument("--" + option, default=default, help=f"default: {default}")
    parser.add_argument("--pull", action="store_true", help="fetch commands from Muster instead of receiving them")
    parser.add_argument("--delay", type=float, default=0.1, help="seconds until a command takes effect")
    options = parser.parse_args()
    gateway = Gateway(options.state, options.delay, options.muster, Signer(open(options.secret_file).read()))
    threading.Thread(target=gateway.send_reports, daemon=True).start()
    if options.pull:
        gateway.pull()
    host, port = options.listen.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Commands)
    server.gateway = gateway
    print(json.dumps({"listening": f"http://{host}:{server.server_address[1]}"}), flush=True)
    server.serve_forever()

if __name__ == "__main__":
    main()
