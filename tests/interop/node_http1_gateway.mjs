// Node's http client as a gateway over HTTP/1.1: each connection that a worker dialled becomes a
// socket of its agent. How the roles are swapped:
//
//   direct, potato   right after TLS, whose ALPN id says so (options.alpn)
//   ptth, reverse    by an upgrade, served by Node's https server (options.upgrade), that chooses http/1.1
//   ptth-1.0         the same; with upgrade.holds the hello is answered when a request wants the connection
//
// options.answers: raw answers to the first hellos. {"giveUp": "keep" or "close"} answers those that
// are held with 204.
// Reads one JSON request per line from standard input and writes one JSON answer per line. First line
// out: {"port": n}.

import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import readline from 'node:readline';
import tls from 'node:tls';

const [certificate, key, ca, optionsText] = process.argv.slice(2);
const options = JSON.parse(optionsText);
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');

// Connections that have carried nothing yet, and who waits for one.
const fresh = [];
const wanting = [];
// Hellos that are not answered yet.
const held = [];
let dialled = 0;

class WorkerAgent extends http.Agent {
  createConnection(_, done) {
    const socket = fresh.shift();
    const later = socket ? null : held.shift();
    if (socket) done(null, socket);
    else wanting.push(done);
    if (later) later();
  }
}
const kept = new WorkerAgent({ keepAlive: true, scheduling: 'fifo' });
const usedOnce = new WorkerAgent({ keepAlive: false });

function takeIn(socket) {
  socket.number = dialled++;
  // Also while no agent looks.
  socket.on('error', () => {});
  socket.on('end', () => say({ ended: socket.number }));
  socket.on('close', () => {
    const at = fresh.indexOf(socket);
    if (at >= 0) fresh.splice(at, 1);
    say({ closed: socket.number });
  });
  const done = wanting.shift();
  if (done) done(null, socket);
  else fresh.push(socket);
  say({ attached: socket.number, alpn: socket.alpnProtocol, worker: socket.getPeerCertificate().subject?.CN });
}

const tlsOptions = {
  cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(ca),
  requestCert: options.asksWho ?? true, rejectUnauthorized: true, minVersion: 'TLSv1.3',
};
const server = options.upgrade ? upgradeServer()
  : tls.createServer({ ...tlsOptions, ALPNProtocols: [options.alpn] }, takeIn);
server.on('tlsClientError', (error) => say({ tlsError: String(error.message) }));
server.listen(options.port ?? 0, '127.0.0.1', () => say({ port: server.address().port }));

function upgradeServer() {
  const made = https.createServer(tlsOptions);
  made.on('upgrade', (request, socket) => {
    const offered = (request.headers.alpn ?? '').split(',').map((item) => item.trim());
    const { token, choice, holds } = options.upgrade;
    socket.on('error', () => {});
    say({ hello: true, offered, method: request.method, url: request.url, headers: request.headers,
          version: request.httpVersion, port: socket.remotePort });
    const scripted = options.answers?.shift();
    if (scripted !== undefined) {
      socket.end(scripted);
      return;
    }
    const accept = () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n' +
                   `Upgrade: ${token}\r\n` + (choice ? `${choice}: http%2F1.1\r\n` : '') + '\r\n');
      takeIn(socket);
    };
    if (!holds || wanting.length > 0) {
      accept();
      return;
    }
    accept.giveUp = (how) => {
      const closes = how === 'close';
      socket.write(`HTTP/1.1 204 No Content\r\n${closes ? 'Connection: close\r\n' : ''}\r\n`);
      // The next hello comes on the same connection.
      if (closes) socket.end();
      else made.emit('secureConnection', socket);
    };
    held.push(accept);
    socket.on('close', () => {
      const at = held.indexOf(accept);
      if (at >= 0) held.splice(at, 1);
      say({ unheld: socket.remotePort });
    });
  });
  return made;
}

function run(request) {
  const sent = http.request({
    host: 'app.example', setHost: false, method: request.method ?? 'GET', path: request.path ?? '/',
    headers: { Host: 'app.example', ...request.headers }, agent: request.once ? usedOnce : kept,
  });
  const answer = { id: request.id, interim: [], digest: null, length: 0 };
  const digest = crypto.createHash('sha256');
  let over = false;
  const finish = (more) => {
    if (over) return;
    over = true;
    answer.digest = digest.digest('hex');
    if (answer.length > 65536) delete answer.body;
    say({ ...answer, ...more });
  };
  sent.on('socket', (socket) => { answer.socket = socket.number; });
  sent.on('continue', () => { answer.interim.push({ status: 100 }); sendBody(); });
  sent.on('information', (information) => {
    if (information.statusCode === 100) return;
    answer.interim.push({ status: information.statusCode, headers: information.headers });
  });
  // Behind an early answer the rest of an upload may fail.
  sent.on('error', (error) => finish({ error: error.code }));
  sent.on('response', (response) => {
    answer.status = response.statusCode;
    answer.headers = response.headers;
    response.on('data', (data) => {
      digest.update(data);
      answer.length += data.length;
      if (answer.length <= 65536) answer.body = (answer.body ?? '') + data.toString('latin1');
      if (request.destroyAfter && answer.length >= request.destroyAfter) sent.destroy();
    });
    response.on('end', () => finish({ trailers: response.trailers }));
    response.on('aborted', () => finish({ aborted: true }));
    response.on('error', () => finish({ aborted: true }));
  });
  if (request.trailers) sent.addTrailers(request.trailers);
  if (request.headers?.Expect) sent.flushHeaders();
  else sendBody();

  function sendBody() {
    if (!request.bulk) { sent.end(request.body); return; }
    let left = request.bulk;
    const block = Buffer.alloc(65536, 'x');
    const more = () => {
      while (left > 0 && !sent.destroyed) {
        const size = Math.min(left, block.length);
        left -= size;
        if (!sent.write(block.subarray(0, size))) { sent.once('drain', more); return; }
      }
      sent.end();
    };
    more();
  }
}

// Text for one connection, and all that comes back until its end.
function runRaw(request) {
  const use = (socket) => {
    let text = '';
    socket.on('data', (data) => { text += data.toString('latin1'); });
    socket.on('end', () => say({ id: request.id, raw: text }));
    socket.write(Buffer.from(request.raw, 'latin1'));
  };
  const socket = fresh.shift();
  if (socket) use(socket);
  else wanting.push((_, next) => use(next));
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  if (request.raw) runRaw(request);
  else if (request.giveUp) held.splice(0).forEach((accept) => accept.giveUp(request.giveUp));
  else if (request.close) fresh.splice(0).forEach((socket) => socket.end());
  else run(request);
}).on('close', () => process.exit(0));
