// Node's http2 client as a gateway of the `direct` dialect: roles are swapped right after TLS, and
// the client magic comes from this side. Reads one JSON request per line from standard input and
// writes one JSON answer per line. First line out: {"port": n}.

import http2 from 'node:http2';
import tls from 'node:tls';
import fs from 'node:fs';
import crypto from 'node:crypto';
import readline from 'node:readline';

const [certificate, key, ca, alpn] = process.argv.slice(2);
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');

let session = null;
const waiting = [];

const server = tls.createServer({
  cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(ca),
  requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3', ALPNProtocols: [alpn],
}, (socket) => {
  const next = http2.connect('https://app.example', { createConnection: () => socket });
  next.on('error', () => {});
  next.on('close', () => { if (session === next) session = null; });
  next.on('remoteSettings', (settings) => {
    session = next;
    say({ attached: true, alpn: socket.alpnProtocol, worker: socket.getPeerCertificate().subject.CN,
          maxConcurrentStreams: settings.maxConcurrentStreams ?? null,
          connectProtocol: settings.enableConnectProtocol ?? false });
    for (const request of waiting.splice(0)) run(request);
  });
});
server.on('tlsClientError', (error) => say({ tlsError: String(error.message) }));
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));

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
