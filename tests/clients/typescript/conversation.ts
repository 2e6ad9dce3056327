// One conversation with the service, through the client of openapi-generator.
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { AccountsApi, Configuration, DocumentedApi, JournalApi, UpkeepApi, WebhooksApi } from './index.js';

const number = '861821726232';
const configuration = new Configuration({ basePath: process.env.MUSTER_SERVER, accessToken: process.env.MUSTER_KEY });
const documented = new DocumentedApi(configuration);
const accounts = new AccountsApi(configuration);
const journal = new JournalApi(configuration);
const webhooks = new WebhooksApi(configuration);
const keys = { publicKey: '', privateKey: '', msgPublicKey: '', msgPrivateKey: '' };

async function until(wanted: number) {
    for (const end = Date.now() + 20_000; ; await wait(50)) {
        const [account] = (await documented.queryWhatsAppStatus({ whatsApp: number })).data;
        if (account?.onlineStatus === wanted) return;
        assert(Date.now() < end, `${number} is ${account?.onlineStatus}, not ${wanted}`);
    }
}

const imported = { whatsAppList: [{ whatsApp: number, accountId: '', ...keys }] };
assert.equal((await documented.batchInsert({ batchInsertRequest: imported })).code, 200);
await until(4);
const online = { whatsAppList: [{ whatsApp: number, override: false, ...keys }] };
assert.equal((await documented.batchOnline({ batchOnlineRequest: online })).code, 200);
await until(2);
assert.equal((await documented.batchRecycle({ batchRecycleRequest: { whatsAppList: [number] } })).code, 200);
await until(4);
const phone = { phone: '182172623211', verifyType: 1, accountType: 2, areaCode: '+86', countryCode: 'CN' } as const;
assert.equal((await documented.submitPhone({ submitPhoneRequest: phone })).data, 1);

const history = (await accounts.showHistory({ account: number })).events;
assert(history.some((event) => event.type === 'muster.account.came_online.v1'));
assert.equal((await journal.listEvents({ limit: 2 })).events.length, 2);
const labels = await accounts.changeLabels({ account: number, changeLabels: { labels: { team: 'care' } } });
assert.deepEqual(labels.labels, { team: 'care' });

const receiver = `${process.env.MUSTER_RECEIVER}/callback`;
assert((await webhooks.showWebhook({ channel: 'sync' })).state);
assert.equal((await webhooks.setReceiver({ channel: 'sync', receiverUrl: { url: receiver } })).url, receiver);
assert((await webhooks.pauseWebhook({ channel: 'sync', reason: { reason: 'maintenance' } })).paused);
await webhooks.resumeWebhook({ channel: 'sync' });

assert((await new UpkeepApi(configuration).backup()).size > 100);
assert((await (await journal.exportEvents()).text()).includes(number));
console.log('typescript: ok');
