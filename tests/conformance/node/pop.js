'use strict';

// Drives @alicloud/pop-core for the tests.

const {RPCClient} = require('@alicloud/pop-core');

const [endpoint, accessKeyId, accessKeySecret] = process.argv.slice(2);
const client = new RPCClient({endpoint: `http://${endpoint}`, accessKeyId, accessKeySecret, apiVersion: '2018-01-20'});

require('./lines')((action, parameters, method) => client.request(action, parameters, {method}));
