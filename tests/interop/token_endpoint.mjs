// A token endpoint (RFC 6749, RFC 8693) on Node's https server. Tokens are named token-1, token-2, ...
// so that tests see which one is used where. Reads one JSON command per line, says what it was asked
// as one JSON line each; the first line out is {"port": n}. Arguments as those of node_gateway.mjs.
//
// options: {clients: {id: secret}, lifetime: seconds, post: the secret comes in the form}
// commands: {"down": true}, {"up": true}, {"lifetime": s}, {"clients": {...}},
//           {"answers": [{status, headers, body}]}: the next answers, instead of tokens

import https from 'node:https';
import fs from 'node:fs';
import readline from 'node:readline';

const [certificate, key, ca, optionsText] = process.argv.slice(2);
const options = { lifetime: 3600, answers: [], ...JSON.parse(optionsText) };
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');
const sockets = new Set();
let issued = 0;
let port = 0;

function knows(request, form) {
  if (!options.clients) return true;
  let [id, secret] = [form.get('client_id'), form.get('client_secret')];
  const basic = /^Basic (.*)$/.exec(request.headers.authorization ?? '');
  if (basic && !options.post) {
    [id, secret] = Buffer.from(basic[1], 'base64').toString().split(':').map(decodeURIComponent);
  } else if (!options.post) {
    return false;
  }
  return options.clients[id] === secret;
}

function answer(request, form) {
  const scripted = options.answers.shift();
  if (scripted) return scripted;
  if (!knows(request, form)) return { status: 401, body: '{"error":"invalid_client"}' };
  return { status: 200, body: JSON.stringify({
    access_token: `${options.prefix ?? 'token-'}${++issued}`, token_type: 'Bearer',
    expires_in: options.lifetime }) };
}

const server = https.createServer({
  cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(ca),
  requestCert: true, rejectUnauthorized: false,
}, (request, response) => {
  let text = '';
  request.on('data', (data) => { text += data; });
  request.on('end', () => {
    const form = new URLSearchParams(text);
    const { status, headers, body } = answer(request, form);
    say({ asked: true, method: request.method, url: request.url, headers: request.headers,
          form: Object.fromEntries(form), status, certificate: request.socket.authorized });
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.on('error', () => {});
    response.end(typeof body === 'string' ? body : Buffer.alloc(body.bytes, 'x'));
  });
});
server.on('connection', (socket) => {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
});
server.on('tlsClientError', () => {});
server.listen(0, '127.0.0.1', () => { port = server.address().port; say({ port }); });

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  if (command.down) {
    server.close(() => say({ isDown: true }));
    for (const socket of sockets) socket.destroy();
  } else if (command.up) {
    server.listen(port, '127.0.0.1', () => say({ isUp: true }));
  } else {
    Object.assign(options, command);
    say({ changed: true });
  }
}).on('close', () => process.exit(0));
