"""One conversation with the service, through the client of openapi-generator."""

import os
import time

import muster
from muster import models

configuration = muster.Configuration(host=os.environ["MUSTER_SERVER"], access_token=os.environ["MUSTER_KEY"])
client = muster.ApiClient(configuration)
documented = muster.DocumentedApi(client)
accounts = muster.AccountsApi(client)
journal = muster.JournalApi(client)
webhooks = muster.WebhooksApi(client)
number = "861821726232"
keys = {"publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": ""}


def status():
    [account] = documented.query_whats_app_status(whats_app=number).data
    return account.online_status


def until(wanted):
    end = time.monotonic() + 20
    while status() != wanted:
        assert time.monotonic() < end, f"{number} is {status()}, not {wanted}"
        time.sleep(0.05)


imported = models.BatchInsertRequest.from_dict({"whatsAppList": [{"whatsApp": number, "accountId": "", **keys}]})
assert documented.batch_insert(imported).code == 200
assert status() == 4
online = models.BatchOnlineRequest.from_dict({"whatsAppList": [{"whatsApp": number, "override": False, **keys}]})
assert documented.batch_online(online).code == 200
until(2)
assert documented.batch_recycle(models.BatchRecycleRequest.from_dict({"whatsAppList": [number]})).code == 200
until(4)
phone = models.SubmitPhoneRequest.from_dict(
    {"phone": "182172623211", "verifyType": 1, "accountType": 2, "areaCode": "+86", "countryCode": "CN"})
assert documented.submit_phone(phone).data == 1

history = accounts.show_history(number).events
assert "muster.account.came_online.v1" in [event.type for event in history]
assert {event.subject for event in history} == {number}
came_online = next(event for event in history if event.type == "muster.account.came_online.v1")
assert came_online.data.to_dict()["instanceCode"]
assert len(journal.list_events(limit=2).events) == 2
labels = accounts.change_labels(number, models.ChangeLabels(labels={"team": "care"}, reason="moved"))
assert labels.labels == {"team": "care"}

assert webhooks.show_webhook("sync").state
receiver = os.environ["MUSTER_RECEIVER"] + "/callback"
assert webhooks.set_receiver("sync", models.ReceiverUrl(url=receiver)).url == receiver
assert webhooks.pause_webhook("sync", models.Reason(reason="maintenance")).paused
webhooks.resume_webhook("sync")

assert len(muster.UpkeepApi(client).backup()) > 100
assert number in str(journal.export_events())
print("python: ok")
