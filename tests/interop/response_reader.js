// What Node's HTTP client (llhttp, strict) makes of answers. Reads [{bytes, method}, ...] as JSON on
// stdin (bytes in hexadecimal), serves each once on a loopback socket that it then closes, requests
// it, and prints one result per answer as JSON.
'use strict';
const http = require('node:http');
const net = require('node:net');

const kDeadlineMs = 10000;
const hex = (text) => Buffer.from(text, 'latin1').toString('hex');

function pairs(raw) {
  const fields = [];
  for (let i = 0; i < raw.length; i += 2) fields.push([hex(raw[i].toLowerCase()), hex(raw[i + 1])]);
  return fields;
}

function ask(port, index, method) {
  return new Promise((resolve) => {
    const result = { interim: [], heads: [], body: '', trailers: [] };
    const refuse = (why) => resolve({ ...result, accepted: false, why: String(why) });
    const request = http.request({
      host: '127.0.0.1', port, method, path: `/${index}`, agent: false,
      insecureHTTPParser: false, maxHeaderSize: 65536,
    });
    request.setTimeout(kDeadlineMs, () => { refuse('deadline'); request.destroy(); });
    request.on('error', (error) => refuse(error.code || error.message));
    request.on('close', () => refuse('closed'));
    request.on('upgrade', (response, socket) => { socket.destroy(); refuse('upgrade'); });
    request.on('information', (head) =>
      result.interim.push({ status: head.statusCode, fields: pairs(head.rawHeaders) }));
    request.on('response', (response) => {
      const chunks = [];
      result.heads.push({ status: response.statusCode, fields: pairs(response.rawHeaders) });
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', (error) => refuse(error.code || error.message));
      response.on('aborted', () => refuse('aborted'));
      response.on('end', () => {
        result.body = Buffer.concat(chunks).toString('hex');
        result.trailers = pairs(response.rawTrailers);
        // A parse error of bytes behind the end comes in the same turn: let it win.
        setImmediate(() => resolve({ ...result, accepted: response.complete }));
      });
    });
    request.end();
  });
}

async function main() {
  const text = require('node:fs').readFileSync(0, 'utf8');
  const answers = JSON.parse(text);
  const server = net.createServer((socket) => {
    let received = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      received += data.toString('latin1');
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const index = Number(/^\S+ \/(\d+) /.exec(received)[1]);
      received = '';
      socket.end(Buffer.from(answers[index].bytes, 'hex'));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const results = [];
  for (let index = 0; index < answers.length; ++index) {
    results.push(await ask(server.address().port, index, answers[index].method));
  }
  server.close();
  process.stdout.write(JSON.stringify(results));
}

main();
