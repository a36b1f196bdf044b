'use strict';

// Drives @alicloud/rpc-client for the tests.

const {default: Client, Config} = require('@alicloud/rpc-client');
const {RuntimeOptions} = require('@alicloud/tea-util');

const [endpoint, accessKeyId, accessKeySecret] = process.argv.slice(2);
const client = new Client(new Config({endpoint, accessKeyId, accessKeySecret, protocol: 'http', regionId: 'cn-shanghai'}));
const runtime = new RuntimeOptions({autoretry: false});

// The clients that are built on this one flatten lists before they hand their parameters over.
function flat(value, name = '', into = {}) {
  if (Array.isArray(value)) value.forEach((item, index) => flat(item, `${name}.${index + 1}`, into));
  else if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) flat(inner, name ? `${name}.${key}` : key, into);
  } else into[name] = value;
  return into;
}

require('./lines')(async (action, parameters, method) => {
  try {
    return await client.doRequest(action, 'HTTP', method, '2018-01-20', 'AK', flat(parameters), {}, runtime);
  } catch (error) {
    // Behind the code of the service it puts a word of its own.
    if (error.code) error.code = error.code.replace(/Error$/, '');
    throw error;
  }
});
