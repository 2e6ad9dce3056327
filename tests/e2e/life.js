// What goes on in the service while its pages are looked at: accounts of every fate, and some that come and go all the time.
import { becomes, call } from "./muster.js";

/** Imported, brought online, recycled: five events, and no more. */
export const PAST = "861821721020";
/** Came online, and was banned: four events. */
export const BANNED = "861821700003";

// The last four digits choose the fate of an account.
const FATED = ["86182170", "86182171"].flatMap((first) => ["0001", "0002", "0003", "0004", "0006"].map((fate) => first + fate));
/** Offline. Each test has some of them for itself. */
const CALM = Array.from({ length: 60 }, (_, at) => `86182172${1000 + at}`);
const RESTLESS = Array.from({ length: 120 }, (_, at) => `86182180${1000 + at}`);
const EVERY_MS = 1000;

/** Keys, of accounts that have none. */
const NO_KEYS = { publicKey: "", privateKey: "", msgPublicKey: "", msgPrivateKey: "" };

function imported(whatsApp) {
  const ids = { accountId: "", nextKeyId: "", registrationId: "", deviceParams: "" };
  return { whatsApp, whatsappType: 1, name: "lee", avatar: "", ...ids, ...NO_KEYS };
}

export default async function begin() {
  await call("batchInsert", { whatsAppList: [...FATED, ...CALM, ...RESTLESS].map(imported) });
  await online([...FATED, ...RESTLESS, PAST]);
  await becomes(PAST, 2);
  await call("batchRecycle", { whatsAppList: [PAST] });
  await becomes(PAST, 4);
  let at = 0;
  const turn = setInterval(async () => {
    at += 1;
    // Waves, as of people who come and go.
    const many = Math.round(6 + 5 * Math.sin(at / 6));
    const some = Array.from({ length: many }, (_, next) => RESTLESS[(at * 11 + next) % RESTLESS.length]);
    if (at % 2 === 0) await online(some);
    else await call("batchRecycle", { whatsAppList: some });
  }, EVERY_MS);
  return () => clearInterval(turn);
}

/** Brings accounts online, as a caller does. */
export async function online(numbers) {
  await call("batchOnline", { whatsAppList: numbers.map((whatsApp) => ({ whatsApp, override: false, ...NO_KEYS })) });
}
