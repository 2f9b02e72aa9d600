// SPDX-License-Identifier: Apache-2.0
// Answers every request with hello.
const http = require('http');

http.createServer(function (request, response) {
  response.writeHead(200, {'Content-Type': 'text/plain'});
  response.end('hello\n');
}).listen(80);
