'use strict';

// Registers a device with one of the vendor's device SDKs: `node register.js PACKAGE OPTIONS`, OPTIONS in JSON. Prints
// what the SDK hands to its callback.

const [sdk, options] = process.argv.slice(2);
require(sdk).register(JSON.parse(options), (answer) => process.stdout.write(JSON.stringify(answer) + '\n'));
