'use strict';

// Drives @alicloud/pop-core for the tests: one call per line of JSON on stdin, one answer per line on stdout.
//   {"action": "...", "parameters": {...}, "method": "GET"}  ->  {"reply": {...}} or {"refused": {"code", "message"}}

const readline = require('node:readline');
const {RPCClient} = require('@alicloud/pop-core');

const [endpoint, accessKeyId, accessKeySecret] = process.argv.slice(2);
const client = new RPCClient({endpoint, accessKeyId, accessKeySecret, apiVersion: '2018-01-20'});

async function answer({action, parameters, method}) {
  try {
    return {reply: await client.request(action, parameters, {method})};
  } catch (error) {
    // Without a code it is no refusal but a defect, of the server or of this test.
    if (!error.code) throw error;
    return {refused: {code: error.code, message: error.message}};
  }
}

async function main() {
  for await (const line of readline.createInterface({input: process.stdin})) {
    process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n');
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
