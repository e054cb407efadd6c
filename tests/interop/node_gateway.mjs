// Node's http2 client as a gateway: roles are swapped on a connection that a worker dialled, and the
// client magic comes from this side. How they are swapped:
//
//   h2-reverse        the same; {"origins": [...]} is what the worker's ORIGIN frame says
//   direct, potato    right after TLS, whose ALPN id says so (options.alpn, options.alpnBytes in hex)
//   ptth, reverse     by an upgrade of HTTP/1.1, served by Node's https server
//
// Reads one JSON request per line from standard input and writes one JSON answer per line. First line
// out: {"port": n}.

import http2 from 'node:http2';
import https from 'node:https';
import tls from 'node:tls';
import fs from 'node:fs';
import crypto from 'node:crypto';
import readline from 'node:readline';

const [certificate, key, ca, optionsText] = process.argv.slice(2);
// upgrade: {token, offer, choice: the fields of the channels}; answers: raw answers to the first
// hellos; interim: raw, before each 101.
const options = JSON.parse(optionsText);
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');

let session = null;
const waiting = [];

function beClient(socket) {
  const next = http2.connect('https://app.example', { createConnection: () => socket });
  next.on('error', () => {});
  next.on('close', () => { if (session === next) session = null; });
  next.on('origin', (origins) => say({ origins }));
  next.on('remoteSettings', (settings) => {
    session = next;
    say({ attached: true, alpn: socket.alpnProtocol, worker: socket.getPeerCertificate().subject?.CN,
          maxConcurrentStreams: settings.maxConcurrentStreams ?? null,
          connectProtocol: settings.enableConnectProtocol ?? false });
    for (const request of waiting.splice(0)) run(request);
  });
}

const tlsOptions = {
  cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(ca),
  requestCert: options.asksWho ?? true, rejectUnauthorized: true, minVersion: 'TLSv1.3',
};
// In the wire form of RFC 7301: Node takes bytes that are no text in no other way.
const alpn = Buffer.from(options.alpnBytes ?? Buffer.from(options.alpn ?? '').toString('hex'), 'hex');
// With options.noAlpn whoever comes is taken for a worker.
const server = options.noAlpn ? tls.createServer(tlsOptions, beClient) : alpn.length > 0
  ? tls.createServer({ ...tlsOptions, ALPNProtocols: Buffer.concat([Buffer.from([alpn.length]), alpn]) }, beClient)
  : upgradeServer();
server.on('tlsClientError', (error) => say({ tlsError: String(error.message) }));
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));

function upgradeServer() {
  const made = https.createServer(tlsOptions, (request, response) => {
    say({ plain: true, method: request.method, url: request.url });
    response.writeHead(400).end('no upgrade was asked for\n');
  });
  let hellos = 0;
  made.on('upgrade', (request, socket, head) => {
    const { token, offer, choice } = options.upgrade;
    const scripted = options.answers?.[hellos++];
    say({ hello: true, alpn: socket.alpnProtocol, method: request.method, url: request.url,
          version: request.httpVersion, headers: request.headers, early: head.length });
    socket.on('error', () => {});
    if (scripted !== undefined) {
      socket.write(scripted);
      // The next hello may come on the same connection.
      if (/^HTTP\/1.1 204/.test(scripted)) made.emit('secureConnection', socket);
      else socket.end();
      return;
    }
    // What an HTTP server sees of RFC 9110 section 7.8 and RFC 7639, as exact as can be.
    const upgrades = request.headers.upgrade.split(',').map((item) => item.trim().toLowerCase());
    const offered = (request.headers[offer] ?? '').split(',').map((item) => item.trim());
    if (!upgrades.includes(token.toLowerCase()) || !offered.includes('h2')) {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      return;
    }
    socket.write((options.interim ?? '') + 'HTTP/1.1 101 Switching Protocols\r\n' +
                 `Connection: Upgrade\r\nUpgrade: ${token}\r\n${choice}: h2\r\n\r\n`,
                 // Node's http2 aborts the process when it inherits a write.
                 () => beClient(socket));
  });
  return made;
}

function run(request) {
  if (!session) { waiting.push(request); return; }
  const stream = session.request({ ':method': 'GET', ':path': '/', ...request.headers },
    { waitForTrailers: Boolean(request.trailers), endStream: !request.body && !request.bulk });
  const answer = { id: request.id, interim: [], digest: null, length: 0 };
  const digest = crypto.createHash('sha256');
  stream.on('wantTrailers', () => stream.sendTrailers(request.trailers));
  stream.on('headers', (headers) => answer.interim.push({ ...headers }));
  stream.on('response', (headers) => { answer.headers = { ...headers }; });
  stream.on('trailers', (trailers) => { answer.trailers = { ...trailers }; });
  stream.on('error', (error) => { answer.error = error.code; });
  stream.on('data', (data) => {
    digest.update(data);
    answer.length += data.length;
    if (answer.length <= 65536) answer.body = (answer.body ?? '') + data.toString('latin1');
    if (request.resetAfter && answer.length >= request.resetAfter) {
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
  });
  stream.on('close', () => {
    answer.digest = digest.digest('hex');
    answer.code = stream.rstCode;
    if (answer.length > 65536) delete answer.body;
    say(answer);
  });
  if (request.body) {
    stream.end(request.body);
  } else if (request.bulk) {
    let left = request.bulk;
    const block = Buffer.alloc(65536, 'x');
    const more = () => {
      while (left > 0) {
        const size = Math.min(left, block.length);
        left -= size;
        if (!stream.write(block.subarray(0, size))) { stream.once('drain', more); return; }
      }
      stream.end();
    };
    more();
  }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  if (request.goaway) { session.goaway(0); return; }
  if (request.destroy) { session.destroy(); return; }
  run(request);
}).on('close', () => process.exit(0));
