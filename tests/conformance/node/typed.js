'use strict';

// Drives @alicloud/iot20180120 for the tests, through its typed requests and replies.

const iot = require('@alicloud/iot20180120');
const {Config} = require('@alicloud/openapi-client');

const [endpoint, accessKeyId, accessKeySecret] = process.argv.slice(2);
const client = new iot.default(
  new Config({endpoint, accessKeyId, accessKeySecret, protocol: 'http', regionId: 'cn-shanghai'}));

// From wire names to the fields of a typed model and back. `types` says what is in a field: a scalar, a model, a list
// ({type: 'array', itemType}) or a map of names.
function toModel(type, value) {
  if (type && type.type === 'array') return value.map((item) => toModel(type.itemType, item));
  if (typeof type !== 'function' || !type.names) return value;
  const fields = Object.entries(type.names()).map(([field, wire]) => [field, wire]);
  const types = type.types();
  const map = {};
  for (const [field, wire] of fields) {
    if (value[wire] !== undefined) map[field] = toModel(types[field], value[wire]);
  }
  return new type(map);
}

function toWire(value) {
  if (Array.isArray(value)) return value.map(toWire);
  if (value === null || typeof value !== 'object') return value;
  const names = value.constructor.names ? value.constructor.names() : {};
  const map = {};
  for (const [field, inner] of Object.entries(value)) {
    if (inner !== undefined && inner !== null) map[names[field] || field] = toWire(inner);
  }
  return map;
}

require('./lines')(async (action, parameters) => {
  const method = action[0].toLowerCase() + action.slice(1);
  const request = toModel(iot[`${action}Request`], parameters);
  return toWire((await client[method](request)).body);
});
