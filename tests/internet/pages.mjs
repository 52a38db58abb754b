// Serves FOLDER/pages under their types (FOLDER/types.json): node pages.mjs FOLDER PORT. A name's end is its content
// coding: /plain.gzip.
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const [folder, port] = process.argv.slice(2);
const types = JSON.parse(readFileSync(`${folder}/types.json`));
const options = { key: readFileSync(`${folder}/server.key`), cert: readFileSync(`${folder}/server.pem`), allowHTTP1: true };

http2.createSecureServer(options, (request, response) => {
  const [path, coding] = request.url.split(".");
  if (!types[path]) { response.statusCode = 404; return response.end(); }
  const body = readFileSync(`${folder}/pages${request.url}`);
  response.setHeader("content-type", types[path]);
  response.setHeader("content-length", body.length);
  if (coding) response.setHeader("content-encoding", coding);
  response.end(body);
}).listen(Number(port), "0.0.0.0");
process.on("uncaughtException", () => {});
