// Activity in the service during the tests: accounts of every simulator outcome, and some that change all the time.
import { becomes, call } from "./muster.js";

/** Imported, brought online, recycled: five events, and no more. */
export const PAST = "861821721020";
/** Came online, and was banned: four events. */
export const BANNED = "861821700003";

// The last four digits choose the simulator's outcome for an account.
const FATED = ["86182170", "86182171"].flatMap((first) => ["0001", "0002", "0003", "0004", "0006"].map((fate) => first + fate));
/** Offline. Each test uses its own. */
const CALM = Array.from({ length: 60 }, (_, at) => `86182172${1000 + at}`);
/** Imported a few at a time, then online and offline in turn. */
const RESTLESS = Array.from({ length: 150 }, (_, at) => `86182180${1000 + at}`);
const ARRIVE = 10;
const EVERY_MS = 1000;

/** Empty key fields, for accounts without keys. */
const NO_KEYS = { publicKey: "", privateKey: "", msgPublicKey: "", msgPrivateKey: "" };

function imported(whatsApp) {
  const ids = { accountId: "", nextKeyId: "", registrationId: "", deviceParams: "" };
  return { whatsApp, whatsappType: 1, name: "lee", avatar: "", ...ids, ...NO_KEYS };
}

export default async function begin() {
  await call("batchInsert", { whatsAppList: [...FATED, ...CALM].map(imported) });
  await online([...FATED, PAST]);
  await becomes(PAST, 2);
  await call("batchRecycle", { whatsAppList: [PAST] });
  await becomes(PAST, 4);
  let turn = 0;
  const life = setInterval(() => live((turn += 1)), EVERY_MS);
  return () => clearInterval(life);
}

/** One step of these accounts, in waves. */
async function live(turn) {
  const there = RESTLESS.slice(0, turn * ARRIVE);
  const arriving = there.slice((turn - 1) * ARRIVE);
  if (arriving.length > 0) await call("batchInsert", { whatsAppList: arriving.map(imported) });
  const many = Math.round(ARRIVE * (2 + Math.sin(turn / 5)));
  const some = Array.from({ length: many }, (_, next) => there[(turn * 7 + next) % there.length]);
  if (turn % 3 === 0) await call("batchRecycle", { whatsAppList: [...new Set(some)] });
  else await online([...new Set(some)]);
}

/** Brings accounts online, as a caller does. */
export async function online(numbers) {
  await call("batchOnline", { whatsAppList: numbers.map((whatsApp) => ({ whatsApp, override: false, ...NO_KEYS })) });
}
