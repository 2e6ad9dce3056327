// Reads events with the types of openapi-typescript.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './api.js';

const headers = { Authorization: `Bearer ${process.env.MUSTER_KEY}` };
const client = createClient<paths>({ baseUrl: process.env.MUSTER_SERVER, headers });
const { data, error } = await client.GET('/api/v1/acts', { params: { query: { type: 'api_key_created' } } });
assert(data, JSON.stringify(error));
const [created] = data.acts as components['schemas']['ApiKeyCreatedEvent'][];
assert(created);
assert.equal(created.data.role, 'admin');
console.log('openapi-typescript: ok');
