// A server that speaks HTTP/2 and, for who can't, HTTP/1.1: node http2.mjs FOLDER PORT [clear]. What it saw goes to
// FOLDER/seen.jsonl, as that of servers.py; `clear`: HTTP/2 without TLS.
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import http2 from "node:http2";

const [folder, port, mode] = process.argv.slice(2);
const saw = (details) => appendFileSync(`${folder}/seen.jsonl`, JSON.stringify({ kind: "http2", ...details }) + "\n");

const answers = {
  "/": (request, body) => ({ body: `hello from ${request.authority} over ${request.httpVersion}\n` }),
  "/echo": (request, body) => ({ body }),
  "/trailers": () => ({ body: "with trailers\n", trailers: { "x-checksum": "42" } }),
  "/events": () => ({ type: "text/event-stream", events: ["one", "two", "three"] }),
};

async function serve(request, response) {
  request.authority ??= request.headers.host;
  const path = request.url.split("?")[0];
  if (path === "/early") { response.statusCode = 413; return response.end("too much\n"); }
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  saw({ version: request.httpVersion, method: request.method, host: request.authority, path: request.url,
        size: body.length, sha256: createHash("sha256").update(body).digest("hex"), body: body.toString("latin1", 0, 30000).replace(/[^ -~]/g, "?") });
  if (path.startsWith("/bytes/")) return response.end(Buffer.alloc(Number(path.slice(7)), "x"));
  if (path === "/hints") {
    if (request.httpVersion === "2.0") response.stream.additionalHeaders({ ":status": 103, link: "</a.css>; rel=preload" });
    return response.end("hinted\n");
  }
  if (path === "/die") { response.write("half of "); return setTimeout(() => response.stream?.close(2) ?? response.destroy(), 50); }
  const answer = answers[path]?.(request, body);
  if (!answer) { response.statusCode = 404; return response.end("no such path\n"); }
  response.setHeader("content-type", answer.type ?? "text/plain");
  if (answer.trailers) response.addTrailers(answer.trailers);
  if (answer.events) {
    for (const event of answer.events) {
      response.write(`data: ${event}\n\n`);
      await new Promise((done) => setTimeout(done, 20));
    }
    return response.end();
  }
  response.end(answer.body);
}

const options = { key: readFileSync(`${folder}/server.key`), cert: readFileSync(`${folder}/server.pem`), allowHTTP1: true };
process.on("uncaughtException", () => {});  // clients that break off
process.on("unhandledRejection", () => {});
const server = mode === "clear" ? http2.createServer(serve) : http2.createSecureServer(options, serve);
server.listen(Number(port), "0.0.0.0");
