// Node as a gateway that asks workers who they are. It takes the challenge apart with nothing but
// Node: its TLS exporter, its crypto, and a reader of the two signature fields that knows just what
// RFC 9421 says of them. HTTP/2, or HTTP/1.1 when the ALPN id is http/1.1.
//
// Reads one JSON command per line from standard input and writes one JSON answer per line:
//   {id, connection, headers}            a request on the how many-th connection, from 0
//   {id, judge: {answer, connection, nonce, key, authority, path, later}}
//                                        what is wrong with an answer, had it come there
// First line out: {"port": n}; {"connection": n} for each.

import http from 'node:http';
import http2 from 'node:http2';
import tls from 'node:tls';
import fs from 'node:fs';
import crypto from 'node:crypto';
import readline from 'node:readline';

const [certificate, key, ca, optionsText] = process.argv.slice(2);
const options = JSON.parse(optionsText);
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');
const connections = [];

const server = tls.createServer({
  cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(ca),
  minVersion: 'TLSv1.2', maxVersion: options.tls ?? 'TLSv1.3', ALPNProtocols: [options.alpn],
}, (socket) => {
  const connection = { exporter: socket.exportKeyingMaterial(32, 'EXPORTER-ptth-challenge'), socket };
  connections.push(connection);
  const number = connections.length - 1;
  socket.on('error', () => {});
  if (socket.alpnProtocol === 'http/1.1') {
    say({ connection: number, version: socket.getProtocol() });
    return;
  }
  connection.session = http2.connect('https://gw.test', { createConnection: () => socket });
  connection.session.on('error', () => {});
  connection.session.once('remoteSettings', () =>
    say({ connection: number, version: socket.getProtocol() }));
});
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));

function ask({ id, connection, headers }) {
  const { session, socket } = connections[connection];
  const answer = { id, body: '' };
  const end = () => say(answer);
  if (session) {
    const stream = session.request({ ':method': 'GET', ':authority': 'gw.test', ...headers });
    stream.setEncoding('latin1');
    stream.on('response', (got) => { answer.status = got[':status']; answer.headers = { ...got }; });
    stream.on('data', (text) => { answer.body += text; });
    stream.on('error', () => {});
    stream.on('close', end);
    return;
  }
  const { ':path': path, ':method': method, ':authority': host, ...rest } = headers;
  http.request({ createConnection: () => socket,
                 method: method ?? 'GET', path, headers: { host: host ?? 'gw.test', ...rest } },
    (response) => {
      answer.status = response.statusCode;
      answer.headers = response.headers;
      response.setEncoding('latin1');
      response.on('data', (text) => { answer.body += text; });
      response.on('end', end);
    }).end();
}

const base64 = (bytes) => bytes.toString('base64');
const ALGORITHMS = {
  'ed25519': (text, key, signature) => crypto.verify(null, text, key, signature),
  'ecdsa-p256-sha256': (text, key, signature) =>
    crypto.verify('sha256', text, { key, dsaEncoding: 'ieee-p1363' }, signature),
  'ecdsa-p384-sha384': (text, key, signature) =>
    crypto.verify('sha384', text, { key, dsaEncoding: 'ieee-p1363' }, signature),
};
const MUST_COVER = ['"@status"', '"content-digest"', '"ptth-exporter"', '"@method";req',
                    '"@authority";req', '"@path";req', '"ptth-challenge";req'];

function judge({ answer, connection, nonce, key, authority = 'gw.test',
                 path = '/.well-known/ptth-challenge', later = 0 }) {
  if (answer.status !== 200) return `status ${answer.status}`;
  const body = Buffer.from(answer.body, 'latin1');
  const digest = `sha-256=:${base64(crypto.createHash('sha256').update(body).digest())}:`;
  if (answer.headers['content-digest'] !== digest) return 'digest';
  const own = `:${base64(connections[connection].exporter)}:`;
  if (answer.headers['ptth-exporter'] !== own) return 'exporter';
  const input = /^ptth=(\(([^()]*)\)((?:;[a-z]+=(?:"[^"\\]*"|\d+))*))$/.exec(answer.headers['signature-input']);
  const signature = /^ptth=:([A-Za-z0-9+/]+=*):$/.exec(answer.headers['signature']);
  if (!input || !signature) return 'fields';
  const covered = input[2].split(' ');
  if (!MUST_COVER.every((one) => covered.includes(one))) return 'coverage';
  const parameters = Object.fromEntries([...input[3].matchAll(/;([a-z]+)=(?:"([^"]*)"|(\d+))/g)]
    .map(([, name, text, number]) => [name, text ?? Number(number)]));
  const now = Date.now() / 1000 + later;
  if (parameters.tag !== 'ptth-challenge' || `:${parameters.nonce}:` !== nonce) return 'nonce';
  if (parameters.created > now + 5 || parameters.expires < now) return 'time';
  const derived = { '"@status"': String(answer.status), '"@method";req': 'GET',
                    '"@authority";req': authority, '"@path";req': path,
                    '"ptth-challenge";req': nonce };
  const lines = covered.map((one) => `${one}: ${derived[one] ?? answer.headers[JSON.parse(one)]}`);
  const text = [...lines, `"@signature-params": ${input[1]}`].join('\n');
  const open = crypto.createPublicKey(key);
  const verify = ALGORITHMS[parameters.alg];
  const spki = open.export({ type: 'spki', format: 'der' });
  if (!options.keyId && parameters.keyid !==
      `sha256//${base64(crypto.createHash('sha256').update(spki).digest())}`) return 'keyid';
  if (!verify?.(Buffer.from(text), open, Buffer.from(signature[1], 'base64'))) return 'signature';
  return null;
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  if (command.judge) say({ id: command.id, wrong: judge(command.judge) });
  else ask(command);
}).on('close', () => process.exit(0));
