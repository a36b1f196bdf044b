'use strict';

// Drives one of the vendor's device SDKs: `node device.js PACKAGE device|gateway CONFIG`, CONFIG in JSON.
//
// What to call comes as lines of JSON on stdin, {"call": METHOD, "arguments": [...]}: METHOD of the device, or
// {"of": NAME} of the sub-device that logged in under that name. With "reply" the SDK's callback is waited for.
// What happens goes as lines to stdout: {"event": "connect"}, {"event": "message", topic, payload}, {"called": METHOD, reply}.

const readline = require('node:readline');
// The SDKs print to the console now and then; the lines above are for the tests alone.
console.log = console.error;

const [sdk, role, config] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const things = {'': require(sdk)[role](JSON.parse(config))};

function watch(thing, of) {
  thing.on('connect', () => say({event: 'connect', of}));
  thing.on('error', (error) => say({event: 'error', of, error: String(error.message || JSON.stringify(error))}));
}

things[''].on('message', (topic, payload) => say({event: 'message', topic, payload: payload.toString()}));
things[''].on('close', () => say({event: 'close'}));
watch(things[''], '');

readline.createInterface({input: process.stdin}).on('line', (line) => {
  const {call, of = '', arguments: given = [], reply} = JSON.parse(line);
  const called = (...answer) => say({called: call, reply: answer});
  const result = things[of][call](...given, ...(reply ? [called] : []));
  // A login makes the sub-device at once and tells later whether it succeeded.
  if (call === 'login') {
    things[given[0].deviceName] = result;
    watch(result, given[0].deviceName);
  }
}).on('close', () => process.exit(0));
