'use strict';

// One call per line of JSON on stdin, one answer per line on stdout:
//   {"action": "...", "parameters": {...}, "method": "GET"}  ->  {"reply": {...}} or {"refused": {"code", "message"}}

const readline = require('node:readline');

async function answer(call, {action, parameters, method}) {
  try {
    return {reply: await call(action, parameters, method)};
  } catch (error) {
    // Without a code it is no refusal but a defect, of the server or of this test.
    if (!error.code) throw error;
    return {refused: {code: error.code, message: error.message}};
  }
}

async function main(call) {
  for await (const line of readline.createInterface({input: process.stdin})) {
    process.stdout.write(JSON.stringify(await answer(call, JSON.parse(line))) + '\n');
  }
}

module.exports = (call) => main(call).catch((error) => {
  console.error(error);
  process.exit(1);
});
