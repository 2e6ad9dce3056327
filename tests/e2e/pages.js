// All pages, each with a text that read-only users see.
import { BANNED } from "./life.js";
import { api } from "./muster.js";


export async function pages() {
  const { deliveries } = await api("GET", "webhooks/sync/deliveries?state=dead&limit=1");
  return [
    { name: "overview", path: "/", shows: "Needs attention" },
    { name: "accounts", path: "/accounts", shows: BANNED },
    { name: "account", path: `/accounts/${BANNED}`, shows: "came online" },
    { path: `/accounts/${BANNED}?version=3&from=1&to=4&view=compact`, shows: "online requested → came online" },
    { path: `/accounts/${BANNED}?view=json`, shows: "specversion" },
    { path: `/accounts/${BANNED}/events/4`, shows: "State after the event" },
    { path: `/accounts/${BANNED}/verify`, shows: "Verified: 4 events" },
    { name: "events", path: "/events", shows: "by gateway" },
    { path: "/webhooks", shows: "CHANNEL_REGISTER_STATUS" },
    { name: "webhook", path: "/webhooks/sync", shows: "Dead letters" },
    { path: `/webhooks/sync/deliveries/${deliveries[0].position}`, shows: "a fault, as requested" },
    { path: "/gateways", shows: "It is built in" },
    { path: "/projections", shows: "Lag" },
    { name: "log", path: "/log?from=1", shows: "the sizes alone prove nothing" },
    { path: "/acts", shows: "api key created" },
    { path: "/keys", shows: "Create a key" },
    { path: "/settings", shows: "simulator.delay_ms" },
  ];
}
