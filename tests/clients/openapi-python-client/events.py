"""Reads events with the client of openapi-python-client."""

import os

from muster_client import AuthenticatedClient
from muster_client.api.journal import list_acts
from muster_client.models import ApiKeyCreatedEvent

client = AuthenticatedClient(base_url=os.environ["MUSTER_SERVER"], token=os.environ["MUSTER_KEY"])
page = list_acts.sync(client=client, type_="api_key_created")
created = ApiKeyCreatedEvent.from_dict(page.acts[0].to_dict())
assert created.data.role == "admin", created
print("openapi-python-client: ok")
