// npm's reverse-http as the worker: it asks a gateway for PTTH/1.0, and says what it is asked.

'use strict';

const crypto = require('node:crypto');

const [packagePath, port, path] = process.argv.slice(2);
const reverseHttp = require(packagePath);

// The gateway is verified against NODE_EXTRA_CA_CERTS.
const worker = reverseHttp({ host: '127.0.0.1', servername: 'gw.test', port: Number(port), path, tls: true },
  (request, response) => {
    const digest = crypto.createHash('sha256');
    let length = 0;
    request.on('data', (data) => { digest.update(data); length += data.length; });
    request.on('end', () => response.end(JSON.stringify({
      method: request.method, path: request.url, length, digest: digest.digest('hex') })));
  });
worker.on('error', (error) => console.error(error.message));
process.stdin.on('end', () => process.exit(0)).resume();
